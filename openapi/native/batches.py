"""Batches: `/v1/batches`."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field
from pydantic.experimental.missing_sentinel import MISSING

from afterword.batches import MAX_FILE_BYTES, MAX_LINES, State
from afterword.dialects.native.batches import LINES_TYPES
from afterword.handlers.http import MAX_BODY_BYTES
from openapi.operations import (
    IDEMPOTENCY_KEY,
    JSON,
    Answer,
    Body,
    Described,
    Operation,
    Section,
    Strict,
    path,
)
from openapi.problem import problems

TAG = "Batches"
KEYS = ("bearer",)
_Count = Annotated[int, Field(ge=0)]
Lines = Annotated[str, Field(description="A submission on each line.")]


class Upload(Strict):
    """A batch whose file is put later, to the URL that is answered."""

    upload: Literal[True] | None = None


class LineCounts(Described):
    """What became of the lines so far."""

    accepted: _Count
    bad: _Count
    """That are no submission; reported with their numbers."""
    succeeded: _Count
    failed: _Count
    canceled: _Count
    missing: _Count
    """Whose generations were deleted, or are kept no longer."""


class BatchFailure(Described):
    """Why a batch could not go on."""

    message: str


class BatchLinks(Described):
    """Where a batch is, as a path."""

    self: str


class Batch(Described):
    """A batch, and how far it has come."""

    id: UUID
    status: State
    created_at: datetime
    finished_at: datetime | None
    lines: _Count | None
    """How many there are; null until they are counted."""
    read: _Count
    """Lines that are submitted, or bad."""
    ended: _Count
    """Lines whose generations have ended, in order."""
    counts: LineCounts
    error: BatchFailure | None
    results_url: str | None
    """Where the results are, for an hour, once it is finished: a line for each line."""
    upload_url: str | MISSING = MISSING
    """Where the file is to be put (PUT), while it waits for one."""
    links: BatchLinks


AGAIN = {"Retry-After": "While it is not finished: in how many seconds to look again."}
ACCEPTED = {"Location": "Where it is from now on.", **AGAIN}
SECTION = Section(
    TAG,
    "Many submissions at once, as JSON Lines; bad lines are reported while good ones go on.",
    (
        Operation(
            name="create_batch",
            route="POST /v1/batches",
            tag=TAG,
            summary="Submit a batch",
            description=f"The file is the body, a submission on each of up to {MAX_LINES:,} lines"
            f" and {MAX_BODY_BYTES:,} bytes. A bigger one, up to {MAX_FILE_BYTES:,} bytes, is put"
            " to the `upload_url` that `{}` as JSON is answered with.",
            parameters=(IDEMPOTENCY_KEY,),
            body=Body(models={JSON: Upload, **dict.fromkeys(sorted(LINES_TYPES), Lines)}),
            answers={
                201: Answer(description="It waits for its file.", model=Batch, headers=ACCEPTED),
                202: Answer(description="It is accepted.", model=Batch, headers=ACCEPTED),
            }
            | problems(400, 401, 403, 413, 422, 503),
            keys=KEYS,
        ),
        Operation(
            name="get_batch",
            route="GET /v1/batches/{batchId}",
            tag=TAG,
            summary="Read how a batch is coming along",
            parameters=(path("batchId", "The batch.", UUID),),
            answers={200: Answer(description="The batch.", model=Batch, headers=AGAIN)}
            | problems(401, 403, 404, 413, 503),
            keys=KEYS,
        ),
    ),
)

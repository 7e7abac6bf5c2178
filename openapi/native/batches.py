"""Batches: `/v1/batches`."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from afterword.batches import MAX_BATCH_DEADLINE, MAX_FILE_BYTES, MAX_LINES, MIN_BATCH_DEADLINE
from afterword.dialects.native.batches import LINES_TYPES
from afterword.dialects.native.responses.batches import Batch
from afterword.handlers.http import MAX_BODY_BYTES
from openapi.operations import (
    IDEMPOTENCY_KEY,
    JSON,
    Answer,
    Body,
    Operation,
    Section,
    Strict,
    header,
    path,
)
from openapi.problem import problems

TAG = "Batches"
KEYS = ("bearer", "apiKey")
SHORTEST, LONGEST = (
    int(bound.total_seconds()) for bound in (MIN_BATCH_DEADLINE, MAX_BATCH_DEADLINE)
)
DEADLINE = header(
    "Afterword-Deadline",
    "The seconds until the batch ends with what it has, at most half of the retention. Without this"
    " header the deployment's BatchHours hold, 24 hours by default.",
    Annotated[int, Field(ge=SHORTEST, le=LONGEST)],
)
Lines = Annotated[str, Field(description="A submission on each line.")]


class Upload(Strict):
    """A batch whose file comes later, to the `upload_url` of the response."""

    upload: Literal[True] | None = None
    deadline_seconds: Annotated[int, Field(ge=SHORTEST, le=LONGEST)] | None = None
    """The seconds until the batch ends with what it has; else the header, else the deployment's."""


AGAIN = {"Retry-After": "While the batch is open: the seconds until the next request."}
ACCEPTED = {"Location": "The path of the batch.", **AGAIN}
SECTION = Section(
    TAG,
    "Many submissions at once, as JSON Lines; bad lines are reported while good ones go on.",
    (
        Operation(
            name="create_batch",
            route="POST /v1/batches",
            tag=TAG,
            summary="Submit a batch",
            description="The lines are submitted bit by bit, as many at once as the model takes."
            f" The file is the body, a submission on each of up to {MAX_LINES:,} lines"
            f" and {MAX_BODY_BYTES:,} bytes. A bigger file, up to {MAX_FILE_BYTES:,} bytes,"
            " goes to the `upload_url` that the response to `{}` as JSON has.",
            parameters=(IDEMPOTENCY_KEY, DEADLINE),
            body=Body(models={JSON: Upload, **dict.fromkeys(sorted(LINES_TYPES), Lines)}),
            answers={
                201: Answer(
                    description="The batch waits for its file.", model=Batch, headers=ACCEPTED
                ),
                202: Answer(description="The batch is accepted.", model=Batch, headers=ACCEPTED),
            }
            | problems(400, 401, 403, 413, 422, 503),
            keys=KEYS,
        ),
        Operation(
            name="get_batch",
            route="GET /v1/batches/{batchId}",
            tag=TAG,
            summary="Read the progress of a batch",
            parameters=(path("batchId", "The batch.", UUID),),
            answers={200: Answer(description="The batch.", model=Batch, headers=AGAIN)}
            | problems(401, 403, 404, 413, 503),
            keys=KEYS,
        ),
    ),
)

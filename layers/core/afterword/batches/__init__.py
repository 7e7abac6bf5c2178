"""The batch: a file of JSON Lines, each of which becomes a generation. No AWS in here."""

import uuid
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from afterword.errors import AfterwordError
from afterword.generations import id_for_key

if TYPE_CHECKING:
    from datetime import datetime

MAX_LINES = 50_000
MAX_LINE_BYTES = 1_000_000
MAX_FILE_BYTES = 1024**3
MIN_PAUSE, MAX_PAUSE = timedelta(seconds=2), timedelta(seconds=60)
"""How long to wait for generations that have not ended, at first and at most."""

INTAKE, UPLOADS, RESULTS = "intake", "uploads", "results"
"""The folders of the bucket: what others put there, what came over HTTP, and what came of both."""

_FILES = uuid.UUID("6f0c3f52-3d6b-4d0f-8a4e-0f7d2b7a9c11")


class State(StrEnum):
    """Where a batch stands."""

    WAITING = "waiting"
    READING = "reading"
    RUNNING = "running"
    WRITING = "writing"
    FINISHED = "finished"
    FAILED = "failed"

    @property
    def terminal(self) -> bool:
        """Whether the batch will never change again."""
        return self in {State.FINISHED, State.FAILED}


class BatchFailedError(AfterwordError):
    """A batch cannot go on, for a reason that stays with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A batch's file: an object as it was at one moment. `version` is None where none are kept."""

    key: str
    version: str | None
    etag: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What became of the lines so far; those `missing` were deleted, or kept no longer."""

    accepted: int = 0
    bad: int = 0
    succeeded: int = 0
    failed: int = 0
    canceled: int = 0
    missing: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """Results that are being written: S3's id of them, and the ETags of the parts so far."""

    id: str
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A batch, and how far it has come; all of it is where the next reader goes on.

    `lines` is how many there are, None until they are counted. Of them `read` are submitted, the
    next starts at byte `offset`; `ended` have come to an end, in order, and `written` are in the
    parts of `upload`. `flow` is the one flow that its key may use, None for any. `quiet` is how
    often in a row nothing had ended. `reason` is why it failed. `fingerprint` tells whether an
    idempotency key comes again for the same.
    """

    tenant: str
    id: str
    created_at: "datetime"
    expires_at: "datetime"
    state: State
    flow: str | None = None
    fingerprint: str = ""
    source: Source | None = None
    lines: int | None = None
    read: int = 0
    offset: int = 0
    ended: int = 0
    written: int = 0
    quiet: int = 0
    counts: Counts = Counts()
    upload: Upload | None = None
    reason: str | None = None
    finished_at: "datetime | None" = None

    @property
    def results_key(self) -> str:
        """Where its results are, once it is finished."""
        return f"{RESULTS}/{self.tenant}/{self.id}.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLease:
    """A batch in the hands of one reader, until its lease ends or another has taken it over.

    `number` counts the readers. Every write of this one counts only while the item has both.
    """

    batch: Batch
    number: int
    lease: int


def id_for_file(bucket: str, source: Source) -> str:
    """Return the one id of the batch that an object of a bucket is, in this version of it."""
    return str(uuid.uuid5(_FILES, "\n".join((bucket, source.key, source.version or source.etag))))


def id_for_request(tenant: str, idempotency_key: str) -> str:
    """Return the one id of all batches of a tenant with this key; no generation has it."""
    return id_for_key(tenant, f"batch {idempotency_key}")


def line_key(batch_id: str, line: int) -> str:
    """Return the idempotency key of a line. No caller's key can have a space, so none has it."""
    return f"line {line} of {batch_id}"


def line_id(tenant: str, batch_id: str, line: int) -> str:
    """Return the id of the generation that a line is."""
    return id_for_key(tenant, line_key(batch_id, line))


def upload_key(tenant: str, batch_id: str) -> str:
    """Return where the file of a batch is put that comes over HTTP."""
    return f"{UPLOADS}/{tenant}/{batch_id}.jsonl"


def poll_pause(quiet: int) -> timedelta:
    """Return how long to wait when nothing had ended so often in a row."""
    return min(MIN_PAUSE * (1 << min(quiet, 10)), MAX_PAUSE)

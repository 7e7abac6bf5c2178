"""The batch: a file of submissions as JSON Lines. No AWS in here."""

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
"""The first and the longest pause between two looks at open generations."""

INTAKE, UPLOADS, RESULTS = "intake", "uploads", "results"
"""The folders of the bucket: files put there directly, files uploaded over HTTP, and results."""

_FILES = uuid.UUID("6f0c3f52-3d6b-4d0f-8a4e-0f7d2b7a9c11")


class State(StrEnum):
    """The state of a batch."""

    WAITING = "waiting"
    READING = "reading"
    RUNNING = "running"
    WRITING = "writing"
    FINISHED = "finished"
    FAILED = "failed"

    @property
    def terminal(self) -> bool:
        """Whether the state is final."""
        return self in {State.FINISHED, State.FAILED}


class BatchFailedError(AfterwordError):
    """A batch fails, with a reason that is stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A batch's file: one version of an object. `version` is None in a bucket without versions."""

    key: str
    version: str | None
    etag: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The lines so far, by status; `missing` ones were deleted or have expired."""

    accepted: int = 0
    bad: int = 0
    succeeded: int = 0
    failed: int = 0
    canceled: int = 0
    missing: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """Results that are being written: S3's id of the upload, and the ETags of its parts so far."""

    id: str
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A batch with its progress, from which the next turn goes on.

    `lines` is their number, None until they are counted. Of them `read` are submitted, and the next
    starts at byte `offset`; `ended` have ended, in order, and `written` are in the parts of
    `upload`. `flow` is the one flow that its key may use, None for any. `quiet` is the number of
    looks in a row without an end. A failed batch has a `reason`. `fingerprint` tells a repeated
    request from another one with the same idempotency key.
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
        """The key of the results of a finished batch."""
        return f"{RESULTS}/{self.tenant}/{self.id}.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLease:
    """The right of one invocation to work on a batch, until a time or a later turn.

    `number` is the turn, and `until` the end in milliseconds since the epoch. A write under this
    lease counts only while the item has both.
    """

    batch: Batch
    number: int
    until: int


@dataclass(frozen=True, slots=True)
class LeaseRefused:
    """A batch lease that a turn's message does not get.

    `retry_after` are the seconds until another turn's lease ends; None where nothing is left to do
    for the message.
    """

    retry_after: int | None


def id_for_file(bucket: str, source: Source) -> str:
    """Return the id of the batch of one version of an object."""
    return str(uuid.uuid5(_FILES, "\n".join((bucket, source.key, source.version or source.etag))))


def id_for_request(tenant: str, idempotency_key: str) -> str:
    """Return the one id of all batches of a tenant with this key; no generation has this id."""
    return id_for_key(tenant, f"batch {idempotency_key}")


def line_key(batch_id: str, line: int) -> str:
    """Return the idempotency key of a line. Callers' keys have no spaces, so none equals it."""
    return f"line {line} of {batch_id}"


def line_id(tenant: str, batch_id: str, line: int) -> str:
    """Return the id of a line's generation."""
    return id_for_key(tenant, line_key(batch_id, line))


def upload_key(tenant: str, batch_id: str) -> str:
    """Return the key of a file that is uploaded over HTTP."""
    return f"{UPLOADS}/{tenant}/{batch_id}.jsonl"


def poll_pause(quiet: int) -> timedelta:
    """Return the pause after so many looks in a row without an end."""
    return min(MIN_PAUSE * (1 << min(quiet, 10)), MAX_PAUSE)

"""The batch: a file of submissions as JSON Lines. No AWS in here."""

import hashlib
import uuid
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from afterword import clock
from afterword.errors import AfterwordError
from afterword.generations import id_for_key
from afterword.records import dataclass

if TYPE_CHECKING:
    from datetime import datetime

MAX_LINES = 50_000
MAX_LINE_BYTES = 1_000_000
MAX_FILE_BYTES = 1024**3
MIN_HOURS, MAX_HOURS = 1, 168
"""Bounds of the parameter BatchHours, the time from a batch's creation to its end."""
MIN_BATCH_DEADLINE, MAX_BATCH_DEADLINE = timedelta(minutes=1), timedelta(hours=MAX_HOURS)
"""Bounds of the deadline that a request sets."""

FIRST_WINDOW, MIN_WINDOW, MAX_WINDOW = 4, 1, 1_000
"""The open lines of a new batch, of one whose lines get through one by one, and at most."""

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

    @property
    def ended(self) -> int:
        """The lines with a result."""
        return self.bad + self.succeeded + self.failed + self.canceled + self.missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The open lines of a batch, and what was learned of the model (afterword.batches.window).

    - `size` is the number of lines that may be open, and `open` are those that are, ascending.
      Lines up to `seen` are in it, bad or ended. Those behind it, which an earlier version has
      submitted, are not looked at yet.
    - `doubling` holds until the first sign of a jam. `cut_at` is the last line that was submitted
      when the window was last cut, and `held_until` the time until which it does not grow.
    - `call` is the smoothed time of a call in seconds, over `samples` lines; `least` is its least.
    - `idle` is the wait for a first claim that is none of the batch's, in seconds.
    - `rate` are the ends a minute, and `quiet` the looks in a row without an end.
    """

    size: int = FIRST_WINDOW
    open: tuple[int, ...] = ()
    seen: int = 0
    doubling: bool = True
    cut_at: int = 0
    held_until: "datetime | None" = None
    call: float = 0.0
    samples: int = 0
    least: float = 0.0
    idle: float = 0.0
    rate: float = 0.0
    quiet: int = 0
    looked_at: "datetime | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFile:
    """The file of a request, None for one that comes later, and the batch's deadline, if any."""

    content: bytes | None = None
    deadline: timedelta | None = None

    def fingerprint(self) -> str:
        """Return a text that only equal requests share."""
        digest = "" if self.content is None else hashlib.sha256(self.content).hexdigest()
        return digest if self.deadline is None else f"{digest} {self.deadline.total_seconds():.0f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """Results that are being written: S3's id of the upload, and the ETags of its parts so far."""

    id: str
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A batch with its progress, from which the next turn goes on.

    `lines` is their number, None until they are counted. Of them `read` are submitted, and the next
    starts at byte `offset`. `window` has the open ones, until all have ended; `written` are in the
    parts of `upload`. `deadline_at` cuts off the lines behind `read`; None for a batch of an
    earlier version. `flow` is the one flow that its key may use, None for any. A failed batch has a
    `reason`. `fingerprint` tells a repeated request from another one with the same idempotency key.
    """

    tenant: str
    id: str
    created_at: "datetime"
    expires_at: "datetime"
    state: State
    deadline_at: "datetime | None" = None
    flow: str | None = None
    fingerprint: str = ""
    source: Source | None = None
    lines: int | None = None
    read: int = 0
    offset: int = 0
    written: int = 0
    counts: Counts = Counts()
    window: Window | None = None
    upload: Upload | None = None
    reason: str | None = None
    finished_at: "datetime | None" = None

    @property
    def unsubmitted(self) -> int:
        """The lines that the deadline has cut off; 0 while the batch is open."""
        late = self.state in {State.WRITING, State.FINISHED} and self.lines is not None
        return (self.lines or 0) - self.read if late else 0

    def estimate_end(self, now: "datetime") -> "datetime | None":
        """Return the end of all lines at the present rate, by the deadline at the latest.

        None where nothing has ended lately, and for a terminal batch.
        """
        if self.window is None or not self.window.rate or self.lines is None:
            return None
        minutes = (self.lines - self.counts.ended) / self.window.rate
        latest = self.deadline_at or self.expires_at
        remaining = (latest - now).total_seconds() / 60
        return latest if minutes >= remaining else now + timedelta(minutes=minutes)

    @property
    def results_key(self) -> str:
        """The key of the results of a finished batch."""
        return f"{RESULTS}/{self.tenant}/{self.id}.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchTerms:
    """The terms of a deployment's batches: their retention, and the deadline of most of them."""

    retention: timedelta
    deadline: timedelta

    def new(
        self, tenant: str, batch_id: str, state: State, deadline: timedelta | None = None
    ) -> Batch:
        """Return a new batch.

        Its deadline is at most half of the retention: the first line's text is there at the end,
        and the results stay as long again.
        """
        now = clock.now()
        return Batch(
            tenant=tenant,
            id=batch_id,
            created_at=now,
            expires_at=now + self.retention,
            deadline_at=now + min(deadline or self.deadline, self.retention / 2),
            state=state,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLease:
    """The right of one invocation to work on a batch, until a time or a later turn.

    `number` is the turn, and `until` the end in milliseconds since the epoch. A write under this
    lease counts only while the item has both. `again` says that another invocation had this turn
    before, and may have submitted lines that the batch does not know.
    """

    batch: Batch
    number: int
    until: int
    again: bool = False


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


def message_group(tenant: str) -> str:
    """Return the message group of all lines of a tenant's batches.

    The tenant's other requests have a group of their own, which SQS serves beside this one.
    """
    return f"{tenant}/batches"

"""The progress of a generation, for those that see to many at once."""

from datetime import datetime
from typing import TYPE_CHECKING

from afterword.generations import Status
from afterword.records import dataclass
from afterword.runtime.dynamodb import time_of

if TYPE_CHECKING:
    from afterword.runtime.dynamodb import Item


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The status of a generation, and the times of its submission, first claim and end.

    `claimed_at` and `finished_at` are None before, and where an earlier version claimed it.
    `attempted` says that it was claimed before. `returned` says that the model, or its provider,
    has sent it back: an attempt was throttled or timed out. A flow of several steps, whose attempts
    may end between two of them, never is.
    """

    status: Status
    created_at: datetime
    claimed_at: datetime | None = None
    finished_at: datetime | None = None
    attempted: bool = False
    returned: bool = False


def read_progress(item: "Item") -> Progress:
    """Return the progress of a generation's item."""
    status, attempt = Status.stored(item["status"]["S"]), int(item["attempt"]["N"])
    waits = status is Status.QUEUED and attempt > 0
    return Progress(
        status=status,
        created_at=time_of(item, "created_at"),
        claimed_at=time_of(item, "claimed_at") if "claimed_at" in item else None,
        finished_at=time_of(item, "finished_at") if "finished_at" in item else None,
        attempted=attempt > 0,
        returned=(waits or attempt > 1) and "step_1" not in item,
    )

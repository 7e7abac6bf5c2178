"""The end of a generation, and the generations that have stalled before or after their end."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from afterword import clock
from afterword.generations import Reason, Setback, Status
from afterword.generations.claims import TokenUsage
from afterword.records import dataclass

STALLED_AFTER = timedelta(minutes=2)
"""The time from submission to end, or from end to dispatch, after which a generation stalls."""
DISPATCH_TIME = timedelta(minutes=1)
"""The time that an end has for its dispatch, before the sweeper repeats it."""
DUE_SHARDS = 8
"""Partitions of the index by due time, so that no single one takes every write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The end of a generation, without its texts.

    `notify` says that the end has receivers: the event bus or webhooks. `dispatched` says that its
    slot is given back, its tokens are counted and its receivers have the message.
    """

    tenant: str
    id: str
    dialect: str
    flow: str
    flow_version: int
    status: Status
    reason: Reason | None
    attempt: int
    created_at: datetime
    finished_at: datetime
    tokens: int
    slot: str | None
    notify: bool
    dispatched: bool
    webhook_url: str | None = None


@dataclass(frozen=True, slots=True)
class EndResult:
    """The result of a write that ends a generation without a claim.

    `status` is the generation's status afterwards. `end` is the end of this write; None where an
    earlier end, or a live lease, has refused it.
    """

    status: Status
    end: End | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """An ended generation, as the statistics count it.

    `answers` are its models' answers, in order, of a failed or canceled one too. Empty where no
    model was called.
    """

    tenant: str
    flow: str
    status: Status
    reason: Reason | None
    answers: tuple[TokenUsage, ...]

    @property
    def model(self) -> str | None:
        """The model that the generation counts under: that of its last answer, if it has one."""
        return self.answers[-1].model if self.answers else None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A generation whose message was received too often, and that message.

    `facts` are SQS's own: the receive count, and the times of sending and first receipt.
    """

    id: str
    flow: str
    attempt: int
    finished_at: datetime
    message_id: str
    facts: Mapping[str, str]


class DueKey(NamedTuple):
    """An entry of the index by due time: milliseconds since the epoch, and the item's `pk`."""

    due_at: int
    pk: str

    @property
    def tenant(self) -> str:
        """The tenant of the item; no tenant's id contains a `#`."""
        return self.pk.partition("#")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectSweep:
    """The progress of a sweep over the buckets, for payloads that no item names.

    `part` is the number of the bucket, and `after` the last key that was looked at.
    """

    began_at: datetime
    part: int = 0
    after: str = ""
    finished: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stalled:
    """A generation whose due time has passed, as it was read.

    `lease_until` is the end of a running one's lease, past or not. `next_at` is the moment before
    which no attempt may begin, and None where none waits for one. `finished_at` is the time of its
    end, which is not dispatched, and None while it is open; `notify` says that the end has
    receivers. `setback` is its last one, None without.
    """

    tenant: str
    id: str
    status: Status
    attempt: int
    created_at: datetime
    deadline_at: datetime
    due_at: datetime
    lease_until: datetime | None = None
    next_at: datetime | None = None
    finished_at: datetime | None = None
    notify: bool = False
    setback: Setback | None = None

    @property
    def key(self) -> DueKey:
        """Its entry of the index by due time."""
        return DueKey(clock.to_millis(self.due_at), f"{self.tenant}#{self.id}")

    @property
    def waited(self) -> bool:
        """Whether its wait was in the table alone, so that no queue has its message.

        A wait in the queue is due STALLED_AFTER behind the next attempt, and so is any later look.
        """
        return self.next_at is not None and self.due_at < self.next_at + STALLED_AFTER


@dataclass(frozen=True, slots=True)
class Look:
    """The items of due keys, as one read found them, without those that are not due any more.

    `unreadable` are keys with the cause, and `unread` those for which storage had no time.
    """

    stalled: Sequence[Stalled]
    unreadable: Sequence[tuple[DueKey, str]]
    unread: Sequence[DueKey]

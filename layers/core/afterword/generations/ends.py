"""The end of a generation, and the generations that have stalled before or after their end."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from afterword.generations import Reason, Status
from afterword.generations.claims import TokenUsage

STALLED_AFTER = timedelta(minutes=2)
"""The time from submission to end, or from end to dispatch, after which a generation stalls."""


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

    `lease_until` is the end of a running one's lease, past or not. `ended` is its end, which is not
    dispatched; None while it is open.
    """

    tenant: str
    id: str
    status: Status
    attempt: int
    created_at: datetime
    deadline_at: datetime
    due_at: datetime
    lease_until: datetime | None
    ended: End | None

"""The end of a generation, and the generations that have stalled before or after their end."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from afterword.generations import Reason, Status
from afterword.generations.claims import TokenUsage

STALLED_AFTER = timedelta(minutes=2)
"""The time without an end, or with an outbox not dispatched, after which the sweeper looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a generation ended, without its texts.

    `settled` says that nothing is left to do: its tenant's usage is counted and whoever is to hear
    of it has.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A generation that has ended, as the statistics count it.

    `answers` are those that its models gave, in order, of a failed or canceled one too; none where
    no model was asked.
    """

    tenant: str
    flow: str
    status: Status
    reason: Reason | None
    answers: tuple[TokenUsage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A generation that failed because its message was delivered too often, and that message.

    `facts` are SQS's own: how often it was received, and when it was sent and first received.
    """

    id: str
    flow: str
    attempt: int
    finished_at: datetime
    message_id: str
    facts: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stalled:
    """A generation whose due time has passed, as it stood when it was read.

    `lease_until` is when the lease of a running one ends, or ended. `ended` is there when it has
    come to its end, which is not settled.
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

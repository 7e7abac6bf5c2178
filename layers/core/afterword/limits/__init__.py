"""What a tenant may use."""

from dataclasses import dataclass

from afterword.errors import AfterwordError

MAX_RUNNING = 1_000
"""The most that a tenant with limits may have open at once: they are counted in one item."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """A tenant's limits; None is no limit.

    `requests_per_minute`: submissions that are accepted in a minute of the clock.
    `running_at_once`: generations that are accepted and have not ended, queued ones included.
    `tokens_per_month`: of a calendar month (UTC), in and out; no submission is accepted after that.
    """

    requests_per_minute: int | None = None
    running_at_once: int | None = None
    tokens_per_month: int | None = None

    @property
    def slots(self) -> int:
        """How many generations may be open at once."""
        return min(self.running_at_once or MAX_RUNNING, MAX_RUNNING)

    @property
    def any(self) -> bool:
        """Whether there is any limit: only then is anything counted."""
        return self != Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What holds for a tenant's submissions.

    `webhooks` says that it has webhook endpoints. `webhook_hosts` are the hosts that a submission's
    `webhook_url` may name.
    """

    limits: Limits = Limits()
    webhooks: bool = False
    webhook_hosts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What is left of one of a tenant's limits, after a submission was counted or refused.

    `window` is how many seconds the limit is for, and `resets` in how many it is whole again; None
    where it is not one of time. `unit` is what it counts, where that is not submissions.
    """

    name: str
    limit: int
    left: int
    window: int | None = None
    resets: int | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """A generation that its tenant's limits let in, and the rest of each limit.

    `slot` is None, and `allowances` are empty, where the tenant has no limits.
    """

    id: str
    slot: str | None = None
    allowances: tuple[Allowance, ...] = ()


class LimitedError(AfterwordError):
    """The tenant has used up what it may use; `retry_after` is when to try again, in seconds.

    `allowances` are what is left of each of its limits.
    """

    def __init__(
        self, message: str, retry_after: int, allowances: tuple[Allowance, ...] = ()
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.allowances = allowances

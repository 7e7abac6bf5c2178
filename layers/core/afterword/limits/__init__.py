"""Limits of tenants, and the admission of generations under them."""

from dataclasses import dataclass

from afterword.errors import AfterwordError

MAX_RUNNING = 1_000
"""Open generations of a tenant with limits, at most: one item counts them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """A tenant's limits; None is no limit.

    - `requests_per_minute`: submissions accepted in a minute of the clock.
    - `running_at_once`: generations accepted and not ended, queued ones included.
    - `tokens_per_month`: tokens in and out in a calendar month (UTC), after which no submission is
      accepted.
    """

    requests_per_minute: int | None = None
    running_at_once: int | None = None
    tokens_per_month: int | None = None

    @property
    def slots(self) -> int:
        """The maximum of open generations."""
        return min(self.running_at_once or MAX_RUNNING, MAX_RUNNING)

    @property
    def any(self) -> bool:
        """Whether the tenant has a limit; without one, nothing is counted."""
        return self != Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The rules of a tenant's submissions.

    `webhooks` is true for a tenant with webhook endpoints. `webhook_hosts` are the hosts that a
    submission's `webhook_url` may name. `models` are those that flows may name beside the
    deployment's own; None for all.
    """

    limits: Limits = Limits()
    webhooks: bool = False
    webhook_hosts: frozenset[str] = frozenset()
    models: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """The rest of one of a tenant's limits, after a submission was counted or refused.

    - `window` is the limit's period in seconds, and `resets` the seconds to its end; None for a
      limit without a period.
    - `unit` is the counted thing; None for submissions.
    """

    name: str
    limit: int
    left: int
    window: int | None = None
    resets: int | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """A generation accepted under its tenant's limits, and the rest of each limit.

    Without limits `slot` is None and `allowances` are empty.
    """

    id: str
    slot: str | None = None
    allowances: tuple[Allowance, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """The submissions that a batch may make now under its tenant's limits.

    The rest of the limits is the tenant's other requests'. `retry_after` are the seconds until
    there is more room, 0 where any end makes some.
    """

    submissions: int
    retry_after: int


class LimitedError(AfterwordError):
    """A submission over one of its tenant's limits; `retry_after` is in seconds.

    `allowances` are the rest of each limit.
    """

    def __init__(
        self, message: str, retry_after: int, allowances: tuple[Allowance, ...] = ()
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.allowances = allowances

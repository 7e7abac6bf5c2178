"""Limits of tenants, and the admission of generations under them."""

from collections.abc import Mapping
from typing import NamedTuple

from afterword.errors import AfterwordError
from afterword.records import dataclass

MAX_RUNNING = 5_000
"""The highest limit of open generations: a full tenant's admission reads all of their slots."""
DEFAULT_WAITS = 50
"""Requests of a tenant without a limit of its own that may wait for an end at once."""
MAX_WAITS = 200
"""The highest limit of waiting requests: one item has a place for each."""
TOKENS_ONLY = "tokens"
"""The slot of a generation that has none, and whose tokens are counted at its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """A tenant's limits; None is no limit, except for `waits_at_once`.

    - `requests_per_minute`: submissions accepted in a minute of the clock.
    - `running_at_once`: generations accepted and not ended, queued ones included.
    - `tokens_per_month`: tokens in and out in a calendar month (UTC), after which no submission is
      accepted.
    - `reads_per_minute`: requests of a minute that accept nothing, such as reads and refusals.
    - `waits_at_once`: requests that wait for an end; DEFAULT_WAITS for None.
    - `key_requests_per_minute`: requests of each of its keys in a minute that may submit, accepted
      or not.

    A flow has a limit of its own in its document.
    """

    requests_per_minute: int | None = None
    running_at_once: int | None = None
    tokens_per_month: int | None = None
    reads_per_minute: int | None = None
    waits_at_once: int | None = None
    key_requests_per_minute: int | None = None

    @property
    def slots(self) -> int | None:
        """The maximum of open generations; None without one, where no generation has a slot."""
        return None if self.running_at_once is None else min(self.running_at_once, MAX_RUNNING)

    @property
    def waits(self) -> int:
        """The maximum of waiting requests."""
        return min(self.waits_at_once or DEFAULT_WAITS, MAX_WAITS)

    @property
    def any(self) -> bool:
        """Whether a limit is about submissions; without one, no submission is counted."""
        counted = (self.requests_per_minute, self.running_at_once, self.tokens_per_month)
        return counted != (None, None, None)


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

    `slot` is None where the end has nothing to give back and nothing to count. Without limits
    `allowances` are empty.
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


class QuotaExceeded(NamedTuple):
    """A refusal: `message` is the exhausted limit, `retry_after` is in seconds.

    `open` are the slots by generation id, empty unless slots are exhausted. `allowances` are the
    rest of each limit.
    """

    message: str
    retry_after: int
    open: Mapping[str, str]
    allowances: tuple[Allowance, ...] = ()


class LimitedError(AfterwordError):
    """A request over one of its tenant's limits; `retry_after` is in seconds.

    `allowances` are the rest of each limit.
    """

    def __init__(
        self, message: str, retry_after: int, allowances: tuple[Allowance, ...] = ()
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.allowances = allowances

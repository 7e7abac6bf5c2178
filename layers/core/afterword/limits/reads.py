"""Reads: requests that accept no generation, against their tenant's limit.

A process counts by itself, and adds its count to the tenant's in steps. So several processes let a
few more through than the limit: up to a step for each of them, in STEP_TIME.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from afterword import clock
from afterword.limits import Allowance, LimitedError
from afterword.limits.items import minute_of, until_next_minute
from afterword.runtime import telemetry

if TYPE_CHECKING:
    from afterword.limits.quotas import Quotas

MAX_STEP = 10
"""The most requests that a process counts before it adds them to its tenant's."""
STEP_TIME = timedelta(seconds=5)
"""The time after which a process adds its count at the next request, however small."""
_STEPS = 60
_CACHE_SIZE = 1_000


@dataclass(slots=True, kw_only=True)
class _Minute:
    """A tenant's requests in a minute: `total` by all processes, and `more` by this one."""

    minute: int
    added_at: datetime
    total: int = 0
    more: int = 0


class ReadMeter:
    """Counts the requests of tenants with a limit of reads, and refuses those above."""

    def __init__(self, quotas: "Quotas") -> None:
        self._quotas = quotas
        self._known: dict[str, _Minute] = {}

    def check(self, tenant: str, limit: int) -> None:
        """Raise LimitedError if so many requests of the tenant are known in this minute.

        A refusal is not counted, and takes no call.
        """
        now = clock.now()
        known = self._known.get(tenant)
        if known is None or known.minute != minute_of(now) or known.total + known.more < limit:
            return
        seconds = until_next_minute(now)
        rest = Allowance(name="reads-per-minute", limit=limit, left=0, window=60, resets=seconds)
        raise LimitedError(f"The limit of reads a minute is {limit}.", seconds, (rest,))

    def count(self, tenant: str, limit: int) -> None:
        """Count a request; a count that cannot be written is lost."""
        now = clock.now()
        known = self._known.get(tenant)
        if known is None or known.minute != minute_of(now):
            if len(self._known) >= _CACHE_SIZE:
                self._known.clear()
            known = _Minute(minute=minute_of(now), added_at=now - STEP_TIME)
            self._known[tenant] = known
        known.more += 1
        if known.more < min(MAX_STEP, 1 + limit // _STEPS) and now - known.added_at < STEP_TIME:
            return
        more, known.more, known.added_at = known.more, 0, now
        try:
            known.total = self._quotas.count_reads(tenant, more)
        except (BotoCoreError, ClientError) as error:
            telemetry.logger().warning("could not count reads", extra={"why": str(error)})

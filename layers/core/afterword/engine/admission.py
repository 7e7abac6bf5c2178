"""Who is let in: submissions against their tenant's limits."""

import time
from datetime import timedelta
from typing import TYPE_CHECKING

from afterword import clock
from afterword.limits import Admission, LimitedError, Rules
from afterword.limits.quotas import QuotaExceeded, slot_taken_at

if TYPE_CHECKING:
    from afterword.engine.outbox import Outbox
    from afterword.generations.store import GenerationStore
    from afterword.limits.quotas import Quotas
    from afterword.tenants.registry import Registry

CACHE_SECONDS = 60.0
"""How long a tenant's limits are remembered, and so how long old ones may still hold."""
CHECKED_SLOTS = 25
"""How many of the oldest places are looked at when there is none left."""
STORE_GRACE = timedelta(seconds=60)
"""A place is taken before its generation is stored; no function takes so long in between."""


class Limiter:
    """Lets submissions in, or refuses them. Tenants without limits cost nothing more."""

    def __init__(
        self, registry: "Registry", usage: "Quotas", store: "GenerationStore", endings: "Outbox"
    ) -> None:
        self._registry = registry
        self._usage = usage
        self._store = store
        self._endings = endings
        self._known: dict[str, tuple[float, Rules]] = {}

    def admit(self, tenant: str, generation_id: str, *, new: bool) -> Admission:
        """Let a generation in.

        One that may not be `new`, and is there, needs no place. It is given back when the end is
        settled. Raises LimitedError, which says when it is worth to try again.
        """
        limits = self.rules(tenant).limits
        if not limits.any or (not new and self._store.exists(tenant, generation_id)):
            return Admission(id=generation_id)
        found = self._usage.admit(tenant, generation_id, limits)
        if isinstance(found, QuotaExceeded) and found.open and self._give_back_lost(tenant, found):
            found = self._usage.admit(tenant, generation_id, limits)
        if isinstance(found, QuotaExceeded):
            raise LimitedError(found.what, found.retry_after, found.allowances)
        return found

    def give_back(self, tenant: str, generation_id: str, place: str) -> None:
        """Give a place back that was taken for a generation that another submission had stored."""
        self._usage.release(tenant, generation_id, place)

    def _give_back_lost(self, tenant: str, full: "QuotaExceeded") -> bool:
        """Give back the places of processes that died; return whether there were any.

        One died between taking the place and storing its generation, or giving it back because
        that was stored by another, or between the end and settling it.
        """
        before = clock.now() - STORE_GRACE
        old = {held: place for held, place in full.open.items() if slot_taken_at(place) < before}
        oldest = sorted(old, key=lambda held: slot_taken_at(old[held]))[:CHECKED_SLOTS]
        ends = self._store.ends(tenant, oldest) if oldest else {}
        for generation_id, ended in ends.items():
            place = old[generation_id]
            if ended is None or ended.settled or ended.place != place:
                self._usage.release(tenant, generation_id, place)
            else:
                self._endings.settle(ended)
        return bool(ends)

    def rules(self, tenant: str) -> Rules:
        """Return what holds for a tenant's submissions, as of CACHE_SECONDS ago at the oldest."""
        now = time.monotonic()
        until, rules = self._known.get(tenant, (0.0, Rules()))
        if until <= now:
            rules = self._registry.rules(tenant)
            self._known[tenant] = (now + CACHE_SECONDS, rules)
        return rules

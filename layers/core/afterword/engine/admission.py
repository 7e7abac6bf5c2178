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
"""How many of the oldest slots are looked at when there is none left."""
STORE_GRACE = timedelta(seconds=60)
"""A slot is taken before its generation is stored; no function takes so long in between."""


class Limiter:
    """Lets submissions in, or refuses them. Tenants without limits cost nothing more."""

    def __init__(
        self, registry: "Registry", quotas: "Quotas", store: "GenerationStore", outbox: "Outbox"
    ) -> None:
        self._registry = registry
        self._quotas = quotas
        self._store = store
        self._outbox = outbox
        self._known: dict[str, tuple[float, Rules]] = {}

    def admit(self, tenant: str, generation_id: str, *, new: bool) -> Admission:
        """Let a generation in.

        One that may not be `new`, and is there, needs no slot. It is given back when the end is
        settled. Raises LimitedError, which says when it is worth to try again.
        """
        limits = self.get_rules(tenant).limits
        if not limits.any or (not new and self._store.exists(tenant, generation_id)):
            return Admission(id=generation_id)
        found = self._quotas.admit(tenant, generation_id, limits)
        if (
            isinstance(found, QuotaExceeded)
            and found.open
            and self._release_lost_slots(tenant, found)
        ):
            found = self._quotas.admit(tenant, generation_id, limits)
        if isinstance(found, QuotaExceeded):
            raise LimitedError(found.message, found.retry_after, found.allowances)
        return found

    def release_slot(self, tenant: str, generation_id: str, slot: str) -> None:
        """Give a slot back that was taken for a generation that another submission had stored."""
        self._quotas.release(tenant, generation_id, slot)

    def _release_lost_slots(self, tenant: str, full: "QuotaExceeded") -> bool:
        """Give back the slots of processes that died; return whether there were any.

        One died between taking the slot and storing its generation, or giving it back because
        that was stored by another, or between the end and settling it.
        """
        before = clock.now() - STORE_GRACE
        old = {held: slot for held, slot in full.open.items() if slot_taken_at(slot) < before}
        oldest = sorted(old, key=lambda held: slot_taken_at(old[held]))[:CHECKED_SLOTS]
        ends = self._store.get_ends(tenant, oldest) if oldest else {}
        for generation_id, ended in ends.items():
            slot = old[generation_id]
            if ended is None or ended.dispatched or ended.slot != slot:
                self._quotas.release(tenant, generation_id, slot)
            else:
                self._outbox.dispatch(ended)
        return bool(ends)

    def get_rules(self, tenant: str) -> Rules:
        """Return what holds for a tenant's submissions, as of CACHE_SECONDS ago at the oldest."""
        now = time.monotonic()
        until, rules = self._known.get(tenant, (0.0, Rules()))
        if until <= now:
            rules = self._registry.get_rules(tenant)
            self._known[tenant] = (now + CACHE_SECONDS, rules)
        return rules

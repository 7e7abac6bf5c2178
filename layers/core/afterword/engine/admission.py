"""Admission: submissions against their tenant's limits."""

from datetime import timedelta
from typing import TYPE_CHECKING

from afterword import clock
from afterword.limits import Admission, LimitedError, QuotaExceeded, Room, shards

if TYPE_CHECKING:
    from afterword.engine.outbox import Outbox
    from afterword.generations.store import GenerationStore
    from afterword.limits.quotas import Quotas
    from afterword.limits.requests import RequestMeter
    from afterword.tenants import StoredFlow
    from afterword.tenants.rules import TenantRules

CHECKED_SLOTS = 25
"""The most slots, the oldest first, that a full tenant's admission looks at."""
STORE_GRACE = timedelta(seconds=60)
"""A younger slot may belong to a generation that is not stored yet; no function takes longer."""
RESERVE = 0.2
"""The share of the limits of a tenant, and of a flow, that batches leave to other requests."""


class Limiter:
    """Admits submissions, or refuses them. Tenants and flows without limits cost no call."""

    def __init__(
        self,
        rules: "TenantRules",
        quotas: "Quotas",
        meter: "RequestMeter",
        store: "GenerationStore",
        outbox: "Outbox",
    ) -> None:
        self._rules = rules
        self._meter = meter
        self._quotas = quotas
        self._store = store
        self._outbox = outbox

    def admit(
        self, tenant: str, generation_id: str, flow: "StoredFlow", *, new: bool, of_batch: bool
    ) -> Admission:
        """Admit a generation of a flow; the dispatch of its end gives its slot back.

        A generation that is not `new` may be stored already, and then needs no slot. A batch leaves
        RESERVE of the flow's limit here, and of the tenant's limits by `get_room`. Raises
        LimitedError, with the time of the next try. A submission that the tenant's limits refuse
        counts under the flow's.
        """
        limits, of_flow = self._rules.get(tenant).limits, flow.requests_per_minute
        if of_batch and of_flow is not None:
            of_flow = _for_batches(of_flow)
        if not limits.any and of_flow is None:
            return Admission(id=generation_id)
        if not new and self._store.exists(tenant, generation_id):
            return Admission(id=generation_id)
        self._meter.count_flow(tenant, flow.id, of_flow)
        if not limits.any:
            return Admission(id=generation_id)
        admitted = self._quotas.admit(tenant, generation_id, limits)
        if isinstance(admitted, QuotaExceeded) and self._release_lost_slots(tenant, admitted) > 0:
            admitted = self._quotas.admit(tenant, generation_id, limits)
        if isinstance(admitted, QuotaExceeded):
            raise LimitedError(admitted.message, admitted.retry_after, admitted.allowances)
        return admitted

    def release_slot(self, tenant: str, generation_id: str, slot: str) -> None:
        """Give a slot back whose generation another submission has stored."""
        self._quotas.release(tenant, generation_id, slot)

    def _release_lost_slots(self, tenant: str, full: "QuotaExceeded") -> int:
        """Give back the slots of processes that died; return their number.

        Such a process died before the put of its generation, before the return of a slot that was
        not needed, or before the dispatch of an end.
        """
        before = clock.now() - STORE_GRACE
        old = {held: slot for held, slot in full.open.items() if shards.taken_at(slot) < before}
        oldest = sorted(old, key=lambda held: shards.taken_at(old[held]))[:CHECKED_SLOTS]
        ends = self._store.get_ends(tenant, oldest) if oldest else {}
        for generation_id, ended in ends.items():
            slot = old[generation_id]
            if ended is None or ended.slot != slot:
                self._quotas.release(tenant, generation_id, slot)
            elif ended.dispatched:  # by the version before, which knew shard 0 alone
                self._quotas.count_end(ended)
            else:
                self._outbox.dispatch(ended)
        return len(ends)

    def get_room(self, tenant: str) -> Room | None:
        """Return the room for a batch under a tenant's limits; None without such limits.

        A batch leaves RESERVE of each limit, and one submission at least, to the other requests of
        its tenant, unless the limit is one. The read is one call.
        """
        limits = self._rules.get(tenant).limits
        if limits.running_at_once is None and limits.requests_per_minute is None:
            return None
        used = self._quotas.get_status(tenant)
        rooms = []
        if limits.running_at_once is not None:
            left = _for_batches(limits.running_at_once) - used.running
            rooms.append(Room(submissions=left, retry_after=0))
        if limits.requests_per_minute is not None:
            left = _for_batches(limits.requests_per_minute) - used.requests
            rooms.append(Room(submissions=left, retry_after=60 - clock.now().second))
        return min(rooms, key=lambda room: room.submissions)


def _for_batches(limit: int) -> int:
    return max(1, limit - max(1, round(limit * RESERVE)))

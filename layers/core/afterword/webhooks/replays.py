"""The replay of all failed deliveries of an endpoint since a time, by pages of its log."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from afterword.errors import ConflictError
from afterword.webhooks import Circuit
from afterword.webhooks.circuits import circuit_name
from afterword.webhooks.deliveries import build_id

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from afterword.webhooks import Delivery
    from afterword.webhooks.circuits import CircuitStore
    from afterword.webhooks.store import WebhookStore

MAX_LOOKED_AT = 1_000
"""Deliveries of the log that one call looks at."""
_THREADS = 10


class Replayed(NamedTuple):
    """The `number` of deliveries that began anew, and the id that the next call goes on after.

    `after` is None at the end of the log.
    """

    number: int
    after: str | None


class WebhookReplays:
    """Begins failed deliveries anew."""

    def __init__(self, store: "WebhookStore", circuits: "CircuitStore") -> None:
        self._store = store
        self._circuits = circuits

    def replay(
        self, tenant: str, endpoint_id: str, since: "datetime", after: str | None = None
    ) -> Replayed:
        """Begin the failed deliveries of events since a time anew, oldest first, for one page.

        The deliveries are parked, and leave at the pace of a circuit that has closed; an open one
        keeps them. Raises NotFoundError, and ConflictError for a disabled endpoint.
        """
        if not self._store.get_endpoint(tenant, endpoint_id).enabled:
            raise ConflictError("The webhook is disabled: enable it first.")
        first = build_id(since, bytes(10))
        page = self._store.list_failed(tenant, endpoint_id, first, after, MAX_LOOKED_AT)
        circuits = {
            name: Circuit(tenant=tenant, name=name)
            for name in sorted({circuit_name(endpoint_id, each.url) for each in page.items})
        }
        self._release(circuits)  # so that the sweeper looks there if this call breaks off
        with ThreadPoolExecutor(_THREADS) as threads:
            number = sum(threads.map(partial(self._park, circuits), page.items))
        self._release(circuits)
        return Replayed(number, page.after)

    def _release(self, circuits: "Mapping[str, Circuit]") -> None:
        for circuit in circuits.values():
            self._circuits.release(circuit)

    def _park(self, circuits: "Mapping[str, Circuit]", delivery: "Delivery") -> bool:
        """Begin a delivery anew in its circuit's parking; False if another call has done so."""
        circuit = circuits[circuit_name(delivery.endpoint, delivery.url)]
        try:
            self._store.restart(delivery, circuit.parking)
        except ConflictError:
            return False
        return True

"""The start of deliveries: first the item, then the message that names it."""

import hashlib
import json
import uuid
from dataclasses import replace
from secrets import token_bytes
from typing import TYPE_CHECKING

from afterword import clock
from afterword.errors import ConflictError
from afterword.webhooks import (
    SUBMISSIONS,
    Circuit,
    Delivery,
    DeliveryStatus,
    Endpoint,
    Event,
    hosts,
)
from afterword.webhooks.circuits import circuit_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from afterword.generations.ends import End
    from afterword.runtime.queue import Queue
    from afterword.tenants.registry import Registry
    from afterword.webhooks.circuits import CircuitStore
    from afterword.webhooks.store import WebhookStore


class WebhookDeliveries:
    """Begins deliveries, and begins them again."""

    def __init__(
        self,
        registry: "Registry",
        store: "WebhookStore",
        circuits: "CircuitStore",
        queue: "Queue",
    ) -> None:
        self._registry = registry
        self._store = store
        self._circuits = circuits
        self._queue = queue

    def read_endpoints(self, tenant: str) -> "Sequence[Endpoint]":
        """Return the endpoints of a tenant."""
        return self._store.read_endpoints(tenant)

    def start_deliveries(self, end: "End", endpoints: "Sequence[Endpoint]") -> None:
        """Begin a delivery to each enabled endpoint of the tenant that subscribes to ends.

        Idempotent: each endpoint has one delivery about an end. While a delivery waits for its
        first try, its message is sent again, since the first one may have been lost. A delivery to
        an endpoint whose circuit is open is parked, without a message, and so is a stored one.
        """
        for endpoint in endpoints:
            if not endpoint.enabled or Event.FINISHED not in endpoint.events:
                continue
            if endpoint.id != SUBMISSIONS:
                self._begin(endpoint, build_end_delivery(endpoint, end))
            elif end.webhook_url is not None and self._is_allowed(end, end.webhook_url):
                self._begin(endpoint, build_end_delivery(endpoint, end, end.webhook_url))

    def _is_allowed(self, end: "End", url: str) -> bool:
        """Whether the tenant still allows the URL, as at its submission."""
        return hosts.is_allowed_url(url, self._registry.get_rules(end.tenant).webhook_hosts)

    def _begin(self, endpoint: Endpoint, delivery: Delivery) -> None:
        name = circuit_name(delivery.endpoint, delivery.url)
        circuit = next((each for each in endpoint.circuits if each.name == name), None)
        if circuit is not None and circuit.is_open:
            self._park(delivery, circuit)
        elif self._store.add(delivery) is not None:
            self._send(delivery)

    def _park(self, delivery: Delivery, circuit: Circuit) -> None:
        """Store a delivery behind its open circuit.

        A stored one that is not on the index lost its message, or a sender has it: see `wait`.
        """
        due_at = clock.now() if delivery.next_at is None else delivery.next_at
        stored = self._store.add(replace(delivery, due_in=circuit.parking, due_at=due_at))
        if stored is not None and stored.due_in is None:
            self._store.wait(stored, stored.next_at or due_at, due_in=circuit.parking)

    def start_test(self, tenant: str, endpoint_id: str) -> Delivery:
        """Begin a test delivery; raise NotFoundError, or ConflictError for a disabled endpoint."""
        endpoint = self._require_enabled(tenant, endpoint_id)
        if endpoint.url is None:
            raise ConflictError("Each submission names the address of its webhook: submit one.")
        delivery = build_test_delivery(endpoint)
        self._store.add(delivery)
        self._send_probe(delivery)
        return delivery

    def restart(self, tenant: str, endpoint_id: str, delivery_id: str) -> Delivery:
        """Begin a delivery anew, with the same id and the same bytes.

        Raises NotFoundError, and ConflictError during a try or for a disabled endpoint.
        """
        delivery = self._store.get_delivery(tenant, endpoint_id, delivery_id)
        self._require_enabled(tenant, endpoint_id)
        restarted = self._store.restart(delivery)
        self._send_probe(restarted)
        return restarted

    def _require_enabled(self, tenant: str, endpoint_id: str) -> Endpoint:
        endpoint = self._store.get_endpoint(tenant, endpoint_id)
        if not endpoint.enabled:
            raise ConflictError("The webhook is disabled: enable it first.")
        return endpoint

    def _send_probe(self, delivery: Delivery) -> None:
        """Send the message of a delivery that the owner asks for: an open circuit's next probe."""
        name = circuit_name(delivery.endpoint, delivery.url)
        self._circuits.appoint(Circuit(tenant=delivery.tenant, name=name), delivery.id)
        self._send(delivery)

    def _send(self, delivery: Delivery) -> None:
        self._queue.send(delivery.tenant, f"{delivery.endpoint}/{delivery.id}")


def build_end_delivery(endpoint: Endpoint, end: "End", url: str | None = None) -> Delivery:
    """Return the one delivery to an endpoint about the end of a generation.

    The delivery's id is a digest of the two, so that a repetition has the same id.
    """
    data = {
        "id": end.id,
        "status": end.status,
        "reason": end.reason,
        "flow": end.flow,
        "flow_version": end.flow_version,
        "dialect": end.dialect,
        "created_at": clock.to_rfc3339(end.created_at),
        "finished_at": clock.to_rfc3339(end.finished_at),
    }
    digest = hashlib.sha256(f"{endpoint.tenant}#{endpoint.id}#{end.id}".encode()).digest()
    delivery_id = build_id(end.finished_at, digest)
    return _build(endpoint, delivery_id, Event.FINISHED, end.finished_at, data, end.id, url)


def build_test_delivery(endpoint: Endpoint) -> Delivery:
    """Return a new delivery whose event names the endpoint alone."""
    now = clock.now()
    delivery_id = build_id(now, token_bytes(16))
    return _build(endpoint, delivery_id, Event.TEST, now, {"webhook": endpoint.id}, None, None)


def _build(  # noqa: PLR0913, PLR0917 - the parts of a delivery
    endpoint: Endpoint,
    delivery_id: str,
    event: Event,
    moment: "datetime",
    data: "Mapping[str, object]",
    generation: str | None,
    url: str | None,
) -> Delivery:
    now = clock.now()
    return Delivery(
        tenant=endpoint.tenant,
        endpoint=endpoint.id,
        id=delivery_id,
        event=event,
        generation=generation,
        url=url,
        body=json.dumps({"type": event, "timestamp": clock.to_rfc3339(moment), "data": data}),
        status=DeliveryStatus.PENDING,
        created_at=now,
        next_at=now,
    )


def build_id(moment: "datetime", digest: bytes) -> str:
    """Return an id that sorts by time: a version 8 UUID (RFC 9562, section 5.8)."""
    bits = max(clock.to_millis(moment), 0) << 80 | int.from_bytes(digest[:10])
    bits = bits & ~(0xF << 76) | 0x8 << 76  # version
    bits = bits & ~(0x3 << 62) | 0x2 << 62  # variant
    return f"msg_{uuid.UUID(int=bits)}"

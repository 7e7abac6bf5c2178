"""Begins deliveries of webhooks: first the item, then the message, which is only a message."""

from typing import TYPE_CHECKING

from afterword import webhooks
from afterword.errors import ConflictError
from afterword.webhooks import SUBMISSIONS, Event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from afterword.generations.ends import End
    from afterword.runtime.queue import Queue
    from afterword.tenants.registry import Registry
    from afterword.webhooks import Delivery, Endpoint
    from afterword.webhooks.store import WebhookStore


class WebhookDeliveries:
    """Begins deliveries, and begins them again."""

    def __init__(self, registry: "Registry", store: "WebhookStore", queue: "Queue") -> None:
        self._registry = registry
        self._store = store
        self._queue = queue

    def read_endpoints(self, tenant: str) -> "Sequence[Endpoint]":
        """Return the endpoints of a tenant."""
        return self._store.read_endpoints(tenant)

    def start_deliveries(self, ended: "End", endpoints: "Sequence[Endpoint]") -> None:
        """Begin a delivery to each of its tenant's endpoints that asked for ends.

        However often it is called for one end, each endpoint has one delivery about it. The message
        of one that waits for its first try is sent again: it may have been lost.
        """
        for endpoint in endpoints:
            if not endpoint.enabled or Event.FINISHED not in endpoint.events:
                continue
            if endpoint.id != SUBMISSIONS:
                self._begin(webhooks.build_end_delivery(endpoint, ended))
            elif ended.webhook_url is not None and self._allowed(ended, ended.webhook_url):
                self._begin(webhooks.build_end_delivery(endpoint, ended, ended.webhook_url))

    def _allowed(self, ended: "End", url: str) -> bool:
        """Whether the tenant allows the URL still: it did when it was submitted."""
        return webhooks.is_allowed_url(url, self._registry.get_rules(ended.tenant).webhook_hosts)

    def _begin(self, delivery: "Delivery") -> None:
        if self._store.add(delivery):
            self._send(delivery)

    def start_test(self, tenant: str, endpoint_id: str) -> "Delivery":
        """Send an endpoint a webhook about nothing; raise NotFoundError, or ConflictError."""
        endpoint = self._enabled(tenant, endpoint_id)
        if endpoint.url is None:
            raise ConflictError("Each submission says where its webhook goes: submit one.")
        delivery = webhooks.build_test_delivery(endpoint)
        self._store.add(delivery)
        self._send(delivery)
        return delivery

    def restart(self, tenant: str, endpoint_id: str, delivery_id: str) -> "Delivery":
        """Begin a delivery anew, with the same id and the same bytes.

        Raises NotFoundError, and ConflictError while it is sent, or its endpoint is disabled.
        """
        delivery = self._store.get_delivery(tenant, endpoint_id, delivery_id)
        self._enabled(tenant, endpoint_id)
        begun = self._store.restart(delivery)
        self._send(begun)
        return begun

    def _enabled(self, tenant: str, endpoint_id: str) -> "Endpoint":
        endpoint = self._store.get_endpoint(tenant, endpoint_id)
        if not endpoint.enabled:
            raise ConflictError("The webhook is disabled: enable it first.")
        return endpoint

    def _send(self, delivery: "Delivery") -> None:
        self._queue.send(delivery.tenant, f"{delivery.endpoint}/{delivery.id}")

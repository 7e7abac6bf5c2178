"""What an owner does with webhook endpoints: the table, the secrets and the tenant's item agree."""

from typing import TYPE_CHECKING

from afterword import clock, webhooks
from afterword.errors import ConflictError, NotFoundError, UnprocessableError
from afterword.runtime.outbound import FetchError
from afterword.webhooks import (
    MAX_ENDPOINTS,
    MAX_HOSTS,
    MAX_LABEL,
    SUBMISSIONS,
    SUBSCRIBABLE_EVENTS,
    Change,
    Endpoint,
    Event,
    Secret,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from afterword.runtime.outbound import Fetcher
    from afterword.tenants.registry import Registry
    from afterword.webhooks.secrets import WebhookSecrets
    from afterword.webhooks.store import WebhookStore


class WebhookEndpoints:
    """The webhook endpoints of tenants."""

    def __init__(
        self,
        registry: "Registry",
        store: "WebhookStore",
        secrets: "WebhookSecrets",
        fetcher: "Callable[[], Fetcher]",
    ) -> None:
        self._registry = registry
        self._store = store
        self._secrets = secrets
        self._fetcher = fetcher

    def create(
        self,
        tenant: str,
        url: str,
        label: str = "",
        events: "Sequence[Event]" = SUBSCRIBABLE_EVENTS,
    ) -> tuple[Endpoint, str]:
        """Create an endpoint; return it and its secret, which is never shown again.

        Raises UnprocessableError, and ConflictError when the tenant has MAX_ENDPOINTS.
        """
        self._check(Change(url=url, label=label, events=tuple(events)))
        there = [each for each in self._store.read_endpoints(tenant) if each.id != SUBMISSIONS]
        if len(there) >= MAX_ENDPOINTS:
            raise ConflictError(f"A tenant has {MAX_ENDPOINTS} webhooks at most.")
        self._registry.count_webhook(tenant, 1)
        return self._create(tenant, webhooks.new_id(), url, label, tuple(events))

    def _create(
        self, tenant: str, endpoint_id: str, url: str | None, label: str, events: tuple[Event, ...]
    ) -> tuple[Endpoint, str]:
        secret = webhooks.new_secret()
        endpoint = Endpoint(
            tenant=tenant,
            id=endpoint_id,
            url=url,
            label=label,
            events=events,
            created_at=clock.now(),
            secret_version=self._secrets.put(tenant, endpoint_id, [Secret(secret, None)]),
        )
        self._store.add_endpoint(endpoint)
        return endpoint, secret

    def change(self, tenant: str, endpoint_id: str, change: Change) -> Endpoint:
        """Change an endpoint and return it. Raises NotFoundError and UnprocessableError."""
        self._check(change)
        if endpoint_id == SUBMISSIONS and (change.url is not None or change.events is not None):
            field = "events" if change.url is None else "url"
            raise UnprocessableError(field, "each submission says it; it cannot be set.")
        return self._store.change_endpoint(tenant, endpoint_id, change)

    def rotate(self, tenant: str, endpoint_id: str) -> tuple[Endpoint, str]:
        """Give an endpoint a new secret, and return both; the old one signs for a day more.

        Raises NotFoundError, and ConflictError when somebody else rotates it at this moment.
        """
        endpoint = self._store.get_endpoint(tenant, endpoint_id)
        held = self._secrets.get(tenant, endpoint_id, endpoint.secret_version)
        held = webhooks.rotate_secrets(held, clock.now())
        self._store.rotate(endpoint, self._secrets.put(tenant, endpoint_id, held))
        return endpoint, held[0].text

    def remove(self, tenant: str, endpoint_id: str) -> None:
        """Remove an endpoint and its secrets; its log stays until it expires.

        Raises NotFoundError, and ConflictError for the one that goes with the tenant's hosts.
        """
        if endpoint_id == SUBMISSIONS:
            raise ConflictError("It is there as long as the tenant allows hosts for webhook_url.")
        endpoint = self._store.get_endpoint(tenant, endpoint_id)
        self._secrets.remove(tenant, endpoint_id)
        if self._store.remove_endpoint(endpoint):
            self._registry.count_webhook(tenant, -1)

    def set_hosts(self, tenant: str, hosts: "Collection[str]") -> str | None:
        """Set the hosts that a submission's `webhook_url` may name; none with no hosts.

        Returns the secret that signs what is sent there, when it is made: with the first hosts.
        """
        for host in hosts:
            if not webhooks.is_host(host):
                raise UnprocessableError("host", f"{host!r} is no host such as hooks.example.com.")
        if len(hosts) > MAX_HOSTS:
            raise UnprocessableError("host", f"{len(hosts)} are more than {MAX_HOSTS}.")
        secret = None
        try:
            endpoint = self._store.get_endpoint(tenant, SUBMISSIONS)
        except NotFoundError:
            if hosts:
                _, secret = self._create(tenant, SUBMISSIONS, None, "", SUBSCRIBABLE_EVENTS)
        else:
            if not hosts:
                self._secrets.remove(tenant, SUBMISSIONS)
                self._store.remove_endpoint(endpoint)
        self._registry.set_webhook_hosts(tenant, hosts)
        return secret

    def _check(self, change: Change) -> None:
        if change.url is not None:
            try:
                self._fetcher().check(change.url)
            except FetchError as error:
                raise UnprocessableError("url", str(error)) from error
        if change.label is not None and len(change.label) > MAX_LABEL:
            raise UnprocessableError("label", f"it has more than {MAX_LABEL} characters.")
        if change.events is not None and not set(change.events) <= set(SUBSCRIBABLE_EVENTS):
            raise UnprocessableError("events", f"there are: {', '.join(SUBSCRIBABLE_EVENTS)}.")
        if change.events is not None and not change.events:
            raise UnprocessableError("events", "name at least one.")

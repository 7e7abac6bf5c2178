"""The owner's side of webhook endpoints: keeps table, secrets and tenant's item in agreement."""

from typing import TYPE_CHECKING

from afterword import clock
from afterword.errors import ConflictError, NotFoundError, UnprocessableError
from afterword.runtime.addresses import FetchError
from afterword.webhooks import (
    MAX_ENDPOINTS,
    MAX_LABEL,
    SUBMISSIONS,
    SUBSCRIBABLE_EVENTS,
    Change,
    Endpoint,
    Event,
    Secret,
    new_id,
)
from afterword.webhooks.hosts import check_hosts
from afterword.webhooks.signing import new_secret, rotate_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from afterword.runtime.outbound import Fetcher
    from afterword.tenants.registry import Registry
    from afterword.webhooks.circuits import CircuitStore
    from afterword.webhooks.secrets import WebhookSecrets
    from afterword.webhooks.store import WebhookStore


class WebhookEndpoints:
    """The webhook endpoints of tenants."""

    def __init__(
        self,
        registry: "Registry",
        store: "WebhookStore",
        circuits: "CircuitStore",
        secrets: "WebhookSecrets",
        fetcher: "Callable[[], Fetcher]",
    ) -> None:
        self._registry = registry
        self._store = store
        self._circuits = circuits
        self._secrets = secrets
        self._fetcher = fetcher

    def create(
        self,
        tenant: str,
        url: str,
        label: str = "",
        events: "Sequence[Event]" = SUBSCRIBABLE_EVENTS,
    ) -> tuple[Endpoint, str]:
        """Create an endpoint; return the endpoint and its secret, which is never shown again.

        Raises UnprocessableError, and ConflictError when the tenant has MAX_ENDPOINTS.
        """
        self._check(Change(url=url, label=label, events=tuple(events)))
        others = [each for each in self._store.read_endpoints(tenant) if each.id != SUBMISSIONS]
        if len(others) >= MAX_ENDPOINTS:
            raise ConflictError(f"A tenant has {MAX_ENDPOINTS} webhooks at most.")
        self._registry.count_webhook(tenant, 1)
        return self._create(tenant, new_id(), url, label, tuple(events))

    def _create(
        self, tenant: str, endpoint_id: str, url: str | None, label: str, events: tuple[Event, ...]
    ) -> tuple[Endpoint, str]:
        secret = new_secret()
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
        """Change an endpoint and return it. Raises NotFoundError and UnprocessableError.

        After a change of the address, or of whether it is enabled, its circuits begin anew.
        """
        self._check(change)
        if endpoint_id == SUBMISSIONS and (change.url is not None or change.events is not None):
            field = "events" if change.url is None else "url"
            raise UnprocessableError(field, "must be left out: each submission has its own.")
        changed = self._store.with_circuits(
            self._store.change_endpoint(tenant, endpoint_id, change)
        )
        if not changed.circuits or (change.url is None and change.enabled is None):
            return changed
        for circuit in changed.circuits:
            self._circuits.reset(circuit)
        return self._store.with_circuits(changed)

    def rotate(self, tenant: str, endpoint_id: str) -> tuple[Endpoint, str]:
        """Give an endpoint a new secret, and return both; the old one signs for another day.

        Raises NotFoundError, and ConflictError after another rotation at the same time.
        """
        endpoint = self._store.get_endpoint(tenant, endpoint_id)
        secrets = self._secrets.get(tenant, endpoint_id, endpoint.secret_version)
        rotated = rotate_secrets(secrets, clock.now())
        self._store.rotate(endpoint, self._secrets.put(tenant, endpoint_id, rotated))
        return self._store.with_circuits(endpoint), rotated[0].text

    def remove(self, tenant: str, endpoint_id: str) -> None:
        """Remove an endpoint and its secrets; its deliveries stay until they expire.

        Raises NotFoundError, and ConflictError for SUBMISSIONS, which ends with the tenant's hosts.
        """
        if endpoint_id == SUBMISSIONS:
            raise ConflictError(
                "This webhook exists as long as the tenant allows hosts for webhook_url."
            )
        endpoint = self._store.get_endpoint(tenant, endpoint_id)
        self._secrets.remove(tenant, endpoint_id)
        if self._store.remove_endpoint(endpoint):
            self._registry.count_webhook(tenant, -1)

    def set_hosts(self, tenant: str, hosts: "Collection[str]") -> str | None:
        """Set the hosts that a submission's `webhook_url` may name; no hosts allow no URL.

        Returns the secret that signs these webhooks, new with the first hosts; None later. Raises
        UnprocessableError for a malformed or private host; one that is not found now is taken.
        """
        check_hosts(hosts)
        for host in sorted(hosts):
            if self._is_private(host):
                raise UnprocessableError(
                    "host", f"must be on the public internet: {host} leads to a private address."
                )
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

    def _is_private(self, host: str) -> bool:
        try:
            return self._fetcher().is_private(host)
        except FetchError as error:
            raise UnprocessableError("host", str(error)) from error

    def _check(self, change: Change) -> None:
        if change.url is not None:
            try:
                self._fetcher().check(change.url)
            except FetchError as error:
                raise UnprocessableError("url", str(error)) from error
        if change.label is not None and len(change.label) > MAX_LABEL:
            raise UnprocessableError("label", f"must have at most {MAX_LABEL} characters.")
        events = change.events
        if events is not None and (not events or not set(events) <= set(SUBSCRIBABLE_EVENTS)):
            raise UnprocessableError(
                "events", f"must be a list of one or more of: {', '.join(SUBSCRIBABLE_EVENTS)}."
            )

"""The webhooks table: endpoints and the log of their deliveries, and its only user.

The sender of webhooks may write this table, and not the one of keys, tenants and flows.

pk                    sk             what
<tenant>              endpoint#<id>  an endpoint, without its secrets
<tenant>#<endpoint>   <delivery id>  a delivery, which sorts by time; `expires_at` is its TTL

A sender's write is conditional on its attempt, so that a late one changes nothing.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from afterword import clock
from afterword.errors import ConflictError, NotFoundError
from afterword.runtime.dynamodb import (
    Condition,
    ConditionFailed,
    Table,
    Value,
    absent,
    begins_with,
    below,
    equals,
    exists,
    millis,
    number,
    seconds,
    text,
)
from afterword.runtime.pages import Page
from afterword.webhooks import (
    DELIVERY_RETENTION,
    Change,
    Delivery,
    DeliveryStatus,
    Disabled,
    Endpoint,
    Try,
    is_delivery_id,
    is_endpoint_id,
)
from afterword.webhooks.items import (
    build_delivery_item,
    build_endpoint_item,
    build_try,
    delivery_key,
    endpoint_key,
    is_expired,
    key_of,
    parse_delivery,
    parse_endpoint,
)

if TYPE_CHECKING:
    from datetime import datetime

    from mypy_boto3_dynamodb import DynamoDBClient

MAX_TRIES = 20
"""Tries that a delivery's item keeps, the last ones."""
_NO_ENDPOINT = "There is no such webhook."


class WebhookStore:
    """Webhook endpoints and their deliveries."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str) -> None:
        self._table = Table(dynamodb, table)

    def add_endpoint(self, endpoint: Endpoint) -> None:
        """Store a new endpoint; replace one of the same id."""
        self._table.put(build_endpoint_item(endpoint))

    def get_endpoint(self, tenant: str, endpoint_id: str) -> Endpoint:
        """Return an endpoint; raise NotFoundError."""
        item = None
        if is_endpoint_id(endpoint_id):
            item = self._table.get(endpoint_key(tenant, endpoint_id))
        if item is None:
            raise NotFoundError(_NO_ENDPOINT)
        return parse_endpoint(item)

    def read_endpoints(self, tenant: str) -> list[Endpoint]:
        """Return a tenant's endpoints, oldest first."""
        condition = equals("pk", text(tenant)) & begins_with("sk", "endpoint#")
        pages = self._table.pages(condition, consistent=True)
        endpoints = [parse_endpoint(item) for page in pages for item in page.items]
        return sorted(endpoints, key=lambda endpoint: endpoint.created_at)

    def change_endpoint(self, tenant: str, endpoint_id: str, change: Change) -> Endpoint:
        """Change an endpoint, and return it; raise NotFoundError."""
        sets: dict[str, Value] = {}
        if change.url is not None:
            sets["url"] = text(change.url)
        if change.label is not None:
            sets["label"] = text(change.label)
        if change.events is not None:
            sets["events"] = {"L": [text(event) for event in change.events]}
        if change.enabled is False:
            sets["disabled_at"] = millis(clock.now())
            sets["disabled_reason"] = text(Disabled.OWNER)
        disabling = ("disabled_at", "disabled_reason", "failing_since")
        removes = disabling if change.enabled is True else ()
        if not sets and not removes:
            return self.get_endpoint(tenant, endpoint_id)
        if not is_endpoint_id(endpoint_id):
            raise NotFoundError(_NO_ENDPOINT)
        outcome = self._table.update(
            endpoint_key(tenant, endpoint_id),
            sets=sets,
            removes=removes,
            condition=exists("pk"),
            returns_item=True,
        )
        if isinstance(outcome, ConditionFailed):
            raise NotFoundError(_NO_ENDPOINT)
        return parse_endpoint(outcome)

    def rotate(self, endpoint: Endpoint, version: int) -> None:
        """Switch to a new version of an endpoint's secrets; raise ConflictError after another."""
        rotated = {"secret_version": number(version)}  # no other rotation has this version
        outcome = self._table.update(
            key_of(endpoint),
            sets=rotated,
            condition=equals("secret_version", number(endpoint.secret_version)),
            own=rotated,
        )
        if isinstance(outcome, ConditionFailed):
            raise ConflictError("Another request rotated the secret: try again.")

    def mark_failing(self, endpoint: Endpoint) -> "datetime":
        """Store that an endpoint's tries fail, and return the time of the first failure."""
        if endpoint.failing_since is not None:
            return endpoint.failing_since
        now = clock.now()
        self._table.update(
            key_of(endpoint),
            sets={"failing_since": millis(now)},
            condition=exists("pk") & absent("failing_since"),
        )
        return now

    def mark_recovered(self, endpoint: Endpoint) -> None:
        """Store that an endpoint's last try succeeded."""
        if endpoint.failing_since is not None:
            self._table.update(
                key_of(endpoint), removes=["failing_since"], condition=exists("failing_since")
            )

    def disable(self, endpoint: Endpoint, reason: Disabled) -> Endpoint | None:
        """Disable an endpoint and return it; None for a removed or already disabled endpoint.

        None, too, for the reason `failing` after a try that succeeded meanwhile.
        """
        now = clock.now()
        condition = exists("pk") & absent("disabled_at")
        if reason is Disabled.FAILING:
            condition &= exists("failing_since")
        outcome = self._table.update(
            key_of(endpoint),
            sets={"disabled_at": millis(now), "disabled_reason": text(reason)},
            condition=condition,
        )
        if isinstance(outcome, ConditionFailed):
            return None
        return replace(endpoint, disabled_at=now, disabled_reason=reason)

    def remove_endpoint(self, endpoint: Endpoint) -> bool:
        """Remove an endpoint, without its deliveries; return whether there was one."""
        return self._table.delete(key_of(endpoint)) is not None

    def add(self, delivery: Delivery) -> bool:
        """Store a new delivery; return whether the stored one waits for its first try."""
        failed = self._table.put(build_delivery_item(delivery), absent("pk"))
        return failed is None or failed.item is None or parse_delivery(failed.item).attempt == 0

    def get_delivery(self, tenant: str, endpoint_id: str, delivery_id: str) -> Delivery:
        """Return a delivery; raise NotFoundError."""
        item = None
        if is_endpoint_id(endpoint_id) and is_delivery_id(delivery_id):
            item = self._table.get(delivery_key(tenant, endpoint_id, delivery_id))
        if item is None or is_expired(item):
            raise NotFoundError("There is no such delivery.")
        return parse_delivery(item)

    def list_deliveries(
        self, tenant: str, endpoint_id: str, limit: int, after: str | None = None
    ) -> Page[Delivery]:
        """Return a page of an endpoint's deliveries, newest first."""
        page = next(
            self._table.pages(
                equals("pk", text(f"{tenant}#{endpoint_id}")),
                descending=True,
                consistent=True,
                limit=limit,
                after=None if after is None else delivery_key(tenant, endpoint_id, after),
            )
        )
        deliveries = tuple(parse_delivery(item) for item in page.items if not is_expired(item))
        return Page(deliveries, None if page.last is None else page.last["sk"]["S"])

    def claim(self, delivery: Delivery, lease_until: "datetime") -> Delivery | None:
        """Claim a delivery for a try; None if another sender claimed or ended it."""
        outcome = self._table.update(
            delivery_key(delivery.tenant, delivery.endpoint, delivery.id),
            sets={"attempt": number(delivery.attempt + 1), "lease_until": millis(lease_until)},
            adds={"try_count": 1},
            condition=equals("status", text(DeliveryStatus.PENDING)) & _unclaimed(delivery),
            returns_item=True,
        )
        return None if isinstance(outcome, ConditionFailed) else parse_delivery(outcome)

    def record_try(
        self,
        claimed: Delivery,
        status: DeliveryStatus,
        tried: Try | None,
        next_at: "datetime | None" = None,
    ) -> bool:
        """Store the result of a claimed delivery's try; False after another claim."""
        tries = claimed.tries if tried is None else (*claimed.tries, tried)
        sets: dict[str, Value] = {
            "status": text(status),
            "tries": {"L": [{"M": build_try(each)} for each in tries[-MAX_TRIES:]]},
        }
        if next_at is not None:
            sets["next_at"] = millis(next_at)
        outcome = self._table.update(
            delivery_key(claimed.tenant, claimed.endpoint, claimed.id),
            sets=sets,
            removes=["lease_until"] if next_at is not None else ["lease_until", "next_at"],
            condition=equals("attempt", number(claimed.attempt)),
        )
        return not isinstance(outcome, ConditionFailed)

    def restart(self, delivery: Delivery) -> Delivery:
        """Begin a delivery anew; raise ConflictError during a try."""
        now = clock.now()
        outcome = self._table.update(
            delivery_key(delivery.tenant, delivery.endpoint, delivery.id),
            sets={
                "status": text(DeliveryStatus.PENDING),
                "attempt": number(delivery.attempt + 1),
                "try_count": number(0),
                "next_at": millis(now),
                "expires_at": seconds(now + DELIVERY_RETENTION),
            },
            condition=_unclaimed(delivery),
            returns_item=True,
        )
        if isinstance(outcome, ConditionFailed):
            raise ConflictError("The delivery is being sent: try again later.")
        return parse_delivery(outcome)


def _unclaimed(delivery: Delivery) -> Condition:
    """Return the condition that a delivery has no claim, and has had none since it was read."""
    return equals("attempt", number(delivery.attempt)) & (
        absent("lease_until") | below("lease_until", millis(clock.now()))
    )

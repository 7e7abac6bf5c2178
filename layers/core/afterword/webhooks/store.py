"""The webhooks table: endpoints and the log of their deliveries. The only module that knows it.

A table of its own: who sends webhooks must not be able to write keys, tenants or flows.

pk                    sk             what
<tenant>              endpoint#<id>  an endpoint, without its secrets
<tenant>#<endpoint>   <delivery id>  a delivery, which sorts by time; `expires_at` is its TTL

What a sender writes is conditional on its attempt, so that a late one changes nothing.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from afterword import clock
from afterword.errors import ConflictError, NotFoundError
from afterword.runtime.dynamodb import (
    Condition,
    ConditionFailed,
    Item,
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
    time_of,
)
from afterword.runtime.pages import Page
from afterword.webhooks import (
    DELIVERY_RETENTION,
    Change,
    Delivery,
    DeliveryStatus,
    Disabled,
    Endpoint,
    Event,
    Try,
    is_delivery_id,
    is_endpoint_id,
)

if TYPE_CHECKING:
    from datetime import datetime

    from mypy_boto3_dynamodb import DynamoDBClient

TRIES_KEPT = 20
_NO_ENDPOINT = "There is no such webhook."


class WebhookStore:
    """Webhook endpoints and their deliveries."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str) -> None:
        self._table = Table(dynamodb, table)

    def add_endpoint(self, endpoint: Endpoint) -> None:
        """Store a new endpoint, in the place of one of the same id if there is any."""
        self._table.put(_endpoint_item(endpoint))

    def get_endpoint(self, tenant: str, endpoint_id: str) -> Endpoint:
        """Return an endpoint; raise NotFoundError."""
        item = None
        if is_endpoint_id(endpoint_id):
            item = self._table.get(_endpoint_key(tenant, endpoint_id))
        if item is None:
            raise NotFoundError(_NO_ENDPOINT)
        return _endpoint(item)

    def read_endpoints(self, tenant: str) -> list[Endpoint]:
        """Return a tenant's endpoints, oldest first."""
        condition = equals("pk", text(tenant)) & begins_with("sk", "endpoint#")
        pages = self._table.pages(condition, consistent=True)
        found = [_endpoint(item) for page in pages for item in page.items]
        return sorted(found, key=lambda endpoint: endpoint.created_at)

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
        enabled = ("disabled_at", "disabled_reason", "failing_since")
        removes = enabled if change.enabled is True else ()
        if not sets and not removes:
            return self.get_endpoint(tenant, endpoint_id)
        if not is_endpoint_id(endpoint_id):
            raise NotFoundError(_NO_ENDPOINT)
        outcome = self._table.update(
            _endpoint_key(tenant, endpoint_id),
            sets=sets,
            removes=removes,
            condition=exists("pk"),
            returns_item=True,
        )
        if isinstance(outcome, ConditionFailed):
            raise NotFoundError(_NO_ENDPOINT)
        return _endpoint(outcome)

    def rotate(self, endpoint: Endpoint, version: int) -> None:
        """Let another version of its secrets count; raise ConflictError if one does by now."""
        outcome = self._table.update(
            _key_of(endpoint),
            sets={"secret_version": number(version)},
            condition=equals("secret_version", number(endpoint.secret_version)),
        )
        if isinstance(outcome, ConditionFailed):
            raise ConflictError("Its secret was rotated by somebody else: try again.")

    def mark_failing(self, endpoint: Endpoint) -> "datetime":
        """Note that its tries fail, and return since when."""
        if endpoint.failing_since is not None:
            return endpoint.failing_since
        now = clock.now()
        self._table.update(
            _key_of(endpoint),
            sets={"failing_since": millis(now)},
            condition=exists("pk") & absent("failing_since"),
        )
        return now

    def mark_recovered(self, endpoint: Endpoint) -> None:
        """Note that a try has not failed."""
        if endpoint.failing_since is not None:
            self._table.update(
                _key_of(endpoint), removes=["failing_since"], condition=exists("failing_since")
            )

    def disable(self, endpoint: Endpoint, reason: Disabled) -> Endpoint | None:
        """Disable an endpoint and return it; None if it is disabled, or gone, already.

        One that fails too long is let be if it has recovered meanwhile.
        """
        now = clock.now()
        condition = exists("pk") & absent("disabled_at")
        if reason is Disabled.FAILING:
            condition &= exists("failing_since")
        outcome = self._table.update(
            _key_of(endpoint),
            sets={"disabled_at": millis(now), "disabled_reason": text(reason)},
            condition=condition,
        )
        if isinstance(outcome, ConditionFailed):
            return None
        return replace(endpoint, disabled_at=now, disabled_reason=reason)

    def remove_endpoint(self, endpoint: Endpoint) -> bool:
        """Remove an endpoint; return whether it was there. Its log stays until it expires."""
        return self._table.delete(_key_of(endpoint)) is not None

    def add(self, delivery: Delivery) -> bool:
        """Store a delivery, unless it is there; return whether it waits for its first try."""
        failed = self._table.put(_delivery_item(delivery), absent("pk"))
        return failed is None or failed.item is None or _delivery(failed.item).attempt == 0

    def get_delivery(self, tenant: str, endpoint_id: str, delivery_id: str) -> Delivery:
        """Return a delivery; raise NotFoundError."""
        item = None
        if is_endpoint_id(endpoint_id) and is_delivery_id(delivery_id):
            item = self._table.get(_delivery_key(tenant, endpoint_id, delivery_id))
        if item is None or _expired(item):
            raise NotFoundError("There is no such delivery.")
        return _delivery(item)

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
                after=None if after is None else _delivery_key(tenant, endpoint_id, after),
            )
        )
        found = tuple(_delivery(item) for item in page.items if not _expired(item))
        return Page(found, None if page.last is None else page.last["sk"]["S"])

    def claim(self, delivery: Delivery, lease_until: "datetime") -> Delivery | None:
        """Take a delivery for a try; None if another sender has it, or has ended it."""
        outcome = self._table.update(
            _delivery_key(delivery.tenant, delivery.endpoint, delivery.id),
            sets={"attempt": number(delivery.attempt + 1), "lease_until": millis(lease_until)},
            adds={"made": 1},
            condition=equals("status", text(DeliveryStatus.PENDING)) & _unclaimed(delivery),
            returns_item=True,
        )
        return None if isinstance(outcome, ConditionFailed) else _delivery(outcome)

    def record_try(
        self,
        claimed: Delivery,
        status: DeliveryStatus,
        tried: Try | None,
        next_at: "datetime | None" = None,
    ) -> bool:
        """Store what came of a claimed delivery; False if it is somebody else's by now."""
        tries = claimed.tries if tried is None else (*claimed.tries, tried)
        sets: dict[str, Value] = {
            "status": text(status),
            "tries": {"L": [{"M": _try_map(each)} for each in tries[-TRIES_KEPT:]]},
        }
        if next_at is not None:
            sets["next_at"] = millis(next_at)
        outcome = self._table.update(
            _delivery_key(claimed.tenant, claimed.endpoint, claimed.id),
            sets=sets,
            removes=["lease_until"] if next_at is not None else ["lease_until", "next_at"],
            condition=equals("attempt", number(claimed.attempt)),
        )
        return not isinstance(outcome, ConditionFailed)

    def restart(self, delivery: Delivery) -> Delivery:
        """Begin a delivery anew; raise ConflictError while it is being sent."""
        now = clock.now()
        outcome = self._table.update(
            _delivery_key(delivery.tenant, delivery.endpoint, delivery.id),
            sets={
                "status": text(DeliveryStatus.PENDING),
                "attempt": number(delivery.attempt + 1),
                "made": number(0),
                "next_at": millis(now),
                "expires_at": seconds(now + DELIVERY_RETENTION),
            },
            condition=_unclaimed(delivery),
            returns_item=True,
        )
        if isinstance(outcome, ConditionFailed):
            raise ConflictError("It is being sent at this moment.")
        return _delivery(outcome)


def _unclaimed(delivery: Delivery) -> Condition:
    """Hold where nobody has claimed a delivery since it was read, or has it now."""
    return equals("attempt", number(delivery.attempt)) & (
        absent("lease_until") | below("lease_until", millis(clock.now()))
    )


def _endpoint_item(endpoint: Endpoint) -> Item:
    return {
        **_endpoint_key(endpoint.tenant, endpoint.id),
        "url": _text(endpoint.url),
        "label": {"S": endpoint.label},
        "events": {"L": [{"S": event} for event in endpoint.events]},
        "created_at": millis(endpoint.created_at),
        "secret_version": {"N": str(endpoint.secret_version)},
    }


def _endpoint(item: Item) -> Endpoint:
    reason = item["disabled_reason"]["S"] if "disabled_reason" in item else None
    return Endpoint(
        tenant=item["pk"]["S"],
        id=item["sk"]["S"].removeprefix("endpoint#"),
        url=item["url"].get("S"),
        label=item["label"]["S"],
        events=tuple(Event(event["S"]) for event in item["events"]["L"]),
        created_at=time_of(item, "created_at"),
        secret_version=int(item["secret_version"]["N"]),
        failing_since=_time(item, "failing_since"),
        disabled_at=_time(item, "disabled_at"),
        disabled_reason=None if reason is None else Disabled(reason),
    )


def _delivery_item(delivery: Delivery) -> Item:
    return {
        **_delivery_key(delivery.tenant, delivery.endpoint, delivery.id),
        "tenant": {"S": delivery.tenant},
        "endpoint": {"S": delivery.endpoint},
        "event": {"S": delivery.event},
        "generation": _text(delivery.generation),
        "url": _text(delivery.url),
        "body": {"S": delivery.body},
        "status": {"S": delivery.status},
        "created_at": millis(delivery.created_at),
        "next_at": millis(delivery.created_at),
        "made": {"N": "0"},
        "attempt": {"N": "0"},
        "tries": {"L": []},
        "expires_at": seconds(delivery.created_at + DELIVERY_RETENTION),
    }


def _delivery(item: Item) -> Delivery:
    return Delivery(
        tenant=item["tenant"]["S"],
        endpoint=item["endpoint"]["S"],
        id=item["sk"]["S"],
        event=Event(item["event"]["S"]),
        generation=item["generation"].get("S"),
        url=item["url"].get("S"),
        body=item["body"]["S"],
        status=DeliveryStatus(item["status"]["S"]),
        created_at=time_of(item, "created_at"),
        next_at=_time(item, "next_at"),
        made=int(item["made"]["N"]),
        attempt=int(item["attempt"]["N"]),
        tries=tuple(_tries(item)),
    )


def _tries(item: Item) -> Iterator[Try]:
    for each in item["tries"]["L"]:
        tried = each["M"]
        status = tried["status"].get("N")
        yield Try(
            at=time_of(tried, "at"),
            status=None if status is None else int(status),
            note=tried["note"]["S"],
            seconds=float(tried["seconds"]["N"]),
        )


def _try_map(tried: Try) -> Item:
    return {
        "at": millis(tried.at),
        "status": {"NULL": True} if tried.status is None else {"N": str(tried.status)},
        "note": {"S": tried.note},
        "seconds": {"N": f"{tried.seconds:.3f}"},
    }


def _endpoint_key(tenant: str, endpoint_id: str) -> Item:
    return {"pk": {"S": tenant}, "sk": {"S": f"endpoint#{endpoint_id}"}}


def _key_of(endpoint: Endpoint) -> Item:
    return _endpoint_key(endpoint.tenant, endpoint.id)


def _delivery_key(tenant: str, endpoint_id: str, delivery_id: str) -> Item:
    return {"pk": {"S": f"{tenant}#{endpoint_id}"}, "sk": {"S": delivery_id}}


def _text(value: str | None) -> Value:
    return {"NULL": True} if value is None else text(value)


def _expired(item: Item) -> bool:
    return int(item["expires_at"]["N"]) <= clock.now().timestamp()


def _time(item: Item, name: str) -> "datetime | None":
    return time_of(item, name) if name in item else None

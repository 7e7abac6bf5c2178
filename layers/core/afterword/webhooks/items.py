"""The items of the webhooks table: endpoints and deliveries, to and from DynamoDB."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from afterword import clock
from afterword.runtime.dynamodb import Item, Value, millis, seconds, text, time_of
from afterword.runtime.stored import read_word
from afterword.webhooks import (
    DELIVERY_RETENTION,
    Delivery,
    DeliveryStatus,
    Disabled,
    Endpoint,
    Event,
    Try,
)

if TYPE_CHECKING:
    from datetime import datetime


def build_endpoint_item(endpoint: Endpoint) -> Item:
    """Return the item of a new endpoint."""
    return {
        **endpoint_key(endpoint.tenant, endpoint.id),
        "url": _text(endpoint.url),
        "label": {"S": endpoint.label},
        "events": {"L": [{"S": event} for event in endpoint.events]},
        "created_at": millis(endpoint.created_at),
        "secret_version": {"N": str(endpoint.secret_version)},
    }


def parse_endpoint(item: Item) -> Endpoint:
    """Return the endpoint of an item."""
    reason = item["disabled_reason"]["S"] if "disabled_reason" in item else None
    return Endpoint(
        tenant=item["pk"]["S"],
        id=item["sk"]["S"].removeprefix("endpoint#"),
        url=item["url"].get("S"),
        label=item["label"]["S"],
        events=tuple(read_word(Event, event["S"]) for event in item["events"]["L"]),
        created_at=time_of(item, "created_at"),
        secret_version=int(item["secret_version"]["N"]),
        failing_since=_time(item, "failing_since"),
        disabled_at=_time(item, "disabled_at"),
        disabled_reason=None if reason is None else read_word(Disabled, reason),
    )


def build_delivery_item(delivery: Delivery) -> Item:
    """Return the item of a new delivery."""
    return {
        **delivery_key(delivery.tenant, delivery.endpoint, delivery.id),
        "tenant": {"S": delivery.tenant},
        "endpoint": {"S": delivery.endpoint},
        "event": {"S": delivery.event},
        "generation": _text(delivery.generation),
        "url": _text(delivery.url),
        "body": {"S": delivery.body},
        "status": {"S": delivery.status},
        "created_at": millis(delivery.created_at),
        "next_at": millis(delivery.created_at),
        "try_count": {"N": "0"},
        "attempt": {"N": "0"},
        "tries": {"L": []},
        "expires_at": seconds(delivery.created_at + DELIVERY_RETENTION),
    }


def parse_delivery(item: Item) -> Delivery:
    """Return the delivery of an item."""
    return Delivery(
        tenant=item["tenant"]["S"],
        endpoint=item["endpoint"]["S"],
        id=item["sk"]["S"],
        event=read_word(Event, item["event"]["S"]),
        generation=item["generation"].get("S"),
        url=item["url"].get("S"),
        body=item["body"]["S"],
        status=read_word(DeliveryStatus, item["status"]["S"]),
        created_at=time_of(item, "created_at"),
        next_at=_time(item, "next_at"),
        try_count=int(item["try_count"]["N"]),
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


def build_try(tried: Try) -> Item:
    """Return a try as an item's map."""
    return {
        "at": millis(tried.at),
        "status": {"NULL": True} if tried.status is None else {"N": str(tried.status)},
        "note": {"S": tried.note},
        "seconds": {"N": f"{tried.seconds:.3f}"},
    }


def endpoint_key(tenant: str, endpoint_id: str) -> Item:
    """Return the key of an endpoint's item."""
    return {"pk": {"S": tenant}, "sk": {"S": f"endpoint#{endpoint_id}"}}


def key_of(endpoint: Endpoint) -> Item:
    """Return the key of an endpoint's item."""
    return endpoint_key(endpoint.tenant, endpoint.id)


def delivery_key(tenant: str, endpoint_id: str, delivery_id: str) -> Item:
    """Return the key of a delivery's item."""
    return {"pk": {"S": f"{tenant}#{endpoint_id}"}, "sk": {"S": delivery_id}}


def _text(value: str | None) -> Value:
    return {"NULL": True} if value is None else text(value)


def is_expired(item: Item) -> bool:
    """Whether an item's TTL is over, though DynamoDB may delete it later."""
    return int(item["expires_at"]["N"]) <= clock.now().timestamp()


def _time(item: Item, name: str) -> "datetime | None":
    return time_of(item, name) if name in item else None

"""The items of the webhooks table: endpoints, circuits and deliveries, to and from DynamoDB."""

import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from afterword import clock
from afterword.runtime.dynamodb import Item, Value, millis, seconds, text, time_of
from afterword.runtime.stored import read_word
from afterword.webhooks import (
    DELIVERY_RETENTION,
    Circuit,
    CircuitState,
    Delivery,
    DeliveryStatus,
    Disabled,
    Endpoint,
    Event,
    Try,
    Waiting,
)

if TYPE_CHECKING:
    from datetime import datetime

DUE_SHARDS = 8
"""Partitions of the index that share the deliveries with a time of their own."""
CIRCUITS_DUE = "circuits"
"""The partition of the index that has the circuits, by the sweeper's next look."""

_CIRCUIT = "circuit#"


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


def parse_circuit(item: Item) -> Circuit:
    """Return the circuit of an item; an unknown state, of another version, is read as closed."""
    state = item["state"]["S"] if "state" in item else ""
    return Circuit(
        tenant=item["pk"]["S"],
        name=item["sk"]["S"].removeprefix(_CIRCUIT),
        state=CircuitState(state) if state in CircuitState else CircuitState.CLOSED,
        failures=int(item["failures"]["N"]) if "failures" in item else 0,
        opened_at=_time(item, "opened_at"),
        probe=item["probe"]["S"] if "probe" in item else None,
        due_at=_time(item, "due_at"),
        pace=int(item["pace"]["N"]) if "pace" in item else 0,
    )


def is_circuit(item: Item) -> bool:
    """Whether an item, or an entry of the index, is that of a circuit."""
    return item["sk"]["S"].startswith(_CIRCUIT)


def build_delivery_item(delivery: Delivery) -> Item:
    """Return the item of a new delivery."""
    waits: dict[str, Value] = {}
    if delivery.next_at is not None:
        waits["next_at"] = millis(delivery.next_at)
    if delivery.due_in is not None and delivery.due_at is not None:
        waits |= {"due_in": text(delivery.due_in), "due_at": millis(delivery.due_at)}
    return {
        **waits,
        **delivery_key(delivery.tenant, delivery.endpoint, delivery.id),
        "tenant": {"S": delivery.tenant},
        "endpoint": {"S": delivery.endpoint},
        "event": {"S": delivery.event},
        "generation": _text(delivery.generation),
        "url": _text(delivery.url),
        "body": {"S": delivery.body},
        "status": {"S": delivery.status},
        "created_at": millis(delivery.created_at),
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
        due_in=item["due_in"]["S"] if "due_in" in item else None,
        due_at=_time(item, "due_at"),
    )


def parse_waiting(entry: Item) -> Waiting:
    """Return the waiting delivery of an entry of the index."""
    tenant, _, endpoint = entry["pk"]["S"].rpartition("#")
    return Waiting(
        tenant=tenant,
        endpoint=endpoint,
        id=entry["sk"]["S"],
        due_in=entry["due_in"]["S"],
        due_at=time_of(entry, "due_at"),
        next_at=_time(entry, "next_at"),
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


def circuit_key(tenant: str, name: str) -> Item:
    """Return the key of a circuit's item."""
    return {"pk": {"S": tenant}, "sk": {"S": f"{_CIRCUIT}{name}"}}


def due_shard(tenant: str, endpoint_id: str) -> str:
    """Return the partition of the index for an endpoint's deliveries with a time of their own."""
    return f"due/{zlib.crc32(f'{tenant}#{endpoint_id}'.encode()) % DUE_SHARDS}"


def due_shards() -> tuple[str, ...]:
    """Return all of these partitions."""
    return tuple(f"due/{shard}" for shard in range(DUE_SHARDS))


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

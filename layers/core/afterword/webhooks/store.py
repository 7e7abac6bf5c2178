"""The webhooks table: endpoints and the log of their deliveries.

The sender of webhooks may write this table, and not the one of keys, tenants and flows.

pk                    sk              what
<tenant>              endpoint#<id>   an endpoint, without its secrets
<tenant>              circuit#<name>  the circuit of a receiver, after a failure (`circuits.py`)
<tenant>#<endpoint>   <delivery id>   a delivery, which sorts by time; `expires_at` is its TTL

The sparse index `by_due` has the deliveries that wait in the table, and the circuits:

due_in            due_at                what
due/<shard>       the next try, or      a delivery with a time of its own: a long wait, or, after
                  15 minutes after it   a short one, the time at which its message is lost
<tenant>#<name>   the next try          a delivery that is parked behind an open circuit
circuits          the next look         a circuit that is open, or has let go parked deliveries

A sender's write is conditional on its attempt, so that a late one changes nothing.
"""

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from afterword import clock
from afterword.errors import ConflictError, NotFoundError
from afterword.runtime.dynamodb import (
    Condition,
    ConditionFailed,
    Item,
    Table,
    Value,
    absent,
    at_least,
    at_most,
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
    GUARD,
    SUBMISSIONS,
    Change,
    Circuit,
    Delivery,
    DeliveryStatus,
    Disabled,
    Endpoint,
    Try,
    Waiting,
    is_delivery_id,
    is_endpoint_id,
)
from afterword.webhooks.items import (
    build_delivery_item,
    build_endpoint_item,
    build_try,
    circuit_key,
    delivery_key,
    due_shard,
    due_shards,
    endpoint_key,
    is_circuit,
    is_expired,
    key_of,
    parse_circuit,
    parse_delivery,
    parse_endpoint,
    parse_waiting,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from mypy_boto3_dynamodb import DynamoDBClient

MAX_TRIES = 20
"""Tries that a delivery's item keeps, the last ones."""
_PAGE = 5_000
"""Entries of one query of the index."""
_NO_ENDPOINT = "There is no such webhook."


class Found(NamedTuple):
    """A message's delivery with its endpoint, None for a removed one, and its circuit.

    The circuit of SUBMISSIONS depends on the delivery's address, and is read apart.
    """

    delivery: Delivery
    endpoint: Endpoint | None
    circuit: Circuit | None


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
        """Return a tenant's endpoints, oldest first, with their circuits."""
        endpoints: list[Endpoint] = []
        circuits: defaultdict[str, list[Circuit]] = defaultdict(list)
        for page in self._table.pages(equals("pk", text(tenant)), consistent=True):
            for item in page.items:
                if not is_circuit(item):
                    endpoints.append(parse_endpoint(item))
                elif not is_expired(item):
                    circuit = parse_circuit(item)
                    circuits[circuit.endpoint].append(circuit)
        return [
            replace(endpoint, circuits=tuple(circuits[endpoint.id]))
            for endpoint in sorted(endpoints, key=lambda endpoint: endpoint.created_at)
        ]

    def with_circuits(self, endpoint: Endpoint) -> Endpoint:
        """Return an endpoint with its circuits."""
        condition = equals("pk", text(endpoint.tenant)) & begins_with(
            "sk", f"circuit#{endpoint.id}"
        )
        pages = self._table.pages(condition, consistent=True)
        circuits = (parse_circuit(item) for page in pages for item in page.items)
        return replace(endpoint, circuits=tuple(circuits))

    def find(self, tenant: str, endpoint_id: str, delivery_id: str) -> Found | None:
        """Return a message's delivery and more, read in one call; None without such a delivery."""
        if not is_endpoint_id(endpoint_id) or not is_delivery_id(delivery_id):
            return None
        keys = [delivery_key(tenant, endpoint_id, delivery_id), endpoint_key(tenant, endpoint_id)]
        if endpoint_id != SUBMISSIONS:
            keys.append(circuit_key(tenant, endpoint_id))
        delivery: Delivery | None = None
        endpoint: Endpoint | None = None
        circuit = None if endpoint_id == SUBMISSIONS else Circuit(tenant=tenant, name=endpoint_id)
        for item in self._table.get_all(keys):
            if item["pk"]["S"] != tenant:
                delivery = None if is_expired(item) else parse_delivery(item)
            elif not is_circuit(item):
                endpoint = parse_endpoint(item)
            elif not is_expired(item):
                circuit = parse_circuit(item)
        return None if delivery is None else Found(delivery, endpoint, circuit)

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

    def add(self, delivery: Delivery) -> Delivery | None:
        """Store a new delivery; return the stored one, None once it needs no first try."""
        failed = self._table.put(build_delivery_item(delivery), absent("pk"))
        if failed is None or failed.item is None:
            return delivery
        stored = parse_delivery(failed.item)
        waits = stored.status is DeliveryStatus.PENDING and stored.attempt == 0
        return stored if waits else None

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
        """Claim a delivery for a try; None if another sender claimed or ended it.

        A claim that the SDK has sent twice, since its first answer was lost, holds.
        """
        attempt = delivery.attempt + 1
        outcome = self._table.update(
            _key(delivery),
            sets={"attempt": number(attempt), "lease_until": millis(lease_until)},
            adds={"try_count": 1},
            condition=equals("status", text(DeliveryStatus.PENDING)) & _unclaimed(delivery),
            returns_item=True,
        )
        if not isinstance(outcome, ConditionFailed):
            return parse_delivery(outcome)
        now = outcome.item
        if now is None or parse_delivery(now).attempt != attempt:
            return None
        return parse_delivery(now) if now.get("lease_until") == millis(lease_until) else None

    def record_end(self, claimed: Delivery, status: DeliveryStatus, tried: Try | None) -> bool:
        """Store the end of a claimed delivery, with its last try; False after another claim."""
        outcome = self._table.update(
            _key(claimed),
            sets={"status": text(status), **_tries(claimed, tried)},
            removes=["lease_until", "next_at", "due_in", "due_at"],
            condition=equals("attempt", number(claimed.attempt)),
        )
        return not isinstance(outcome, ConditionFailed)

    def record_try(
        self,
        claimed: Delivery,
        tried: Try,
        next_at: "datetime",
        *,
        due_at: "datetime",
        due_in: str | None = None,
    ) -> bool:
        """Store a failed try and the time of the next one; False after another claim.

        `due_at` is its place on the index, in the partition of its endpoint without `due_in`.
        """
        outcome = self._table.update(
            _key(claimed),
            sets={
                "next_at": millis(next_at),
                "due_in": text(due_in or due_shard(claimed.tenant, claimed.endpoint)),
                "due_at": millis(due_at),
                **_tries(claimed, tried),
            },
            removes=["lease_until"],
            condition=equals("attempt", number(claimed.attempt)),
        )
        return not isinstance(outcome, ConditionFailed)

    def give_up(self, delivery: Delivery | Waiting) -> bool:
        """End a waiting delivery as failed, without a try; False if another process has it."""
        outcome = self._table.update(
            _key(delivery),
            sets={"status": text(DeliveryStatus.FAILED)},
            removes=["lease_until", "next_at", "due_in", "due_at"],
            condition=equals("status", text(DeliveryStatus.PENDING)) & _as_read(delivery),
        )
        return not isinstance(outcome, ConditionFailed)

    def wait(
        self,
        delivery: Delivery | Waiting,
        due_at: "datetime",
        *,
        due_in: str | None = None,
        next_at: "datetime | None" = None,
    ) -> bool:
        """Move a waiting delivery to a place on the index; False if another process has it.

        The partition is that of its endpoint without `due_in`. Without `next_at` its time stays.
        """
        outcome = self._table.update(
            _key(delivery),
            sets={
                "due_in": text(due_in or due_shard(delivery.tenant, delivery.endpoint)),
                "due_at": millis(due_at),
                **({} if next_at is None else {"next_at": millis(next_at)}),
            },
            condition=equals("status", text(DeliveryStatus.PENDING)) & _as_read(delivery),
        )
        if not isinstance(outcome, ConditionFailed):
            return True
        if isinstance(delivery, Waiting):
            self._unlist(delivery, outcome.item)
        return False

    def _unlist(self, entry: Waiting, item: Item | None) -> None:
        """Take a delivery off the index that another version has ended and left there."""
        if item is None or item["status"]["S"] == DeliveryStatus.PENDING:
            return
        self._table.update(_key(entry), removes=["due_in", "due_at"], condition=_as_read(entry))

    def list_due(self, before: "datetime", limit: int) -> "Iterator[Waiting]":
        """Yield the deliveries whose time has come, up to a limit for each partition.

        The index lags and has keys alone: a change is conditional on the entry.
        """
        for shard in due_shards():
            yield from self.list_waiting(shard, before, limit)

    def list_waiting(
        self, due_in: str, before: "datetime | None", limit: int
    ) -> "Iterator[Waiting]":
        """Yield up to so many deliveries of a partition, in order of their times."""
        condition = equals("due_in", text(due_in))
        if before is not None:
            condition &= at_most("due_at", millis(before))
        left = limit
        for page in self._table.pages(condition, index="by_due", limit=min(limit, _PAGE)):
            yield from map(parse_waiting, page.items[:left])
            left -= len(page.items)
            if left <= 0:
                return

    def list_failed(
        self, tenant: str, endpoint_id: str, since: str, after: str | None, limit: int
    ) -> Page[Delivery]:
        """Return the failed deliveries of one page of the log, oldest first.

        `since` is the least id, and `limit` the number of deliveries that are read.
        """
        page = next(
            self._table.pages(
                equals("pk", text(f"{tenant}#{endpoint_id}")) & at_least("sk", text(since)),
                where=equals("status", text(DeliveryStatus.FAILED)),
                consistent=True,
                limit=limit,
                after=None if after is None else delivery_key(tenant, endpoint_id, after),
            )
        )
        deliveries = tuple(parse_delivery(item) for item in page.items if not is_expired(item))
        return Page(deliveries, None if page.last is None else page.last["sk"]["S"])

    def restart(self, delivery: Delivery, parking: str | None = None) -> Delivery:
        """Begin a delivery anew; raise ConflictError during a try.

        With `parking`, a partition of the index, the delivery waits there. Otherwise the index has
        it in case that its message is lost.
        """
        now = clock.from_millis(clock.to_millis(clock.now()))
        attempt = delivery.attempt + 1
        outcome = self._table.update(
            _key(delivery),
            sets={
                "status": text(DeliveryStatus.PENDING),
                "attempt": number(attempt),
                "try_count": number(0),
                "next_at": millis(now),
                "due_in": text(parking or due_shard(delivery.tenant, delivery.endpoint)),
                "due_at": millis(now if parking is not None else now + GUARD),
                "expires_at": seconds(now + DELIVERY_RETENTION),
            },
            condition=_unclaimed(delivery),
            returns_item=True,
        )
        if not isinstance(outcome, ConditionFailed):
            return parse_delivery(outcome)
        found = None if outcome.item is None else parse_delivery(outcome.item)
        if found is None or (found.attempt, found.try_count, found.next_at) != (attempt, 0, now):
            raise ConflictError("The delivery is being sent: try again later.")
        return found  # of this very call, which the SDK has sent twice


def _key(delivery: Delivery | Waiting) -> Item:
    return delivery_key(delivery.tenant, delivery.endpoint, delivery.id)


def _tries(claimed: Delivery, tried: Try | None) -> Item:
    tries = claimed.tries if tried is None else (*claimed.tries, tried)
    return {"tries": {"L": [{"M": build_try(each)} for each in tries[-MAX_TRIES:]]}}


def _as_read(delivery: Delivery | Waiting) -> Condition:
    """Return the condition that a delivery is as it was read, and that no sender has it."""
    if isinstance(delivery, Delivery):
        return _unclaimed(delivery)
    same = equals("due_in", text(delivery.due_in)) & equals("due_at", millis(delivery.due_at))
    return same & (absent("lease_until") | below("lease_until", millis(clock.now())))


def _unclaimed(delivery: Delivery) -> Condition:
    """Return the condition that a delivery has no claim, and has had none since it was read."""
    return equals("attempt", number(delivery.attempt)) & (
        absent("lease_until") | below("lease_until", millis(clock.now()))
    )

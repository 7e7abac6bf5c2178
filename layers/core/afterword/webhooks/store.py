"""The webhooks table: endpoints and the log of their deliveries. The only module that knows it.

A table of its own: who sends webhooks must not be able to write keys, tenants or flows.

pk                    sk             what
<tenant>              endpoint#<id>  an endpoint, without its secrets
<tenant>#<endpoint>   <delivery id>  a delivery, which sorts by time; `expires_at` is its TTL

What a sender writes is conditional on its attempt, so that a late one changes nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from afterword import clock
from afterword.errors import ConflictError, NotFoundError
from afterword.webhooks import (
    KEPT,
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
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef, UpdateItemInputTypeDef

type Item = Mapping[str, "AttributeValueTypeDef"]
type Values = dict[str, "AttributeValueTypeDef"]

TRIES_KEPT = 20
_NO_ENDPOINT = "There is no such webhook."


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """A part of a log, newest first. The next part comes `after` this; None at the end."""

    items: tuple[Delivery, ...]
    after: str | None


class WebhookStore:
    """Webhook endpoints and their deliveries."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def add_endpoint(self, endpoint: Endpoint) -> None:
        """Store a new endpoint, in the place of one of the same id if there is any."""
        self._dynamodb.put_item(TableName=self._table, Item=_endpoint_item(endpoint))

    def endpoint(self, tenant: str, endpoint_id: str) -> Endpoint:
        """Return an endpoint; raise NotFoundError."""
        item = None
        if is_endpoint_id(endpoint_id):
            item = self._get(_endpoint_key(tenant, endpoint_id))
        if item is None:
            raise NotFoundError(_NO_ENDPOINT)
        return _endpoint(item)

    def endpoints(self, tenant: str) -> list[Endpoint]:
        """Return a tenant's endpoints, oldest first."""
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            ConsistentRead=True,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :prefix)",
            ExpressionAttributeValues={":pk": {"S": tenant}, ":prefix": {"S": "endpoint#"}},
        )
        found = [_endpoint(item) for page in pages for item in page["Items"]]
        return sorted(found, key=lambda endpoint: endpoint.created_at)

    def change_endpoint(self, tenant: str, endpoint_id: str, change: Change) -> Endpoint:
        """Change an endpoint, and return it; raise NotFoundError."""
        values: Values = {}
        names: dict[str, str] = {}
        set_to: dict[str, AttributeValueTypeDef] = {}
        if change.url is not None:
            set_to["url"] = {"S": change.url}
        if change.label is not None:
            set_to["label"] = {"S": change.label}
        if change.events is not None:
            set_to["events"] = {"L": [{"S": event} for event in change.events]}
        if change.enabled is False:
            set_to["disabled_at"] = _millis(clock.now())
            set_to["disabled_reason"] = {"S": Disabled.OWNER}
        for name, value in set_to.items():
            names[f"#{name}"], values[f":{name}"] = name, value
        clauses = [f"#{name} = :{name}" for name in set_to]
        expression = f"SET {', '.join(clauses)}" if clauses else ""
        if change.enabled is True:
            expression += " REMOVE disabled_at, disabled_reason, failing_since"
        if not expression:
            return self.endpoint(tenant, endpoint_id)
        item = None
        if is_endpoint_id(endpoint_id):
            key = _endpoint_key(tenant, endpoint_id)
            item = self._update(key, expression.strip(), "attribute_exists(pk)", values, names)
        if item is None:
            raise NotFoundError(_NO_ENDPOINT)
        return _endpoint(item)

    def rotate(self, endpoint: Endpoint, version: int) -> None:
        """Let another version of its secrets count; raise ConflictError if one does by now."""
        values: Values = {
            ":seen": {"N": str(endpoint.secret_version)},
            ":version": {"N": str(version)},
        }
        change, condition = "SET secret_version = :version", "secret_version = :seen"
        if not self._update_endpoint(endpoint, change, condition, values):
            raise ConflictError("Its secret was rotated by somebody else: try again.")

    def failing(self, endpoint: Endpoint) -> "datetime":
        """Note that its tries fail, and return since when."""
        if endpoint.failing_since is not None:
            return endpoint.failing_since
        now = clock.now()
        self._update_endpoint(
            endpoint,
            "SET failing_since = :now",
            "attribute_exists(pk) AND attribute_not_exists(failing_since)",
            {":now": _millis(now)},
        )
        return now

    def recovered(self, endpoint: Endpoint) -> None:
        """Note that a try has not failed."""
        if endpoint.failing_since is not None:
            self._update_endpoint(
                endpoint, "REMOVE failing_since", "attribute_exists(failing_since)", {}
            )

    def disable(self, endpoint: Endpoint, reason: Disabled) -> Endpoint | None:
        """Disable an endpoint and return it; None if it is disabled, or gone, already.

        One that fails too long is let be if it has recovered meanwhile.
        """
        disabled = replace(endpoint, disabled_at=clock.now(), disabled_reason=reason)
        condition = "attribute_exists(pk) AND attribute_not_exists(disabled_at)"
        if reason is Disabled.FAILING:
            condition += " AND attribute_exists(failing_since)"
        values: Values = {":at": _millis(clock.now()), ":reason": {"S": reason}}
        change = "SET disabled_at = :at, disabled_reason = :reason"
        return disabled if self._update_endpoint(endpoint, change, condition, values) else None

    def remove_endpoint(self, endpoint: Endpoint) -> bool:
        """Remove an endpoint; return whether it was there. Its log stays until it expires."""
        answer = self._dynamodb.delete_item(
            TableName=self._table,
            Key=_endpoint_key(endpoint.tenant, endpoint.id),
            ReturnValues="ALL_OLD",
        )
        return "Attributes" in answer

    def _update_endpoint(
        self,
        endpoint: Endpoint,
        change: str,
        condition: str,
        values: Values,
        names: Mapping[str, str] | None = None,
    ) -> bool:
        key = _endpoint_key(endpoint.tenant, endpoint.id)
        return self._update(key, change, condition, values, names) is not None

    def add(self, delivery: Delivery) -> bool:
        """Store a delivery, unless it is there; return whether it waits for its first try."""
        try:
            self._dynamodb.put_item(
                TableName=self._table,
                Item=_delivery_item(delivery),
                ConditionExpression="attribute_not_exists(pk)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            there = _lost(error)
            return there is None or _delivery(there).attempt == 0
        return True

    def delivery(self, tenant: str, endpoint_id: str, delivery_id: str) -> Delivery:
        """Return a delivery; raise NotFoundError."""
        item = None
        if is_endpoint_id(endpoint_id) and is_delivery_id(delivery_id):
            item = self._get(_delivery_key(tenant, endpoint_id, delivery_id))
        if item is None or _expired(item):
            raise NotFoundError("There is no such delivery.")
        return _delivery(item)

    def deliveries(
        self, tenant: str, endpoint_id: str, limit: int, after: str | None = None
    ) -> DeliveryPage:
        """Return a page of an endpoint's deliveries, newest first."""
        start: dict[str, Any] = {}
        if after is not None:
            start["ExclusiveStartKey"] = _delivery_key(tenant, endpoint_id, after)
        answer = self._dynamodb.query(
            TableName=self._table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": f"{tenant}#{endpoint_id}"}},
            ScanIndexForward=False,
            ConsistentRead=True,
            Limit=limit,
            **start,
        )
        found = tuple(_delivery(item) for item in answer["Items"] if not _expired(item))
        last = answer.get("LastEvaluatedKey")
        return DeliveryPage(found, None if last is None else last["sk"]["S"])

    def claim(self, delivery: Delivery, lease_until: "datetime") -> Delivery | None:
        """Take a delivery for a try; None if another sender has it, or has ended it."""
        item = self._update(
            _delivery_key(delivery.tenant, delivery.endpoint, delivery.id),
            "SET attempt = :next, made = made + :one, lease_until = :lease",
            "#status = :pending AND attempt = :seen"
            " AND (attribute_not_exists(lease_until) OR lease_until < :now)",
            {
                ":pending": {"S": DeliveryStatus.PENDING},
                ":seen": {"N": str(delivery.attempt)},
                ":next": {"N": str(delivery.attempt + 1)},
                ":one": {"N": "1"},
                ":lease": _millis(lease_until),
                ":now": _millis(clock.now()),
            },
            {"#status": "status"},
        )
        return None if item is None else _delivery(item)

    def note(
        self,
        claimed: Delivery,
        status: DeliveryStatus,
        tried: Try | None,
        next_at: "datetime | None" = None,
    ) -> bool:
        """Store what came of a claimed delivery; False if it is somebody else's by now."""
        tries = claimed.tries if tried is None else (*claimed.tries, tried)
        values: Values = {
            ":mine": {"N": str(claimed.attempt)},
            ":status": {"S": status},
            ":tries": {"L": [{"M": _try_map(each)} for each in tries[-TRIES_KEPT:]]},
        }
        change = "SET #status = :status, tries = :tries"
        if next_at is not None:
            change += ", next_at = :next"
            values[":next"] = _millis(next_at)
        change += " REMOVE lease_until" if next_at is not None else " REMOVE lease_until, next_at"
        key = _delivery_key(claimed.tenant, claimed.endpoint, claimed.id)
        names = {"#status": "status"}
        return self._update(key, change, "attempt = :mine", values, names) is not None

    def restart(self, delivery: Delivery) -> Delivery:
        """Begin a delivery anew; raise ConflictError while it is being sent."""
        now = clock.now()
        item = self._update(
            _delivery_key(delivery.tenant, delivery.endpoint, delivery.id),
            "SET #status = :pending, attempt = :next, made = :none, next_at = :now,"
            " expires_at = :expires",
            "attempt = :seen AND (attribute_not_exists(lease_until) OR lease_until < :now)",
            {
                ":pending": {"S": DeliveryStatus.PENDING},
                ":seen": {"N": str(delivery.attempt)},
                ":next": {"N": str(delivery.attempt + 1)},
                ":none": {"N": "0"},
                ":now": _millis(now),
                ":expires": _expiry(now),
            },
            {"#status": "status"},
        )
        if item is None:
            raise ConflictError("It is being sent at this moment.")
        return _delivery(item)

    def _get(self, key: Values) -> Item | None:
        answer = self._dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        return answer.get("Item")

    def _update(
        self,
        key: Values,
        change: str,
        condition: str,
        values: Values,
        names: Mapping[str, str] | None = None,
    ) -> Item | None:
        """Return the item as it is then, None if the condition does not hold."""
        update: UpdateItemInputTypeDef = {
            "TableName": self._table,
            "Key": key,
            "UpdateExpression": change,
            "ConditionExpression": condition,
            "ReturnValues": "ALL_NEW",
        }
        if values:
            update["ExpressionAttributeValues"] = values
        if names:
            update["ExpressionAttributeNames"] = dict(names)
        try:
            return self._dynamodb.update_item(**update)["Attributes"]
        except ClientError as error:
            _lost(error)
            return None


def _lost(error: ClientError) -> Item | None:
    """Return the item that a condition did not hold of; raise any other error."""
    if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
        raise error
    item: Item | None = error.response.get("Item")  # type: ignore[assignment] # of botocore's own type
    return item


def _endpoint_item(endpoint: Endpoint) -> Values:
    return {
        **_endpoint_key(endpoint.tenant, endpoint.id),
        "url": _text(endpoint.url),
        "label": {"S": endpoint.label},
        "events": {"L": [{"S": event} for event in endpoint.events]},
        "created_at": _millis(endpoint.created_at),
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
        created_at=_required_time(item, "created_at"),
        secret_version=int(item["secret_version"]["N"]),
        failing_since=_time(item, "failing_since"),
        disabled_at=_time(item, "disabled_at"),
        disabled_reason=None if reason is None else Disabled(reason),
    )


def _delivery_item(delivery: Delivery) -> Values:
    return {
        **_delivery_key(delivery.tenant, delivery.endpoint, delivery.id),
        "tenant": {"S": delivery.tenant},
        "endpoint": {"S": delivery.endpoint},
        "event": {"S": delivery.event},
        "generation": _text(delivery.generation),
        "url": _text(delivery.url),
        "body": {"S": delivery.body},
        "status": {"S": delivery.status},
        "created_at": _millis(delivery.created_at),
        "next_at": _millis(delivery.created_at),
        "made": {"N": "0"},
        "attempt": {"N": "0"},
        "tries": {"L": []},
        "expires_at": _expiry(delivery.created_at),
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
        created_at=_required_time(item, "created_at"),
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
            at=_required_time(tried, "at"),
            status=None if status is None else int(status),
            note=tried["note"]["S"],
            seconds=float(tried["seconds"]["N"]),
        )


def _try_map(tried: Try) -> Values:
    return {
        "at": _millis(tried.at),
        "status": {"NULL": True} if tried.status is None else {"N": str(tried.status)},
        "note": {"S": tried.note},
        "seconds": {"N": f"{tried.seconds:.3f}"},
    }


def _endpoint_key(tenant: str, endpoint_id: str) -> Values:
    return {"pk": {"S": tenant}, "sk": {"S": f"endpoint#{endpoint_id}"}}


def _delivery_key(tenant: str, endpoint_id: str, delivery_id: str) -> Values:
    return {"pk": {"S": f"{tenant}#{endpoint_id}"}, "sk": {"S": delivery_id}}


def _text(text: str | None) -> "AttributeValueTypeDef":
    return {"NULL": True} if text is None else {"S": text}


def _millis(moment: "datetime") -> "AttributeValueTypeDef":
    return {"N": str(clock.to_millis(moment))}


def _expiry(moment: "datetime") -> "AttributeValueTypeDef":
    return {"N": str(int((moment + KEPT).timestamp()))}


def _expired(item: Item) -> bool:
    return int(item["expires_at"]["N"]) <= clock.now().timestamp()


def _time(item: Item, name: str) -> "datetime | None":
    return clock.from_millis(int(item[name]["N"])) if name in item else None


def _required_time(item: Item, name: str) -> "datetime":
    return clock.from_millis(int(item[name]["N"]))

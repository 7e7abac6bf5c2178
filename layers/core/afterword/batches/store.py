"""The table of batches: how far each has come, and its bad lines. The only module that knows it.

tenant      id                    what
<tenant>    <batch id>            the batch
<tenant>    <batch id>#<line>     the bad lines of those read at once, the first of which that is

A batch is taken by one reader at a time, in turns: the message of turn n takes it as turn n + 1,
with a lease, and every write counts only while the item has that turn and that lease. It is given
back once the message of the next turn is sent, so a message that finds a later turn has nothing to
do, and one that finds its own turn, whose lease has run out, goes on where a lost reader stopped.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from botocore.exceptions import ClientError

from afterword import clock
from afterword.batches import Batch, Counts, Source, State, Turn, Upload
from afterword.errors import NotFoundError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

type Item = Mapping[str, "AttributeValueTypeDef"]

LINES_AT_ONCE = 100
"""How many lines are read, and then noted, at once."""
_NUMBERS = ("lines", "read", "offset", "ended", "written", "quiet")
_HELD = "turn = :turn AND lease = :lease"
_REMOVABLE = ("upload", "reason", "finished_at", "lines")


class BatchStore:
    """Batches of all tenants."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def create(self, batch: Batch) -> Batch:
        """Store a new batch, unless there is one with its id; return what is there."""
        item = {**_key(batch.tenant, batch.id), **_item(batch), "turn": _number(0)}
        item["lease"] = _number(0)
        try:
            self._dynamodb.put_item(
                TableName=self._table,
                Item=item,
                ConditionExpression="attribute_not_exists(id) OR expires_at <= :now",
                ExpressionAttributeValues={":now": _number(_seconds(clock.now()))},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            return _batch(_there(error))
        return batch

    def get(self, tenant: str, batch_id: str) -> Batch:
        """Return a tenant's batch, consistently; raise NotFoundError if it has none such."""
        item = self._dynamodb.get_item(
            TableName=self._table, Key=_key(tenant, batch_id), ConsistentRead=True
        ).get("Item")
        if item is None or "state" not in item or _expired(item):
            raise NotFoundError("There is no such batch.")
        return _batch(item)

    def start(self, tenant: str, batch_id: str, source: Source) -> bool:
        """Note the file of a batch that waited for it; return whether this file is the batch's.

        The first file counts; a later one at the same place is not looked at.
        """
        try:
            self._dynamodb.update_item(
                TableName=self._table,
                Key=_key(tenant, batch_id),
                UpdateExpression="SET #state = :reading, #source = :source",
                ConditionExpression="#state = :waiting",
                ExpressionAttributeNames={"#state": "state", "#source": "source"},
                ExpressionAttributeValues={
                    ":reading": {"S": State.READING},
                    ":waiting": {"S": State.WAITING},
                    ":source": {"S": json.dumps(asdict(source))},
                },
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            there = _there(error)
            return bool(there) and _batch(there).source == source
        return True

    def take(self, tenant: str, batch_id: str, turn: int, lease: datetime) -> Turn | int:
        """Take a batch for the message of a turn.

        Returns its turn; or for how many seconds another reader has it, 0 if there is nothing to
        do for this message.
        """
        now = clock.now()
        values: dict[str, AttributeValueTypeDef] = {
            ":turn": _number(turn),
            ":next": _number(turn + 1),
            ":lease": _number(clock.to_millis(lease)),
            ":now": _number(clock.to_millis(now)),
            ":free": _number(0),
        }
        try:
            item = self._dynamodb.update_item(
                TableName=self._table,
                Key=_key(tenant, batch_id),
                UpdateExpression="SET turn = :next, lease = :lease",
                ConditionExpression="attribute_exists(id) AND lease <= :now"
                " AND (turn = :turn OR (turn = :next AND lease <> :free))",
                ExpressionAttributeValues=values,
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )["Attributes"]
        except ClientError as error:
            there = _there(error)
            if not there or int(there["turn"]["N"]) > turn + 1:
                return 0
            held = int(there["lease"]["N"]) - clock.to_millis(now)
            return max(0, -(-held // 1000))
        return Turn(batch=_batch(item), number=turn + 1, lease=clock.to_millis(lease))

    def save(self, turn: Turn, batch: Batch, *, release: bool = False) -> Turn | None:
        """Note how far a batch has come; None if it is another's, or gone, and nothing is noted."""
        item = _item(batch)
        item["lease"] = _number(0 if release else turn.lease)
        removed = [name for name in _REMOVABLE if name not in item]
        names = {f"#{name}": name for name in (*item, *removed)}
        update = "SET " + ", ".join(f"#{name} = :new_{name}" for name in item)
        if removed:
            update += " REMOVE " + ", ".join(f"#{name}" for name in removed)
        try:
            self._dynamodb.update_item(
                TableName=self._table,
                Key=_key(batch.tenant, batch.id),
                UpdateExpression=update,
                ConditionExpression=_HELD,
                ExpressionAttributeNames=names,
                ExpressionAttributeValues={
                    **{f":new_{name}": value for name, value in item.items()},
                    ":turn": _number(turn.number),
                    ":lease": _number(turn.lease),
                },
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            _there(error)
            return None
        return replace(turn, batch=batch)

    def give_up(self, turn: Turn) -> None:
        """End a turn's lease, so that its message can take the batch again at once."""
        try:
            self._dynamodb.update_item(
                TableName=self._table,
                Key=_key(turn.batch.tenant, turn.batch.id),
                UpdateExpression="SET lease = :over",
                ConditionExpression=_HELD,
                ExpressionAttributeValues={
                    ":over": _number(1),  # and not 0, with which there is nothing left to do
                    ":turn": _number(turn.number),
                    ":lease": _number(turn.lease),
                },
            )
        except ClientError as error:
            _there(error)

    def put_bad(self, batch: Batch, first: int, bad: Mapping[int, str]) -> None:
        """Note the bad lines of those read at once, the first of which is `first`."""
        item: dict[str, AttributeValueTypeDef] = {
            **_key(batch.tenant, f"{batch.id}#{first:06}"),
            "bad": {"M": {str(line): {"S": why} for line, why in bad.items()}},
            "expires_at": _number(_seconds(batch.expires_at)),
        }
        self._dynamodb.put_item(TableName=self._table, Item=item)

    def bad(self, batch: Batch, first: int, last: int) -> dict[int, str]:
        """Return the bad lines from `first` to `last`, and why each is bad."""
        found: dict[int, str] = {}
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="tenant = :tenant AND id BETWEEN :from AND :to",
            ExpressionAttributeValues={
                ":tenant": {"S": batch.tenant},
                ":from": {"S": f"{batch.id}#{max(0, first - LINES_AT_ONCE):06}"},
                ":to": {"S": f"{batch.id}#{last:06}"},
            },
            ConsistentRead=True,
        )
        for page in pages:
            for item in page["Items"]:
                noted = {int(line): why["S"] for line, why in item["bad"]["M"].items()}
                found |= {line: why for line, why in noted.items() if first <= line <= last}
        return found


def _key(tenant: str, sort_key: str) -> "dict[str, AttributeValueTypeDef]":
    return {"tenant": {"S": tenant}, "id": {"S": sort_key}}


def _item(batch: Batch) -> "dict[str, AttributeValueTypeDef]":
    """Return what of a batch is stored, but for its key and whose turn it is."""
    item: dict[str, AttributeValueTypeDef] = {
        "state": {"S": batch.state},
        "created_at": _number(clock.to_millis(batch.created_at)),
        "expires_at": _number(_seconds(batch.expires_at)),
        "fingerprint": {"S": batch.fingerprint},
        "counts": {"M": {name: _number(count) for name, count in asdict(batch.counts).items()}},
    }
    for name in _NUMBERS:
        value = getattr(batch, name)
        if value is not None:
            item[name] = _number(value)
    for name, part in (("source", batch.source), ("upload", batch.upload)):
        if part is not None:
            item[name] = {"S": json.dumps(asdict(part))}
    for name, text in (("flow", batch.flow), ("reason", batch.reason)):
        if text is not None:
            item[name] = {"S": text}
    if batch.finished_at is not None:
        item["finished_at"] = _number(clock.to_millis(batch.finished_at))
    return item


def _batch(item: Item) -> Batch:
    numbers = {name: int(item[name]["N"]) for name in _NUMBERS if name in item}
    upload = json.loads(item["upload"]["S"]) if "upload" in item else None
    return Batch(
        tenant=item["tenant"]["S"],
        id=item["id"]["S"],
        created_at=clock.from_millis(int(item["created_at"]["N"])),
        expires_at=datetime.fromtimestamp(int(item["expires_at"]["N"]), UTC),
        state=State(item["state"]["S"]),
        flow=item["flow"]["S"] if "flow" in item else None,
        fingerprint=item["fingerprint"]["S"],
        source=Source(**json.loads(item["source"]["S"])) if "source" in item else None,
        counts=Counts(**{name: int(count["N"]) for name, count in item["counts"]["M"].items()}),
        upload=Upload(id=upload["id"], parts=tuple(upload["parts"])) if upload else None,
        reason=item["reason"]["S"] if "reason" in item else None,
        finished_at=clock.from_millis(int(item["finished_at"]["N"]))
        if "finished_at" in item
        else None,
        lines=numbers.pop("lines", None),
        **numbers,
    )


def _there(error: ClientError) -> Item:
    """Return what was there when a condition did not hold, {} for nothing; raise anything else."""
    if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
        raise error
    return cast("Item", error.response.get("Item", {}))


def _expired(item: Item) -> bool:
    return int(item["expires_at"]["N"]) <= clock.now().timestamp()


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def _number(value: int) -> "AttributeValueTypeDef":
    return {"N": str(value)}

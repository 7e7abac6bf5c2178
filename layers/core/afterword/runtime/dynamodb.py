"""A DynamoDB table: conditional writes, and reads. No other module calls DynamoDB.

Every attribute stands in an expression by placeholder, so that a reserved word (`status`, `name`)
and an id are names like any other. A dot in a path leads into a map: `open.<id>`.

A conditional write has one winner, and tells every other writer how the item stands:

    writer A    --- update, if attempt = 1 -----> done, attempt = 2
    writer B    ------ update, if attempt = 1 --> ConditionFailed, with attempt = 2 and A's lease

botocore repeats a write whose response is lost, and then fails on its own first write:

    writer A    --- update, if attempt = 1 -----> done, attempt = 2, but the response is lost
    botocore    ------ update, if attempt = 1 --> ConditionFailed, with attempt = 2 and A's lease

So a write whose condition holds only once sends a value that no other write sends (`unique`), and
names it as `own`: an item that has it was changed by this very write.

botocore does not repeat a write that DynamoDB refuses while a transaction has the item: `put`,
`update` and `delete` do.
"""

import os
import random
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict, cast

from botocore.exceptions import ClientError

from afterword import clock
from afterword.errors import UnavailableError

if TYPE_CHECKING:
    from datetime import datetime

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import (
        AttributeValueTypeDef,
        DeleteTypeDef,
        KeysAndAttributesTypeDef,
        PutTypeDef,
        QueryInputTypeDef,
        QueryOutputTypeDef,
        TransactWriteItemTypeDef,
        UpdateTypeDef,
        WriteRequestTypeDef,
    )

type Value = AttributeValueTypeDef
type Item = Mapping[str, Value]
type PreparedWrite = TransactWriteItemTypeDef
"""A write of a table, for a transaction that begins at another table."""

BATCH_WAITS = (0.0, 0.0, 0.05, 0.1, 0.2, 0.4)
"""Seconds before each try of a batch, since throttling leaves keys unread and items unwritten."""
WRITE_WAITS = (0.05, 0.1, 0.2)
"""Maximum seconds to wait after each try of a write that a transaction was in the way of."""
_BUSY = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
"""The codes of a transaction that others were in the way of."""
_NO_INDEX = {"ValidationException", "ResourceNotFoundException"}
"""DynamoDB's codes for an index that is absent or in the making, and for some other faults."""
_NOTHING: Mapping[str, Any] = MappingProxyType({})


def text(value: str) -> Value:
    """Return a text as an attribute's value."""
    return {"S": value}


def number(value: int) -> Value:
    """Return a number as an attribute's value."""
    return {"N": str(value)}


def millis(moment: "datetime") -> Value:
    """Return a time as an attribute's value: milliseconds since the epoch."""
    return {"N": str(clock.to_millis(moment))}


def seconds(moment: "datetime") -> Value:
    """Return a time as a TTL attribute's value: seconds since the epoch."""
    return {"N": str(int(moment.timestamp()))}


def unique() -> Value:
    """Return a text as an attribute's value that no other write sends."""
    return {"S": os.urandom(8).hex()}


def time_of(item: Item, name: str) -> "datetime":
    """Return the time of an attribute in milliseconds."""
    return clock.from_millis(int(item[name]["N"]))


class _Expressions(TypedDict, total=False):
    ConditionExpression: str
    ReturnValuesOnConditionCheckFailure: Literal["ALL_OLD"]
    ExpressionAttributeNames: Mapping[str, str]
    ExpressionAttributeValues: Mapping[str, Value]


class Placeholders:
    """The names and values of one request, each under its placeholder."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.values: dict[str, Value] = {}

    def name(self, path: str) -> str:
        """Return the placeholders of a path."""
        return ".".join(map(self._name, path.split(".")))

    def _name(self, name: str) -> str:
        placeholder = f"#{name}" if name.isidentifier() else f"#{len(self.names)}"
        self.names[placeholder] = name
        return placeholder

    def value(self, value: Value) -> str:
        """Return the placeholder of a value."""
        placeholder = f":{len(self.values)}"
        self.values[placeholder] = value
        return placeholder

    def expressions(self, condition: "Condition | None") -> _Expressions:
        """Return a write's condition, and all names and values so far, as its parameters."""
        found: _Expressions = {}
        if condition is not None:
            found["ConditionExpression"] = condition.render(self)
            found["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        if self.names:
            found["ExpressionAttributeNames"] = self.names
        if self.values:
            found["ExpressionAttributeValues"] = self.values
        return found


class Condition:
    """A condition, to be joined with others by `&` and `|`."""

    __slots__ = ("_alternatives", "render")

    def __init__(
        self, render: Callable[[Placeholders], str], *, alternatives: bool = False
    ) -> None:
        self.render = render
        self._alternatives = alternatives

    def __and__(self, other: "Condition") -> "Condition":
        """Hold where both hold."""
        return Condition(lambda names: f"{self.factor(names)} AND {other.factor(names)}")

    def __or__(self, other: "Condition") -> "Condition":
        """Hold where one of them holds."""
        return Condition(
            lambda names: f"{self.render(names)} OR {other.render(names)}", alternatives=True
        )

    def factor(self, names: Placeholders) -> str:
        """Return the condition as a part of a conjunction, without redundant parentheses."""
        rendered = self.render(names)
        return f"({rendered})" if self._alternatives else rendered


def exists(path: str) -> Condition:
    """Hold where an item has an attribute; never without an item."""
    return Condition(lambda names: f"attribute_exists({names.name(path)})")


def absent(path: str) -> Condition:
    """Hold where an item has no attribute of a path, or without an item."""
    return Condition(lambda names: f"attribute_not_exists({names.name(path)})")


def equals(path: str, value: Value) -> Condition:
    """Hold where an attribute is equal to a value."""
    return Condition(lambda names: f"{names.name(path)} = {names.value(value)}")


def differs(path: str, value: Value) -> Condition:
    """Hold where an attribute is not equal to a value."""
    return Condition(lambda names: f"{names.name(path)} <> {names.value(value)}")


def below(path: str, value: Value) -> Condition:
    """Hold where an attribute is less than a value."""
    return Condition(lambda names: f"{names.name(path)} < {names.value(value)}")


def at_most(path: str, value: Value) -> Condition:
    """Hold where an attribute is less than a value, or equal."""
    return Condition(lambda names: f"{names.name(path)} <= {names.value(value)}")


def above(path: str, value: Value) -> Condition:
    """Hold where an attribute is greater than a value."""
    return Condition(lambda names: f"{names.name(path)} > {names.value(value)}")


def at_least(path: str, value: Value) -> Condition:
    """Hold where an attribute is greater than a value, or equal."""
    return Condition(lambda names: f"{names.name(path)} >= {names.value(value)}")


def between(path: str, first: Value, last: Value) -> Condition:
    """Hold where an attribute is from the first value to the last, both included."""
    return Condition(
        lambda names: f"{names.name(path)} BETWEEN {names.value(first)} AND {names.value(last)}"
    )


def begins_with(path: str, prefix: str) -> Condition:
    """Hold where a text begins with a prefix."""
    return Condition(lambda names: f"begins_with({names.name(path)}, {names.value(text(prefix))})")


def contains(path: str, element: Value) -> Condition:
    """Hold where a set or a list has an element."""
    return Condition(lambda names: f"contains({names.name(path)}, {names.value(element)})")


def fewer(path: str, limit: int) -> Condition:
    """Hold where a map, a set or a list has fewer elements than a limit."""
    return Condition(lambda names: f"size({names.name(path)}) < {names.value(number(limit))}")


class ConditionFailed(NamedTuple):
    """A conditional write that changed nothing: the item as it stands, None without one."""

    item: Item | None


class TransactionCanceledError(ClientError):
    """A transaction that changed nothing."""

    @property
    def reasons(self) -> list[str]:
        """A code for each write in their order; `None` for a write that was in order."""
        return [reason["Code"] for reason in self.response["CancellationReasons"]]

    @property
    def is_busy(self) -> bool:
        """Whether others were in the way of a write, so that the transaction may be repeated."""
        return not _BUSY.isdisjoint(self.reasons)


class IndexMissingError(ClientError):
    """A query of an index that the table does not have, or that is still being made."""


class QueryPage(NamedTuple):
    """The items of one call. `last` is the last key, None at the end; `scanned` counts filtered."""

    items: Sequence[Item]
    last: Item | None
    scanned: int


class Put(NamedTuple):
    """An item to write, replacing an older one."""

    item: Item
    condition: Condition | None = None


class Delete(NamedTuple):
    """An item to delete."""

    key: Item
    condition: Condition | None = None


class Update(NamedTuple):
    """Changes of an item's attributes, by path, as in `Table.update`."""

    key: Item
    sets: Item = _NOTHING
    defaults: Item = _NOTHING
    adds: Mapping[str, int] = _NOTHING
    removes: Collection[str] = ()
    condition: Condition | None = None

    def render(self, names: Placeholders) -> str:
        """Return the update expression, and note its names and values."""
        sets = [f"{names.name(path)} = {names.value(value)}" for path, value in self.sets.items()]
        for path, value in self.defaults.items():
            name = names.name(path)
            sets.append(f"{name} = if_not_exists({name}, {names.value(value)})")
        adds = [f"{names.name(path)} {names.value(number(by))}" for path, by in self.adds.items()]
        clauses = (("SET", sets), ("REMOVE", list(map(names.name, self.removes))), ("ADD", adds))
        return " ".join(f"{verb} {', '.join(changes)}" for verb, changes in clauses if changes)


def tries(waits: Iterable[float]) -> Iterator[None]:
    """Yield for each try: for the first at once, for each other after a random part of its wait."""
    yield
    for wait in waits:
        _pause(wait)
        yield


class Table:
    """A table; reads by key are consistent by default."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self._client = client
        self._name = name

    def get(self, key: Item) -> Item | None:
        """Return the item with a key; None for an absent item."""
        return self._client.get_item(TableName=self._name, Key=key, ConsistentRead=True).get("Item")

    def get_all(self, keys: Iterable[Item], *, consistent: bool = True) -> list[Item]:
        """Return up to 100 items by their keys, in any order, without those that do not exist.

        Takes one call, and further ones for unread keys. Raises UnavailableError for keys that
        stay unread after the last of BATCH_WAITS.
        """
        found: list[Item] = []
        left = list(keys)
        for wait in BATCH_WAITS:
            if not left:
                return found
            time.sleep(wait)
            some, left = self.get_some(left, consistent=consistent)
            found += some
        if left:
            raise UnavailableError("Storage is busy. Try again in a moment.")
        return found

    def get_some(
        self, keys: Sequence[Item], *, attributes: Collection[str] = (), consistent: bool = True
    ) -> tuple[list[Item], list[Item]]:
        """Return the items of up to 100 keys that one call reads, and the unread keys.

        An item in neither list does not exist. With `attributes`, items have only those.
        """
        request: KeysAndAttributesTypeDef = {"Keys": keys, "ConsistentRead": consistent}
        if attributes:
            names = Placeholders()
            request["ProjectionExpression"] = ", ".join(map(names.name, attributes))
            request["ExpressionAttributeNames"] = names.names
        answer = self._client.batch_get_item(RequestItems={self._name: request})
        found: list[Item] = [*answer["Responses"].get(self._name, ())]
        unread = answer.get("UnprocessedKeys", {})
        return found, [*unread[self._name]["Keys"]] if self._name in unread else []

    def pages(  # noqa: PLR0913 - the options of a query
        self,
        condition: Condition,
        *,
        index: str | None = None,
        where: Condition | None = None,
        attributes: Collection[str] = (),
        descending: bool = False,
        consistent: bool = False,
        limit: int | None = None,
        after: Item | None = None,
    ) -> Iterator[QueryPage]:
        """Yield the items whose keys meet a condition, in order of their sort keys, page by page.

        A page is one call, made when the caller asks for the page, and has up to `limit` items.
        Items that do not meet `where` are read and left out. With `attributes`, items have only
        those. Raises IndexMissingError for an index that cannot be read yet.
        """
        names = Placeholders()
        request: QueryInputTypeDef = {
            "TableName": self._name,
            "KeyConditionExpression": condition.render(names),
        }
        if index is not None:
            request["IndexName"] = index
        if where is not None:
            request["FilterExpression"] = where.render(names)
        if attributes:
            request["ProjectionExpression"] = ", ".join(map(names.name, attributes))
        if descending:
            request["ScanIndexForward"] = False
        if consistent:
            request["ConsistentRead"] = True
        if limit is not None:
            request["Limit"] = limit
        request["ExpressionAttributeNames"] = names.names
        request["ExpressionAttributeValues"] = names.values
        last = after
        while True:
            if last is not None:
                request["ExclusiveStartKey"] = last
            answer = self._query(request)
            last = answer.get("LastEvaluatedKey")
            yield QueryPage(answer["Items"], last, answer["ScannedCount"])
            if last is None:
                return

    def _query(self, request: "QueryInputTypeDef") -> "QueryOutputTypeDef":
        try:
            return self._client.query(**request)
        except ClientError as error:
            if "IndexName" not in request or error.response["Error"]["Code"] not in _NO_INDEX:
                raise
            raise IndexMissingError(error.response, error.operation_name) from error

    def put(self, item: Item, condition: Condition | None = None) -> ConditionFailed | None:
        """Write an item, replacing an older one; None, or ConditionFailed and no change."""
        try:
            _repeated(lambda: self._client.put_item(**self._put(Put(item, condition))))
        except ClientError as error:
            return _condition_failed(error)
        return None

    def put_all(self, items: Iterable[Item]) -> None:
        """Write up to 25 items of different keys, replacing older ones, in any order.

        Takes one call, and further ones for items that DynamoDB had no time for. Raises
        UnavailableError for those that stay unwritten after the last of BATCH_WAITS.
        """
        left: Sequence[Item] = [*items]
        for wait in BATCH_WAITS:
            if not left:
                return
            time.sleep(wait)
            puts: list[WriteRequestTypeDef] = [{"PutRequest": {"Item": item}} for item in left]
            answer = self._client.batch_write_item(RequestItems={self._name: puts})
            unwritten = answer.get("UnprocessedItems", {}).get(self._name, ())
            left = [each["PutRequest"]["Item"] for each in unwritten]
        if left:
            raise UnavailableError("Storage is busy. Try again in a moment.")

    def update(  # noqa: PLR0913 - the clauses of an update
        self,
        key: Item,
        *,
        sets: Item = _NOTHING,
        defaults: Item = _NOTHING,
        adds: Mapping[str, int] = _NOTHING,
        removes: Collection[str] = (),
        condition: Condition | None = None,
        own: Item = _NOTHING,
        returns_item: bool = False,
    ) -> Item | ConditionFailed:
        """Change attributes of an item, by path, and make the item if it does not exist.

        `sets` are written, `defaults` where there is no such attribute, `adds` are added to a
        number, or to 0, and `removes` are removed. Returns the changed item if `returns_item`,
        {} otherwise, or ConditionFailed and no change.

        `own` are attributes after this update that no other write sends. An item with them, whose
        condition fails, was changed by this update before botocore repeated it. So it is returned.
        """
        update = Update(
            key=key,
            sets=sets,
            defaults=defaults,
            adds=adds,
            removes=removes,
            condition=condition,
        )
        try:
            answer = _repeated(
                lambda: self._client.update_item(
                    **self._update(update), ReturnValues="ALL_NEW" if returns_item else "NONE"
                )
            )
        except ClientError as error:
            failed = _condition_failed(error)
            found = failed.item
            if own and found is not None and all(found.get(name) == own[name] for name in own):
                return found
            return failed
        return answer.get("Attributes", {})

    def delete(self, key: Item) -> Item | None:
        """Delete an item and return it as it was; None if it did not exist."""
        answer = _repeated(
            lambda: self._client.delete_item(TableName=self._name, Key=key, ReturnValues="ALL_OLD")
        )
        return answer.get("Attributes")

    def transact(
        self, writes: Iterable[Put | Update | Delete], others: Iterable[PreparedWrite] = ()
    ) -> None:
        """Do up to 100 writes of different items, all or none; `others` are of other tables.

        Raises TransactionCanceledError if a condition fails, or another transaction is in the way.
        """
        try:
            self._client.transact_write_items(TransactItems=[*map(self.prepare, writes), *others])
        except ClientError as error:
            if error.response["Error"]["Code"] != "TransactionCanceledException":
                raise
            raise TransactionCanceledError(error.response, error.operation_name) from error

    def prepare(self, write: Put | Update | Delete) -> PreparedWrite:
        """Return a write of this table for a transaction of another one."""
        match write:
            case Put():
                return {"Put": self._put(write)}
            case Update():
                return {"Update": self._update(write)}
            case Delete():
                return {"Delete": self._delete(write)}

    def _put(self, put: Put) -> "PutTypeDef":
        expressions = Placeholders().expressions(put.condition)
        return {"TableName": self._name, "Item": put.item, **expressions}

    def _update(self, update: Update) -> "UpdateTypeDef":
        names = Placeholders()
        return {
            "TableName": self._name,
            "Key": update.key,
            "UpdateExpression": update.render(names),
            **names.expressions(update.condition),
        }

    def _delete(self, delete: Delete) -> "DeleteTypeDef":
        expressions = Placeholders().expressions(delete.condition)
        return {"TableName": self._name, "Key": delete.key, **expressions}


def _repeated[Answer](write: Callable[[], Answer]) -> Answer:
    """Return the answer to a write, which is repeated while a transaction has its item."""
    for wait in WRITE_WAITS:
        try:
            return write()
        except ClientError as error:
            if error.response["Error"]["Code"] != "TransactionConflictException":
                raise
        _pause(wait)
    return write()


def _pause(longest: float) -> None:
    time.sleep(random.uniform(0, longest))  # noqa: S311 - spreads load, guards nothing # nosec B311


def _condition_failed(error: ClientError) -> ConditionFailed:
    """Return how the item stands whose condition failed; raise any other error."""
    if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
        raise error
    return ConditionFailed(cast("Item | None", error.response.get("Item")))

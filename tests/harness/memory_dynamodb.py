"""A stand-in for DynamoDB's client in memory, for simulations of very many items.

Knows the expressions that `runtime/dynamodb.py` writes, one table and its indexes by the
template. Counts calls and capacity units by DynamoDB's documented rules: a write unit for each
begun KB of the item before or after, and of each index entry that goes or comes; a consistent
read unit for each begun 4 KB, half of it for an index.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
"""

import re
from bisect import bisect_left, bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from math import ceil
from typing import Any

from botocore.exceptions import ClientError

type Item = dict[str, Any]
type Key = tuple[Any, ...]

PAGE = 1_000_000
"""Bytes that one query reads."""
_CLAUSE = re.compile(r"(SET|REMOVE|ADD) (.*?)(?= SET | REMOVE | ADD |$)")
_DEFAULT = re.compile(r"if_not_exists\((#\w+), (:\w+)\)")


class _Value:
    """An attribute in a comparison, which no absent one passes."""

    def __init__(self, attribute: Mapping[str, Any] | None) -> None:
        self.of = None if attribute is None else scalar(attribute)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Value) and self.of is not None and self.of == other.of

    def __ne__(self, other: object) -> bool:
        return isinstance(other, _Value) and self.of is not None and self.of != other.of

    def __lt__(self, other: "_Value") -> bool:
        return self.of is not None and bool(self.of < other.of)

    def __le__(self, other: "_Value") -> bool:
        return self.of is not None and bool(self.of <= other.of)

    def __gt__(self, other: "_Value") -> bool:
        return self.of is not None and bool(self.of > other.of)

    def __ge__(self, other: "_Value") -> bool:
        return self.of is not None and bool(self.of >= other.of)

    def __hash__(self) -> int:
        return hash(str(self.of))


class _Index:
    """The entries of an index, or of the table itself, in order of their sort keys."""

    def __init__(self, keys: Sequence[str], projected: Sequence[str] | None) -> None:
        self.hash, self.range = keys
        self.projected = projected
        self.partitions: defaultdict[Any, list[tuple[Any, Key]]] = defaultdict(list)

    def entry(self, item: Item | None, table_keys: Sequence[str]) -> Item | None:
        """Return an item's entry; None without one."""
        if item is None or self.hash not in item or self.range not in item:
            return None
        if self.projected is None:
            return item
        names = {*table_keys, self.hash, self.range, *self.projected}
        return {name: item[name] for name in names if name in item}

    def change(self, key: Key, before: Item | None, after: Item | None) -> None:
        """Move an entry."""
        for entry, act in ((before, self._remove), (after, self._insert)):
            if entry is not None:
                act(scalar(entry[self.hash]), (scalar(entry[self.range]), key))

    def _remove(self, partition: Any, place: tuple[Any, Key]) -> None:  # noqa: ANN401 - a text or a number
        places = self.partitions[partition]
        del places[bisect_left(places, place)]

    def _insert(self, partition: Any, place: tuple[Any, Key]) -> None:  # noqa: ANN401 - the same
        insort(self.partitions[partition], place)


class MemoryDynamoDB:
    """A client with one table. `spend` is told of each call, by its operation."""

    def __init__(self, table: Mapping[str, Any], spend: Callable[[str], None]) -> None:
        self._keys = _names(table["KeySchema"])
        self._spend = spend
        self._items: dict[Key, Item] = {}
        self._sizes: dict[Key, int] = {}
        self._indexes = {} if len(self._keys) == 1 else {"": _Index(self._keys, None)}
        for index in table.get("GlobalSecondaryIndexes", ()):
            projected = index["Projection"].get("NonKeyAttributes", ())
            self._indexes[index["IndexName"]] = _Index(_names(index["KeySchema"]), projected)
        self.calls: Counter[str] = Counter()
        self.units: Counter[str] = Counter()
        """Write and read units of the table and of its indexes together."""

    def get_item(self, *, Key: Item, **_: object) -> dict[str, Any]:  # noqa: N803 - AWS's
        """Return an item."""
        self._called("GetItem")
        key = self._key(Key)
        item = self._items.get(key)
        self.units["read"] += _read_units(self._sizes.get(key, 0))
        return {} if item is None else {"Item": item}

    def batch_get_item(self, *, RequestItems: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N803 - AWS's
        """Return items."""
        self._called("BatchGetItem")
        ((name, request),) = RequestItems.items()
        keys = [self._key(key) for key in request["Keys"]]
        found = [self._items.get(key) for key in keys]
        self.units["read"] += sum(_read_units(self._sizes.get(key, 0)) for key in keys)
        return {"Responses": {name: [item for item in found if item is not None]}}

    def put_item(self, *, Item: Item, **request: Any) -> dict[str, Any]:  # noqa: N803, ANN401 - AWS's
        """Write an item."""
        self._called("PutItem")
        key = self._key(Item)
        self._check(key, request, "PutItem")
        self._write(key, dict(Item))
        return {}

    def update_item(self, *, Key: Item, UpdateExpression: str, **request: Any) -> dict[str, Any]:  # noqa: N803, ANN401 - AWS's
        """Change an item."""
        self._called("UpdateItem")
        key = self._key(Key)
        self._check(key, request, "UpdateItem")
        item = dict(self._items.get(key, Key))
        names = request.get("ExpressionAttributeNames", {})
        values = request.get("ExpressionAttributeValues", {})
        for verb, change in _changes(UpdateExpression):
            _apply(item, verb, change, names, values)
        self._write(key, item)
        return {"Attributes": item} if request.get("ReturnValues") == "ALL_NEW" else {}

    def query(self, **request: Any) -> dict[str, Any]:  # noqa: ANN401 - AWS's
        """Return a page of a partition."""
        self._called("Query")
        index = self._indexes[request.get("IndexName", "")]
        names, values = request["ExpressionAttributeNames"], request["ExpressionAttributeValues"]
        partition, least, most = _bounds(request["KeyConditionExpression"], names, values, index)
        places = index.partitions.get(partition, [])
        start = 0 if least is None else bisect_left(places, (least,))
        end = len(places) if most is None else bisect_right(places, (most, (_LAST,)))
        backwards = not request.get("ScanIndexForward", True)
        if (after := request.get("ExclusiveStartKey")) is not None:
            place = (scalar(after[index.range]), self._key(after))
            if backwards:
                end = min(end, bisect_left(places, place))
            else:
                start = max(start, bisect_right(places, place))
        found: list[Item] = []
        read, scanned, last = 0, 0, None
        numbers = range(end - 1, start - 1, -1) if backwards else range(start, end)
        for number in numbers:
            if scanned == request.get("Limit", -1) or read > PAGE:
                break
            key = places[number][1]
            entry = index.entry(self._items[key], self._keys) or {}
            bytes_read = self._sizes[key] if index.projected is None else size(entry)
            scanned, read, last = scanned + 1, read + bytes_read, entry
            if _holds(request.get("FilterExpression"), entry, names, values):
                found.append(entry)
        else:
            last = None
        consistent = request.get("ConsistentRead", False)
        self.units["read"] += _read_units(read) if consistent else ceil(_read_units(read) / 2)
        answer = {"Items": found, "ScannedCount": scanned, "Count": len(found)}
        if last is not None:
            key_names = {*self._keys, index.hash, index.range}
            answer["LastEvaluatedKey"] = {name: last[name] for name in key_names}
        return answer

    def count(self, index: str, partition: str) -> int:
        """Return the number of entries of a partition, without a call."""
        return len(self._indexes[index].partitions.get(partition, ()))

    def items(self) -> Iterator[Item]:
        """Yield all items, without a call."""
        yield from self._items.values()

    def _called(self, operation: str) -> None:
        self.calls[operation] += 1
        self._spend(f"dynamodb.{operation}")

    def _key(self, item: Item) -> Key:
        return tuple(scalar(item[name]) for name in self._keys)

    def _check(self, key: Key, request: Mapping[str, Any], operation: str) -> None:
        names = request.get("ExpressionAttributeNames", {})
        values = request.get("ExpressionAttributeValues", {})
        item = self._items.get(key)
        if _holds(request.get("ConditionExpression"), item or {}, names, values):
            return
        self.units["write"] += max(1, ceil(self._sizes.get(key, 0) / 1_024))
        error: Any = {"Error": {"Code": "ConditionalCheckFailedException", "Message": ""}}
        if item is not None:
            error["Item"] = item
        raise ClientError(error, operation)

    def _write(self, key: Key, item: Item) -> None:
        before = self._items.get(key)
        bytes_before, bytes_after = self._sizes.get(key, 0), size(item)
        self.units["write"] += max(1, ceil(max(bytes_before, bytes_after) / 1_024))
        self._sizes[key] = bytes_after
        for name, index in self._indexes.items():
            old, new = index.entry(before, self._keys), index.entry(item, self._keys)
            keys = (index.hash, index.range)
            if old is None or new is None or any(old[each] != new[each] for each in keys):
                index.change(key, old, new)
                written = [entry for entry in (old, new) if entry is not None]
            else:
                written = [new] if old != new else []
            if name:
                self.units["write"] += sum(ceil(size(entry) / 1_024) for entry in written)
        self._items[key] = item


class _Last:
    """Greater than any part of a key."""

    def __lt__(self, other: object) -> bool:
        return False

    def __gt__(self, other: object) -> bool:
        return True


_LAST = _Last()


def scalar(attribute: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a text, a number or a list
    """Return an attribute's value as Python has it."""
    ((kind, value),) = attribute.items()
    return int(value) if kind == "N" and "." not in value else value


def size(item: Mapping[str, Mapping[str, Any]]) -> int:
    """Return the bytes of an item, about as DynamoDB counts them."""
    total = 0
    for name, attribute in item.items():
        ((kind, value),) = attribute.items()
        total += len(name) + _size(kind, value)
    return total


def _size(kind: str, value: Any) -> int:  # noqa: ANN401 - a text, a list or a map
    if kind == "S":
        return len(value) if value.isascii() else len(value.encode())
    if kind == "N":
        return 1 + (len(value) + 1) // 2
    if kind == "M":
        return 3 + size(value)
    if kind == "L":
        return 3 + sum(1 + _size(*next(iter(each.items()))) for each in value)
    return 1


def _read_units(read: int) -> int:
    return max(1, ceil(read / 4_096))


def _names(schema: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    return tuple(each["AttributeName"] for each in schema)


def _apply(
    item: Item, verb: str, change: str, names: Mapping[str, str], values: Mapping[str, Any]
) -> None:
    if verb == "REMOVE":
        item.pop(names[change], None)
        return
    if verb == "ADD":
        name, value = change.split(" ")
        held = int(item.get(names[name], {"N": "0"})["N"])
        item[names[name]] = {"N": str(held + int(values[value]["N"]))}
        return
    name, value = change.split(" = ")
    if value[0] != ":" and (default := _DEFAULT.fullmatch(value)):
        item.setdefault(names[name], values[default[2]])
        return
    item[names[name]] = values[value]


@cache
def _changes(expression: str) -> Sequence[tuple[str, str]]:
    """Return the changes of an update expression, each with its verb."""
    return [
        (verb, change)
        for verb, text in _CLAUSE.findall(expression)
        for change in re.split(r", (?=#)(?![^(]*\))", text)
    ]


@cache
def _compiled(expression: str) -> Callable[..., bool]:
    """Return a condition as a function of `path`, `value`, and three of DynamoDB's functions."""
    words = {"<>": "!=", "=": "==", "AND": "and", "OR": "or"}

    def translate(token: re.Match[str]) -> str:
        text = token[0]
        if text.startswith("#"):
            return f"path({text!r})"
        if text.startswith(":"):
            return f"value({text!r})"
        return words.get(text, text)

    source = re.sub(r"(?<![<>])=|<>|#\w+|:\w+|\bAND\b|\bOR\b", translate, expression)
    names = "path, value, attribute_exists, attribute_not_exists, begins_with"
    compiled: Callable[..., bool] = eval(f"lambda {names}: {source}")  # noqa: S307 - of our own code
    return compiled


def _holds(
    expression: str | None, item: Item, names: Mapping[str, str], values: Mapping[str, Any]
) -> bool:
    if expression is None:
        return True
    return _compiled(expression)(
        lambda name: _Value(item.get(names[name])),
        lambda name: _Value(values[name]),
        lambda each: each.of is not None,
        lambda each: each.of is None,
        lambda each, prefix: each.of is not None and each.of.startswith(prefix.of),
    )


def _bounds(
    expression: str, names: Mapping[str, str], values: Mapping[str, Any], index: _Index
) -> tuple[Any, Any, Any]:
    """Return the partition of a query, and the least and the most of its sort keys."""
    partition = least = most = None
    for part in re.split(r"(?<!BETWEEN :\d) AND ", expression):
        if between := re.fullmatch(r"#\w+ BETWEEN (:\w+) AND (:\w+)", part):
            least, most = (scalar(values[bound]) for bound in between.groups())
            continue
        if prefix := re.fullmatch(r"begins_with\((#\w+), (:\w+)\)", part):
            least = values[prefix[2]]["S"]
            most = least + "\U0010ffff"
            continue
        name, operator, value = part.split(" ")
        of = scalar(values[value])
        if names[name] == index.hash:
            partition = of
        elif operator == ">=":
            least = of
        elif operator == "<=":
            most = of
        else:
            raise NotImplementedError(part)
    return partition, least, most

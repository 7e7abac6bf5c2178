"""The read and write units of a request, by DynamoDB's documented rules.

Units: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
Indexes: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import ceil
from typing import Any, NamedTuple

from afterword.runtime.item_size import size

KB = 1024
READ_BYTES = 4 * KB
"""The bytes that one read unit reads consistently; an eventually consistent read takes half."""

type Item = Mapping[str, Any]


class Charge(NamedTuple):
    """Units of one request at one partition key of a table, or of an index (`table.index`)."""

    table: str
    key: str
    write: float
    read: float


class Index(NamedTuple):
    """A global secondary index: its keys, and the projected attributes beside all keys."""

    name: str
    keys: tuple[str, ...]
    projected: tuple[str, ...]


class Schema:
    """A table's keys and indexes, from its definition in template.yaml."""

    def __init__(self, name: str, definition: Mapping[str, Any]) -> None:
        self.name = name
        self.keys = _keys(definition)
        self.indexes = tuple(
            Index(
                each["IndexName"],
                _keys(each),
                tuple(each["Projection"].get("NonKeyAttributes", ())),
            )
            for each in definition.get("GlobalSecondaryIndexes", ())
        )

    def write(
        self, key: Item, before: Item | None, after: Item | None, *, factor: int = 1
    ) -> list[Charge]:
        """Return the charges of a write to a key, from the item before and after it.

        - The larger of both sizes counts, and at least one unit, also for a failed condition.
        - An index is written where its entry changes: one write for other attributes, a delete and
          a put for other keys.
        - `factor` is 2 in a transaction, which writes the table twice.
        """
        units = factor * max(1, ceil(max(size(before), size(after)) / KB))
        charges = [Charge(self.name, _value(key[self.keys[0]]), units, 0)]
        for index in self.indexes:
            charges += self._write_index(index, before, after)
        return charges

    def _write_index(
        self, index: Index, before: Item | None, after: Item | None
    ) -> Iterator[Charge]:
        old, new = self._entry(index, before), self._entry(index, after)
        name = f"{self.name}.{index.name}"
        if old == new:
            return
        if old and new and all(old[key] == new[key] for key in index.keys):
            units = ceil(max(size(old), size(new)) / KB)
            yield Charge(name, _value(new[index.keys[0]]), units, 0)
            return
        for entry in (old, new):
            if entry:
                yield Charge(name, _value(entry[index.keys[0]]), ceil(size(entry) / KB), 0)

    def _entry(self, index: Index, item: Item | None) -> Item | None:
        """Return an item's entry in an index; None without one."""
        if item is None or any(key not in item for key in index.keys):
            return None
        names = {*self.keys, *index.keys, *index.projected}
        return {name: value for name, value in item.items() if name in names}

    def query(
        self, index: str | None, key: str, items: Iterable[Item], *, consistent: bool
    ) -> Charge:
        """Return the charge of a query's page: the sizes of all items that it read, together."""
        name = self.name if index is None else f"{self.name}.{index}"
        units = max(1, ceil(sum(map(size, items)) / READ_BYTES))
        return Charge(name, key, 0, units if consistent else units / 2)

    def get(self, key: Item, item: Item | None, *, consistent: bool) -> Charge:
        """Return the charge of the read of one item by its key."""
        units = max(1, ceil(size(item) / READ_BYTES))
        return Charge(self.name, _value(key[self.keys[0]]), 0, units if consistent else units / 2)


def _value(value: Mapping[str, Any] | None) -> str:
    return "" if value is None else str(next(iter(value.values())))


def _keys(definition: Mapping[str, Any]) -> tuple[str, ...]:
    schema: Sequence[Mapping[str, str]] = definition["KeySchema"]
    return tuple(each["AttributeName"] for each in schema)

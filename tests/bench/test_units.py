"""Tests of the sizes and units by which the simulated load is charged."""

import pytest

from afterword.runtime.item_size import size
from bench.load.units import Charge, Schema

DEFINITION = {
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by_due",
            "KeySchema": [
                {"AttributeName": "due_shard", "KeyType": "HASH"},
                {"AttributeName": "due_at", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["status"]},
        }
    ],
}
SCHEMA = Schema("generations", DEFINITION)
KEY = {"pk": {"S": "a"}}
OPEN = {**KEY, "due_shard": {"S": "3"}, "due_at": {"N": "100"}, "status": {"S": "queued"}}


def test_the_size_of_an_item_is_that_of_its_names_and_values() -> None:
    """A text counts its bytes, a number half its digits and one, a map three and its members."""
    assert size({"text": {"S": "é"}}) == 4 + 2
    assert size({"n": {"N": "-12345"}}) == 1 + 4
    assert size({"n": {"N": "1000"}}) == 1 + 2
    assert size({"m": {"M": {"k": {"BOOL": True}}}}) == 1 + 3 + 1 + 1 + 1
    assert size({"l": {"L": [{"NULL": True}]}}) == 1 + 3 + 1 + 1
    assert size({"s": {"SS": ["ab", "c"]}}) == 1 + 3
    assert size(None) == 0


@pytest.mark.parametrize(
    ("before", "after", "units"),
    [
        (None, {**KEY, "text": {"S": "x" * 1_100}}, 2),
        ({**KEY, "text": {"S": "x" * 5_000}}, KEY, 5),
        (KEY, KEY, 1),
    ],
)
def test_a_write_is_charged_by_the_larger_of_both_sizes(
    before: dict[str, dict[str, str]] | None, after: dict[str, dict[str, str]], units: int
) -> None:
    """An update that shortens an item costs as much as the item before it."""
    assert SCHEMA.write(KEY, before, after) == [Charge("generations", "a", units, 0)]


def test_a_transaction_is_charged_twice_at_the_table() -> None:
    """A write in a transaction takes two units for each KB of the item."""
    assert SCHEMA.write(KEY, None, KEY, factor=2) == [Charge("generations", "a", 2, 0)]


def test_an_index_is_charged_where_its_entry_changes() -> None:
    """A new key deletes one entry and puts another; an attribute beside the index is free."""
    moved = {**OPEN, "due_at": {"N": "200"}}
    ended = {**OPEN, "status": {"S": "failed"}}
    elsewhere = {**OPEN, "text": {"S": "hello"}}
    entry = Charge("generations.by_due", "3", 1, 0)
    assert SCHEMA.write(KEY, None, OPEN)[1:] == [entry]
    assert SCHEMA.write(KEY, OPEN, moved)[1:] == [entry, entry]
    assert SCHEMA.write(KEY, OPEN, ended)[1:] == [entry]
    assert SCHEMA.write(KEY, OPEN, KEY)[1:] == [entry]
    assert SCHEMA.write(KEY, OPEN, elsewhere)[1:] == []


def test_reads_are_charged_by_four_kilobytes() -> None:
    """A consistent read of 5 KB takes two units, and a query that may be late takes half."""
    item = {**KEY, "text": {"S": "x" * 5_000}}
    assert SCHEMA.get(KEY, item, consistent=True) == Charge("generations", "a", 0, 2)
    assert SCHEMA.get(KEY, None, consistent=True) == Charge("generations", "a", 0, 1)
    found = SCHEMA.query("by_due", "3", [item, item], consistent=False)
    assert found == Charge("generations.by_due", "3", 0, 1.5)

"""Capacity units of DynamoDB, by its documented rules.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
"""

from collections.abc import Mapping
from typing import Any

PARTITION_WRITES = 1_000
"""Write units that a partition takes in a second."""


def item_bytes(item: Mapping[str, Any]) -> int:
    """Return the size of an item: names and values."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def write_units(item: Mapping[str, Any], *, transactional: bool = False) -> int:
    """Return the units of a write: one a KB that is begun, twice as many in a transaction."""
    return -(-item_bytes(item) // 1024) * (2 if transactional else 1)


def _value_bytes(value: Mapping[str, Any]) -> int:
    match value:
        case {"S": text}:
            return len(text.encode())
        case {"N": digits}:
            return 1 + -(-len(digits.strip("-0.")) // 2) + (1 if digits.startswith("-") else 0)
        case {"M": members}:
            inner = (len(name.encode()) + _value_bytes(each) for name, each in members.items())
            return 3 + sum(1 + size for size in inner)
    raise ValueError(value)

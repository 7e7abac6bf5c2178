"""Sizes of DynamoDB's items, by its documented rules.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
"""

from collections.abc import Mapping
from math import ceil
from typing import Any


def size(item: Mapping[str, Any] | None) -> int:
    """Return the bytes of an item: its attributes' names and values; 0 for no item."""
    return 0 if item is None else sum(_bytes(name) + _size(value) for name, value in item.items())


def _size(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            found = _bytes(content)
        case "N":
            found = _number_size(content)
        case "B":
            found = len(content)
        case "SS":
            found = sum(map(_bytes, content))
        case "NS":
            found = sum(map(_number_size, content))
        case "M":
            found = 3 + sum(1 + _bytes(name) + _size(each) for name, each in content.items())
        case "L":
            found = 3 + sum(1 + _size(each) for each in content)
        case _:  # NULL and BOOL
            found = 1
    return found


def _number_size(digits: str) -> int:
    """Return the bytes of a number: one for each two significant digits, and one more."""
    significant = digits.lstrip("-").replace(".", "").strip("0")
    return ceil(len(significant) / 2) + 1


def _bytes(text: str) -> int:
    return len(text.encode())

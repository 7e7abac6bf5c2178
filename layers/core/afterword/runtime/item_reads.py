"""Reading many items of a DynamoDB table at once, until all of them are read."""

import time
from typing import TYPE_CHECKING

from afterword.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    type Item = Mapping[str, AttributeValueTypeDef]

READ_WAITS = (0.0, 0.0, 0.05, 0.1, 0.2, 0.4)
"""Seconds to wait before each try to read what DynamoDB had no time for: it is throttled then."""


def read_items(
    dynamodb: "DynamoDBClient", table: str, keys: "Sequence[Item]", *, consistent: bool
) -> "list[Item]":
    """Return up to 100 items by their keys, in any order, without those that are not there.

    Raises UnavailableError if DynamoDB leaves some unread at each try.
    """
    found: list[Item] = []
    left = list(keys)
    for wait in READ_WAITS:
        if not left:
            return found
        time.sleep(wait)
        answer = dynamodb.batch_get_item(
            RequestItems={table: {"Keys": left, "ConsistentRead": consistent}}
        )
        found += answer["Responses"].get(table, [])
        rest = answer.get("UnprocessedKeys", {})
        left = list(rest[table]["Keys"]) if table in rest else []
    if left:
        raise UnavailableError("Storage is busy. Try again in a moment.")
    return found

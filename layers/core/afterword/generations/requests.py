"""Requests as items of their own, beside the generations that they are of.

DynamoDB charges each change of an item by its whole size. A request never changes, so a longer one
is an item of its own: put before its generation, on no index, and read with the worker's claim. Its
key is its writer's alone, so that two submissions under one id never mix. Such an item expires with
its generation, also where a process died before that was accepted.
"""

from itertools import batched
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from afterword.runtime.dynamodb import text
from afterword.runtime.item_size import size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from afterword.runtime.dynamodb import Item, Table

BATCH = 100
"""The most items of one batch read."""
CLAIM_BYTES = 64
"""The bytes that a claim adds to an item."""
KEY_BYTES = 120
"""The bytes of a request's item beside the request."""


class QueuedItem(NamedTuple):
    """The item of a new submission, and the keys of the payloads that were put for it.

    `request` is the item of its request; None for a request in the item itself or in the bucket.
    """

    item: "Item"
    request: "Item | None"
    payloads: "Sequence[str]"


class Requests:
    """The requests of generations that are items of their own, in the table of generations.

    All reads are consistent, since a generation may be a moment old.
    """

    def __init__(self, table: "Table") -> None:
        self._table = table

    def put(self, requests: "Sequence[Item]") -> None:
        """Store up to 25 requests by one call, before the generations that they are of."""
        if len(requests) == 1:
            self._table.put(requests[0])
        else:
            self._table.put_all(requests)

    def join(self, item: "Item") -> "Item":
        """Return a generation's item with its request; without it, if it is gone."""
        key = find_request_key(item)
        if key is None or "request" in item:
            return item
        return _with_request(item, self._table.get(key))

    def join_all(self, items: "Sequence[Item]") -> "list[Item]":
        """Return items like `join`, by a call for each BATCH of requests."""
        keys = list(map(find_request_key, items))
        found = {
            request["pk"]["S"]: request
            for some in batched(filter(None, keys), BATCH, strict=False)
            for request in self._table.get_all(some)
        }
        return [
            item if key is None else _with_request(item, found.get(key["pk"]["S"]))
            for item, key in zip(items, keys, strict=True)
        ]

    def delete(self, item: "Item") -> None:
        """Delete the request of a generation's item, if it is an item of its own."""
        key = find_request_key(item)
        if key is not None:
            self._table.delete(key)


def is_cheaper_apart(item: "Item") -> bool:
    """Return whether the request of a new generation's item is cheaper as an item of its own.

    The puts and the claim decide. The end, and each change after it, are cheaper then as well.
    """
    whole, request = size(item), size({"request": item["request"]})
    apart = _units(request + KEY_BYTES) + _write_twice(whole - request)
    return apart < _write_twice(whole)


def separate(item: "Item", writer: str) -> "tuple[Item, Item]":
    """Return a generation's item without its request, and the request as its writer's item."""
    rest = {name: value for name, value in item.items() if name != "request"}
    rest["request_item"] = text(writer)
    request = {"request": item["request"], "expires_at": item["expires_at"]}
    return rest, {**_request_key(rest), **request}


def _with_request(item: "Item", request: "Item | None") -> "Item":
    return item if request is None else {**item, "request": request["request"]}


def _write_twice(size_in_bytes: int) -> int:
    """Return the units of the put and the claim of an item."""
    return _units(size_in_bytes) + _units(size_in_bytes + CLAIM_BYTES)


def _units(size_in_bytes: int) -> int:
    return ceil(size_in_bytes / 1_024)


def find_request_key(item: "Item") -> "Item | None":
    """Return the key of the request of a generation's item; None for one without such an item."""
    return _request_key(item) if "request_item" in item else None


def _request_key(item: "Item") -> "Item":
    return {"pk": text(f"{item['pk']['S']}#request-{item['request_item']['S']}")}

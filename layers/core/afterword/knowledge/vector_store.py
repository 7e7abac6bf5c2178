"""The vectors of contents, in the contents' table and bucket.

Vectors are written by the embedder alone, on condition of the content's revision. A content's own
changes remove them with the content (afterword.knowledge.items).
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import batched
from typing import TYPE_CHECKING

from afterword.errors import GoneError, UnavailableError
from afterword.knowledge import Embedded, items
from afterword.knowledge.store import CONFLICT_WAITS, READERS, VECTORS, vectors_key
from afterword.knowledge.vectors import DIGEST_BYTES
from afterword.records import dataclass
from afterword.runtime.dynamodb import Table, TransactionCanceledError, tries

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from afterword.knowledge import Content
    from afterword.knowledge.ranking import Selection
    from afterword.runtime.dynamodb import Item
    from afterword.runtime.payloads import Payloads

INLINE_BYTES = 32 * 1024
"""Vectors of up to so many bytes stay in their item: 80 of them with 384 dimensions."""


@dataclass(frozen=True, slots=True)
class Vectors:
    """The rows of a content (afterword.knowledge.vectors), and the name of their model."""

    model: str
    dimensions: int
    rows: bytes

    def __len__(self) -> int:
        return len(self.rows) // (DIGEST_BYTES + self.dimensions) if self.rows else 0

    @property
    def is_whole(self) -> bool:
        """Whether the rows all have the dimensions; some versions have stored others."""
        return len(self.rows) % (DIGEST_BYTES + self.dimensions) == 0

    def pack(self) -> bytes:
        """Return the vectors as bytes, a line of JSON before the rows."""
        head = {"model": self.model, "dimensions": self.dimensions}
        return json.dumps(head).encode() + b"\n" + self.rows


@dataclass(frozen=True, slots=True)
class Place:
    """A content, and the folder that it was in when its vectors were stored."""

    folder: str
    content: str


class VectorStore:
    """Vectors in DynamoDB, large ones in S3 beside the text.

    A content's vectors take one transaction of 3 writes, an update of each of its 2 to 22 labels,
    and one S3 put if they are large.
    """

    def __init__(self, dynamodb: "DynamoDBClient", table: str, payloads: "Payloads") -> None:
        self._table = Table(dynamodb, table)
        self._payloads = payloads

    def find(self, content: "Content") -> Vectors | None:
        """Return the stored vectors of a content, maybe of an older revision; None without any.

        Reads: one, and an S3 get for large ones.
        """
        sort_key = items.vectors_key(content.folder.id, content.id)
        item = self._table.get(items.item_key(content.tenant, sort_key))
        return None if item is None else self._unpack(item)

    def save(self, content: "Content", vectors: Vectors, missing: int) -> bool:
        """Store the vectors of a content; False after another change of the content.

        `missing` counts its pieces without one. Large vectors of a changed content may stay in the
        bucket: the content is to be stored again. The labels' versions are counted last, since a
        reader takes them before the vectors: other contents' writes of the labels are not in the
        way of the transaction. After an error the content is to be stored again as well.
        """
        packed = vectors.pack()
        inline = len(packed) <= INLINE_BYTES
        if not inline:
            self._payloads.put_file(
                content.tenant, content.id, VECTORS, packed, "application/octet-stream"
            )
        embedded = Embedded(vectors.model, vectors=len(vectors), missing=missing)
        writes = items.build_vectors(content, embedded, packed if inline else None)
        for _ in tries(CONFLICT_WAITS):
            try:
                self._table.transact(writes)
            except TransactionCanceledError as error:
                if "ConditionalCheckFailed" in error.reasons:
                    if not inline:
                        self._delete_without_content(content)
                    return False
                if not error.is_busy:
                    raise
            else:
                for label in items.count_vectors(content):
                    self._table.update(label.key, adds=label.adds, condition=label.condition)
                return True
        raise UnavailableError("Storage is busy. Try again in a moment.")

    def is_newest(self, content: "Content") -> bool:
        """Whether there was no change of a content since its read. Reads: one."""
        place = self._table.get(items.item_key(content.tenant, items.id_key(content.id)))
        return place is not None and items.parse_revision(place) == str(content.revision)

    def _delete_without_content(self, content: "Content") -> None:
        """Delete large vectors that were stored after the removal of their content."""
        place = items.item_key(content.tenant, items.id_key(content.id))
        if self._table.get(place) is None:
            self._payloads.delete([vectors_key(content.tenant, content.id)])

    def read(self, selection: "Selection") -> Iterator[tuple[Place, Vectors]]:
        """Yield the vectors of the contents of a selection.

        Reads: a query for each folder and each further megabyte, and an S3 get for large ones.
        """
        with ThreadPoolExecutor(max_workers=READERS) as executor:
            for some in self._read_items(selection):
                inline = all("rows" in item for item in some)
                unpacked = map(self._unpack, some) if inline else executor.map(self._unpack, some)
                for item, vectors in zip(some, unpacked, strict=True):
                    if vectors is not None:
                        yield Place(item["folder"]["S"], item["id"]["S"]), vectors

    def _read_items(self, selection: "Selection") -> "Iterator[tuple[Item, ...]]":
        conditions, where = items.select(selection, items.vectors_key)
        for condition in conditions:
            for page in self._table.pages(condition, where=where, consistent=True):
                yield from batched(page.items, READERS, strict=False)

    def _unpack(self, item: "Item") -> Vectors | None:
        """Return the vectors of an item; None for large ones that are gone with their content."""
        try:
            packed = (
                bytes(item["rows"]["B"])
                if "rows" in item
                else self._payloads.get_file(vectors_key(item["pk"]["S"], item["id"]["S"]))
            )
        except GoneError:
            return None
        head, _, rows = packed.partition(b"\n")
        named = json.loads(head)
        return Vectors(named["model"], named["dimensions"], rows)

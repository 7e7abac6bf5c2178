"""Vectors of passages in a compact form, and their comparison with a question's, without AWS.

A row has the digest of the embedded text, and a byte for each dimension: a number from -127 to 127.
No row has a scale, since a cosine needs the direction alone (docs/decisions/0077-vectors.md).
"""

import struct
from collections.abc import Buffer, Sequence
from hashlib import blake2b
from heapq import nlargest
from typing import cast

from afterword.knowledge.passages import cut_passages
from afterword.models.embeddings import Vector

DIGEST_BYTES = 8
MAX_PIECE = 350
"""Characters of a piece of a passage, at most (docs/decisions/0078-meaning.md)."""
_DIGEST_BYTES_IN_MEMORY = 49  # Python's object, and its place in a list


def embedded_texts(title: str, heading: str, text: str) -> list[str]:
    """Return the texts of a passage to embed: its pieces, each with the headings above it.

    A vector of a whole passage is the average of all that the passage says.
    """
    above = " > ".join(each for each in (title, heading) if each)
    return [f"{above}\n{piece.text}" for piece in cut_passages(text, MAX_PIECE)]


def digest(text: str) -> bytes:
    """Return the digest by which a row names its embedded text."""
    return blake2b(text.encode(), digest_size=DIGEST_BYTES).digest()


def encode_row(key: bytes, vector: Vector) -> bytes:
    """Return the row of a vector, for a digest."""
    return key + _round(vector)


def _round(vector: Vector) -> bytes:
    scale = 127 / max(map(abs, vector))
    return struct.pack(f"{len(vector)}b", *(round(each * scale) for each in vector))


def decode_row(row: bytes) -> list[float]:
    """Return the vector of a row, as a direction: its largest number is 1 or -1."""
    return [each / 127 for each in memoryview(row)[DIGEST_BYTES:].cast("b")]


def split_rows(rows: bytes, dimensions: int) -> dict[bytes, bytes]:
    """Return rows by their digests."""
    size = DIGEST_BYTES + dimensions
    return {rows[at : at + DIGEST_BYTES]: rows[at : at + size] for at in range(0, len(rows), size)}


class Matrix:
    """Rows of vectors with one number of dimensions, in the order of their addition."""

    def __init__(self) -> None:
        self._dimensions = 0
        self._numbers = bytearray()
        self.digests: list[bytes] = []

    def __len__(self) -> int:
        return len(self.digests)

    @property
    def size(self) -> int:
        """Bytes of memory."""
        return len(self._numbers) + len(self) * _DIGEST_BYTES_IN_MEMORY

    def add(self, rows: bytes, dimensions: int) -> None:
        """Add rows; those with another number of dimensions than the first are left out."""
        if not rows or len(rows) % (DIGEST_BYTES + dimensions):
            return
        self._dimensions = self._dimensions or dimensions
        if dimensions != self._dimensions:
            return
        for key, row in split_rows(rows, dimensions).items():
            self.digests.append(key)
            self._numbers += row[DIGEST_BYTES:]

    def find_nearest(self, question: Vector, limit: int) -> list[tuple[int, float]]:
        """Return up to `limit` rows with their cosines, the nearest first."""
        cosines = self.measure(question)
        nearest = nlargest(limit, range(len(cosines)), key=lambda row: (cosines[row], -row))
        return [(row, cosines[row]) for row in nearest]

    def measure(self, question: Vector) -> Sequence[float]:
        """Return the cosine of a question and each row, in order.

        None for a question of another number of dimensions.
        """
        if not self.digests or len(question) != self._dimensions:
            return ()
        from simsimd import cdist  # a C extension, for this alone

        asked = memoryview(_round(question)).cast("b", shape=[1, self._dimensions])
        rows = memoryview(self._numbers).cast("b", shape=[len(self), self._dimensions])
        distances = cast("Buffer", cdist(asked, rows, "cosine"))
        return [1 - distance for distance in memoryview(distances).cast("B").cast("d")]

"""The lines of a file, read in pieces that fit into memory. No AWS in here."""

from collections.abc import Callable, Iterator

from afterword.batches import MAX_LINE_BYTES
from afterword.records import dataclass

PIECE_BYTES = 4 * 1024 * 1024
"""The most bytes of one read; a line is always shorter."""
MIN_PIECE_BYTES = 64 * 1024

type ReadRange = Callable[[int, int], bytes]
"""A function of an offset and the most bytes to read from there."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line with its number, from 1, and the offset of the next one.

    `content` is without line break; None for a line that is too long.
    """

    number: int
    next: int
    content: bytes | None


def piece_for(wanted: int, size: int, lines: int) -> int:
    """Return the bytes to read at once for some lines, by the mean length of a file's lines."""
    mean = size // max(1, lines) + 1
    return min(max(MIN_PIECE_BYTES, wanted * mean * 5 // 4), PIECE_BYTES)


def read_lines(
    read: ReadRange, size: int, number: int, offset: int, piece_bytes: int | None = None
) -> Iterator[Line]:
    """Yield the lines of a file of `size` bytes that follow line `number`, from `offset` on.

    The last line needs no line break. At most a piece and a line are in memory.
    """
    rest = bytearray()
    too_long = False
    at = offset
    while offset < size:
        piece = read(offset, min(piece_bytes or PIECE_BYTES, size - offset))
        offset += len(piece)
        start = 0
        while (end := piece.find(b"\n", start)) >= 0:
            number += 1
            length = len(rest) + end - start
            at += length + 1
            whole = not too_long and length <= MAX_LINE_BYTES
            yield Line(number, at, bytes(rest) + piece[start:end] if whole else None)
            rest.clear()
            too_long = False
            start = end + 1
        if too_long or len(rest) + len(piece) - start > MAX_LINE_BYTES:
            too_long = True
            at += len(rest) + len(piece) - start
            rest.clear()
        else:
            rest += piece[start:]
    if rest or too_long:
        content = None if too_long else bytes(rest)
        yield Line(number + 1, at + len(rest), content)


def next_lines(lines: Iterator[Line], most: int) -> list[Line]:
    """Return the next lines, up to `most`, or about a piece's bytes of them."""
    some: list[Line] = []
    length = 0
    while len(some) < most and length < PIECE_BYTES and (line := next(lines, None)) is not None:
        some.append(line)
        length += len(line.content or b"")
    return some


def count_lines(read: ReadRange, size: int, most: int) -> int:
    """Return the number of lines in a file, or a number over `most` for more lines."""
    counted = offset = 0
    piece = b"\n"
    while offset < size and counted <= most:
        piece = read(offset, min(PIECE_BYTES, size - offset))
        offset += len(piece)
        counted += piece.count(b"\n")
    return counted if piece.endswith(b"\n") else counted + 1

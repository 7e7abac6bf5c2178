"""The lines of a file, read in windows that fit into memory. No AWS in here."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from afterword.batches import MAX_LINE_BYTES

WINDOW_BYTES = 4 * 1024 * 1024
"""The bytes of one read; a line is always shorter."""

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


def read_lines(read: ReadRange, size: int, number: int, offset: int) -> Iterator[Line]:
    """Yield the lines of a file of `size` bytes that follow line `number`, from `offset` on.

    The last line needs no line break. At most a window and a line are in memory.
    """
    rest = bytearray()
    too_long = False
    at = offset
    while offset < size:
        window = read(offset, min(WINDOW_BYTES, size - offset))
        offset += len(window)
        start = 0
        while (end := window.find(b"\n", start)) >= 0:
            number += 1
            length = len(rest) + end - start
            at += length + 1
            whole = not too_long and length <= MAX_LINE_BYTES
            yield Line(number, at, bytes(rest) + window[start:end] if whole else None)
            rest.clear()
            too_long = False
            start = end + 1
        if too_long or len(rest) + len(window) - start > MAX_LINE_BYTES:
            too_long = True
            at += len(rest) + len(window) - start
            rest.clear()
        else:
            rest += window[start:]
    if rest or too_long:
        content = None if too_long else bytes(rest)
        yield Line(number + 1, at + len(rest), content)


def group_lines(lines: Iterator[Line], most: int) -> Iterator[list[Line]]:
    """Yield chunks of up to `most` lines, or about a window's bytes."""
    some: list[Line] = []
    length = 0
    for line in lines:
        some.append(line)
        length += len(line.content or b"")
        if len(some) == most or length >= WINDOW_BYTES:
            yield some
            some, length = [], 0
    if some:
        yield some


def count_lines(read: ReadRange, size: int, most: int) -> int:
    """Return the number of lines in a file, or a number over `most` for more lines."""
    counted = offset = 0
    window = b"\n"
    while offset < size and counted <= most:
        window = read(offset, min(WINDOW_BYTES, size - offset))
        offset += len(window)
        counted += window.count(b"\n")
    return counted if window.endswith(b"\n") else counted + 1

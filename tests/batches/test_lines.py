"""Cutting files into lines: where they start, how long they may be, how little is in memory."""

import io
import tracemalloc
from collections.abc import Iterator

import pytest

from afterword.batches import MAX_LINE_BYTES, MAX_LINES
from afterword.batches import lines as batch_lines
from afterword.batches.lines import Line, count_lines, next_lines, piece_for, read_lines
from tests.harness.seeds import SEED_PARAMS, seeded

LONG = b"x" * MAX_LINE_BYTES


def cut(content: bytes, number: int = 0, offset: int = 0) -> list[Line]:
    """Return the lines of a file from one that is at an offset."""
    return list(read_lines(reader(content), len(content), number, offset))


def reader(content: bytes) -> batch_lines.ReadRange:
    """Return a function that reads ranges of a content."""
    return lambda offset, length: content[offset : offset + length]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        pytest.param(b"", [], id="nothing"),
        pytest.param(b"a\nbc\n", [Line(1, 2, b"a"), Line(2, 5, b"bc")], id="two lines"),
        pytest.param(b"a\nbc", [Line(1, 2, b"a"), Line(2, 4, b"bc")], id="no last line break"),
        pytest.param(b"\n\na", [Line(1, 1, b""), Line(2, 2, b""), Line(3, 3, b"a")], id="empty"),
        pytest.param(b"a\r\nb", [Line(1, 3, b"a\r"), Line(2, 4, b"b")], id="two characters"),
        pytest.param(
            LONG + b"\n" + LONG + b"x\na",
            [
                Line(1, MAX_LINE_BYTES + 1, LONG),
                Line(2, 2 * MAX_LINE_BYTES + 3, None),
                Line(3, 2 * MAX_LINE_BYTES + 4, b"a"),
            ],
            id="too long",
        ),
        pytest.param(LONG + b"x", [Line(1, MAX_LINE_BYTES + 1, None)], id="too long at the end"),
    ],
)
@pytest.mark.parametrize("piece", [3, 1_000, batch_lines.PIECE_BYTES])
def test_a_file_is_cut_at_line_breaks(
    monkeypatch: pytest.MonkeyPatch, piece: int, content: bytes, found: list[Line]
) -> None:
    """Lines have their numbers and where the next one is; one that is too long has no content."""
    read_at_once = max(piece, len(content) // 1_000)
    monkeypatch.setattr(batch_lines, "PIECE_BYTES", read_at_once)
    assert cut(content) == found
    assert count_lines(reader(content), len(content), MAX_LINES) == len(found)


@pytest.mark.parametrize("seed", SEED_PARAMS)
def test_whoever_goes_on_finds_the_same_lines(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """From any line on, the rest of a file is cut as it is from the start."""
    chance = seeded(seed)
    monkeypatch.setattr(batch_lines, "PIECE_BYTES", 16)
    monkeypatch.setattr(batch_lines, "MAX_LINE_BYTES", 20)
    content = b"".join(
        bytes(chance.choices(b"ab\r", k=chance.randrange(40))) + b"\n" for _ in range(60)
    )[: -chance.randrange(2) or None]
    whole = cut(content)
    assert len(whole) == content.count(b"\n") + (not content.endswith(b"\n"))
    for line in whole:
        assert cut(content, line.number, line.next) == whole[line.number :]
        start = whole[line.number - 2].next if line.number > 1 else 0
        text = content[start : line.next].removesuffix(b"\n")
        assert line.content == (text if len(text) <= 20 else None)


def test_counting_ends_when_there_are_too_many() -> None:
    """A file with more lines than are taken is not read to its end."""
    read_from: list[int] = []
    content = b"\n" * (3 * batch_lines.PIECE_BYTES)

    def read(offset: int, length: int) -> bytes:
        read_from.append(offset)
        return content[offset : offset + length]

    assert count_lines(read, len(content), MAX_LINES) > MAX_LINES
    assert read_from == [0]


def test_lines_come_together_as_many_or_as_much_as_is_taken_at_once() -> None:
    """Lines come a hundred at a time, and long ones a few, none of them lost."""
    short = [Line(number, number, b"{}") for number in range(1, 251)]
    assert chunks(iter(short)) == [100, 100, 50]
    long = [Line(number, number, LONG) for number in range(1, 12)]
    assert chunks(iter(long)) == [5, 5, 1]


def chunks(lines: Iterator[Line]) -> list[int]:
    """Return how many lines come together, a hundred at most."""
    return [len(some) for some in iter(lambda: next_lines(lines, 100), [])]


@pytest.mark.parametrize(
    ("wanted", "size", "lines", "piece"),
    [
        (10, 1_000, 10, 64 * 1024),
        (100, 10_000_000, 5_000, 250_125),
        (1_000, 1024**3, 50_000, 4 * 1024 * 1024),
    ],
)
def test_a_turn_reads_about_as_much_as_its_lines_take(
    wanted: int, size: int, lines: int, piece: int
) -> None:
    """A few lines are read from a small piece of the file, and many from one of 4 MiB at most."""
    assert piece_for(wanted, size, lines) == piece


def test_a_file_of_any_length_takes_the_same_memory() -> None:
    """Of fifty thousand lines, 250 MB of them, a few megabytes are in memory at a time."""
    line = b'{"flow": "mail-reply", "inputs": {"body": "' + b"x" * 4_950 + b'"}}\n'
    size = MAX_LINES * len(line)

    def read(offset: int, length: int) -> bytes:
        at = offset % len(line)
        piece = io.BytesIO(line * (length // len(line) + 2))
        piece.seek(at)
        return piece.read(length)

    tracemalloc.start()
    try:
        found = sum(chunks(read_lines(read, size, 0, 0)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found == MAX_LINES
    assert peak < 6 * batch_lines.PIECE_BYTES

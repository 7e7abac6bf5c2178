"""The lines of a document's text: paragraphs, headings, list items and tables.

The marks are those of Markdown, which models read best.
"""

from dataclasses import dataclass, field
from enum import Enum, auto

from afterword_documents.verdicts import MAX_CHARACTERS, Verdict, VerdictError


class Kind(Enum):
    """The kind of a line; list items and rows have no blank lines between them."""

    PARAGRAPH = auto()
    ITEM = auto()
    ROW = auto()


class Part(Enum):
    """A part of a table that may be open around a line."""

    TABLE = auto()
    ROW = auto()
    CELL = auto()


OFFICE_PARTS = {"tbl": Part.TABLE, "tr": Part.ROW, "tc": Part.CELL}
"""The parts of tables by their elements in DOCX and PPTX."""

type Line = tuple[Kind, str]


@dataclass
class _Open:
    """An open part: a table or a cell has lines, a row has the lines of its cells."""

    part: Part
    lines: list[Line] = field(default_factory=list)
    cells: list[list[Line]] = field(default_factory=list)


class Lines:
    """The collected lines of a document, with nested tables, which may lack their ends."""

    def __init__(self) -> None:
        self._lines: list[Line] = []
        self._open: list[_Open] = []
        self._characters = 0

    def add(self, text: str, kind: Kind = Kind.PARAGRAPH) -> None:
        """Add a line, unless blank; raise VerdictError for a text that gets too long."""
        if not text.strip():
            return
        self._characters += len(text)
        if self._characters > MAX_CHARACTERS:
            raise VerdictError(Verdict.TOO_LONG)
        self._innermost().append((kind, text))

    def open(self, part: Part) -> None:
        """Begin a table, row or cell; end an open row or cell before."""
        if part is Part.CELL and not self._is_open(Part.ROW):
            self.open(Part.ROW)
        if part is not Part.TABLE:
            self.close(part)
        self._open.append(_Open(part))

    def close(self, part: Part) -> None:
        """End the innermost table, or its open row or cell; idempotent."""
        while self._is_open(part):
            closed = self._open.pop()
            self._end(closed)
            if closed.part is part:
                return

    def text(self) -> str:
        """Return all lines as one text."""
        while self._open:
            self._end(self._open.pop())
        text: list[str] = []
        before = None
        for kind, line in self._lines:
            if before is not None:
                text.append("\n" if kind is before and kind is not Kind.PARAGRAPH else "\n\n")
            text.append(line)
            before = kind
        return "".join(text)

    def _is_open(self, part: Part) -> bool:
        """Whether the part is open within the innermost table."""
        for open_part in reversed(self._open):
            if open_part.part is part:
                return True
            if open_part.part is Part.TABLE:
                break
        return False

    def _innermost(self) -> list[Line]:
        return self._open[-1].lines if self._open else self._lines

    def _end(self, closed: _Open) -> None:
        if closed.part is Part.CELL and self._open[-1:] and self._open[-1].part is Part.ROW:
            self._open[-1].cells.append(closed.lines)
            return
        outer = self._innermost()
        outer.extend(closed.lines)
        filled = [cell for cell in closed.cells if cell]
        if len(filled) == 1:  # a table for layout: no row, its lines alone
            outer.extend(filled[0])
        elif filled:
            cells = (" ".join(line for _, line in cell) for cell in closed.cells)
            outer.append((Kind.ROW, "| " + " | ".join(map(_one_line, cells)) + " |"))


def _one_line(text: str) -> str:
    return " ".join(text.split())

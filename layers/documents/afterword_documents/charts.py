"""The numbers of a chart (ECMA-376, DrawingML), as the file that shows it keeps them."""

import re

from afterword_documents import number_formats
from afterword_documents.grids import Grid
from afterword_documents.lines import Lines
from afterword_documents.opc import Attributes, Reader

_CATEGORIES, _VALUES = {"cat", "xVal"}, {"val", "yVal"}
_INDEX = re.compile(r"[0-9]{1,6}")
_NAMES = 0


class Chart(Reader):
    """A chart's title, and its series as columns beside the categories."""

    def __init__(self) -> None:
        self._title: list[str] = []
        self._columns: list[dict[int, str]] = [{}]  # the categories, then the series
        self._path: list[str] = []
        self._column = self._index = 0
        self._format = ""
        self._open: list[str] | None = None

    def add_to(self, lines: Lines) -> None:
        """Add the chart's title and its table; nothing for a chart without values."""
        lines.add(" ".join("".join(self._title).split()))
        grid = Grid()
        for row in sorted(set().union(*self._columns)):
            for number, column in enumerate(self._columns):
                grid.put(row, number, column.get(row, ""))
        grid.add_to(lines, "")

    def start(self, name: str, attributes: Attributes) -> None:
        """Take the start of a series, of a value, or of the title."""
        self._path.append(name)
        if name == "ser":
            self._columns.append({})
        elif name in _CATEGORIES:
            self._column = 0
        elif name in _VALUES:
            self._column = len(self._columns) - 1
        elif name == "tx" and "ser" in self._path:
            self._column, self._index = len(self._columns) - 1, _NAMES
        elif name == "pt" and "tx" not in self._path:
            index = attributes.get("idx", "")
            self._index = int(index) + 1 if _INDEX.fullmatch(index) else _NAMES
        if name == "numCache":
            self._format = ""
        if name in {"v", "formatCode"} and "ser" in self._path:
            self._open = []
        elif name == "t" and "title" in self._path and "plotArea" not in self._path:
            self._open = self._title

    def end(self, name: str) -> None:
        """Take the end of a value, which is shown in its format."""
        self._path.pop()
        if name not in {"v", "formatCode", "t"}:
            return
        text, self._open = "".join(self._open or ()), None
        if name == "formatCode":
            self._format = text
        elif name == "v" and text:
            is_number = self._path[-2:-1] == ["numCache"] and number_formats.is_number(text)
            shown = number_formats.show(float(text), self._format) if is_number else text
            self._columns[self._column][self._index] = shown

    def characters(self, text: str) -> None:
        """Take a piece of what is open."""
        if self._open is not None:
            self._open.append(text)

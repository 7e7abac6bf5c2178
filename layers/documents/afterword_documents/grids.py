"""The cells of a sheet as a table: its rows and columns that have any text."""

from afterword_documents.lines import Lines
from afterword_documents.verdicts import MAX_CHARACTERS, Verdict, VerdictError


class Grid:
    """The texts of a sheet's cells, however far apart; rows come in order."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, dict[int, str]]] = []
        self._columns: set[int] = set()
        self._characters = 0

    def put(self, row: int, column: int, text: str) -> None:
        """Add a cell, unless blank; raise VerdictError for a sheet with too much text."""
        text = " ".join(text.split())
        if not text:
            return
        self._characters += len(text) + 1
        if self._characters > MAX_CHARACTERS:
            raise VerdictError(Verdict.TOO_LONG)
        if not self._rows or self._rows[-1][0] != row:
            self._rows.append((row, {}))
        self._rows[-1][1][column] = text
        self._columns.add(column)

    def add_to(self, lines: Lines, name: str) -> None:
        """Add the sheet's name and its rows, unless empty. Blank rows part tables."""
        if not self._rows:
            return
        lines.add(f"# {' '.join(name.split())}" if name.strip() else "")
        columns = sorted(self._columns)
        table: list[str] = []
        before = self._rows[0][0]
        for number, cells in self._rows:
            if number > before + 1:
                lines.add("\n".join(table))
                table.clear()
            before = number
            table.append(f"| {' | '.join(cells.get(column, '') for column in columns)} |")
        lines.add("\n".join(table))

"""The numbers of lists and clauses in a DOCX, as Word shows them (ECMA-376, part 1, 17.9)."""

import re
from dataclasses import dataclass, field, replace

from afterword_documents import numerals
from afterword_documents.opc import Attributes, Reader

LEVELS = 9
BULLET = "-"
_MAX_TEXT = 200
"""Characters of a number with all that is around it."""


@dataclass(slots=True)
class Level:
    """A level of a list. Without a text, a dot follows the number."""

    start: int = 1
    number_format: str = "decimal"
    example: str = ""
    text: str | None = None
    restart: int | None = None
    legal: bool = False
    gap: str = " "
    style: str = ""

    def write(self, number: int, *, legal: bool) -> str:
        """Return a number in the level's format, in digits for a legal numbering."""
        if self.number_format in {"none", "bullet"}:
            return ""
        return numerals.write(number, "decimal" if legal else self.number_format, self.example)


@dataclass(slots=True)
class _Definition:
    """An abstract numbering: the levels, or a style that has them."""

    levels: dict[int, Level] = field(default_factory=dict)
    style: str = ""


@dataclass(slots=True)
class _List:
    """A numbering instance: a definition, with other levels and starts."""

    definition: str = ""
    levels: dict[int, Level] = field(default_factory=dict)
    starts: dict[int, int] = field(default_factory=dict)


def is_on(attributes: Attributes) -> bool:
    """Return the value of a switch, which is on without one."""
    return attributes.get("val", "1").lower() not in {"0", "false", "off"}


def to_level(value: str) -> int:
    """Return a level's number; the first for one that is none."""
    return int(value) if value in set("012345678") else 0


def _to_int(value: str, otherwise: int) -> int:
    return int(value) if re.fullmatch(r"[0-9]{1,9}", value, re.ASCII) else otherwise


class Numbering(Reader):
    """The lists of a document: their definitions, and how far each has counted."""

    def __init__(self, lists_of_styles: dict[str, str] | None = None) -> None:
        self._lists_of_styles = lists_of_styles or {}
        self._definitions: dict[str, _Definition] = {}
        self._lists: dict[str, _List] = {}
        self._counts: dict[str, list[int | None]] = {}
        self._begun: set[tuple[str, int]] = set()
        # the part that is being read
        self._definition = _Definition()
        self._list: _List | None = None
        self._level: Level | None = None
        self._override = 0
        self._skipped = 0

    # --- reading ----------------------------------------------------------------------------------

    def start(self, name: str, attributes: Attributes) -> None:
        """Take the start of an element of the part `numbering`."""
        self._skipped += name == "Fallback"
        if self._skipped:
            return
        value = attributes.get("val", "")
        match name:
            case "abstractNum":
                self._list = None
                self._definition = _Definition()
                self._definitions[attributes.get("abstractNumId", "")] = self._definition
            case "num":
                self._list = self._lists[attributes.get("numId", "")] = _List()
            case "abstractNumId" if self._list:
                self._list.definition = value
            case "numStyleLink":
                self._definition.style = value
            case "lvlOverride":
                self._override = to_level(attributes.get("ilvl", ""))
            case "startOverride" if self._list:
                self._list.starts[self._override] = _to_int(value, 1)
            case "lvl":
                self._level = Level()
                level = to_level(attributes.get("ilvl", ""))
                levels = self._list.levels if self._list else self._definition.levels
                levels[level] = self._level
            case _:
                if self._level:
                    self._read_level(self._level, name, attributes)

    def _read_level(self, level: Level, name: str, attributes: Attributes) -> None:
        value = attributes.get("val", "")
        match name:
            case "start":
                level.start = _to_int(value, 1)
            case "numFmt":
                level.number_format, level.example = value, attributes.get("format", "")
            case "lvlText":
                level.text = value
            case "lvlRestart":
                level.restart = _to_int(value, 0)
            case "isLgl":
                level.legal = is_on(attributes)
            case "suff" if value == "nothing":
                level.gap = ""
            case "pStyle":
                level.style = value

    def end(self, name: str) -> None:
        """Take the end of an element."""
        self._skipped -= name == "Fallback"
        if name == "lvl":
            self._level = None

    # --- counting ---------------------------------------------------------------------------------

    def level_of_style(self, list_id: str, style: str) -> int | None:
        """Return the level of a list that a paragraph's style is bound to."""
        levels = self._levels(list_id)
        return next((level for level in levels if levels[level].style == style), None)

    def mark(self, list_id: str, level: int) -> str:
        """Count the list's next item and return its mark: a dash, or a number and its gap."""
        instance = self._lists.get(list_id)
        levels = self._levels(list_id)
        here = levels.get(level)
        if instance is None or here is None:
            return f"{BULLET} "
        counts = self._count(instance, list_id, level, levels)
        if here.number_format == "bullet":
            return f"{BULLET} "
        text = f"%{level + 1}." if here.text is None else here.text[:_MAX_TEXT]
        mark = re.sub("%([1-9])", lambda found: self._written(found[1], counts, levels, here), text)
        return f"{mark}{here.gap}" if mark.strip() else ""

    @staticmethod
    def _written(
        digit: str, counts: list[int | None], levels: dict[int, Level], here: Level
    ) -> str:
        at = int(digit) - 1
        level = levels.get(at, Level())
        count = counts[at]
        return level.write(level.start if count is None else count, legal=here.legal)

    def _count(
        self, instance: _List, list_id: str, level: int, levels: dict[int, Level]
    ) -> list[int | None]:
        """Count an item. Lists of one definition count together, until one has a start."""
        counts = self._counts.setdefault(instance.definition, [None] * LEVELS)
        if (list_id, level) not in self._begun:
            self._begun.add((list_id, level))
            if level in instance.starts:
                counts[level] = None
        count = counts[level]
        counts[level] = levels[level].start if count is None else count + 1
        for deeper in range(level + 1, LEVELS):
            restart = levels[deeper].restart if deeper in levels else None
            if restart is None or level < restart:
                counts[deeper] = None
        return counts

    def _levels(self, list_id: str) -> dict[int, Level]:
        """Return the levels of a list: those of its definition, with its own instead."""
        instance = self._lists.get(list_id)
        if instance is None:
            return {}
        definition = self._definitions.get(instance.definition, _Definition())
        if definition.style:  # the style's list has them
            linked = self._lists.get(self._lists_of_styles.get(definition.style, ""))
            if linked is not None:
                definition = self._definitions.get(linked.definition, definition)
        levels = {**definition.levels, **instance.levels}
        for level, start in instance.starts.items():
            levels[level] = replace(levels.get(level, Level()), start=start)
        return levels

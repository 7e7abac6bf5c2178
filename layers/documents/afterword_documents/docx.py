"""The text of a DOCX (ECMA-376, WordprocessingML), read as a stream: no tree is built of it."""

import binascii
from collections.abc import Callable
from dataclasses import dataclass, field

from afterword_documents import chunks, numerals
from afterword_documents.formulas import Formula
from afterword_documents.lines import OFFICE_PARTS, Kind, Lines
from afterword_documents.numbering import BULLET, Numbering, is_on, to_level
from afterword_documents.opc import Attributes, Package, Reader, open_package
from afterword_documents.verdicts import Verdict, VerdictError

MAX_CHUNKS = 100
"""Embedded documents of one document."""
MAX_CHUNK_DEPTH = 3
"""DOCX in DOCX: Word reads them too."""


def text(content: bytes, depth: int = 0) -> str:
    """Return the text of the body in document order, then of its notes. Raises VerdictError."""
    with open_package(content) as package:
        return _text(package, depth)


def _text(package: Package, depth: int) -> str:
    main = package.main_part("word/document.xml")

    def read(kind: str, reader: Reader) -> None:
        part = package.related(main, kind, f"word/{kind}.xml")
        if part is not None:
            package.parse(part, reader, _local)

    styles = _Styles()
    read("styles", styles)
    numbering = Numbering(styles.lists)
    read("numbering", numbering)
    lines = Lines()
    body = _Body(lines, styles, numbering, _Chunks(package, main, depth))
    package.parse(main, body, _local)
    for kind in ("footnotes", "endnotes"):
        read(kind, body)
    return lines.text()


_NAMESPACES = {
    "http://schemas.openxmlformats.org/wordprocessingml/2006/main": "",
    "http://purl.oclc.org/ooxml/wordprocessingml/main": "",
    "http://schemas.openxmlformats.org/markup-compatibility/2006": "",
    "http://schemas.openxmlformats.org/officeDocument/2006/math": "m:",
    "http://purl.oclc.org/ooxml/officeDocument/math": "m:",
    "http://schemas.openxmlformats.org/officeDocument/2006/relationships": "r:",
    "http://purl.oclc.org/ooxml/officeDocument/relationships": "r:",
}


def _local(name: str) -> str:
    """Return a name without a known namespace, `m:` before those of formulas."""
    namespace, _, local = name.rpartition(" ")
    short = _NAMESPACES.get(namespace)
    return name if short is None else f"{short}{local}"


# --- styles ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Style:
    base: str = ""
    level: int | None = None
    list_id: str | None = None
    list_level: int | None = None
    is_hidden: bool | None = None


_BODY_TEXT = 9
_MAX_BASES = 20


def _heading_level(outline_level: str) -> int:
    """Return the level of a heading, up to 6; 0 for body text."""
    level = int(outline_level) if outline_level in set("0123456789") else _BODY_TEXT
    return 0 if level == _BODY_TEXT else min(level + 1, 6)


class _Styles(Reader):
    """The levels of headings and the lists of styles, independent of their names' language."""

    def __init__(self) -> None:
        self.lists: dict[str, str] = {}
        self.default = ""
        self._styles: dict[str, _Style] = {}
        self._style = _Style()
        self._id = ""

    def start(self, name: str, attributes: Attributes) -> None:
        value = attributes.get("val", "")
        style = self._style
        match name:
            case "style":
                self._id = attributes.get("styleId", "")
                self._style = self._styles[self._id] = _Style()
                is_default = attributes.get("default", "0") in {"1", "true", "on"}
                if is_default and attributes.get("type") == "paragraph":
                    self.default = self._id
            case "name" if value.lower() == "title":
                style.level = 1
            case "name" if value.lower().startswith("heading "):
                level = value[len("heading ") :]
                style.level = int(level) if level in set("123456") else 6
            case "basedOn":
                style.base = value
            case "outlineLvl" if style.level is None:
                style.level = _heading_level(value)
            case "numId":
                style.list_id = self.lists[self._id] = value
            case "ilvl":
                style.list_level = to_level(value)
            case "vanish":
                style.is_hidden = is_on(attributes)

    def find(self, style_id: str) -> _Style:
        """Return a style with what those have that it is based on."""
        found = _Style()
        for _ in range(_MAX_BASES):
            style = self._styles.get(style_id)
            if style is None:
                break
            found.level = style.level if found.level is None else found.level
            found.list_id = style.list_id if found.list_id is None else found.list_id
            found.list_level = style.list_level if found.list_level is None else found.list_level
            found.is_hidden = style.is_hidden if found.is_hidden is None else found.is_hidden
            style_id = style.base
        return found


# --- embedded documents ---------------------------------------------------------------------------


class _Chunks:
    """The documents that a part embeds, by the ids of their relationships."""

    def __init__(self, package: Package, part: str, depth: int) -> None:
        self._package = package
        self._relationships = package.relationships(part)
        self._depth = depth
        self._read = 0

    def text(self, relationship_id: str) -> str:
        """Return the text of a chunk; raise VerdictError for too many or too deep ones."""
        self._read += 1
        relationship = self._relationships.get(relationship_id)
        if relationship is None or relationship.part not in self._package:
            return ""
        if self._read > MAX_CHUNKS or self._depth >= MAX_CHUNK_DEPTH:
            raise VerdictError(Verdict.TOO_COMPLEX)
        content = self._package.read(relationship.part)
        if content.startswith(b"PK"):
            return text(content, self._depth + 1)
        try:
            return chunks.text(content)
        except binascii.Error:
            return ""


# --- the body -------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Paragraph:
    """A paragraph with its own properties; its style has the others."""

    style: str
    text: list[str] = field(default_factory=list)
    level: int | None = None
    list_id: str | None = None
    list_level: int | None = None
    is_hidden: bool = False
    """Whether the style hides the text."""
    goes_on: bool = False
    """Whether its end is deleted, so that the next paragraph goes on."""


_DELETED = {"del", "moveFrom"}
_HIDING = {"r", "rStyle", "vanish", "fldChar"}
_CHARACTERS = {"tab": "\t", "ptab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_NOTES: dict[str, Callable[[int], str]] = {"footnote": str, "endnote": numerals.roman}
"""The numerals of notes, as Word has them by default."""
_SYMBOLS = {
    "F06F": "☐",
    "F0A8": "☐",
    "F0FD": "☒",
    "F0FE": "☒",
    "F0FB": "✗",
    "F0FC": "✓",
    "F0E0": "→",
    "F0A3": "≤",
    "F0B3": "≥",
    "F0B1": "±",
    "F0B4": "\u00d7",
    "F0B0": "°",
    "F0A5": "∞",
    "F0B7": "•",
    "F0B9": "≠",
    "F0BB": "≈",
}
"""Usual symbols by their codes in the fonts Wingdings and Symbol."""


class _Fields:
    """The open fields: each has an instruction, then its result, and others in both.

    Word shows no result of a field that is in the instruction of another.
    """

    def __init__(self) -> None:
        self._in_instruction: list[bool] = []
        self._instructions = 0

    def take(self, kind: str) -> None:
        """Take a mark of a field: its begin, the end of its instruction, or its end."""
        if kind == "begin":
            self._in_instruction.append(True)
            self._instructions += 1
        elif self._in_instruction and kind in {"separate", "end"}:
            self._instructions -= self._in_instruction.pop()
            if kind == "separate":
                self._in_instruction.append(False)

    @property
    def hide(self) -> bool:
        """Whether a text is the result of a field in the instruction of another."""
        return self._instructions > sum(self._in_instruction[-1:])

    def clear(self) -> None:
        """Forget the fields that have no end."""
        self._in_instruction.clear()
        self._instructions = 0


class _Body(Reader):
    """The paragraphs and tables of a body or of notes."""

    def __init__(
        self, lines: Lines, styles: _Styles, numbering: Numbering, embedded: _Chunks
    ) -> None:
        self._lines = lines
        self._styles = styles
        self._numbering = numbering
        self._embedded = embedded
        self._path: list[str] = []
        self._skipped_depth = 0
        self._taken = 0
        self._alternatives: list[int] = []  # characters before each open set
        self._paragraphs: list[_Paragraph] = []  # several for nested text boxes
        self._begun: list[str] = []  # of paragraphs that go on
        self._formula: Formula | None = None
        self._fields = _Fields()
        self._is_vanished = False  # of a run
        self._notes: dict[str, dict[str, str]] = {kind: {} for kind in _NOTES}
        self._note = ""

    def start(self, name: str, attributes: Attributes) -> None:
        self._path.append(name)
        if self._skipped_depth:
            return
        self._skipped_depth = self._depth_to_skip(name, attributes)
        if self._skipped_depth:
            return
        if name.startswith("m:"):
            self._start_formula(name, attributes)
        elif name in OFFICE_PARTS:
            self._lines.open(OFFICE_PARTS[name])
        elif name == "p":
            self._paragraphs.append(_Paragraph(self._styles.default))
        elif name in _NOTES:
            self._note = self._notes[name][attributes.get("id", "")]
        elif name == "altChunk":
            self._lines.add(self._embedded.text(attributes.get("r:id", "")))
        elif name == "AlternateContent":
            self._alternatives.append(self._taken)
        elif self._paragraphs:
            self._in_paragraph(self._paragraphs[-1], name, attributes)

    def _depth_to_skip(self, name: str, attributes: Attributes) -> int:
        """Return the depth of the element to skip, for what Word does not show; 0 for others."""
        depth = len(self._path)
        above = self._path[-2] if depth > 1 else ""
        if name in _DELETED:
            if above == "trPr" and self._path[-3:-2] == ["tr"]:
                return depth - 2  # the whole row
            if above == "rPr" and self._path[-3:-2] == ["pPr"] and self._paragraphs:
                self._paragraphs[-1].goes_on = True
            return depth
        if name in {"Choice", "Fallback"}:  # the first form with a text is the one to read
            taken = bool(self._alternatives) and self._taken > self._alternatives[-1]
            return depth if taken else 0
        if name in _NOTES:
            return 0 if attributes.get("id", "") in self._notes[name] else depth
        # Readings of ruby, and the properties before a change.
        return depth if name == "rt" or name.endswith("Change") else 0

    def _in_paragraph(self, paragraph: _Paragraph, name: str, attributes: Attributes) -> None:
        value = attributes.get("val", "")
        match self._path[-2], name:
            case "pPr", "pStyle":
                paragraph.style = value
                paragraph.is_hidden = bool(self._styles.find(value).is_hidden)
            case "pPr", "outlineLvl":
                paragraph.level = _heading_level(value)
            case "numPr", "numId":
                paragraph.list_id = value
            case "numPr", "ilvl":
                paragraph.list_level = to_level(value)
            case _ if name in _HIDING:
                self._hide(paragraph, name, attributes)
            case _ if not self._is_hidden():
                self._take_piece(paragraph, name, attributes)

    def _hide(self, paragraph: _Paragraph, name: str, attributes: Attributes) -> None:
        """Take the start of a run, or a property or a mark that tells whether text is shown."""
        match name:
            case "r":
                self._is_vanished = paragraph.is_hidden
            case "rStyle":
                style = self._styles.find(attributes.get("val", ""))
                self._is_vanished |= bool(style.is_hidden)
            case "vanish" if self._path[-3] == "r":  # else of the paragraph's end
                self._is_vanished = is_on(attributes)
            case "fldChar":
                self._fields.take(attributes.get("fldCharType", ""))

    def _take_piece(self, paragraph: _Paragraph, name: str, attributes: Attributes) -> None:
        match self._path[-2], name:
            case _, ("footnoteReference" | "endnoteReference"):
                self._refer(name.removesuffix("Reference"), attributes)
            case _, "sym":
                self._take(_SYMBOLS.get(attributes.get("char", "").upper(), ""))
            case "tabs", _:
                pass  # a tab stop
            case _ if name in _CHARACTERS:
                paragraph.text.append(_CHARACTERS[name])

    def _is_hidden(self) -> bool:
        """Whether Word does not show what comes now."""
        return self._is_vanished or self._fields.hide

    def _refer(self, kind: str, attributes: Attributes) -> None:
        """Give a note its number, in the order of the references as Word does."""
        notes = self._notes[kind]
        label = notes.setdefault(attributes.get("id", ""), _NOTES[kind](len(notes) + 1))
        if not is_on({"val": attributes.get("customMarkFollows", "0")}):
            self._take(f"[{label}]")

    def _start_formula(self, name: str, attributes: Attributes) -> None:
        if self._formula is not None:
            self._formula.start(name.removeprefix("m:"), attributes.get("m:val"))
        elif name == "m:oMath":
            self._formula = Formula()

    def end(self, name: str) -> None:
        depth = len(self._path)
        self._path.pop()
        if self._skipped_depth:
            if depth > self._skipped_depth:
                return
            self._skipped_depth = 0
            if name != "tr":
                return
        if name.startswith("m:"):
            self._end_formula(name)
        elif name in OFFICE_PARTS:
            self._end_begun()
            self._lines.close(OFFICE_PARTS[name])
        elif name == "p":
            self._end_paragraph(self._paragraphs.pop())
        elif name == "r":
            self._is_vanished = False
        elif name == "AlternateContent":
            self._alternatives.pop()
        elif name in _NOTES or name == "body":
            self._end_begun()
            self._fields.clear()
            self._note = ""

    def _end_formula(self, name: str) -> None:
        if self._formula is None:
            return
        if name != "m:oMath":
            self._formula.end()
            return
        text, self._formula = self._formula.text(), None
        if self._paragraphs:
            self._take(text)
        else:
            self._lines.add(text)

    def _end_begun(self) -> None:
        """Add the text of paragraphs that go on where nothing follows."""
        self._lines.add("".join(self._begun).strip())
        self._begun.clear()

    def _end_paragraph(self, paragraph: _Paragraph) -> None:
        self._begun += paragraph.text
        if paragraph.goes_on:
            return
        text = "".join(self._begun).strip()
        self._begun.clear()
        style = self._styles.find(paragraph.style)
        list_level, mark = self._mark(paragraph, style)  # an empty item counts
        if not text:
            return
        if self._note:
            text, self._note = f"[{self._note}] {text}", ""
        level = style.level if paragraph.level is None else paragraph.level
        if level:
            self._lines.add(f"{'#' * level} {mark.removeprefix(f'{BULLET} ')}{text}")
        elif mark:
            self._lines.add(f"{'  ' * list_level}{mark}{text}", Kind.ITEM)
        else:
            self._lines.add(text)

    def _mark(self, paragraph: _Paragraph, style: _Style) -> tuple[int, str]:
        """Return the level of a paragraph in its list, and the mark of the item."""
        list_id, level = paragraph.list_id, paragraph.list_level
        if list_id is None:
            list_id = style.list_id
            if level is None and list_id is not None:
                level = self._numbering.level_of_style(list_id, paragraph.style)
        if list_id in {None, "", "0"}:
            return 0, ""
        if level is None:
            level = style.list_level or 0
        return level, self._numbering.mark(str(list_id), level)

    def characters(self, text: str) -> None:
        if self._skipped_depth:
            return
        if self._formula is not None and self._path[-1] in {"m:t", "t"}:
            self._formula.characters(text)
        elif self._paragraphs and self._path[-1] == "t" and not self._is_hidden():
            self._take(text)

    def _take(self, text: str) -> None:
        """Add a piece of text to the open paragraph."""
        self._taken += len(text)
        self._paragraphs[-1].text.append(text)

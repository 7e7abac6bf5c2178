"""The text of a DOCX (ECMA-376, WordprocessingML), read as a stream: no tree is built of it."""

from collections import Counter
from dataclasses import dataclass, field

from afterword_documents.lines import Kind, Lines, Part
from afterword_documents.opc import Attributes, Package, Reader, open_package


def text(content: bytes) -> str:
    """Return the text of the body in document order, then of its notes. Raises VerdictError."""
    with open_package(content) as package:
        return _text(package)


def _text(package: Package) -> str:
    main = package.main_part("word/document.xml")
    levels = _HeadingLevels()
    numbering = _Numbering()
    for kind, reader in (("styles", levels), ("numbering", numbering)):
        part = package.related(main, kind, f"word/{kind}.xml")
        if part is not None:
            package.parse(part, reader, _local)
    lines = Lines()
    body = _Body(lines, levels, numbering)
    package.parse(main, body, _local)
    for kind in ("footnotes", "endnotes"):
        part = package.related(main, kind, f"word/{kind}.xml")
        if part is not None:
            package.parse(part, body, _local)
    return lines.text()


_NAMESPACES = (
    "http://schemas.openxmlformats.org/wordprocessingml/2006/main ",
    "http://purl.oclc.org/ooxml/wordprocessingml/main ",
    "http://schemas.openxmlformats.org/markup-compatibility/2006 ",
)


def _local(name: str) -> str:
    """Return a name of WordprocessingML without its namespace; others keep theirs."""
    for namespace in _NAMESPACES:
        if name.startswith(namespace):
            return name[len(namespace) :]
    return name


class _HeadingLevels(Reader):
    """The levels of headings' styles, independent of the language of their names."""

    def __init__(self) -> None:
        self.of_style: dict[str, int] = {}
        self._style = ""

    def start(self, name: str, attributes: Attributes) -> None:
        value = attributes.get("val", "")
        if name == "style":
            self._style = attributes.get("styleId", "")
        elif name == "name" and value.lower() == "title":
            self.of_style[self._style] = 1
        elif name == "name" and value.lower().startswith("heading "):
            level = value[len("heading ") :]
            self.of_style[self._style] = int(level) if level in set("123456") else 6
        elif name == "outlineLvl" and value in set("012345"):
            self.of_style.setdefault(self._style, int(value) + 1)


class _Numbering(Reader):
    """The numbering of lists."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._format: dict[tuple[str, str], str] = {}
        self._abstract_of: dict[str, str] = {}
        self._abstract = self._level = self._list = ""

    def start(self, name: str, attributes: Attributes) -> None:
        value = attributes.get("val", "")
        match name:
            case "abstractNum":
                self._abstract = attributes.get("abstractNumId", "")
            case "lvl":
                self._level = attributes.get("ilvl", "")
            case "numFmt":
                self._format[self._abstract, self._level] = value
            case "num":
                self._list = attributes.get("numId", "")
            case "abstractNumId":
                self._abstract_of[self._list] = value

    def mark(self, list_id: str, level: str) -> str:
        """Return the mark of the list's next item: a dash, or its number."""
        number_format = self._format.get((self._abstract_of.get(list_id, ""), level), "bullet")
        if number_format in {"bullet", "none"}:
            return "-"
        self._counts[list_id, level] += 1
        for deeper in range(int(level) + 1, 9):
            self._counts.pop((list_id, str(deeper)), None)
        return f"{self._counts[list_id, level]}."


@dataclass
class _Paragraph:
    text: list[str] = field(default_factory=list)
    level: int = 0
    list_id: str = ""
    list_level: str = "0"


_PARTS = {"tbl": Part.TABLE, "tr": Part.ROW, "tc": Part.CELL}
_SKIPPED = {"Fallback", "del", "moveFrom"}
"""Elements with another form of their content, with deleted or with moved text."""
_CHARACTERS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
"""A tab stop is also a `tab`, at a paragraph's start, where white space is dropped."""


class _Body(Reader):
    """The paragraphs and tables of a body or of notes."""

    def __init__(self, lines: Lines, levels: _HeadingLevels, numbering: _Numbering) -> None:
        self._lines = lines
        self._levels = levels
        self._numbering = numbering
        self._path: list[str] = []
        self._skipped = 0
        self._paragraphs: list[_Paragraph] = []  # several for nested text boxes
        self._note = ""

    def start(self, name: str, attributes: Attributes) -> None:
        self._path.append(name)
        if name in _SKIPPED:
            self._skipped += 1
        if self._skipped:
            return
        if name in _PARTS:
            self._lines.open(_PARTS[name])
        elif name == "p":
            self._paragraphs.append(_Paragraph())
        elif name in {"footnote", "endnote"}:
            self._note = attributes.get("id", "")
        elif self._paragraphs:
            self._in_paragraph(self._paragraphs[-1], name, attributes)

    def _in_paragraph(self, paragraph: _Paragraph, name: str, attributes: Attributes) -> None:
        value = attributes.get("val", "")
        match name:
            case "pStyle":
                paragraph.level = self._levels.of_style.get(value, 0)
            case "numId":
                paragraph.list_id = value if value != "0" else ""
            case "ilvl":
                paragraph.list_level = value if value in set("012345678") else "0"
            case "footnoteReference" | "endnoteReference":
                paragraph.text.append(f"[{attributes.get('id', '')}]")
            case _:
                paragraph.text.append(_CHARACTERS.get(name, ""))

    def end(self, name: str) -> None:
        self._path.pop()
        if name in _SKIPPED:
            self._skipped -= 1
        elif self._skipped:
            return
        elif name in _PARTS:
            self._lines.close(_PARTS[name])
        elif name == "p":
            self._end_paragraph(self._paragraphs.pop())
        elif name in {"footnote", "endnote"}:
            self._note = ""

    def _end_paragraph(self, paragraph: _Paragraph) -> None:
        text = "".join(paragraph.text).strip()
        if not text:
            return
        if self._note:
            text, self._note = f"[{self._note}] {text}", ""
        if paragraph.level:
            self._lines.add(f"{'#' * paragraph.level} {text}")
        elif paragraph.list_id:
            mark = self._numbering.mark(paragraph.list_id, paragraph.list_level)
            self._lines.add(f"{'  ' * int(paragraph.list_level)}{mark} {text}", Kind.ITEM)
        else:
            self._lines.add(text)

    def characters(self, text: str) -> None:
        if self._paragraphs and not self._skipped and self._path[-1] == "t":
            self._paragraphs[-1].text.append(text)

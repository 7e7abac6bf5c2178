"""The text of an ODT (OpenDocument 1.3), read as a stream: no tree is built of it."""

import re
from dataclasses import dataclass, field

from afterword_documents import numerals
from afterword_documents.lines import Kind, Lines, Part
from afterword_documents.opc import Attributes, Package, Reader, open_package
from afterword_documents.verdicts import Verdict, VerdictError

_PARTS = {
    "table:table": Part.TABLE,
    "table:table-row": Part.ROW,
    "table:table-cell": Part.CELL,
    "table:covered-table-cell": Part.CELL,
}
_SKIPPED = {
    "text:tracked-changes",
    "text:ruby-text",
    "office:annotation",
    "office:forms",
    "svg:title",
    "svg:desc",
}
"""Elements with deleted text, readings, comments and descriptions."""
_FORMS = {"a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman"}
"""The forms of numbers by the names that they have in DOCX; all others are digits."""
_MAX_DEPTH = 9
_BLANKS = re.compile(r"[ \t\r\n]+")
_MAX_BLANKS = 100
_MAX_STYLES = 50


def text(content: bytes) -> str:
    """Return the text in document order, then of its notes; raise VerdictError."""
    with open_package(content) as package:
        return _text(package)


def _text(package: Package) -> str:
    _check_password(package)
    styles = _Styles()
    for part in ("styles.xml", "content.xml"):
        if part in package or part == "content.xml":
            package.parse(part, styles, _local)
    body = _Body(styles)
    package.parse("content.xml", body, _local)
    return body.text()


def _check_password(package: Package) -> None:
    manifest = _Manifest()
    if "meta-inf/manifest.xml" in package:
        package.parse("META-INF/manifest.xml", manifest, _local, typed=True)
    if manifest.is_encrypted:
        raise VerdictError(Verdict.NEEDS_PASSWORD)


def _local(name: str) -> str:
    """Return a name with the last word of its namespace, such as `text:p`."""
    namespace, _, own = name.rpartition(" ")
    words = namespace.split(":")
    return f"{words[-2]}:{own}" if len(words) > _MIN_WORDS else own


_MIN_WORDS = 2


class _Manifest(Reader):
    is_encrypted = False

    def start(self, name: str, _attributes: Attributes) -> None:
        if name == "manifest:encryption-data":
            self.is_encrypted = True


@dataclass(frozen=True, slots=True)
class _Level:
    """The marks of a list's level: a number's form, its words, its start; a dash without form."""

    form: str = ""
    before: str = ""
    after: str = ""
    start: int = 1
    shown: int = 1


class _Styles(Reader):
    """The levels of lists, and the parents of paragraphs' styles."""

    def __init__(self) -> None:
        self.levels: dict[tuple[str, int], _Level] = {}
        self._parents: dict[str, str] = {}
        self._list = ""

    def start(self, name: str, attributes: Attributes) -> None:
        match name:
            case "text:list-style":
                self._list = attributes.get("style:name", "")
            case "text:list-level-style-number":
                level = _count(attributes.get("text:level"), 1)
                self.levels[self._list, level] = _Level(
                    form=attributes.get("style:num-format", ""),
                    before=attributes.get("style:num-prefix", ""),
                    after=attributes.get("style:num-suffix", ""),
                    start=_count(attributes.get("text:start-value"), 1),
                    shown=_count(attributes.get("text:display-levels"), 1),
                )
            case "style:style" if attributes.get("style:family") == "paragraph":
                parent = attributes.get("style:parent-style-name", "")
                self._parents[attributes.get("style:name", "")] = parent

    def is_title(self, style: str) -> bool:
        """Whether a paragraph's style is that of the document's title, or made from it."""
        for _ in range(_MAX_STYLES):
            if style == "Title":
                return True
            style = self._parents.get(style, "")
        return False


@dataclass(slots=True)
class _List:
    style: str
    counts: list[int]
    """The numbers of the last items of this level and of those above it."""
    mark: str = ""
    continued: bool = False


@dataclass(slots=True)
class _Paragraph:
    level: int = 0
    text: list[str] = field(default_factory=list)


class _Body(Reader):
    def __init__(self, styles: _Styles) -> None:
        self._styles = styles
        self._lines = Lines()
        self._skipped = 0
        self._in_body = 0
        self._paragraphs: list[_Paragraph] = []  # several for text boxes and notes
        self._lists: list[_List] = []
        self._last_counts: dict[str, list[int]] = {}
        self._counts: dict[str, list[int]] = {}  # by the ids of lists
        self._notes: list[str] = []
        self._note: list[str] | None = None
        self._citation = ""
        self._in_citation = False

    def text(self) -> str:
        """Return the text so far."""
        for note in self._notes:
            self._lines.add(note)
        return self._lines.text()

    # --- elements ---------------------------------------------------------------------------------

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "office:body":
            self._in_body += 1
        if name in _SKIPPED:
            self._skipped += 1
        if self._skipped or not self._in_body:
            return
        if name in _PARTS:
            self._lines.open(_PARTS[name])
        elif name in {"text:p", "text:h"}:
            self._begin_paragraph(name, attributes)
        elif name.startswith("text:list"):
            self._in_list(name, attributes)
        elif name == "text:note-citation":
            self._in_citation, self._citation = True, ""
            self._add("[")
        elif name == "text:note-body":
            self._note = []
        elif self._paragraphs:
            self._in_paragraph(name, attributes)

    def _begin_paragraph(self, name: str, attributes: Attributes) -> None:
        level = 0
        if name == "text:h":
            level = min(_count(attributes.get("text:outline-level"), 1), 6)
        elif self._styles.is_title(attributes.get("text:style-name", "")):
            level = 1
        self._paragraphs.append(_Paragraph(level))

    def _in_paragraph(self, name: str, attributes: Attributes) -> None:
        match name:
            case "text:s":
                self._add(" " * min(_count(attributes.get("text:c"), 1), _MAX_BLANKS))
            case "text:tab":
                self._add("\t")
            case "text:line-break":
                self._add("\n")

    def end(self, name: str) -> None:
        if name == "office:body":
            self._in_body -= 1
        if name in _SKIPPED:
            self._skipped -= 1
        elif self._skipped or not self._in_body:
            return
        elif name in _PARTS:
            self._lines.close(_PARTS[name])
        elif name in {"text:p", "text:h"}:
            self._end_paragraph(self._paragraphs.pop())
        elif name == "text:list":
            ended = self._lists.pop()
            self._last_counts[ended.style] = ended.counts
        elif name == "text:note-citation":
            self._in_citation = False
            self._add("]")
        elif name == "text:note-body" and self._note is not None:
            self._notes.append(" ".join(" ".join(self._note).split()))
            self._note = None

    def characters(self, text: str) -> None:
        if self._paragraphs and not self._skipped:
            self._add(_BLANKS.sub(" ", text))
            if self._in_citation:
                self._citation += text

    def _add(self, text: str) -> None:
        if self._paragraphs:
            self._paragraphs[-1].text.append(text)

    def _end_paragraph(self, paragraph: _Paragraph) -> None:
        text = "".join(paragraph.text).strip()
        if self._note is not None:
            self._note.append(text if self._note else f"[{self._citation}] {text}")
            return
        if not text:
            return
        mark = self._take_mark()
        if paragraph.level:
            self._lines.add(f"{'#' * paragraph.level} {mark if mark != '- ' else ''}{text}")
        elif mark:
            self._lines.add(f"{'  ' * (len(self._lists) - 1)}{mark}{text}", Kind.ITEM)
        else:
            self._lines.add(text)

    # --- lists ------------------------------------------------------------------------------------

    def _in_list(self, name: str, attributes: Attributes) -> None:
        if name == "text:list":
            outer = self._lists[-1] if self._lists else None
            style = attributes.get("text:style-name", "") or (outer.style if outer else "")
            counts = [*(outer.counts if outer else []), 0]
            continued = attributes.get("text:continue-numbering") == "true"
            last = self._last_counts.get(style, []) if continued else []
            last = self._counts.get(attributes.get("text:continue-list", ""), last)
            if len(last) == len(counts):
                counts[-1] = last[-1]
            if "id" in attributes:
                self._counts[attributes["id"]] = counts
            self._lists.append(_List(style, counts, continued=continued))
        elif name == "text:list-item" and self._lists:
            self._begin_item(self._lists[-1], attributes)
        elif self._lists:  # a header, without a mark
            self._lists[-1].mark = ""

    def _begin_item(self, inner: _List, attributes: Attributes) -> None:
        depth = len(self._lists)
        level = self._styles.levels.get((inner.style, depth), _Level())
        start = attributes.get("text:start-value")
        if start is not None:
            inner.counts[-1] = _count(start, 1)
        else:
            inner.counts[-1] = inner.counts[-1] + 1 if inner.counts[-1] else level.start
        for number, outer in enumerate(self._lists[:-1]):
            inner.counts[number] = outer.counts[-1]
        inner.mark = self._mark(inner, level)

    def _mark(self, inner: _List, level: _Level) -> str:
        if not level.form:
            return "- "
        shown = inner.counts[-max(1, min(level.shown, _MAX_DEPTH)) :]
        first = len(inner.counts) - len(shown) + 1
        numbers = []
        for depth, count in enumerate(shown, first):
            form = self._styles.levels.get((inner.style, depth), level).form or "1"
            numbers.append(numerals.write(count, _FORMS.get(form, "")))
        return f"{level.before}{'.'.join(numbers)}{level.after} "

    def _take_mark(self) -> str:
        """Return the mark of the first paragraph of an item; empty for the others."""
        if not self._lists:
            return ""
        mark, self._lists[-1].mark = self._lists[-1].mark, ""
        return mark


def _count(text: str | None, default: int) -> int:
    return int(text) if text and text.isdecimal() and len(text) < _MAX_DEPTH else default

"""The text of an HTML page, parsed as a stream, without a tree."""

import re
from collections.abc import Set as AbstractSet
from html.parser import HTMLParser
from typing import override

from afterword_documents.formulas import MathML
from afterword_documents.lines import Kind, Lines, Part

_PARTS = {"table": Part.TABLE, "tr": Part.ROW, "td": Part.CELL, "th": Part.CELL}
_HEADINGS = {f"h{level}": level for level in range(1, 7)} | {"title": 1}
_LISTS = {"ul", "ol", "menu"}
_SKIPPED = {"script", "style", "template"}
_BLOCKS = {
    *_PARTS,
    *_HEADINGS,
    *_LISTS,
    *("address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details"),
    *("dialog", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "head"),
    *("header", "hr", "html", "legend", "li", "main", "nav", "option", "p", "pre", "section"),
    "summary",
}
_INLINE = {
    *("a", "abbr", "b", "bdi", "bdo", "button", "cite", "code", "data", "del", "dfn", "em", "i"),
    *("ins", "kbd", "label", "mark", "noscript", "output", "picture", "q", "ruby", "s", "samp"),
    *("select", "small", "span", "strong", "sub", "sup", "time", "tbody", "tfoot", "thead", "u"),
    "var",
}
_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "wbr"}
_FOREIGN = {"svg", "annotation", "annotation-xml"}
"""Pictures, and what a formula has for other programs. Their texts are not read."""
_INTEGRATION_POINTS = {"foreignobject", "desc", "title", "annotation-xml"}
"""Elements of foreign content that may have HTML in them."""
_BREAKOUT = {
    *("b", "big", "blockquote", "body", "br", "center", "code", "dd", "div", "dl", "dt", "em"),
    *("embed", "h1", "h2", "h3", "h4", "h5", "h6", "head", "hr", "i", "img", "li", "listing"),
    *("menu", "meta", "nobr", "ol", "p", "pre", "ruby", "s", "small", "span", "strong", "strike"),
    *("sub", "sup", "table", "tt", "u", "ul", "var"),
}
"""Start tags that end foreign content (https://html.spec.whatwg.org/#parsing-main-inforeign)."""
_MAX_FOREIGN = 100
"""Open elements of foreign content that are kept."""
_HEADERS = re.compile(r"\AHTTP/\d[^\n]{0,1000}\n(?:[^\r\n][^\n]{0,8000}\n){0,100}\r?\n")
"""The headers of a page that was saved with them."""
_EAST_ASIAN = re.compile(
    r"[\u3005\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff]"
)


def text(content: bytes) -> str:
    """Return the visible text of a page in UTF-8; raise VerdictError for a text too long."""
    return page_text(content.decode())


def page_text(page: str, *, titled: bool = True) -> str:
    """Return the visible text of a page, with its title if `titled`.

    Raises VerdictError for a text that is too long.
    """
    reader = _Reader(set() if titled else {"title"})
    reader.feed(_HEADERS.sub("", page, count=1))
    reader.close()
    return reader.text()


class _Reader(HTMLParser):
    def __init__(self, skipped: AbstractSet[str] = frozenset()) -> None:
        super().__init__(convert_charrefs=True)
        self._skipped_tags = _SKIPPED | skipped
        self._lines = Lines()
        self._text: list[str] = []
        self._mark = ""
        self._lists: list[
            int | None
        ] = []  # the last number of each open list; None without numbers
        self._skipped: list[str] = []
        self._foreign: list[str] = []
        self._formula: MathML | None = None
        self._ruby = _Ruby()
        self._preformatted = 0

    def text(self) -> str:
        """Return the text so far."""
        self._end_line()
        return self._lines.text()

    @override
    def set_cdata_mode(self, elem: str, **options: bool) -> None:
        """Read on as text up to the end of an element such as a script, but in no picture."""
        if not self._foreign:
            super().set_cdata_mode(elem, **options)

    @override
    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if (
            self._foreign or tag in _FOREIGN or self._formula is not None
        ):  # elsewhere the slash means nothing
            self.handle_endtag(tag)

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._foreign and self._breaks_out(tag, attrs):
            self._foreign.clear()
        if self._foreign or (tag in _FOREIGN and not self._skipped):
            if tag not in _VOID and len(self._foreign) < _MAX_FOREIGN:
                self._foreign.append(tag)
            return
        if tag in self._skipped_tags:
            self._skipped.append(tag)
        if self._skipped:
            return
        if not self._start_in_formula(tag):
            self._start_visible(tag, attrs)

    def _start_in_formula(self, tag: str) -> bool:
        """Take a start tag for a formula, which a block ends; return whether one is open."""
        if tag in _BLOCKS:
            self._end_formula()
        elif self._formula is not None:
            self._formula.start(tag)
        elif tag == "math":
            self._formula = MathML()
        return self._formula is not None

    def _start_visible(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "br":
            self._text.append("\n")
        elif tag == "img":
            self._text.append(f" {dict(attrs).get('alt') or ''} ")
        elif tag in _RUBY:
            self._ruby.start(tag, self._text)
        elif tag in _BLOCKS:
            self._end_line()
            self._begin_block(tag, dict(attrs))

    def _breaks_out(self, tag: str, attrs: list[tuple[str, str | None]]) -> bool:
        """Whether a start tag ends foreign content, whose own ends are missing."""
        if not _INTEGRATION_POINTS.isdisjoint(self._foreign):
            return False
        with_font = tag == "font" and any(name in {"color", "face", "size"} for name, _ in attrs)
        return tag in _BREAKOUT or with_font

    def _end_foreign(self, tag: str) -> bool:
        """Take an end tag in foreign content; return whether the tag is left to be taken."""
        if tag in self._foreign:
            while self._foreign.pop() != tag:
                pass
            return False
        if tag not in _BLOCKS | _INLINE:
            return False
        self._foreign.clear()  # the end of an element that the content is in
        return True

    def _begin_block(self, tag: str, attributes: dict[str, str | None]) -> None:
        if tag in _PARTS:
            self._lines.open(_PARTS[tag])
        elif tag in _HEADINGS:
            self._mark = "#" * _HEADINGS[tag] + " "
        elif tag in _LISTS:
            start = _integer(attributes.get("start"), 1)
            self._lists.append(start - 1 if tag == "ol" else None)
        elif tag == "li":
            self._begin_item(attributes.get("value"))
        elif tag == "pre":
            self._preformatted += 1

    def _begin_item(self, value: str | None) -> None:
        indent = "  " * min(len(self._lists) - 1, 8)
        number = self._lists[-1] if self._lists else None
        if number is not None:
            self._lists[-1] = number = _integer(value, number + 1)
        self._mark = f"{indent}- " if number is None else f"{indent}{number}. "

    @override
    def handle_endtag(self, tag: str) -> None:
        if self._foreign and not self._end_foreign(tag):
            return
        if self._skipped:
            if tag == self._skipped[-1]:
                self._skipped.pop()
            return
        if self._formula is not None and tag != "math" and tag not in _BLOCKS:
            self._formula.end(tag)
        else:
            self._end_visible(tag)

    def _end_visible(self, tag: str) -> None:
        self._end_formula()
        if tag in _RUBY:
            self._ruby.end(tag, self._text)
        if tag not in _BLOCKS:
            return
        self._end_line()
        if tag in _PARTS:
            self._lines.close(_PARTS[tag])
        elif tag in _LISTS and self._lists:
            self._lists.pop()
        elif tag == "pre" and self._preformatted:
            self._preformatted -= 1
        if tag in _HEADINGS or tag == "li":
            self._mark = ""

    @override
    def handle_data(self, data: str) -> None:
        if self._skipped or self._foreign:
            return
        if self._formula is not None:
            self._formula.characters(data)
            return
        if self._ruby.takes(data):
            return
        # A line end is a space, but for those of <br>.
        self._text.append(data if self._preformatted else data.replace("\n", " "))

    def _end_formula(self) -> None:
        if self._formula is not None:
            text, self._formula = self._formula.text(), None
            self.handle_data(text)

    def _end_line(self) -> None:
        self._end_formula()
        self._ruby.end("ruby", self._text)
        text = "".join(self._text)
        self._text.clear()
        if not self._preformatted:
            text = "\n".join(" ".join(line.split()) for line in text.split("\n"))
        text = text.strip("\n") if self._preformatted else text.strip()
        if text.strip():
            is_item = bool(self._mark) and not self._mark.startswith("#")
            self._lines.add(self._mark + text, Kind.ITEM if is_item else Kind.PARAGRAPH)
            self._mark = ""


_INTEGER = re.compile(r"\s*([+-]?[0-9]{1,9})(?![0-9])")


def _integer(value: str | None, default: int) -> int:
    """Return the number that an attribute begins with, as browsers read it."""
    found = _INTEGER.match(value or "")
    return int(found[1]) if found else default


_RUBY = {"ruby", "rb", "rt", "rtc", "rp"}


class _Ruby:
    """The open ruby: readings above characters are dropped, as these say them already.

    An annotation of other words stands in parentheses after them.
    """

    def __init__(self) -> None:
        self._base: int | None = None
        self._tag = ""
        self._reading: list[str] = []

    def start(self, tag: str, text: list[str]) -> None:
        """Take the start of a ruby, or of a part of one, which ends the part before."""
        if tag == "ruby":
            self.end(tag, text)
            self._base = len(text)
        elif self._base is not None:
            self._end_part(text)
            self._tag = tag if tag != "rb" else ""

    def takes(self, data: str) -> bool:
        """Whether a text belongs to a reading."""
        if self._tag:
            self._reading.append(data)
        return bool(self._tag)

    def end(self, tag: str, text: list[str]) -> None:
        """Take the end of a ruby, or of a part of one."""
        self._end_part(text)
        if tag == "ruby":
            self._base = None

    def _end_part(self, text: list[str]) -> None:
        if self._base is None or not self._tag:
            return
        reading = " ".join("".join(self._reading).split())
        base = "".join(text[self._base :])
        if self._tag != "rp" and reading and not _EAST_ASIAN.search(base):
            text.append(f" ({reading})")
        self._tag = ""
        self._reading.clear()

"""The text of an HTML page, parsed as a stream, without a tree."""

from collections.abc import Set
from html.parser import HTMLParser

from afterword_documents.lines import Kind, Lines, Part

_PARTS = {"table": Part.TABLE, "tr": Part.ROW, "td": Part.CELL, "th": Part.CELL}
_HEADINGS = {f"h{level}": level for level in range(1, 7)} | {"title": 1}
_LISTS = {"ul", "ol", "menu"}
_SKIPPED = {"script", "style", "template", "svg"}
_BLOCKS = {
    *_PARTS,
    *_HEADINGS,
    *_LISTS,
    *("address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details"),
    *("dialog", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "head"),
    *("header", "hr", "html", "legend", "li", "main", "nav", "option", "p", "pre", "section"),
    "summary",
}


def text(content: bytes) -> str:
    """Return the visible text of a page in UTF-8; raise VerdictError for a text too long."""
    return page_text(content.decode())


def page_text(page: str, *, titled: bool = True) -> str:
    """Return the visible text of a page, with its title if `titled`.

    Raises VerdictError for a text that is too long.
    """
    reader = _Reader(set() if titled else {"title"})
    reader.feed(page)
    reader.close()
    return reader.text()


class _Reader(HTMLParser):
    def __init__(self, skipped: Set[str] = frozenset()) -> None:
        super().__init__(convert_charrefs=True)
        self._skipped_tags = _SKIPPED | skipped
        self._lines = Lines()
        self._text: list[str] = []
        self._mark = ""
        self._lists: list[
            int | None
        ] = []  # the last number of each open list; None without numbers
        self._skipped: list[str] = []
        self._preformatted = 0

    def text(self) -> str:
        """Return the text so far."""
        self._end_line()
        return self._lines.text()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self._skipped_tags:
            self._skipped.append(tag)
        if self._skipped:
            return
        if tag == "br":
            self._text.append("\n")
        elif tag == "img":
            self._text.append(f" {dict(attrs).get('alt') or ''} ")
        elif tag in _BLOCKS:
            self._end_line()
            self._begin_block(tag)

    def _begin_block(self, tag: str) -> None:
        if tag in _PARTS:
            self._lines.open(_PARTS[tag])
        elif tag in _HEADINGS:
            self._mark = "#" * _HEADINGS[tag] + " "
        elif tag in _LISTS:
            self._lists.append(0 if tag == "ol" else None)
        elif tag == "li":
            self._begin_item()
        elif tag == "pre":
            self._preformatted += 1

    def _begin_item(self) -> None:
        indent = "  " * min(len(self._lists) - 1, 8)
        number = self._lists[-1] if self._lists else None
        if number is not None:
            self._lists[-1] = number = number + 1
        self._mark = f"{indent}- " if number is None else f"{indent}{number}. "

    def handle_endtag(self, tag: str) -> None:
        if self._skipped:
            if tag == self._skipped[-1]:
                self._skipped.pop()
            return
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

    def handle_data(self, data: str) -> None:
        if self._skipped:
            return
        # A line end is a space, but for those of <br>.
        self._text.append(data if self._preformatted else data.replace("\n", " "))

    def _end_line(self) -> None:
        text = "".join(self._text)
        self._text.clear()
        if not self._preformatted:
            text = "\n".join(" ".join(line.split()) for line in text.split("\n"))
        text = text.strip("\n") if self._preformatted else text.strip()
        if text.strip():
            is_item = bool(self._mark) and not self._mark.startswith("#")
            self._lines.add(self._mark + text, Kind.ITEM if is_item else Kind.PARAGRAPH)
            self._mark = ""

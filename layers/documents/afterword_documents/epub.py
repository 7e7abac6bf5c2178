"""The text of an EPUB (EPUB 3.3, and 2.0.1): the pages of its spine in order."""

import posixpath
import re
from urllib.parse import unquote

from afterword_documents import detection, encodings, web_pages
from afterword_documents.lines import Lines
from afterword_documents.opc import Attributes, Package, Reader, open_package
from afterword_documents.verdicts import MAX_PARTS, Verdict, VerdictError

_PAGES = {"application/xhtml+xml", "text/html", "application/x-dtbook+xml", "text/x-oeb1-document"}


def text(content: bytes) -> str:
    """Return the book's title, authors and pages; raise VerdictError."""
    with open_package(content) as package:
        return _text(package)


def _text(package: Package) -> str:
    container = _Container()
    package.parse("META-INF/container.xml", container, typed=True)
    book = _Book(posixpath.dirname(container.root))
    package.parse(container.root, book, typed=True)
    pages = list(book.pages())
    _check_protection(package, pages)
    lines = Lines()
    title = " ".join("".join(book.title).split())
    lines.add(f"# {title}" if title else "")
    lines.add(", ".join(" ".join(name.split()) for name in book.authors if name.strip()))
    for page in pages:
        if page in package:
            lines.add(_page(package.read(page)))
    return lines.text()


_CLOSED = re.compile(r"<((?!br\b|hr\b|img\b)[A-Za-z][\w.:-]{0,50})((?:\s[^<>]{0,2000})?)/>")
"""Elements of XML that are empty; as HTML they would hold what follows them."""


def _page(content: bytes) -> str:
    text = detection.decode(content, encodings.declared(content))
    return web_pages.page_text(_CLOSED.sub(r"<\1\2></\1>", text), titled=False)


def _check_protection(package: Package, pages: list[str]) -> None:
    """Raise VerdictError for pages that only a bookshop's program can open."""
    protection = _Protection()
    if "meta-inf/encryption.xml" in package:
        package.parse("META-INF/encryption.xml", protection, typed=True)
    if protection.parts.intersection(pages):
        raise VerdictError(Verdict.NEEDS_PASSWORD)


def _resolve(folder: str, reference: str) -> str:
    """Return the part that a reference names; empty for one outside of the book."""
    path = unquote(reference.partition("#")[0])
    return posixpath.normpath(posixpath.join("/", folder, path)).lstrip("/")


class _Container(Reader):
    """The file that lists the book's parts."""

    root = ""

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "rootfile" and not self.root:
            self.root = _resolve("", attributes.get("full-path", ""))


class _Protection(Reader):
    """The parts that are encrypted."""

    def __init__(self) -> None:
        self.parts: set[str] = set()

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "CipherReference":
            self.parts.add(_resolve("", attributes.get("URI", "")))


class _Book(Reader):
    def __init__(self, folder: str) -> None:
        self.title: list[str] = []
        self.authors: list[str] = []
        self._folder = folder
        self._parts: dict[str, str] = {}
        self._spine: list[str] = []
        self._open = ""

    def start(self, name: str, attributes: Attributes) -> None:
        self._open = name
        if name == "creator":
            self.authors.append("")
        elif name == "item" and attributes.get("media-type") in _PAGES:
            if "nav" not in attributes.get("properties", "").split():
                part = _resolve(self._folder, attributes.get("href", ""))
                self._parts[attributes.get("id", "")] = part
        elif name == "itemref":
            self._spine.append(attributes.get("idref", ""))

    def end(self, name: str) -> None:
        self._open = ""
        if name == "title":
            self.title.append(" ")

    def characters(self, text: str) -> None:
        if self._open == "title":
            self.title.append(text)
        elif self._open == "creator" and self.authors:
            self.authors[-1] += text

    def pages(self) -> list[str]:
        """Return the pages in order, each once; of a book without a spine, all."""
        listed = [self._parts[each] for each in self._spine if each in self._parts]
        pages = list(dict.fromkeys(listed or self._parts.values()))
        if len(pages) > MAX_PARTS:
            raise VerdictError(Verdict.TOO_MANY_PAGES)
        return pages

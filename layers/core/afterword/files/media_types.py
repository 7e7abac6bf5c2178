"""Media types of files by their bytes alone, since names and declared types are the caller's.

The detection is quick and never fails. A type tells nothing of a file's being readable: a damaged
PDF is a PDF, whose fault the worker finds.
"""

import csv
import json
import re
from io import StringIO
from itertools import islice
from typing import Never

from afterword.files import mails, signatures
from afterword.files.archives import Archive
from afterword.files.encodings import view_text

TEXT = "text/plain"
MARKDOWN = "text/markdown"
CSV = "text/csv"
JSON = "application/json"
HTML = "text/html"
PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
ODT = "application/vnd.oasis.opendocument.text"
RTF = "application/rtf"
EPUB = "application/epub+zip"
EML = "message/rfc822"
MBOX = "application/mbox"
PNG = "image/png"
JPEG = "image/jpeg"
GIF = "image/gif"
WEBP = "image/webp"
EMPTY = "application/x-empty"
"""A file of no bytes."""
UNKNOWN = "application/octet-stream"
"""All other files."""

TEXTS = frozenset({TEXT, MARKDOWN, CSV, JSON, HTML})
DOCUMENTS = TEXTS | {PDF, DOCX, XLSX, PPTX, ODT, RTF, EPUB, EML, MBOX}
IMAGES = frozenset({PNG, JPEG, GIF, WEBP})
NAMES = "text, Markdown, HTML, PDF, DOCX, XLSX, PPTX, ODT, RTF, EPUB, mails (EML, MBOX), CSV, JSON"
"""The types of DOCUMENTS, for messages."""


def detect(content: bytes) -> str:
    """Return the media type of a file, one of those above."""
    if not content:
        return EMPTY
    known = _marked_type(content)
    if known is not None:
        return known
    text = None if _is_late_pdf(content) else view_text(content)
    if text is not None:
        return _text_type(text)
    return PDF if b"%PDF-" in content[:_PDF_START] else UNKNOWN


def _marked_type(content: bytes) -> str | None:
    """Return the type of a file that its first bytes tell; None for texts and unknown files."""
    for magic, media_type in _MAGIC:
        if re.match(magic, content):
            return media_type
    for is_of_type, media_type in _MAILS:
        if is_of_type(content):
            return media_type
    if content.startswith(b"PK\x03\x04"):
        return _zipped_type(Archive(content))
    is_other = content.startswith(_COMPOUND) or signatures.find(content) is not None
    return UNKNOWN if is_other else None


def _is_late_pdf(content: bytes) -> bool:
    """Whether other bytes stand before the mark of a PDF, as its readers accept.

    A text with the mark is a text.
    """
    start = content[:_PDF_START]
    if b"%PDF-" not in start:
        return False
    return b"\0" in content or (b"\n%PDF-" in start and b"endobj" in content)


def is_csv(text: str) -> bool:
    """Whether a text's first rows are those of a CSV."""
    return _is_csv(text[:_SAMPLE], cut=len(text) > _SAMPLE)


_MAGIC = (
    (rb"%PDF-", PDF),
    (rb"\x89PNG\r\n\x1a\n", PNG),
    (rb"\xff\xd8\xff", JPEG),
    (rb"GIF8[79]a", GIF),
    (rb"(?:\xef\xbb\xbf)?\s{0,16}\{\\rtf", RTF),
    (rb"(?s)RIFF....WEBP", WEBP),
)
_MAILS = ((mails.is_mailbox, MBOX), (mails.is_mail, EML))
_PDF_START = 1_024
_COMPOUND = b"\xd0\xcf\x11\xe0"  # old Office files, and new ones with a password

# --- zip archives: the content types of OOXML, whatever its parts are called ----------------------

_MAX_TYPES = 1_000_000
"""Bytes of the list of content types that are read."""
_CONTENT_TYPE = r"""\bContentType\s*=\s*["']\s*([^"']{1,150}\.main\+xml)\s*["']"""
_OFFICE_TYPES = {
    "wordprocessingml": DOCX,
    "ms-word": DOCX,
    "spreadsheetml": XLSX,
    "ms-excel": XLSX,
    "presentationml": PPTX,
    "ms-powerpoint": PPTX,
}
"""Words in the content types of main parts. Templates and files with macros have the same parts."""
_OFFICE_PARTS = (
    ("word/document.xml", DOCX),
    ("xl/workbook.xml", XLSX),
    ("ppt/presentation.xml", PPTX),
)
"""Usual names of main parts, for archives whose list of content types lacks them."""


_OTHER_TYPES = {
    ODT: ODT,
    f"{ODT}-template": ODT,
    EPUB: EPUB,
}
"""Types of packages by what their part `mimetype` says."""
_MAX_NAME = 100


def _zipped_type(archive: Archive) -> str:
    named = archive.start("mimetype", _MAX_NAME).decode("ascii", "replace").strip()
    if named in _OTHER_TYPES:
        return _OTHER_TYPES[named]
    if "[content_types].xml" not in archive:
        return UNKNOWN
    types = view_text(archive.start("[content_types].xml", _MAX_TYPES)) or ""
    for found in re.finditer(_CONTENT_TYPE, types, re.IGNORECASE):
        for word, media_type in _OFFICE_TYPES.items():
            if word in found[1].lower():
                return media_type
    return next((media_type for part, media_type in _OFFICE_PARTS if part in archive), UNKNOWN)


# --- texts: JSON, HTML, CSV, Markdown, or just text -----------------------------------------------

_SAMPLE = 65_536
"""Characters from the start that tell HTML, CSV and Markdown."""
_MAX_JSON = 1_000_000
"""Characters of a text that is parsed as JSON; of a longer one the ends decide."""


def _text_type(text: str) -> str:
    start = text[:_SAMPLE]
    if _is_json(text):
        return JSON
    if _is_html(start, text[-_SAMPLE:]):
        return HTML
    lines = [line for line in start.splitlines() if line.strip()]
    if re.search(_MARKDOWN_TABLE, start):  # before CSV: its rows are as even
        return MARKDOWN
    if _is_csv(start, cut=len(text) > _SAMPLE):
        return CSV
    return MARKDOWN if lines and _is_markdown(lines[0], start) else TEXT


def _is_json(text: str) -> bool:
    """Whether the text is one JSON object or array."""
    text = text.strip(" \t\r\n")
    if (text[:1], text[-1:]) not in {("{", "}"), ("[", "]")}:
        return False
    if len(text) > _MAX_JSON:
        return bool(re.match(_JSON_START, text))
    try:
        json.loads(text, parse_int=str, parse_float=str, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


_JSON_START = r'\{\s*"|\[\s*["\[{\d\-tfn]'


def _refuse(name: str) -> Never:
    raise ValueError(name)


def _is_html(start: str, end: str) -> bool:
    """Whether a text begins as a page does, or begins and ends with tags.

    Markdown may begin with a tag, but hardly ends with one. A server may write before a page that
    is whole.
    """
    start = _after_prologue(start)
    if re.match(_PAGE, start):
        return True
    if re.match(_TAG, start) and end.rstrip().endswith(">"):
        return True
    page = re.search(_PAGE, start[:_MAX_BEFORE])
    is_whole = re.search(_PAGE_END, end[-_MAX_AFTER:]) is not None
    return page is not None and is_whole and "```" not in start[: page.start()]


def _after_prologue(start: str) -> str:
    """Return a text after its comments, instructions, and the headers that it was saved with."""
    for _ in range(_MAX_COMMENTS):
        start = start.lstrip()
        end = next((end for begin, end in _PROLOGUE if start.startswith(begin)), None)
        found = re.search(end, start) if end else None
        if found is None:
            break
        start = start[found.end() :]
    return start


_PROLOGUE = (("<!--", "-->"), ("<?", ">"), ("HTTP/", r"\r?\n\r?\n"))
_MAX_COMMENTS, _MAX_BEFORE, _MAX_AFTER = 50, 8_192, 4_096
_PAGE = r"(?i)<!doctype\s+html\b|<html[\s>]"
_PAGE_END = r"(?i)</(?:html|body)\s*>"
_TAG = (
    r"(?i)<(?:head|title|meta|link|style|script|body|main|article|section|header|footer|nav|aside|"
    r"div|p|h[1-6]|table|tr|ul|ol|li|dl|blockquote|pre|span|a|b|i|u|strong|em|small|font|center|"
    r"img|br|hr|form|figure|details|address|noscript)\b[^<>]{0,2000}>"
)


def _is_csv(start: str, *, cut: bool) -> bool:
    """Whether the first rows have one number of cells, and six cells or more in all.

    Two lines such as "Dear Bob, hello" are no table, nor are lines of JSON. `cut` is true for the
    start of a longer text.
    """
    if start.lstrip().startswith(("{", "[", "<")):
        return False
    named = re.match(DELIMITER_LINE, start)
    if named is not None:
        start = start[named.end() :]
    lines = list(StringIO(start, newline=""))
    return any(
        _is_table(lines[:-1] if cut else lines, delimiter, cut=cut)
        for delimiter in (named[1] if named else ",;\t|")
    )


DELIMITER_LINE = r"\ufeff?sep=([,;\t|])[ \t]*\r?(?:\n|\Z)"
"""The line that may stand above the rows of a CSV, and tells Excel what stands between cells."""


def _is_table(lines: list[str], delimiter: str, *, cut: bool) -> bool:
    rows = _rows(lines, delimiter, cut=cut)
    if len(rows) < _MIN_ROWS:
        return False
    columns = len(rows[0])
    uneven = sum(len(row) != columns for row in rows)
    return (
        columns >= _MIN_COLUMNS
        and uneven * (_EVEN_PER_UNEVEN + 1) <= (len(rows) if columns >= _MIN_RAGGED else 0)
        and columns * len(rows) >= _MIN_CELLS
        and not (delimiter == "," and _is_prose(rows))
    )


def _rows(lines: list[str], delimiter: str, *, cut: bool) -> list[list[str]]:
    """Return the first rows; none where quotes are wrong, but for a last cell that is `cut`."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    rows: list[list[str]] = []
    try:
        rows.extend(islice(filter(None, reader), _ROWS))
    except csv.Error:
        return rows if cut and reader.line_num == len(lines) else []
    return rows


def _is_prose(rows: list[list[str]]) -> bool:
    """Whether a space follows each comma, as in sentences."""
    return all(cell[:1] in {" ", ""} for row in rows for cell in row[1:])


_ROWS = 100
_MIN_ROWS, _MIN_COLUMNS, _MIN_CELLS = 2, 2, 6
_MIN_RAGGED, _EVEN_PER_UNEVEN = 3, 4
"""Columns of a table that may have rows of other lengths, and the even rows for each of them."""


def _is_markdown(first_line: str, start: str) -> bool:
    """Whether a text begins with a heading, has a fence of code, or two kinds of lesser marks.

    One kind alone, such as a list, is in many plain texts.
    """
    if re.match(_HEADING, first_line) or re.search(_FENCE, start) or re.search(_UNDERLINED, start):
        return True
    return sum(bool(re.search(mark, start)) for mark in _LESSER_MARKS) >= _MIN_MARKS


_MIN_MARKS = 2
_HEADING = r"(?m)^#{1,6}[ \t]+\S"
_FENCE = r"(?m)^(?:```|~~~)"
_UNDERLINED = r"(?m)^\w[^\n]*\n(?:={3,}|-{3,})[ \t]*$"
_MARKDOWN_TABLE = r"(?m)^\|?[ \t]*:?-{3,}:?[ \t]*\|[ \t|:\-]*$"
_LESSER_MARKS = (
    _HEADING,
    r"(?m)^[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]+\S",  # a list
    r"\[[^\]\n]{1,200}\]\([^)\s]{1,500}\)",  # a link
    r"\*\*[^\s*][^*\n]{0,200}\*\*",  # bold
    r"`[^`\n]{1,200}`",  # code
)

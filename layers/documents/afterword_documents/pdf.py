"""The text of a PDF, by PDFium."""

import codecs
import re
import sys
from contextlib import suppress

import pypdfium2  # type: ignore[import-untyped]
from pypdfium2 import raw

from afterword_documents.verdicts import MAX_PAGES, Verdict, VerdictError

codecs.lookup("utf-16-le")  # PDFium's, imported before the process gives up opening files


def text(content: bytes) -> str:
    """Return the text of all pages in order, with the values of filled forms.

    Raises VerdictError.
    """
    try:
        return _text(content)
    except pypdfium2.PdfiumError as error:
        needs_password = error.err_code == raw.FPDF_ERR_PASSWORD
        verdict = Verdict.NEEDS_PASSWORD if needs_password else Verdict.DAMAGED
        raise VerdictError(verdict) from error


def _text(content: bytes) -> str:
    document = pypdfium2.PdfDocument(content)
    if len(document) > MAX_PAGES:
        raise VerdictError(Verdict.TOO_MANY_PAGES)
    has_forms = document.init_forms()
    fonts = _Fonts()
    pages = [_page(document, number, fonts, has_forms=has_forms) for number in range(len(document))]
    text = _decode_symbols("\n\n".join(filter(None, pages)))
    if fonts.are_unreadable(text):
        raise VerdictError(Verdict.UNREADABLE_FONTS)
    return text


def _page(document: pypdfium2.PdfDocument, number: int, fonts: "_Fonts", *, has_forms: bool) -> str:
    page = document[number]
    if has_forms:
        with suppress(pypdfium2.PdfiumError):
            page.flatten()  # form values become text of the page
        page.close()
        page = document[number]
    text_page = page.get_textpage()
    text_of_page = text_page.get_text_range()
    fonts.sample(text_page, text_of_page)
    text_page.close()
    page.close()
    return _clean(text_of_page)


def _clean(text_of_page: str) -> str:
    """Return a page's text with plain line ends, and without PDFium's marks."""
    return _MARKS.sub("", text_of_page.replace("\r\n", "\n")).strip()


_MARKS = re.compile(r"[\x00-\x08\x0b-\x1f\ufffe\uffff]")
"""U+FFFE stands where a hyphen broke a word at the end of a line; controls are of no use."""


# --- fonts that do not tell their characters ------------------------------------------------------

_SAMPLE = 200
"""Characters of a page whose fonts are asked."""
_MOST_UNREADABLE = 0.3
"""The share of a document's characters that may be unreadable: symbols, formulas, a heading."""
_NOTHING = re.compile(
    "[\x00-\x08\x0e-\x1f\ufffd\ue000-\uf8ff\U000f0000-\U0010ffff]|\ufffe{2,}|\\(cid:[0-9]{1,6}\\)"
)
"""Controls, characters of private use, and those that stand for none."""
_FREQUENT = frozenset("etaoinsrhl")
_FREQUENT_SHARE = 0.5
"""Share of the ten letters among all: about two thirds in texts, a third in other series."""
_LETTERS_SHARE = 0.6
_SYMBOLS = re.compile("[\uf020-\uf07e]")
_FROM_SYMBOLS = {0xF000 + code: code for code in range(0x20, 0x7F)}


def _is_language(text: str) -> bool:
    """Whether a text has the letters of a language in Latin letters, and not codes of glyphs."""
    letters = [each for each in text.lower() if each.isalpha()]
    visible = len(text) - sum(map(str.isspace, text))
    if len(letters) < _LETTERS_SHARE * visible or not letters:
        return False
    return sum(each in _FREQUENT for each in letters) >= _FREQUENT_SHARE * len(letters)


def _decode_symbols(text: str) -> str:
    """Return a text with ASCII for what a font has as symbols, where that makes words."""
    symbols = "".join(_SYMBOLS.findall(text)).translate(_FROM_SYMBOLS)
    return text.translate(_FROM_SYMBOLS) if _is_language(symbols) else text


class _Fonts:
    """How many of a document's characters come from fonts that do not tell them.

    PDFium then gives the codes of glyphs, which are characters by chance or by their maker's will.
    """

    def __init__(self) -> None:
        self._nothing = 0
        self._unknown: list[str] = []
        self._asked = 0
        self._visible = 0

    def sample(self, page: pypdfium2.PdfTextPage, text_of_page: str) -> None:
        """Ask the fonts of some characters of a page."""
        self._nothing += sum(map(len, _NOTHING.findall(_SYMBOLS.sub("", text_of_page))))
        self._visible += len(text_of_page) - sum(map(str.isspace, text_of_page))
        count = page.count_chars()
        for index in range(0, count, max(1, count // _SAMPLE)):
            code = raw.FPDFText_GetUnicode(page.raw, index)
            if code <= ord(" ") and code:
                continue
            self._asked += 1
            if raw.FPDFText_HasUnicodeMapError(page.raw, index) == 1:
                self._unknown.append(chr(code) if code <= sys.maxunicode else "")

    def are_unreadable(self, text: str) -> bool:
        """Whether too many characters of the document's text are unreadable."""
        nothing = self._nothing + len(_SYMBOLS.findall(text))
        unknown = self._unknown
        if _is_language("".join(unknown)):
            unknown = []
        share = nothing / max(1, self._visible) + len(unknown) / max(1, self._asked)
        return share > _MOST_UNREADABLE

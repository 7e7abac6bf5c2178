"""The text of a PDF, by PDFium."""

import codecs
import re
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
    pages = (_page(document, number, has_forms=has_forms) for number in range(len(document)))
    return "\n\n".join(filter(None, pages))


def _page(document: pypdfium2.PdfDocument, number: int, *, has_forms: bool) -> str:
    page = document[number]
    if has_forms:
        with suppress(pypdfium2.PdfiumError):
            page.flatten()  # form values become text of the page
        page.close()
        page = document[number]
    text_page = page.get_textpage()
    text_of_page = text_page.get_text_range()
    text_page.close()
    page.close()
    return _clean(text_of_page)


def _clean(text_of_page: str) -> str:
    """Return a page's text with plain line ends, and without PDFium's marks."""
    return _MARKS.sub("", text_of_page.replace("\r\n", "\n")).strip()


_MARKS = re.compile(r"[\x00-\x08\x0b-\x1f\ufffe\uffff]")
"""U+FFFE stands where a hyphen broke a word at the end of a line; controls are of no use."""

"""Mails and mailboxes with their attachments, which the parsers of their types read."""

from collections.abc import Callable, Mapping

from afterword.files import media_types
from afterword_documents import (
    detection,
    docx,
    encodings,
    epub,
    mails,
    odt,
    pdf,
    pptx,
    rtf,
    web_pages,
    xlsx,
)
from afterword_documents.verdicts import VerdictError

_PARSERS: Mapping[str, Callable[[bytes], str]] = {
    media_types.PDF: pdf.text,
    media_types.DOCX: docx.text,
    media_types.ODT: odt.text,
    media_types.PPTX: pptx.text,
    media_types.XLSX: xlsx.text,
    media_types.RTF: rtf.text,
    media_types.EPUB: epub.text,
}


def text(content: bytes) -> str:
    """Return the text of a mail or of all mails of a mailbox; raise VerdictError."""
    return mails.text(content, _read)


def _read(content: bytes, depth: int, label: str) -> str | None:
    """Return the text of an attached file; None for a file without text and one too long."""
    media_type = media_types.detect(content)
    try:
        if media_type in {media_types.EML, media_types.MBOX}:
            return mails.text(content, _read, depth + 1) if depth + 1 < mails.MAX_DEPTH else None
        if media_type in _PARSERS:
            return _PARSERS[media_type](content)
        if media_type not in media_types.TEXTS:
            return None
        decoded = detection.decode(content, label or encodings.declared(content))
        return web_pages.page_text(decoded) if media_type == media_types.HTML else decoded
    except VerdictError:
        return None

"""The verdicts of the parsing process, and its bounds."""

from enum import StrEnum

MAX_CHARACTERS = 1_000_000
"""Characters of a document's text: about 250,000 tokens, more than most models take."""
MAX_PAGES = 1_000
"""Pages of a PDF: a thousand full pages have more text than MAX_CHARACTERS."""
MAX_PARTS = 1_000
"""Sheets, slides, mails or pages of a document: as with pages of a PDF."""
MAX_UNPACKED_BYTES = 100_000_000
"""Unpacked bytes of a DOCX: Word's own documents stay far below, bombs go far beyond."""


class Verdict(StrEnum):
    """The first line of the process's output; the text follows TEXT alone."""

    TEXT = "text"
    NO_TEXT = "no_text"
    TOO_LONG = "too_long"
    TOO_MANY_PAGES = "too_many_pages"
    UNPACKS_TOO_BIG = "unpacks_too_big"
    NEEDS_PASSWORD = "needs_password"  # noqa: S105 - a verdict # nosec B105
    UNREADABLE_FONTS = "unreadable_fonts"
    UNKNOWN_ENCODING = "unknown_encoding"
    DAMAGED = "damaged"
    TOO_COMPLEX = "too_complex"


class VerdictError(Exception):
    """A document without a text, for the cause that the verdict names."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict)
        self.verdict = verdict


def check(text: str) -> str:
    """Return a document's text; raise VerdictError for one without words and one too long."""
    if not text.strip():
        raise VerdictError(Verdict.NO_TEXT)
    if len(text) > MAX_CHARACTERS:
        raise VerdictError(Verdict.TOO_LONG)
    return text

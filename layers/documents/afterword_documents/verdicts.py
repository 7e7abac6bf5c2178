"""The verdicts of the process that reads a document, and its bounds."""

from enum import StrEnum

MAX_CHARACTERS = 1_000_000
"""Of a document's text: about 250,000 tokens, more than most models take with a prompt."""
MAX_PAGES = 1_000
"""Of a PDF: a thousand full pages have more text than MAX_CHARACTERS."""
MAX_UNPACKED_BYTES = 100_000_000
"""Of a DOCX with all that is in it: Word's own stay far below, bombs go far beyond."""


class Verdict(StrEnum):
    """The first line of what the process writes; only TEXT is followed by anything."""

    TEXT = "text"
    NO_TEXT = "no_text"
    TOO_LONG = "too_long"
    TOO_MANY_PAGES = "too_many_pages"
    UNPACKS_TOO_BIG = "unpacks_too_big"
    NEEDS_PASSWORD = "needs_password"  # noqa: S105 - a verdict # nosec B105
    DAMAGED = "damaged"
    TOO_COMPLEX = "too_complex"


class VerdictError(Exception):
    """There is no text to be had from the document, for the reason that the verdict names."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict)
        self.verdict = verdict

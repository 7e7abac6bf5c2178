"""Files as programs and people really make them, each one that was once read wrongly."""

from pathlib import Path

import pytest

from afterword.files import media_types, signatures
from afterword_documents.extraction import extract

CASES = Path(__file__).parent / "cases"
CLAUSES = """1. Liability
  1.1 Limits
    (a) death or injury
    (b) fraud
Article IV Term
2. Notices"""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("word-online.docx", "The warranty lasts 24 months."),
        (
            "clauses.docx",
            CLAUSES,
        ),
        ("formula.docx", "The fee is F=0.05P a year."),
        ("latin1.html", "# Gebühren\n\nDie Gebühr beträgt 5 Euro."),
        ("excel-windows1252.csv", "Nom;Ville;Prix\r\nLéa;Besançon;12,50 €\r\nZoé;Orléans;8 €\r\n"),
        ("vertical-tab.txt", "Line one\nline two, as pasted from Word.\n"),
        ("one-bad-byte.html", "# Küche\n\nRückgabe in 30 Tagen.\n\nK\ufffdchenblog"),
        ("unclosed-svg.html", "Before.\n\nReturns within 30 days."),
        ("ruby.html", "# 法律\n\n親が子どもを叱る権利"),
        ("letter.rtf", "Le délai est de deux mois."),
    ],
)
def test_a_file_is_read_as_its_reader_sees_it(name: str, text: str) -> None:
    """The type is told and the text is that of the file."""
    content = (CASES / name).read_bytes()
    assert extract(media_types.detect(content), content, 20) == text


def test_a_document_with_a_password_is_named() -> None:
    """A Word document that asks for a password is refused before any is read, and says so."""
    content = (CASES / "password.docx").read_bytes()
    assert media_types.detect(content) == media_types.UNKNOWN
    assert signatures.describe(content) == (
        "a document that asks for a password: send a copy without one"
    )

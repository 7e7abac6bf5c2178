"""The text of PDFs."""

import pytest

from afterword.files import media_types
from afterword.generations import FailedError, Reason
from afterword_documents.extraction import extract
from tests.harness import pdf_files


def read(content: bytes) -> str:
    """Return a PDF's text."""
    assert media_types.detect(content) == media_types.PDF
    return extract(media_types.PDF, content, 20)


def refusal(content: bytes) -> tuple[Reason, str]:
    """Return why a PDF is not read."""
    with pytest.raises(FailedError) as caught:
        read(content)
    return caught.value.reason, str(caught.value)


def test_pages_and_their_lines_come_in_order() -> None:
    """The text of a PDF is that of its pages, line by line, a blank line between two pages."""
    content = pdf_files.with_pages("First line\nsecond line", "Second page", "Third page")
    assert read(content) == "First line\nsecond line\n\nSecond page\n\nThird page"


def test_accents_and_ligatures_are_letters() -> None:
    """Accented letters come as they are, ligatures as the letters that they join."""
    content = pdf_files.with_pages("Été à l\u2019œuvre : 10 €\nof\x01ce, \x02eur")
    assert read(content) == "Été à l\u2019œuvre : 10 €\noffice, fleur"


def test_a_word_broken_at_the_end_of_a_line_is_one_word() -> None:
    """A word that a hyphen breaks over two lines is put together."""
    assert read(pdf_files.with_pages("an exam-\nple of words")) == "an example of words"


def test_what_is_filled_into_a_form_is_read() -> None:
    """The values of a form's fields are part of the text."""
    assert read(pdf_files.with_a_form("Zoé Martin")) == "Name:\nZoé Martin"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(pdf_files.encrypted("Facture no 42", ""), id="RC4"),
        pytest.param(pdf_files.with_an_owners_password(), id="AES-256"),
    ],
)
def test_a_pdf_that_anybody_may_open_is_read(content: bytes) -> None:
    """An encrypted PDF that opens without a password is read, as every viewer does."""
    assert b"/Encrypt" in content
    assert read(content) == "Facture no 42"


def test_a_pdf_that_asks_for_a_password_is_refused() -> None:
    """A PDF that needs a password fails, and its sender hears what to send instead."""
    assert refusal(pdf_files.encrypted("Secret", "password")) == (
        Reason.UNREADABLE_FILE,
        "The document asks for a password: send a copy without one.",
    )


def test_a_pdf_without_text_is_refused() -> None:
    """A scan, which has pictures of text only, fails, and its sender hears what would help."""
    assert refusal(pdf_files.with_empty_pages(3)) == (
        Reason.UNREADABLE_FILE,
        "The document has no text in it: if it is a scan, send a copy with its text recognised.",
    )


def test_a_thousand_pages_are_read() -> None:
    """The most pages that are taken are read."""
    text = read(pdf_files.with_pages(*(f"Page {number}" for number in range(1, 1_001))))
    assert text.split("\n\n") == [f"Page {number}" for number in range(1, 1_001)]


@pytest.mark.parametrize("pages", [1_001, 10_000])
def test_too_many_pages_are_refused(pages: int) -> None:
    """A PDF with more pages than are taken fails at once and says so."""
    assert refusal(pdf_files.with_empty_pages(pages)) == (
        Reason.TOO_LONG,
        "The document has more than 1,000 pages, sheets or mails: send those that matter.",
    )


def test_too_much_text_is_refused() -> None:
    """A PDF with more text than is taken fails and says so."""
    page = "\n".join(["word " * 20] * 50)
    assert refusal(pdf_files.with_pages(*[page] * 250)) == (
        Reason.TOO_LONG,
        "The document has more than 1,000,000 characters of text: send the part that matters.",
    )


ASCII = range(128)
UNREADABLE = (
    "The document's fonts do not say which characters they show: send the document that it"
    " was made from, or a copy with its text recognised."
)
SENTENCE = "Returns are accepted within thirty days of the receipt of the goods."


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(pdf_files.with_glyphs(SENTENCE, {}, 29), id="codes of glyphs"),
        pytest.param(
            pdf_files.with_glyphs(SENTENCE, dict.fromkeys(range(128), 0xFFFD)), id="U+FFFD"
        ),
        pytest.param(pdf_files.with_glyphs(SENTENCE, dict.fromkeys(range(128), 0)), id="nothing"),
        pytest.param(
            pdf_files.with_glyphs(SENTENCE, {code: 0xE000 + code for code in ASCII}),
            id="private use",
        ),
        pytest.param(
            pdf_files.with_glyphs(SENTENCE, {code: 1 + code % 31 for code in ASCII}),
            id="controls",
        ),
        pytest.param(pdf_files.with_pages("(cid:12)(cid:3)(cid:44) (cid:5)"), id="codes as text"),
    ],
)
def test_a_pdf_whose_fonts_tell_no_characters_is_refused(content: bytes) -> None:
    """Text that is seen, but whose characters cannot be known, is never taken for another text."""
    assert refusal(content) == (Reason.UNREADABLE_FILE, UNREADABLE)


def test_fonts_may_tell_characters_in_other_ways() -> None:
    """Symbols that are ASCII moved by a constant, and codes that are words, are read."""
    symbols = {code: 0xF000 + code for code in range(32, 127)}
    assert read(pdf_files.with_glyphs(SENTENCE, symbols)) == SENTENCE
    assert read(pdf_files.with_glyphs(SENTENCE, {})) == SENTENCE


def test_some_unknown_symbols_do_no_harm() -> None:
    """A document with a few characters of private use, as for bullets, is read."""
    mapped = {code: code for code in range(32, 127)} | {ord("*"): 0xE0B7}
    text = f"* {SENTENCE}"
    assert read(pdf_files.with_glyphs(text, mapped)) == text.replace("*", "\ue0b7")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"%PDF-1.7\n%%EOF", id="nothing in it"),
        pytest.param(pdf_files.with_circular_pages(), id="pages within themselves"),
        pytest.param(
            pdf_files.assemble([pdf_files.CATALOG, b"<</Type/Pages/Kids[]/Count 0>>"]),
            id="no pages",
        ),
    ],
)
def test_a_damaged_pdf_is_refused(content: bytes) -> None:
    """A PDF that cannot be opened fails, and its sender hears what to do."""
    assert refusal(content) == (
        Reason.UNREADABLE_FILE,
        "The document is damaged: open it, save it anew, and send that copy.",
    )


def test_a_pdf_is_repaired_where_viewers_do() -> None:
    """A table of objects that goes on in itself, or is lost, is made anew from the objects."""
    assert read(pdf_files.with_circular_tables()) == "Hello"
    assert read(pdf_files.with_pages("Hello").replace(b"\nxref", b"\nlost")) == "Hello"

"""The text of EPUB books."""

import pytest

from afterword.files import media_types
from afterword.generations import FailedError, Reason
from afterword_documents import epub
from afterword_documents.extraction import extract
from tests.harness import packages


def read(content: bytes) -> str:
    """Return a book's text, as a file that is sent is read."""
    assert media_types.detect(content) == media_types.EPUB
    return extract(media_types.EPUB, content, 20)


def page(body: str, head: str = "<title>The Book</title>") -> str:
    """Return a page of a book."""
    return (
        '<?xml version="1.0" encoding="utf-8"?><!DOCTYPE html>'
        f'<html xmlns="http://www.w3.org/1999/xhtml"><head>{head}</head><body>{body}</body></html>'
    )


def test_pages_come_in_the_spines_order() -> None:
    """Title and author come first, then each page of the spine; the others are left out."""
    content = packages.epub(
        {
            "b": page("<h1>Deux</h1><p>Fin.</p>"),
            "a": page("<h1>Un</h1><p>Début é &amp; <i>suite</i>.</p>"),
            "c": page("<p>not in the spine</p>"),
        },
        spine=("a", "b"),
        title="Le Livre",
    )
    assert read(content) == ("# Le Livre\n\nZoé Néel\n\n# Un\n\nDébut é & suite.\n\n# Deux\n\nFin.")


def test_pages_are_read_as_xml() -> None:
    """Elements that close themselves, such as an empty title or script, hide nothing."""
    head = "<title/><script src='a.js'/><style/>"
    assert epub.text(packages.epub({"a": page("<p>a<br/>b</p><a id='x'/><p>c</p>", head)})) == (
        "# The Book\n\nZoé Néel\n\na\nb\n\nc"
    )


def test_pages_have_their_encodings() -> None:
    """A page is read in the encoding that it declares."""
    content = '<?xml version="1.0" encoding="iso-8859-1"?><html><p>Été</p></html>'.encode("latin-1")
    assert epub.text(packages.epub({"a": content})).endswith("\n\nÉté")


def test_a_page_without_its_encoding_is_read_by_its_language() -> None:
    """A page that declares no encoding is not left out."""
    text = "Счастливые семьи похожи, каждая несчастливая по-своему."
    content = f"<html><body><p>{text}</p></body></html>".encode("cp1251")
    assert epub.text(packages.epub({"a": content})).endswith(f"\n\n{text}")


@pytest.mark.parametrize(
    "spine",
    [
        pytest.param(("a", "a", "missing", "a"), id="repeated and unknown pages"),
        pytest.param((), id="none"),
    ],
)
def test_each_page_is_read_once(spine: tuple[str, ...]) -> None:
    """A spine that repeats a page, or is empty, gives each page once."""
    assert epub.text(packages.epub({"a": page("<p>once</p>")}, spine=spine)).count("once") == 1


def test_names_of_pages_are_addresses() -> None:
    """A page's name may be escaped, relative and with a fragment; none leads out of the book."""
    opf = (
        '<package xmlns="http://www.idpf.org/2007/opf"><manifest>'
        '<item id="a" href="../Text/une%20page.xhtml#top" media-type="application/xhtml+xml"/>'
        '<item id="b" href="../../../etc/passwd" media-type="application/xhtml+xml"/>'
        '<item id="n" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>'
        '</manifest><spine><itemref idref="n"/><itemref idref="b"/><itemref idref="a"/></spine>'
        "</package>"
    )
    content = packages.epub(
        {},
        parts={
            "OEBPS/book.opf": opf,
            "OEBPS/nav.xhtml": page("contents"),
            "Text/une page.xhtml": page("<p>found</p>"),
        },
    )
    assert epub.text(content) == "found"


def test_a_protected_book_is_refused() -> None:
    """A book is refused whose pages a bookshop's program alone can open; not for its fonts."""

    def encryption(part: str) -> str:
        return (
            "<encryption><EncryptedData><CipherData>"
            f'<CipherReference URI="{part}"/></CipherData></EncryptedData></encryption>'
        )

    for part, protected in (("OEBPS/text/a.xhtml", True), ("OEBPS/font.otf", False)):
        content = packages.epub(
            {"a": page("<p>text</p>")}, parts={"META-INF/encryption.xml": encryption(part)}
        )
        if not protected:
            assert read(content).endswith("text")
            continue
        with pytest.raises(FailedError, match="asks for a password") as caught:
            read(content)
        assert caught.value.reason is Reason.UNREADABLE_FILE


def test_a_book_without_its_list_is_damaged() -> None:
    """An archive that says that it is a book, and lists no parts, is damaged."""
    with pytest.raises(FailedError, match="damaged"):
        read(packages.zipped({"mimetype": "application/epub+zip", "a.xhtml": page("a")}))

"""The text of Word documents."""

import io
import zipfile

import pytest

from afterword.files import media_types
from afterword.generations import FailedError, Reason
from afterword_documents.extraction import extract
from tests.harness.docx_files import (
    NAMESPACES,
    NUMBERING,
    STYLES,
    TYPES,
    body,
    docx,
    item,
    paragraph,
    run,
    style,
    table,
    with_document,
)

DAMAGED = (
    Reason.UNREADABLE_FILE,
    "The document is damaged: open it, save it anew, and send that copy.",
)
BOMB = (
    Reason.UNREADABLE_FILE,
    "The document unpacks to more than 100 MB: send a copy without its pictures, or as plain text.",
)


def read(content: bytes) -> str:
    """Return a Word document's text."""
    assert media_types.detect(content) == media_types.DOCX
    return extract(media_types.DOCX, content, 20)


def refusal(content: bytes) -> tuple[Reason, str]:
    """Return why a Word document is not read."""
    with pytest.raises(FailedError) as caught:
        read(content)
    return caught.value.reason, str(caught.value)


def test_paragraphs_headings_lists_and_tables_come_in_order() -> None:
    """The text has everything in the document's order, marked as Markdown does."""
    content = docx(
        paragraph("Contrat d\u2019été", style("Titre"))
        + paragraph("Premier paragraphe.")
        + paragraph("Objet", style("Titre2"))
        + paragraph("un", item(1))
        + paragraph("deux", item(1))
        + table(
            (paragraph("Produit"), paragraph("Prix")),
            (paragraph("Café") + paragraph("moulu"), paragraph("4 €")),
        )
        + paragraph("Détail", style("Clause"))
        + paragraph("Fin."),
        styles=STYLES,
        numbering=NUMBERING,
    )
    assert read(content) == (
        "# Contrat d\u2019été\n\nPremier paragraphe.\n\n## Objet\n\n- un\n- deux\n\n"
        "| Produit | Prix |\n| Café moulu | 4 € |\n\n### Détail\n\nFin."
    )


def test_numbered_lists_count() -> None:
    """The items of a numbered list have their numbers; a list within begins anew each time."""
    content = docx(
        "".join(
            paragraph(text, item(2, level))
            for text, level in (("a", 0), ("b", 1), ("c", 1), ("d", 0), ("e", 1))
        ),
        numbering=NUMBERING,
    )
    assert read(content) == "1. a\n  1. b\n  2. c\n2. d\n  1. e"


def test_a_paragraph_is_read_through_its_parts() -> None:
    """Runs, tabs, breaks, links, insertions and content controls are one paragraph's text."""
    content = docx(
        f"<w:p><w:pPr><w:tabs><w:tab/></w:tabs></w:pPr>{run('To')}<w:r><w:tab/></w:r>"
        f"<w:hyperlink>{run('Zoé')}</w:hyperlink><w:r><w:br/></w:r>"
        f"<w:ins>{run('new')}</w:ins><w:del><w:r><w:delText>old</w:delText></w:r></w:del>"
        f"<w:sdt><w:sdtContent>{run(' & chosen')}</w:sdtContent></w:sdt></w:p>"
        f"<w:sdt><w:sdtContent>{paragraph('Controlled.')}</w:sdtContent></w:sdt>"
    )
    assert read(content) == "To\tZoé\nnew & chosen\n\nControlled."


def test_what_was_moved_or_is_shown_another_way_is_read_once() -> None:
    """Text that was moved is read where it is now, and that of a text box once."""
    box = f"<w:txbxContent>{paragraph('In the box')}</w:txbxContent>"
    content = docx(
        f"<w:p><w:moveFrom>{run('moved')}</w:moveFrom>{run('Before')}</w:p>"
        f"<w:p><w:moveTo>{run('moved')}</w:moveTo></w:p>"
        f"<w:p>{run('Beside')}<w:r><mc:AlternateContent><mc:Choice>{box}</mc:Choice>"
        f"<mc:Fallback><v:textbox>{box}</v:textbox></mc:Fallback></mc:AlternateContent></w:r></w:p>"
    )
    assert read(content) == "Before\n\nmoved\n\nIn the box\n\nBeside"


def test_notes_come_last_with_their_marks() -> None:
    """A footnote stands at the end, with the mark that is where it belongs."""
    notes = (
        f'<w:footnotes {NAMESPACES}><w:footnote w:id="1">{paragraph("See page 3.")}</w:footnote>'
        "</w:footnotes>"
    )
    note = '<w:r><w:footnoteReference w:id="1"/></w:r>'
    content = docx(f"<w:p>{run('A claim')}{note}</w:p>", footnotes=notes)
    assert read(content) == "A claim[1]\n\n[1] See page 3."


def test_a_table_for_the_layouts_sake_is_no_table() -> None:
    """A table of one column, and tables in tables, leave the text that is in them."""
    inner = table((paragraph("a"), paragraph("b")))
    content = docx(table((paragraph("Alone", style("Titre2")),), (inner,)), styles=STYLES)
    assert read(content) == "## Alone\n\n| a | b |"


def test_word_documents_in_the_strict_form_are_read() -> None:
    """The namespace of the standard's strict form is known too."""
    strict = body(paragraph("Strict.")).replace(
        "http://schemas.openxmlformats.org/wordprocessingml/2006/main",
        "http://purl.oclc.org/ooxml/wordprocessingml/main",
    )
    assert read(with_document(strict)) == "Strict."


def test_a_document_without_text_is_refused() -> None:
    """A Word document with nothing but pictures fails and says so."""
    assert refusal(docx("<w:p/>"))[1].startswith("The document has no text in it")


@pytest.mark.parametrize("thousands_of_words", [201, 18_000])
def test_too_much_text_is_refused(thousands_of_words: int) -> None:
    """A Word document with more text than is taken fails and says so, however much it is."""
    assert refusal(docx(paragraph("word " * 1_000) * thousands_of_words)) == (
        Reason.TOO_LONG,
        "The document has more than 1,000,000 characters of text: send the part that matters.",
    )


def test_entities_are_refused() -> None:
    """XML that defines entities, as a billion laughs does, is refused before any is expanded."""
    laughs = "".join(f'<!ENTITY lol{level} "{f"&lol{level - 1};" * 10}">' for level in range(1, 10))
    document = body(paragraph("LAUGH")).replace("LAUGH", "&lol9;")
    bomb = with_document(f'<!DOCTYPE d [<!ENTITY lol0 "lol">{laughs}]>{document}')
    assert refusal(bomb) == DAMAGED
    outside = '<!DOCTYPE d [<!ENTITY lol9 SYSTEM "file:///etc/hostname">]>'
    assert refusal(with_document(outside + document)) == DAMAGED


def test_a_zip_bomb_is_refused() -> None:
    """A zip bomb fails before it is unpacked, wherever in the document it is."""
    out = io.BytesIO(docx(paragraph("Hello")))
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/media/picture.png", bytes(100_000_001))
    assert refusal(out.getvalue()) == BOMB


def test_a_part_that_is_bigger_than_it_says_is_refused() -> None:
    """A part is unpacked no further than to the size that it is checked by."""
    content = docx(paragraph("word " * 20_000))
    size = len(body(paragraph("word " * 20_000))).to_bytes(4, "little")
    assert content.count(size) == 2
    assert refusal(content.replace(size, (500).to_bytes(4, "little"))) == DAMAGED


def test_archives_within_are_not_opened() -> None:
    """An archive that is in a document is left alone."""
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", bytes(50_000_000))
    out = io.BytesIO(docx(paragraph("Hello")))
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("word/embeddings/bomb.docx", bomb.getvalue())
    assert read(out.getvalue()) == "Hello"


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_part_packed_as_word_packs_none_is_refused(compression: int) -> None:
    """Only the one way to pack that Word uses is unpacked."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        archive.writestr("[Content_Types].xml", TYPES)
        archive.writestr("word/document.xml", body(paragraph("Hello")))
    assert refusal(out.getvalue()) == DAMAGED


def test_xml_that_is_cut_off_is_refused() -> None:
    """A document part that is no whole XML fails, rather than giving a part of its text."""
    assert refusal(with_document(body(paragraph("Hello"))[:-5])) == DAMAGED


def test_any_depth_is_read() -> None:
    """Elements nested a hundred thousand deep are no problem."""
    deep = 100_000
    nested = "<w:sdt>" * deep + paragraph("Deep.") + "</w:sdt>" * deep
    assert read(docx(nested)) == "Deep."

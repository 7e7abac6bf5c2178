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
from tests.harness.packages import content_types, relationships, zipped

MATH = 'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'

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


STRICT = (
    "http://schemas.openxmlformats.org/officeDocument/2006/relationships",
    "http://purl.oclc.org/ooxml/officeDocument/relationships",
)


@pytest.mark.parametrize(
    ("part", "target"),
    [
        ("word/document2.xml", "/word/document2.xml"),
        ("word/document2.xml", "word/document2.xml"),
        ("content/main.xml", "content/a/../main.xml"),
        ("word/my document.xml", "word/my%20document.xml"),
        ("Word/Document.XML", "word/document.xml"),
        ("word\\document.xml", "/word/document.xml"),
    ],
)
@pytest.mark.parametrize("strict", [False, True])
def test_parts_are_found_by_their_relationships(part: str, target: str, *, strict: bool) -> None:
    """The main part and those that belong to it may have any names and be in any folders."""
    folder, _, name = part.replace("\\", "/").rpartition("/")
    kinds = relationships(
        ("a", "styles", "../other/looks.xml"),
        ("b", "numbering", "/other/numbers.xml"),
        ("c", "footnotes", "https://example.com/notes.xml"),
    ).replace('Target="https', 'TargetMode="External" Target="https')
    parts = {
        "[Content_Types].xml": content_types(part.replace("\\", "/"), "wordprocessingml.document"),
        "_rels/.rels": relationships(("r", "officeDocument", target)),
        part: body(paragraph("Title", style("Titre")) + paragraph("item", item(2))),
        f"{folder}/_rels/{name}.rels": kinds,
        "other/looks.xml": STYLES,
        "other/numbers.xml": NUMBERING,
    }
    if strict:
        parts = {part: text.replace(*STRICT) for part, text in parts.items()}
    assert read(zipped(parts)) == "# Title\n\n1. item"


@pytest.mark.parametrize(
    "media_type",
    [
        "application/vnd.openxmlformats-officedocument.wordprocessingml.template.main+xml",
        "application/vnd.ms-word.document.macroEnabled.main+xml",
        "application/vnd.ms-word.template.macroEnabledTemplate.main+xml",
    ],
)
def test_templates_and_documents_with_macros_are_read(media_type: str) -> None:
    """Templates, and documents with macros, have the same parts as others."""
    types = content_types("w.xml", "x").replace(
        "application/vnd.openxmlformats-officedocument.x.main+xml", media_type
    )
    rels = relationships(("r", "officeDocument", "w.xml"))
    parts = {"[Content_Types].xml": types, "_rels/.rels": rels, "w.xml": body(paragraph("Hi"))}
    assert read(zipped(parts)) == "Hi"


def test_formulas_are_read_as_lines() -> None:
    """A formula stands where it is in its paragraph, on one line with its structure."""
    run_of = "<m:r><m:t>{}</m:t></m:r>".format

    def element(name: str, *parts: str, properties: str = "") -> str:
        return f"<m:{name}>{properties}{''.join(parts)}</m:{name}>"

    def part(name: str, *texts: str) -> str:
        return element(name, *(text if "<" in text else run_of(text) for text in texts))

    fraction = element("f", part("num", "a+b"), part("den", "2"))
    power = element("sSup", part("e", "x"), part("sup", "2"))
    total = element(
        "nary",
        part("sub", "i=1"),
        part("sup", "n"),
        part("e", "i"),
        properties='<m:naryPr><m:chr m:val="∑"/></m:naryPr>',
    )
    root = element(
        "rad",
        part("deg", ""),
        part("e", "y"),
        properties='<m:radPr><m:degHide m:val="1"/></m:radPr>',
    )
    matrix = element("m", part("mr", part("e", "1"), part("e", "2")), part("mr", part("e", "3")))
    brackets = element("d", part("e", "z"), properties='<m:dPr><m:begChr m:val="["/></m:dPr>')
    formula = "".join(
        (fraction, run_of("="), power, run_of("+"), total, run_of("+"), root, matrix, brackets)
    )
    content = docx(
        f"<w:p {MATH}>{run('So ')}<m:oMathPara><m:oMath>{formula}</m:oMath></m:oMathPara>"
        f"{run(' holds.')}</w:p>"
        f"<m:oMathPara {MATH}><m:oMath>{run_of('F=0.05P')}</m:oMath></m:oMathPara>"
    )
    assert read(content) == "So (a+b)/2=x^2+∑_(i=1)^n i+√y[1, 2; 3][z) holds.\n\nF=0.05P"


def test_a_deep_formula_is_read() -> None:
    """A formula with a hundred thousand levels is read, its deepest without structure."""
    deep = 100_000
    fraction = "<m:f><m:num>" * deep + "<m:r><m:t>x</m:t></m:r>" + "</m:num></m:f>" * deep
    content = docx(f"<w:p {MATH}><m:oMath>{fraction}</m:oMath></w:p>")
    assert "x" in read(content)


CHUNK = (
    '<w:altChunk xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
    ' r:id="{}"/>'
)


def with_chunks(*chunks: bytes) -> bytes:
    """Return a document with a paragraph, embedded documents, and another paragraph."""
    names = [f"c{number}" for number in range(len(chunks))]
    rels = [(name, "aFChunk", f"/word/{name}") for name in names]
    inner = "".join(map(CHUNK.format, names))
    return zipped(
        {
            "[Content_Types].xml": TYPES,
            "word/document.xml": body(paragraph("Before") + inner + paragraph("After")),
            "word/_rels/document.xml.rels": relationships(*rels),
            **{f"word/{name}": chunk for name, chunk in zip(names, chunks, strict=True)},
        }
    )


PAGE = "<html><head><title>No</title></head><body><h1>Été</h1><p>Text.</p></body></html>"
IN_MIME = (
    'MIME-Version: 1.0\r\nContent-Type: multipart/related;\r\n boundary="----=x"\r\n\r\n'
    "------=x\r\nContent-Type: text/html; charset=utf-8\r\n"
    "Content-Transfer-Encoding: quoted-printable\r\n\r\n<p>=C3=89t=C3=A9 a=\r\nll=3D</p>\r\n"
    "------=x\r\nContent-Type: image/png\r\n\r\nno\r\n------=x--\r\n"
)


@pytest.mark.parametrize(
    ("chunk", "text"),
    [
        pytest.param(PAGE.encode(), "# Été\n\nText.", id="a page"),
        pytest.param(PAGE.encode("utf-8-sig"), "# Été\n\nText.", id="a page with a mark"),
        pytest.param(PAGE.encode("utf-16"), "# Été\n\nText.", id="a page in UTF-16"),
        pytest.param(IN_MIME.encode(), "Été all=", id="a page in MIME"),
        pytest.param("Été <b>".encode(), "Été <b>", id="a text"),
        pytest.param(docx(paragraph("Within")), "Within", id="a document"),
        pytest.param(b"{\\rtf1\\ansi x \\b y\\b0}", "x y", id="RTF"),
        pytest.param(with_chunks(docx(paragraph("x"))), "Before\n\nx\n\nAfter", id="two levels"),
        pytest.param(b"MIME-Version: 1.0\r\n\r\nno page", "", id="MIME without a page"),
    ],
)
def test_embedded_documents_are_read(chunk: bytes, text: str) -> None:
    """A page, a text or a document that Word would take in when it opens stands in its place."""
    expected = ["Before", *([text] if text else []), "After"]
    assert read(with_chunks(chunk)) == "\n\n".join(expected)


def test_documents_in_documents_end() -> None:
    """Documents embedded in each other are read three deep, and a hundred of them in all."""
    nested = docx(paragraph("x"))
    for _ in range(4):
        nested = with_chunks(nested)
    assert refusal(nested)[1].startswith("The document is damaged, or too complex")
    assert read(with_chunks(*[b"<p>x</p>"] * 100)).count("x") == 100
    assert refusal(with_chunks(*[b"<p>x</p>"] * 101))[1].startswith("The document is damaged, or")


def test_relationships_in_circles_end() -> None:
    """A document that embeds itself, or an archive that is none, ends."""
    assert refusal(with_chunks(b"PK\x03\x04 no archive")) == DAMAGED
    itself = relationships(("c0", "aFChunk", "document.xml"), ("s", "styles", "document.xml"))
    parts = {
        "[Content_Types].xml": TYPES,
        "_rels/.rels": relationships(("r", "officeDocument", "word/document.xml")),
        "word/document.xml": body(paragraph("Hello") + CHUNK.format("c0")),
        "word/_rels/document.xml.rels": itself,
    }
    assert read(zipped(parts)) == "Hello\n\nHello"


def test_deleted_text_is_left_out() -> None:
    """Deleted rows and paragraphs' ends are not there; old properties do not count."""
    deleted_row = f"<w:tr><w:trPr><w:del/></w:trPr><w:tc>{paragraph('gone')}</w:tc></w:tr>"
    kept_row = f"<w:tr><w:tc>{paragraph('a')}</w:tc><w:tc>{paragraph('b')}</w:tc></w:tr>"
    joined = f"<w:p><w:pPr><w:rPr><w:del/></w:rPr></w:pPr>{run('One ')}</w:p>{paragraph('line')}"
    old = f"<w:pPrChange><w:pPr>{style('Titre')}</w:pPr></w:pPrChange>"
    content = docx(
        f"<w:tbl>{kept_row}{deleted_row}{kept_row}</w:tbl>{joined}{paragraph('Now plain', old)}",
        styles=STYLES,
    )
    assert read(content) == "| a | b |\n| a | b |\n\nOne line\n\nNow plain"


def test_one_of_alternatives_is_read() -> None:
    """Of several forms of a content the first one with a text is read."""

    def box(text: str) -> str:
        return f"<w:txbxContent>{paragraph(text)}</w:txbxContent>"

    def alternatives(*forms: str, fallback: str) -> str:
        choices = "".join(f"<mc:Choice>{form}</mc:Choice>" for form in forms)
        return (
            f"<w:p><w:r><mc:AlternateContent>{choices}<mc:Fallback>{fallback}</mc:Fallback>"
            "</mc:AlternateContent></w:r></w:p>"
        )

    content = docx(
        alternatives(box("first"), box("second"), fallback=box("third"))
        + alternatives("<w:drawing/>", fallback=box("picture's text"))
        + alternatives(box("outer") + alternatives(box("inner"), fallback=box("no")), fallback="")
    )
    assert read(content) == "first\n\npicture's text\n\nouter\n\ninner"


def test_notes_have_the_numbers_that_word_shows() -> None:
    """Notes are numbered by their references, endnotes in Roman; those of none are left out."""

    def part(kind: str) -> str:
        notes = "".join(
            f'<w:{kind} w:id="{number}">{paragraph(f"{kind} {number}")}</w:{kind}>'
            for number in (2, 5, 9)
        )
        return f"<w:{kind}s {NAMESPACES}>{notes}</w:{kind}s>"

    def reference(kind: str, number: int, more: str = "") -> str:
        return f'<w:r><w:{kind}Reference w:id="{number}"{more}/></w:r>'

    content = docx(
        f"<w:p>{run('a')}{reference('footnote', 5)}{run('b')}{reference('endnote', 9)}"
        f"{run('c')}{reference('footnote', 2)}{run('d')}{reference('endnote', 2)}"
        f"<w:del>{reference('footnote', 9)}</w:del></w:p>",
        footnotes=part("footnote"),
        endnotes=part("endnote"),
    )
    assert read(content) == (
        "a[1]b[i]c[2]d[ii]\n\n[2] footnote 2\n\n[1] footnote 5\n\n[ii] endnote 2\n\n[i] endnote 9"
    )


def test_readings_and_symbols() -> None:
    """Readings above characters are left out, and usual symbols of Wingdings are read."""
    ruby = f"<w:ruby><w:rt>{run('おや')}</w:rt><w:rubyBase>{run('親')}</w:rubyBase></w:ruby>"
    box = '<w:r><w:sym w:font="Wingdings" w:char="F0FE"/></w:r>'
    assert read(docx(f"<w:p><w:r>{ruby}</w:r>{run('が ')}{box}{run(' yes')}</w:p>")) == "親が ☒ yes"


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


def test_hidden_text_is_left_out() -> None:
    """Runs are hidden by themselves or by a style, and shown where that is undone."""

    def hidden(text: str, properties: str) -> str:
        return run(text).replace("<w:r>", f"<w:r><w:rPr>{properties}</w:rPr>")

    styles = (
        f"<w:styles {NAMESPACES}>"
        '<w:style w:styleId="Base"><w:rPr><w:vanish/></w:rPr></w:style>'
        '<w:style w:styleId="Secret"><w:basedOn w:val="Base"/></w:style></w:styles>'
    )
    content = docx(
        f"<w:p><w:pPr><w:rPr><w:vanish/></w:rPr></w:pPr>{run('a')}"
        f"{hidden('no', '<w:vanish/>')}{run('b')}{hidden('c', '<w:vanish w:val="0"/>')}"
        f"{hidden('no', '<w:rStyle w:val="Secret"/>')}</w:p>"
        + paragraph("no", style("Secret"))
        + f"<w:p><w:pPr>{style('Secret')}</w:pPr>{run('no')}"
        f"{hidden('d', '<w:vanish w:val="false"/>')}</w:p>",
        styles=styles,
    )
    assert read(content) == "abc\n\nd"


def test_results_in_instructions_of_fields_are_left_out() -> None:
    """A field has its own result, and none of those that its instruction is made of."""

    def mark(kind: str) -> str:
        return f'<w:r><w:fldChar w:fldCharType="{kind}"/></w:r>'

    def field(instruction: str, result: str) -> str:
        return f"{mark('begin')}{instruction}{mark('separate')}{result}{mark('end')}"

    code = "<w:r><w:instrText>IF x</w:instrText></w:r>"
    inner = field(code, run("no"))
    content = docx(
        f"<w:p>{run('a ')}{field(code + inner + code, run('b') + field(code, run('c')))}</w:p>"
        f"<w:p>{mark('begin')}{code}{inner}{mark('end')}{run('d')}{mark('end')}{run('e')}</w:p>"
    )
    assert read(content) == "a bc\n\nde"

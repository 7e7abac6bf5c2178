"""The text of OpenDocument texts."""

import pytest

from afterword.files import media_types
from afterword.generations import FailedError, Reason
from afterword_documents import odt
from afterword_documents.extraction import extract
from tests.harness import packages

LIST_STYLE = (
    '<text:list-style style:name="L1">'
    '<text:list-level-style-number text:level="1" style:num-format="1" style:num-suffix="."/>'
    '<text:list-level-style-number text:level="2" style:num-format="a" style:num-prefix="("'
    ' style:num-suffix=")"/>'
    '<text:list-level-style-number text:level="3" style:num-format="1" text:display-levels="3"/>'
    "</text:list-style>"
    '<text:list-style style:name="L2"><text:list-level-style-bullet text:level="1"/>'
    '<text:list-level-style-number text:level="2" style:num-format="I" text:start-value="4"/>'
    "</text:list-style>"
)


def read(content: bytes) -> str:
    """Return a document's text, as a file that is sent is read."""
    assert media_types.detect(content) == media_types.ODT
    return extract(media_types.ODT, content, 20)


def p(text: str) -> str:
    """Return a paragraph."""
    return f"<text:p>{text}</text:p>"


def test_paragraphs_headings_lists_and_tables_come_in_order() -> None:
    """The text has everything in the document's order, marked as Markdown does."""
    cells = "".join(
        "<table:table-row>"
        + "".join(f"<table:table-cell>{p(text)}</table:table-cell>" for text in texts)
        + "</table:table-row>"
        for texts in (("Produit", "Prix"), ("Café", "4 €"))
    )
    content = packages.odt(
        '<text:p text:style-name="P1">Contrat</text:p>'
        + p("Premier.")
        + '<text:h text:outline-level="2">Objet</text:h>'
        + f"<text:list><text:list-item>{p('un')}</text:list-item>"
        f"<text:list-item>{p('deux')}{p('encore')}</text:list-item></text:list>"
        f"<table:table><table:table-column/>{cells}</table:table>" + p("Fin."),
        styles=(
            '<style:style style:name="P1" style:family="paragraph"'
            ' style:parent-style-name="Title"/>'
        ),
    )
    assert read(content) == (
        "# Contrat\n\nPremier.\n\n## Objet\n\n- un\n- deux\n\nencore\n\n"
        "| Produit | Prix |\n| Café | 4 € |\n\nFin."
    )


def test_numbers_of_lists_are_those_that_are_shown() -> None:
    """Items have the numbers of their style: its form, its words, its start, its upper levels."""

    def items(*items: str) -> str:
        return "".join(f"<text:list-item>{item}</text:list-item>" for item in items)

    inner = f"<text:list>{items(p('x') + f'<text:list>{items(p("deep"))}</text:list>', p('y'))}"
    first = f'<text:list text:style-name="L1">{items(p("a"), p("b") + inner + "</text:list>")}'
    content = packages.odt(
        f"{first}</text:list>{p('between')}"
        '<text:list text:style-name="L1" text:continue-numbering="true">'
        f"{items(p('c'))}</text:list>"
        f'<text:list text:style-name="L1">{items(p("anew"))}'
        f'<text:list-item text:start-value="7">{p("seven")}</text:list-item></text:list>'
        f'<text:list text:style-name="L2">'
        f"{items(p('dash') + f'<text:list>{items(p("four"))}</text:list>')}</text:list>",
        styles=LIST_STYLE,
    )
    assert odt.text(content) == (
        "1. a\n2. b\n  (a) x\n    2.a.1 deep\n  (b) y\n\nbetween\n\n3. c\n1. anew\n7. seven\n"
        "- dash\n  IV four"
    )


def test_a_list_goes_on_after_another_one() -> None:
    """A list counts on from the one that it names, whatever stands between."""

    def a_list(text: str, more: str) -> str:
        item = f"<text:list-item>{p(text)}</text:list-item>"
        return f'<text:list text:style-name="L1" {more}>{item}</text:list>'

    content = packages.odt(
        a_list("a", 'xml:id="l1"')
        + a_list("other", "")
        + a_list("b", 'xml:id="l2" text:continue-list="l1"')
        + a_list("anew", 'text:continue-list="none"')
        + a_list("c", 'text:continue-list="l2"'),
        styles=LIST_STYLE,
    )
    assert odt.text(content) == "1. a\n1. other\n2. b\n1. anew\n3. c"


def test_a_paragraph_is_read_through_its_parts() -> None:
    """Spans, spaces, tabs, breaks, links and boxes are text; comments and deletions are not."""
    content = packages.odt(
        "<text:tracked-changes><text:changed-region><text:deletion>"
        f"{p('deleted')}</text:deletion></text:changed-region></text:tracked-changes>"
        + p(
            "a  <text:span>b\n  c</text:span><text:s text:c='3'/>d<text:tab/>e<text:line-break/>f"
            f"<text:a>g</text:a><office:annotation>{p('comment')}</office:annotation>"
            "<text:ruby><text:ruby-base>親</text:ruby-base><text:ruby-text>おや</text:ruby-text>"
            f"</text:ruby><draw:frame><draw:text-box>{p('box')}</draw:text-box></draw:frame>"
        )
    )
    assert odt.text(content) == "box\n\na b c   d\te\nfg親"


def test_notes_stand_at_the_end() -> None:
    """A note has its mark in the text, and its text behind all."""
    note = (
        "<text:note><text:note-citation>1</text:note-citation><text:note-body>"
        f"{p('Une')}{p('note.')}</text:note-body></text:note>"
    )
    assert odt.text(packages.odt(p(f"Texte{note} suite") + p("Fin"))) == (
        "Texte[1] suite\n\nFin\n\n[1] Une note."
    )


def test_a_document_with_a_password_is_refused() -> None:
    """A document whose parts are encrypted asks for its password."""
    manifest = (
        '<!DOCTYPE manifest:manifest PUBLIC "-//OpenOffice.org" "Manifest.dtd">'
        '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">'
        "<manifest:file-entry><manifest:encryption-data/></manifest:file-entry>"
        "</manifest:manifest>"
    )
    content = packages.odt(p("a"), parts={"META-INF/manifest.xml": manifest})
    with pytest.raises(FailedError, match="asks for a password") as caught:
        read(content)
    assert caught.value.reason is Reason.UNREADABLE_FILE


def test_a_document_without_its_content_is_damaged() -> None:
    """An archive that says that it is a document, and has none, is damaged."""
    content = packages.zipped({"mimetype": "application/vnd.oasis.opendocument.text"})
    with pytest.raises(FailedError, match="damaged"):
        read(content)

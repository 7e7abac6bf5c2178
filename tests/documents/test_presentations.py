"""The text of PPTX presentations."""

import pytest

from afterword.files import media_types
from afterword.generations import FailedError
from afterword_documents import pptx
from afterword_documents.extraction import extract
from tests.harness import packages
from tests.harness.packages import relationships, shape, slide


def read(content: bytes) -> str:
    """Return a presentation's text, as a file that is sent is read."""
    assert media_types.detect(content) == media_types.PPTX
    return extract(media_types.PPTX, content, 20)


def test_slides_come_in_order_with_their_notes() -> None:
    """Titles are headings, wherever they stand; lists and notes follow; repeated fields do not."""
    content = packages.pptx(
        [
            shape("Un texte libre") + shape("Chiffres", "title") + shape("3", "sldNum"),
            shape("Été\n2026", "ctrTitle") + shape("premier\ndeux", "body")
            + shape("sous", "body", 1) + shape("Confidential", "ftr"),
        ],
        order=(2, 1),
        notes={1: "À dire.\nEncore."},
    )  # fmt: skip
    assert read(content) == (
        "## Été 2026\n\n- premier\n- deux\n  - sous\n\n"
        "## Chiffres\n\nUn texte libre\n\nNotes: À dire.\n\nEncore."
    )


def test_tables_and_groups_are_read() -> None:
    """A table has its rows, and shapes in groups are read as others; a slide may lack a title."""
    table = "<p:graphicFrame><a:graphic><a:tbl>" + "".join(
        "<a:tr>"
        + "".join(
            f"<a:tc><a:txBody><a:p><a:r><a:t>{text}</a:t></a:r></a:p></a:txBody></a:tc>"
            for text in texts
        )
        + "</a:tr>"
        for texts in (("Produit", "Prix"), ("Café", "4 €"))
    ) + "</a:tbl></a:graphic></p:graphicFrame>"  # fmt: skip
    group = f"<p:grpSp><p:grpSp>{shape('inner')}</p:grpSp></p:grpSp>"
    assert pptx.text(packages.pptx([table + group])) == (
        "## Slide 1\n\n| Produit | Prix |\n| Café | 4 € |\n\ninner"
    )


def test_what_is_shown_another_way_is_read_once() -> None:
    """Of a shape with a form for older programs, the new form alone is read."""
    both = (
        f"<mc:AlternateContent><mc:Choice>{shape('new')}</mc:Choice>"
        f"<mc:Fallback>{shape('old')}</mc:Fallback></mc:AlternateContent>"
    )
    assert pptx.text(packages.pptx([both])) == "## Slide 1\n\nnew"


def test_formulas_are_read_as_lines() -> None:
    """A formula of a slide has its fraction, as one of a Word document has."""
    math = 'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
    drawing = 'xmlns:a14="http://schemas.microsoft.com/office/drawing/2010/main"'

    def run(text: str) -> str:
        return f"<m:r><a:rPr/>\n<m:t>{text}</m:t></m:r>"

    formula = (
        f"<a14:m {drawing}><m:oMathPara {math}><m:oMath>{run('x=')}<m:f><m:num>{run('a+b')}</m:num>"
        f"<m:den>{run('2')}</m:den></m:f></m:oMath></m:oMathPara></a14:m>"
    )
    both = (
        f"<mc:AlternateContent><mc:Choice>{formula}</mc:Choice>"
        "<mc:Fallback><a:r><a:t>picture</a:t></a:r></mc:Fallback></mc:AlternateContent>"
    )
    words = shape("So").replace("</a:p>", f"{both}<a:r><a:t> is it</a:t></a:r></a:p>")
    assert pptx.text(packages.pptx([words])) == "## Slide 1\n\nSox=(a+b)/2 is it"


def test_diagrams_are_read() -> None:
    """The texts of a diagram, which are a part of their own, stand on its slide."""
    data = (
        f"<d:dataModel xmlns:d='urn:d' {packages.SLIDE}><d:pt><d:t><a:p><a:r><a:t>Étape</a:t></a:r>"
        "</a:p></d:t></d:pt></d:dataModel>"
    )
    content = packages.pptx(
        [shape("Plan", "title")],
        parts={
            "ppt/slides/_rels/slide1.xml.rels": relationships(
                ("rId1", "diagramData", "../diagrams/data1.xml"), ("rId2", "slide", "slide1.xml")
            ),
            "ppt/diagrams/data1.xml": data,
        },
    )
    assert pptx.text(content) == "## Plan\n\nÉtape"


def test_charts_are_read() -> None:
    """A chart is a table: its series over its categories, below its title."""

    def cache(kind: str, *values: str) -> str:
        points = "".join(f'<c:pt idx="{n}"><c:v>{v}</c:v></c:pt>' for n, v in enumerate(values))
        return (
            f"<c:{kind}Ref><c:f>A1</c:f><c:{kind}Cache><c:formatCode>0.0</c:formatCode>{points}"
            f"</c:{kind}Cache></c:{kind}Ref>"
        )

    series = "".join(
        f"<c:ser><c:tx>{cache('str', name)}</c:tx><c:cat>{cache('str', 'Nord', 'Sud')}</c:cat>"
        f"<c:val>{cache('num', *values)}</c:val></c:ser>"
        for name, values in (("2025", ("1.5000000000000002", "2")), ("2026", ("3",)))
    )
    chart = (
        f"<c:chartSpace xmlns:c='urn:c' {packages.SLIDE}><c:chart><c:title><c:tx><c:rich><a:p><a:r>"
        "<a:t>Ventes</a:t></a:r></a:p></c:rich></c:tx></c:title><c:plotArea><c:barChart>"
        f"{series}</c:barChart></c:plotArea></c:chart></c:chartSpace>"
    )
    content = packages.pptx(
        [shape("Bilan", "title")],
        parts={
            "ppt/slides/_rels/slide1.xml.rels": relationships(
                ("rId1", "chart", "../charts/chart1.xml")
            ),
            "ppt/charts/chart1.xml": chart,
        },
    )
    assert pptx.text(content) == (
        "## Bilan\n\nVentes\n\n|  | 2025 | 2026 |\n| Nord | 1.5 | 3.0 |\n| Sud | 2.0 |  |"
    )


def test_hidden_slides_are_left_out() -> None:
    """A slide that the audience does not see is not read."""
    content = packages.pptx(
        ["", shape("seen")],
        parts={"ppt/slides/slide1.xml": slide(shape("hidden"), 'show="0"')},
    )
    assert pptx.text(content) == "## Slide 2\n\nseen"


def test_slides_that_are_listed_twice_or_missing_are_read_once_or_not() -> None:
    """The list of slides may repeat one, or name one that is not there."""
    content = packages.pptx([shape("once")], order=(1, 1, 9, 1))
    assert pptx.text(content) == "## Slide 1\n\nonce"


def test_a_presentation_without_text_is_refused() -> None:
    """A presentation of pictures alone has no text."""
    with pytest.raises(FailedError, match="no text"):
        read(packages.pptx(["<p:pic/>", ""]))

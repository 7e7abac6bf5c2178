"""Makes XLSX, PPTX, ODT and EPUB files by hand (ECMA-376, OpenDocument, EPUB)."""

import io
import zipfile
from collections.abc import Iterable, Mapping
from xml.sax.saxutils import escape

_OFFICE = "http://schemas.openxmlformats.org"
_RELATIONSHIPS = f"{_OFFICE}/officeDocument/2006/relationships"
_TYPES = "application/vnd.openxmlformats-officedocument"


def zipped(parts: Mapping[str, str | bytes], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip archive with these parts, in their order."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", packing) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return out.getvalue()


def relationships(*of: tuple[str, str, str]) -> str:
    """Return a part with relationships of these ids, kinds and targets."""
    return (
        f'<Relationships xmlns="{_OFFICE}/package/2006/relationships">'
        + "".join(
            f'<Relationship Id="{id_}" Type="{_RELATIONSHIPS}/{kind}" Target="{target}"/>'
            for id_, kind, target in of
        )
        + "</Relationships>"
    )


def content_types(part: str, media_type: str) -> str:
    """Return the list of content types of a package with this main part."""
    return (
        f'<Types xmlns="{_OFFICE}/package/2006/content-types">'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/{part}" ContentType="{_TYPES}.{media_type}.main+xml"/></Types>'
    )


# --- workbooks ------------------------------------------------------------------------------------

SHEET = f'xmlns="{_OFFICE}/spreadsheetml/2006/main"'


def xlsx(  # noqa: PLR0913 - the parts of a workbook
    sheets: Mapping[str, str],
    *,
    strings: Iterable[str] = (),
    formats: Iterable[str] = (),
    parts: Mapping[str, str] | None = None,
    properties: str = "",
    hidden: Iterable[str] = (),
) -> bytes:
    """Return a workbook of sheets by name, each the XML of its rows.

    The number formats are those of the styles 1, 2 and so on.
    """
    return zipped(
        {
            "[Content_Types].xml": content_types("xl/workbook.xml", "spreadsheetml.sheet"),
            "_rels/.rels": relationships(("rId1", "officeDocument", "xl/workbook.xml")),
            "xl/workbook.xml": (
                f'<workbook {SHEET} xmlns:r="{_RELATIONSHIPS}">{properties}<sheets>'
                + "".join(
                    f'<sheet name="{escape(name)}" sheetId="{number}" r:id="rId{number}"'
                    + (' state="hidden"/>' if name in hidden else "/>")
                    for number, name in enumerate(sheets, 1)
                )
                + "</sheets></workbook>"
            ),
            "xl/_rels/workbook.xml.rels": relationships(
                *(
                    (f"rId{number}", "worksheet", f"worksheets/sheet{number}.xml")
                    for number in range(1, len(sheets) + 1)
                ),
                ("rId9001", "sharedStrings", "sharedStrings.xml"),
                ("rId9002", "styles", "/xl/styles.xml"),
            ),
            "xl/sharedStrings.xml": f"<sst {SHEET}>{''.join(strings)}</sst>",
            "xl/styles.xml": styles(formats),
            **{
                f"xl/worksheets/sheet{number}.xml": worksheet(rows)
                for number, rows in enumerate(sheets.values(), 1)
            },
            **(parts or {}),
        }
    )


def styles(formats: Iterable[str]) -> str:
    """Return the styles of these number formats, after that of General."""
    codes = [escape(each, {'"': "&quot;"}) for each in formats]
    return (
        f"<styleSheet {SHEET}><numFmts>"
        + "".join(f'<numFmt numFmtId="{n}" formatCode="{c}"/>' for n, c in enumerate(codes, 164))
        + '</numFmts><cellStyleXfs><xf numFmtId="9"/></cellStyleXfs>'
        + '<cellXfs><xf numFmtId="0"/>'
        + "".join(f'<xf numFmtId="{n}"/>' for n in range(164, 164 + len(codes)))
        + "</cellXfs></styleSheet>"
    )


def worksheet(rows: str) -> str:
    """Return a sheet's part with these rows."""
    return f"<worksheet {SHEET}><sheetData>{rows}</sheetData></worksheet>"


def row(*cells: str, number: int | None = None) -> str:
    """Return a row of cells."""
    return f"<row>{''.join(cells)}</row>" if number is None else (
        f'<row r="{number}">{"".join(cells)}</row>'
    )  # fmt: skip


def cell(value: str, kind: str = "", style: int = 0, place: str = "", formula: str = "") -> str:
    """Return a cell; a text of its own without a kind."""
    at = f' r="{place}"' if place else ""
    of = f"<f>{escape(formula)}</f>" if formula else ""
    if not kind:
        return f'<c{at} t="inlineStr"><is><t>{escape(value)}</t></is></c>'
    return f'<c{at} t="{kind}" s="{style}">{of}<v>{escape(value)}</v></c>'


def number(value: str, style: int = 0, place: str = "", formula: str = "") -> str:
    """Return a cell with a number."""
    return cell(value, "n", style, place, formula)


# --- presentations --------------------------------------------------------------------------------

SLIDE = (
    f'xmlns:a="{_OFFICE}/drawingml/2006/main" xmlns:p="{_OFFICE}/presentationml/2006/main"'
    f' xmlns:r="{_RELATIONSHIPS}"'
    f' xmlns:mc="{_OFFICE}/markup-compatibility/2006"'
)


def pptx(
    slides: Iterable[str],
    *,
    order: Iterable[int] | None = None,
    notes: Mapping[int, str] | None = None,
    parts: Mapping[str, str] | None = None,
) -> bytes:
    """Return a presentation of slides, each the XML of its shapes; notes by the slides' numbers."""
    slides, notes = list(slides), notes or {}
    shown = range(1, len(slides) + 1) if order is None else order
    return zipped(
        {
            "[Content_Types].xml": content_types(
                "ppt/presentation.xml", "presentationml.presentation"
            ),
            "_rels/.rels": relationships(("rId1", "officeDocument", "ppt/presentation.xml")),
            "ppt/presentation.xml": (
                f"<p:presentation {SLIDE}><p:sldIdLst>"
                + "".join(f'<p:sldId id="{255 + n}" r:id="rId{n}"/>' for n in shown)
                + "</p:sldIdLst></p:presentation>"
            ),
            "ppt/_rels/presentation.xml.rels": relationships(
                *((f"rId{n}", "slide", f"slides/slide{n}.xml") for n in range(1, len(slides) + 1))
            ),
            **{f"ppt/slides/slide{n}.xml": slide(shapes) for n, shapes in enumerate(slides, 1)},
            **{
                f"ppt/slides/_rels/slide{n}.xml.rels": relationships(
                    ("rId1", "notesSlide", f"../notesSlides/notesSlide{n}.xml")
                )
                for n in notes
            },
            **{
                f"ppt/notesSlides/notesSlide{n}.xml": slide(
                    shape("7", "sldNum") + shape(text, "body")
                )
                for n, text in notes.items()
            },
            **(parts or {}),
        }
    )


def slide(shapes: str, properties: str = "") -> str:
    """Return a slide's part with these shapes."""
    return f"<p:sld {SLIDE} {properties}><p:cSld><p:spTree>{shapes}</p:spTree></p:cSld></p:sld>"


def shape(text: str, placeholder: str | None = None, level: int = 0) -> str:
    """Return a shape with one paragraph a line."""
    kind = "" if placeholder is None else f'<p:nvPr><p:ph type="{placeholder}"/></p:nvPr>'
    return (
        f"<p:sp><p:nvSpPr>{kind}</p:nvSpPr><p:txBody>"
        + "".join(
            f'<a:p><a:pPr lvl="{level}"/><a:r><a:t>{escape(line)}</a:t></a:r></a:p>'
            for line in text.split("\n")
        )
        + "</p:txBody></p:sp>"
    )


# --- OpenDocument and EPUB ------------------------------------------------------------------------

_ODF = "urn:oasis:names:tc:opendocument:xmlns"
ODT = " ".join(
    f'xmlns:{name}="{_ODF}:{name}:1.0"' for name in ("office", "text", "table", "style", "draw")
)
_ODT_TYPE = "application/vnd.oasis.opendocument.text"


def odt(body: str, *, styles: str = "", parts: Mapping[str, str] | None = None) -> bytes:
    """Return an OpenDocument text with this body."""
    return zipped(
        {
            "mimetype": _ODT_TYPE,
            "content.xml": (
                f"<office:document-content {ODT}>"
                f"<office:automatic-styles>{styles}</office:automatic-styles>"
                f"<office:body><office:text>{body}</office:text></office:body>"
                "</office:document-content>"
            ),
            "META-INF/manifest.xml": "<manifest/>",
            **(parts or {}),
        }
    )


def epub(
    pages: Mapping[str, str | bytes],
    *,
    spine: Iterable[str] | None = None,
    title: str = "The Book",
    parts: Mapping[str, str | bytes] | None = None,
) -> bytes:
    """Return a book of pages by their names, in the spine's order."""
    order = pages if spine is None else spine
    return zipped(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": (
                '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
                '<rootfile full-path="OEBPS/book.opf"/></rootfiles></container>'
            ),
            "OEBPS/book.opf": (
                '<package xmlns="http://www.idpf.org/2007/opf"'
                ' xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>'
                f"<dc:title>{escape(title)}</dc:title><dc:creator>Zoé Néel</dc:creator></metadata>"
                "<manifest>"
                + "".join(
                    f'<item id="{name}" href="text/{name}.xhtml"'
                    ' media-type="application/xhtml+xml"/>'
                    for name in pages
                )
                + '<item id="style" href="s.css" media-type="text/css"/></manifest><spine>'
                + "".join(f'<itemref idref="{name}"/>' for name in order)
                + "</spine></package>"
            ),
            **{f"OEBPS/text/{name}.xhtml": page for name, page in pages.items()},
            **(parts or {}),
        }
    )

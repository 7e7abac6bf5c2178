"""Bombs and lies in each format: refused within the process's seconds and megabytes."""

import base64
import io
import random
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from afterword.files import media_types
from afterword.generations import FailedError
from afterword_documents.extraction import MEMORY_BYTES, extract
from tests.harness import packages
from tests.harness.docx_files import body, docx, paragraph, with_document
from tests.harness.packages import cell, relationships, row, shape, worksheet, zipped
from tests.harness.seeds import SEED_PARAMS, seeded

DAMAGED = "The document is damaged: open it, save it anew, and send that copy."
TOO_COMPLEX = "The document is damaged, or too complex to be read: send it as plain text."
TOO_LONG = "The document has more than 1,000,000 characters of text: send the part that matters."
TOO_MANY = "The document has more than 1,000 pages, sheets or mails: send those that matter."
TOO_BIG = (
    "The document unpacks to more than 100 MB: send a copy without its pictures, or as plain text."
)
TOO_SLOW = "The document takes too long to read: send a simpler copy, or plain text."
NO_TEXT = "The document has no text in it: if it is a scan, send a copy with its text recognised."
SECONDS = 10.0
ODT_TYPE = "application/vnd.oasis.opendocument.text"


def outcome(content: bytes, media_type: str = "") -> str:
    """Return the text of a file, or why it is refused, after no more than its time."""
    began = time.monotonic()
    try:
        end = extract(media_type or media_types.detect(content), content, SECONDS)
    except FailedError as error:
        end = str(error)
    assert time.monotonic() - began < SECONDS + 2
    return end


# --- archives -------------------------------------------------------------------------------------

ZIPPED = {
    media_types.DOCX: "word/document.xml",
    media_types.XLSX: "xl/worksheets/sheet1.xml",
    media_types.PPTX: "ppt/slides/slide1.xml",
    media_types.ODT: "content.xml",
    media_types.EPUB: "OEBPS/text/a.xhtml",
}
"""A part of each type of package that has text."""
_LONG = pytest.mark.long
FOR_EACH = pytest.mark.parametrize(
    "media_type",
    [
        pytest.param(each, marks=() if each == media_types.XLSX else _LONG, id=each[-12:])
        for each in ZIPPED
    ],
)
"""Each type of package; the short form has one, since all are opened by one module."""


def good(media_type: str) -> bytes:
    """Return a small package of a type."""
    match media_type:
        case media_types.DOCX:
            return docx(paragraph("Été"))
        case media_types.XLSX:
            return packages.xlsx({"S": row(cell("Été"))})
        case media_types.PPTX:
            return packages.pptx([shape("Été")])
        case media_types.ODT:
            return packages.odt("<text:p>Été</text:p>")
        case _:
            return packages.epub({"a": "<p>Été</p>"})


def with_part(media_type: str, part: str | bytes, **more: str | bytes) -> bytes:
    """Return a package whose text is this part, with more parts."""
    with zipfile.ZipFile(io.BytesIO(good(media_type))) as archive:
        parts: dict[str, str | bytes] = {name: archive.read(name) for name in archive.namelist()}
    return zipped({**parts, ZIPPED[media_type]: part, **more})


@FOR_EACH
@pytest.mark.long
def test_a_package_that_unpacks_to_too_much_is_refused(media_type: str) -> None:
    """A part of 200 MB of blanks, packed to 200 KB, is refused before it is unpacked."""
    bomb = with_part(media_type, bytes(200_000_000).replace(b"\0", b" "))
    assert len(bomb) < 1_000_000
    assert outcome(bomb, media_type) == TOO_BIG


@FOR_EACH
@pytest.mark.long
def test_a_package_of_white_space_ends_in_time(media_type: str) -> None:
    """A part of 90 MB of blanks, which is allowed, ends in time, as a text or as a refusal."""
    bomb = with_part(media_type, b"<a>" + b" " * 90_000_000 + b"</a>")
    assert outcome(bomb, media_type) in {
        NO_TEXT,
        DAMAGED,
        TOO_COMPLEX,
        TOO_LONG,
        "# The Book\n\nZoé Néel",
    }


@pytest.mark.parametrize("media_type", ZIPPED)
def test_a_package_that_lies_about_its_size_is_refused(media_type: str) -> None:
    """A part that unpacks to more than its directory says is damaged, and not unpacked further."""
    content = bytearray(with_part(media_type, b"<a>" + b" " * 50_000_000 + b"</a>"))
    name = ZIPPED[media_type].encode()
    entry = content.rindex(name) - 46  # in the directory
    struct.pack_into("<I", content, entry + 24, 10)
    assert outcome(bytes(content), media_type) in {DAMAGED, NO_TEXT, "# The Book\n\nZoé Néel"}


@FOR_EACH
@pytest.mark.long
def test_a_package_of_many_entries_is_refused(media_type: str) -> None:
    """A directory of hundreds of thousands of entries ends in time, and within the memory."""
    content = good(media_type)
    end = content.rindex(b"PK\x05\x06")
    start = struct.unpack_from("<I", content, end + 16)[0]
    entry = content[start : content.index(b"PK\x01\x02", start + 4)]
    bomb = content[:end] + entry * 400_000 + _end_of_archive(content, end, len(entry) * 400_000)
    assert outcome(bomb, media_type) in {DAMAGED, TOO_COMPLEX, TOO_BIG, outcome(content)}


def _end_of_archive(content: bytes, end: int, more: int) -> bytes:
    changed = bytearray(content[end:])
    struct.pack_into("<I", changed, 12, struct.unpack_from("<I", changed, 12)[0] + more)
    return bytes(changed)


def overlapping(media_type: str, copies: int) -> bytes:
    """Return a package with entries that all share one packed stretch, as zbsm.zip has."""
    content = good(media_type)
    end = content.rindex(b"PK\x05\x06")
    start = struct.unpack_from("<I", content, end + 16)[0]
    name = ZIPPED[media_type].encode()
    at = content.rindex(b"PK\x01\x02", 0, content.rindex(name))
    length = struct.unpack_from("<H", content, at + 28)[0]
    entry = bytearray(content[at : at + 46 + length])
    struct.pack_into("<I", entry, 24, 90_000_000)
    entries = bytes(entry) * copies
    last = bytearray(content[end:])
    struct.pack_into("<HH", last, 8, *(struct.unpack_from("<H", last, 8)[0] + copies,) * 2)
    struct.pack_into("<I", last, 12, end - start + len(entries))
    return content[:end] + entries + bytes(last)


@pytest.mark.parametrize("media_type", ZIPPED)
def test_a_package_with_overlapping_entries_is_refused(media_type: str) -> None:
    """Entries that share their bytes count as much as they say, each."""
    assert outcome(overlapping(media_type, 100), media_type) in {TOO_BIG, DAMAGED}


@FOR_EACH
@pytest.mark.long
def test_archives_in_a_package_are_not_unpacked(media_type: str) -> None:
    """An archive in an archive in a document is a part that no reader opens."""
    inner = zipped({"bomb.bin": bytes(50_000_000)})
    for _ in range(5):
        inner = zipped({f"{number}.zip": inner for number in range(9)})
    assert "Été" in outcome(with_more(media_type, inner), media_type)


def with_more(media_type: str, inner: bytes) -> bytes:
    """Return a good package that has an archive within."""
    with zipfile.ZipFile(io.BytesIO(good(media_type))) as archive:
        parts: dict[str, str | bytes] = {name: archive.read(name) for name in archive.namelist()}
    return zipped({**parts, "media/inner.zip": inner})


@pytest.mark.parametrize("media_type", ZIPPED)
@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.long
def test_other_packings_are_refused(media_type: str, packing: int) -> None:
    """Packings that no such document has, and that need more memory, are not unpacked."""
    with zipfile.ZipFile(io.BytesIO(good(media_type))) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    assert outcome(zipped(parts, packing), media_type) == DAMAGED


LAUGHS = (
    '<!DOCTYPE a [<!ENTITY a "ha">'
    + "".join(
        f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(12)
    )
    + "]><a>&m;</a>"
)  # fmt: skip
FILES = '<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]><a>&a;</a>'
PARAMETERS = '<!DOCTYPE a [<!ENTITY % a SYSTEM "file:///etc/passwd">%a;]><a/>'


@pytest.mark.parametrize("xml", [LAUGHS, FILES, PARAMETERS], ids=["laughs", "files", "parameters"])
@pytest.mark.parametrize("media_type", sorted(set(ZIPPED) - {media_types.EPUB}))
def test_entities_are_refused(media_type: str, xml: str) -> None:
    """A part with entities of its own is damaged; none grows, and none is a file."""
    assert outcome(with_part(media_type, xml), media_type) == DAMAGED


@pytest.mark.parametrize("xml", [LAUGHS, FILES, PARAMETERS], ids=["laughs", "files", "parameters"])
@pytest.mark.parametrize(
    ("media_type", "part"),
    [
        (media_types.EPUB, "OEBPS/book.opf"),
        (media_types.EPUB, "META-INF/container.xml"),
        (media_types.ODT, "META-INF/manifest.xml"),
        (media_types.ODT, "styles.xml"),
        (media_types.XLSX, "xl/sharedStrings.xml"),
        (media_types.XLSX, "xl/_rels/workbook.xml.rels"),
        (media_types.PPTX, "ppt/presentation.xml"),
    ],
)
@pytest.mark.long
def test_entities_of_lists_are_refused(media_type: str, part: str, xml: str) -> None:
    """The parts that list others have no entities either."""
    with zipfile.ZipFile(io.BytesIO(good(media_type))) as archive:
        parts: dict[str, str | bytes] = {name: archive.read(name) for name in archive.namelist()}
    assert outcome(zipped({**parts, part: xml}), media_type) == DAMAGED


def test_entities_of_a_books_page_stay_as_they_are() -> None:
    """A page of a book is read as pages of the web are: their own entities mean nothing."""
    text = outcome(with_part(media_types.EPUB, LAUGHS), media_types.EPUB)
    assert len(text) < 5_000
    assert "root:" not in outcome(with_part(media_types.EPUB, FILES), media_types.EPUB)


@FOR_EACH
@pytest.mark.long
def test_elements_within_elements_end_in_time(media_type: str) -> None:
    """A part of half a million open elements costs no more than its document."""
    name = {"docx": "w:p"}.get(media_type, "p")
    deep = f"<{name}>" * 500_000
    end = outcome(with_part(media_type, f"{deep}text"), media_type)
    assert end in {DAMAGED, TOO_COMPLEX, TOO_SLOW} or media_type == media_types.EPUB


@FOR_EACH
@pytest.mark.parametrize("seed", SEED_PARAMS)
def test_a_package_with_changed_bytes_ends_well(media_type: str, seed: int) -> None:
    """A package with any changed bytes ends as a text or a refusal."""
    outcome(_changed(seeded(seed), good(media_type)), media_type)


def _changed(rng: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice([1, 3, 30])):
        at = rng.randrange(len(changed))
        changed[at : at + rng.choice([0, 1, 1, 8])] = rng.randbytes(rng.choice([0, 1, 1, 8]))
    return bytes(changed)


@pytest.mark.long
def test_relationships_in_a_circle_are_followed_once() -> None:
    """Parts that name each other, and themselves, are read once."""
    content = packages.pptx(
        [shape("once")],
        notes={1: "note"},
        parts={
            "ppt/slides/_rels/slide1.xml.rels": relationships(
                *((f"rId{n}", "notesSlide", "slide1.xml") for n in range(5_000)),
            ),
        },
    )
    assert outcome(content).count("once") == 1


# --- workbooks ------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_million_sheets_are_refused() -> None:
    """A workbook with more sheets than a reader would look at is refused."""
    sheets = '<sheet name="a" r:id="rId1"/>' * 1_000_000
    workbook = f'<workbook {packages.SHEET} xmlns:r="http://x/relationships"><sheets>{sheets}'
    content = with_xlsx({"xl/workbook.xml": f"{workbook}</sheets></workbook>"})
    assert outcome(content) == TOO_MANY


def with_xlsx(parts: dict[str, str]) -> bytes:
    """Return a workbook of one cell, with other parts."""
    return packages.xlsx({"S": row(cell("a"))}, parts=parts)


def test_a_sheet_that_says_it_is_full_is_not_made() -> None:
    """A sheet of declared billions of cells has those that are there."""
    rows = row(cell("a", place="A1")) + row(cell("z", place="XFD1048576"), number=1_048_576)
    sheet = worksheet(rows).replace("<sheetData>", '<dimension ref="A1:XFD1048576"/><sheetData>')
    merged = '<mergeCells count="1"><mergeCell ref="A1:XFD1048576"/></mergeCells></worksheet>'
    content = with_xlsx({"xl/worksheets/sheet1.xml": sheet.replace("</worksheet>", merged)})
    assert outcome(content) == "# S\n\n| a |  |\n\n|  | z |"


@pytest.mark.parametrize(
    ("rows", "ends"),
    [
        pytest.param(
            "<row>" + "<c/>" * 2_000_000 + "</row>", {NO_TEXT}, id="empty cells", marks=_LONG
        ),
        pytest.param("<row/>" * 2_000_000, {NO_TEXT}, id="empty rows", marks=_LONG),
        pytest.param(
            "<row>" + "<c><v>1</v></c>" * 1_000_000 + "</row>",
            {TOO_LONG},
            id="a million cells",
            marks=_LONG,
        ),
        pytest.param(
            "".join(
                f'<row r="{n}"><c r="{letters}{n}"><v>1</v></c></row>'
                for n, letters in enumerate(
                    (a + b for _ in range(30) for a in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                     for b in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"), 1
                )
            ),
            {TOO_LONG},
            id="cells far apart",
        ),
        pytest.param(
            "<row>" + f'<c t="s"><v>{"9" * 5_000}</v></c>' * 1_000 + "</row>",
            {NO_TEXT},
            id="strings beyond the last",
        ),
        pytest.param(
            '<row><c t="str"><v>' + "a" * 90_000_000 + "</v></c></row>",
            {TOO_COMPLEX, TOO_LONG},
            id="one endless value",
            marks=_LONG,
        ),
    ],
)  # fmt: skip
@pytest.mark.long
def test_sheets_that_are_too_much_are_refused(rows: str, ends: set[str]) -> None:
    """A sheet with more than a text may have is refused, however its cells are laid."""
    assert outcome(packages.xlsx({"S": rows})) in {*ends, TOO_SLOW}


@pytest.mark.parametrize(
    ("strings", "ends"),
    [
        pytest.param("<si/>" * 3_000_000, {"# S\n\n| a |"}, id="empty ones", marks=_LONG),
        pytest.param(
            "<si><t>" + "a" * 90_000_000 + "</t></si>",
            {TOO_COMPLEX, "# S\n\n| a |"},
            id="a long one",
        ),
        pytest.param(
            "<si><r><t>a</t></r></si>" * 500_000, {"# S\n\n| a |"}, id="many", marks=_LONG
        ),
    ],
)
@pytest.mark.long
def test_shared_strings_that_are_too_many_end_well(strings: str, ends: set[str]) -> None:
    """Strings that no cell names cost their reading, and no more."""
    assert outcome(packages.xlsx({"S": row(cell("a"))}, strings=(strings,))) in {*ends, TOO_SLOW}


def test_a_string_that_all_cells_share_counts_each_time() -> None:
    """Few bytes that show a long string in many cells are as long as what they show."""
    rows = row(*(cell("0", "s") for _ in range(1_000)))
    content = packages.xlsx({"S": rows}, strings=(f"<si><t>{'a' * 30_000}</t></si>",))
    assert outcome(content) == TOO_LONG


@pytest.mark.long
def test_formats_that_are_no_formats_end_in_time() -> None:
    """A number format of any length and form costs next to nothing for each of many cells."""
    formats = ("[" * 250, '"' * 255, ";" * 255, "?/" * 120, "0." * 120, "#," * 120, "[h]" * 80)
    rows = row(*(cell("1e300", "n", n % 8) for n in range(3_000)))
    outcome(packages.xlsx({"S": rows}, formats=formats))


# --- presentations and books ----------------------------------------------------------------------


def test_a_million_slides_are_refused() -> None:
    """A presentation that lists a million slides is refused."""
    assert outcome(packages.pptx([shape("a")], order=(1 for _ in range(100_000)))) == TOO_MANY


@pytest.mark.long
def test_a_slide_that_is_too_long_is_refused() -> None:
    """A slide with more text than a document may have is refused."""
    assert outcome(packages.pptx([shape("\n".join(["a" * 1_000] * 2_000))])) == TOO_LONG


@pytest.mark.long
def test_a_chart_of_far_points_ends_well() -> None:
    """A chart whose points say that they are far apart is as big as its points."""
    points = "".join(f'<c:pt idx="{n * 99_999}"><c:v>{n}</c:v></c:pt>' for n in range(20))
    chart = (
        f"<c:chartSpace xmlns:c='urn:c'><c:ser><c:val><c:numCache>{points}"
        "</c:numCache></c:val></c:ser></c:chartSpace>"
    )
    content = packages.pptx(
        [""],
        parts={
            "ppt/slides/_rels/slide1.xml.rels": relationships(("rId1", "chart", "../c.xml")),
            "ppt/c.xml": chart,
        },
    )
    assert outcome(content).count("\n") < 60


@pytest.mark.long
def test_a_spine_in_a_circle_ends() -> None:
    """A spine that repeats its pages a million times has each once; many pages are refused."""
    spine = ("a" for _ in range(200_000))
    assert outcome(packages.epub({"a": "<p>once</p>"}, spine=spine)).endswith("\n\nonce")
    many = {f"p{number}": "<p>a</p>" for number in range(1_001)}
    assert outcome(packages.epub(many)) == TOO_MANY


@pytest.mark.long
def test_a_page_of_a_book_that_is_too_long_is_refused() -> None:
    """Pages with more text than a document may have, alone or together, are refused."""
    page = f"<p>{'a ' * 300_000}</p>"
    assert outcome(packages.epub({"a": page, "b": page})) == TOO_LONG


# --- OpenDocument ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("<text:list><text:list-item>" * 100_000, id="lists without ends"),
        pytest.param(
            "<text:list><text:list-item>" * 3_000 + "<text:p>a</text:p>"
            + "</text:list-item></text:list>" * 3_000,
            id="lists in lists",
        ),
        pytest.param(
            "<table:table><table:table-row><table:table-cell>" * 30_000
            + "<text:p>a</text:p>"
            + "</table:table-cell></table:table-row></table:table>" * 30_000,
            id="tables in tables",
            marks=_LONG,
        ),
        pytest.param(
            "<text:p>" + "<text:s text:c='999999999'/>" * 50_000 + "</text:p>", id="spaces"
        ),
        pytest.param(
            "<table:table><table:table-row table:number-rows-repeated='1048576'>"
            "<table:table-cell table:number-columns-repeated='16384'><text:p>a</text:p>"
            "</table:table-cell></table:table-row></table:table>",
            id="repeated cells",
        ),
        pytest.param(
            "<text:p>a</text:p>" + "<text:note-body>" * 10_000 + "</text:note-body>" * 10_000,
            id="notes in notes",
        ),
    ],
)  # fmt: skip
@pytest.mark.long
def test_an_odt_that_is_too_much_ends_well(content: str) -> None:
    """A document that nests or repeats without end is refused, or as long as it is."""
    end = outcome(packages.odt(content))
    assert end in {DAMAGED, TOO_COMPLEX, TOO_LONG, NO_TEXT} or len(end) < 50_000


def test_styles_in_a_circle_end() -> None:
    """Styles that are each other's parents have none."""
    styles = "".join(
        f'<style:style style:name="{a}" style:family="paragraph" style:parent-style-name="{b}"/>'
        for a, b in (("A", "B"), ("B", "A"))
    )
    content = packages.odt('<text:p text:style-name="A">a</text:p>', styles=styles)
    assert outcome(content) == "a"


# --- RTF ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "ends"),
    [
        pytest.param(b"{" * 100_000 + b"text" + b"}" * 100_000, {"text"}, id="groups"),
        pytest.param(
            b"{" * 40_000_000,
            {NO_TEXT, TOO_COMPLEX, TOO_SLOW},
            id="groups without ends",
            marks=_LONG,
        ),
        pytest.param(b"a\\bin999999999999999999 b", {"a9999999 b", "a"}, id="a lie about bytes"),
        pytest.param(b"a\\bin2147483647 b}c", {"a"}, id="more bytes than there are"),
        pytest.param(
            b"\\bin1 {" * 1_000_000 + b"a", {"a"}, id="bytes that look like groups", marks=_LONG
        ),
        pytest.param(
            b"a" * 50_000_000, {TOO_LONG, TOO_COMPLEX}, id="a long word", marks=_LONG
        ),
        pytest.param(b" " * 100_000_000, {TOO_LONG, TOO_COMPLEX}, id="white space", marks=_LONG),
        pytest.param(b"\r\n" * 40_000_000 + b"a", {"a"}, id="line ends", marks=_LONG),
        pytest.param(b"a\\par " * 600_000, {TOO_LONG}, id="paragraphs", marks=_LONG),
        pytest.param(b"\\u20013?" * 2_000_000, {TOO_LONG}, id="characters by number", marks=_LONG),
        pytest.param(
            b"\\uc2147483647\\u20013 " + b"a" * 1_000_000, {"\u4e2d"}, id="a long fallback"
        ),
        pytest.param(b"{\\footnote a}" * 300_000, {TOO_LONG, TOO_SLOW}, id="notes", marks=_LONG),
        pytest.param(b"{\\footnote " * 20_000 + b"a", None, id="notes in notes"),
        pytest.param(b"{\\listtext " * 100_000 + b"a", None, id="marks in marks", marks=_LONG),
        pytest.param(b"\\trowd" + b"\\cell" * 100_000 + b"\\row", None, id="cells", marks=_LONG),
        pytest.param(
            b"{\\fonttbl" + b"{\\f1\\fcharset204 a;}" * 500_000 + b"}a",
            {"a"},
            id="fonts",
            marks=_LONG,
        ),
        pytest.param(
            b"{\\fonttbl" + b"".join(b"\\f%d\\fcharset0 a;" % n for n in range(20_000)) + b"}"
            + b"".join(b"\\f%d\\'e9" % (n % 20_000) for n in range(300_000)),
            None,
            id="fonts for each letter",
            marks=_LONG,
        ),
        pytest.param(b"{\\pict " + b"00" * 20_000_000 + b"}a", {"a"}, id="a picture", marks=_LONG),
        pytest.param(b"\\" * 1_000_001, None, id="backslashes", marks=_LONG),
    ],
)  # fmt: skip
def test_an_rtf_that_means_harm_ends_well(content: bytes, ends: set[str] | None) -> None:
    """Groups, lengths and repetitions of any number end in time, as a text or as a refusal."""
    end = outcome(b"{\\rtf1" + content, media_types.RTF)
    assert ends is None or end in {*ends, TOO_SLOW}


# --- mails ----------------------------------------------------------------------------------------

HEAD = b"From: a@b\nTo: c@d\nSubject: s\n"


def nested(levels: int, kind: bytes = b"message/rfc822") -> bytes:
    """Return a mail in a mail, so many times."""
    return (HEAD + b"Content-Type: " + kind + b"\n\n") * levels + HEAD + b"\ninnermost"


def nested_parts(levels: int) -> bytes:
    """Return a mail of parts in parts, so many times."""
    parts = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(levels)
    )
    return HEAD + parts + b"\ninnermost\n"


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(partial(nested, 3_000), id="mails"),
        pytest.param(partial(nested_parts, 3_000), id="parts", marks=_LONG),
        pytest.param(partial(nested_parts, 300), id="hundreds of parts"),
    ],
)
def test_mails_within_mails_end_well(make: Callable[[], bytes]) -> None:
    """Mails and parts within each other without end are refused, or read to a depth."""
    end = outcome(make(), media_types.EML)
    assert end in {TOO_COMPLEX, TOO_SLOW} or end.count("\n# ") + end.count("\n## ") < 10


def test_forwarded_mails_are_read_to_a_depth() -> None:
    """Mails within five others are named, and not read."""
    end = outcome(nested(20), media_types.EML)
    assert end.endswith("Attached, and not read: a mail within many others")
    assert "innermost" not in end


@pytest.mark.long
def test_a_million_mails_are_refused() -> None:
    """A mailbox of a million mails is refused, and so is one of too much text."""
    mail = b"From a@b Mon Nov 30 10:00:00 2026\n" + HEAD + b"\na\n\n"
    assert outcome(mail * 2_000, media_types.MBOX) == TOO_MANY
    tiny = b"From a 10:00\n\n"
    assert outcome(mail + tiny * 1_000_000, media_types.MBOX) in {TOO_MANY, TOO_SLOW}
    long = mail.replace(b"\na\n", b"\n" + b"a" * 300_000 + b"\n")
    assert outcome(long * 5, media_types.MBOX) == TOO_LONG


@pytest.mark.parametrize(
    ("content", "ends"),
    [
        pytest.param(HEAD + b"\n" + b" " * 100_000_000, None, id="white space", marks=_LONG),
        pytest.param(HEAD + b"\n" + b"\n" * 50_000_000, None, id="line ends", marks=_LONG),
        pytest.param(HEAD + b"\n" + b"a" * 50_000_000, {TOO_LONG, TOO_COMPLEX}, id="a long text"),
        pytest.param(HEAD + b"X: a\n" * 2_000_000 + b"\na", None, id="headers", marks=_LONG),
        pytest.param(b"From: " + b"a" * 10_000_000 + b"\nTo: b\n\nc", None, id="a long header"),
        pytest.param(
            b"From: a\nSubject: " + b"=?utf-8?q?a?= " * 1_000_000 + b"\n\nc", None, id="words"
        ),
        pytest.param(
            b"From: a\nSubject: " + b"=?" * 5_000_000 + b"\n\nc", None, id="starts of words"
        ),
        pytest.param(
            HEAD + b"Content-Type: text/plain" + b"; a=b" * 1_000_000 + b"\n\nc",
            None,
            id="parameters",
            marks=_LONG,
        ),
        pytest.param(
            HEAD + b'Content-Type: text/plain; charset="' + b"\\" * 1_000_000 + b"\n\nc",
            None,
            id="a quoted parameter",
        ),
        pytest.param(
            HEAD + b"Content-Type: multipart/mixed; boundary=x\n\n" + b"--x\n\na\n" * 500_000,
            None,
            id="parts",
            marks=_LONG,
        ),
        pytest.param(
            HEAD + b"Content-Type: text/html\n\n" + b"<div>" * 2_000_000 + b"a",
            None,
            id="elements",
            marks=_LONG,
        ),
        pytest.param(
            HEAD + b"Content-Type: text/plain; format=flowed\n\n" + b"a \n" * 3_000_000,
            None,
            id="lines that flow",
            marks=_LONG,
        ),
    ],
)
def test_a_mail_that_means_harm_ends_well(content: bytes, ends: set[str] | None) -> None:
    """Headers, parameters and parts of any number end in time, as a text or as a refusal."""
    end = outcome(content, media_types.EML)
    assert end in ends if ends else len(end) <= 1_000_000


def attached(files: Iterator[bytes] | list[bytes]) -> bytes:
    """Return a mail with attachments."""
    parts = b"".join(
        b"--x\nContent-Disposition: attachment; filename=a\nContent-Transfer-Encoding: base64\n\n"
        + base64.encodebytes(file)
        for file in files
    )
    return HEAD + b"Content-Type: multipart/mixed; boundary=x\n\n" + parts + b"--x--\n"


@pytest.mark.long
def test_bombs_in_mails_are_not_read() -> None:
    """An attachment that is refused as a document is named as one that was not read."""
    bombs = [
        with_part(media_types.XLSX, b" " * 101_000_000),
        with_document(LAUGHS),
        zipped({"bomb": bytes(20_000_000)}),
        b"%PDF-1.7 and nothing else",
        good(media_types.DOCX),
    ]
    end = outcome(attached(bombs), media_types.EML)
    assert end.count("Attached, and not read: a") == 4
    assert end.endswith("## a\n\nÉté")


@pytest.mark.long
def test_many_bombs_in_a_mail_end_in_time() -> None:
    """Many attachments that each take long take no longer than one document may."""
    blanks = body(" " * 90_000_000)
    end = outcome(attached([with_document(blanks)] * 30), media_types.EML)
    assert end in {TOO_SLOW, TOO_COMPLEX} or "not read" in end


@pytest.mark.long
def test_a_mail_of_ten_megabytes_is_read() -> None:
    """A mail with pictures of ten megabytes is within the memory that its reading may take."""
    picture = b"\x89PNG\r\n\x1a\n" + zlib.compress(seeded(1).randbytes(100_000)) * 100
    assert len(picture) > 10_000_000 > MEMORY_BYTES / 20
    assert "not read" in outcome(attached([picture]), media_types.EML)


@pytest.mark.parametrize("seed", SEED_PARAMS)
def test_a_mail_or_rtf_with_changed_bytes_ends_well(seed: int) -> None:
    """A mail and an RTF with any changed bytes end as a text or a refusal."""
    rng = seeded(seed)
    outcome(_changed(rng, attached([good(media_types.DOCX)])), media_types.EML)
    rtf = (
        b"{\\rtf1\\ansi{\\fonttbl{\\f0\\fcharset0 A;}}\\u233\\'e9{\\b a}\\trowd b\\cell\\row\\par}"
    )
    outcome(_changed(rng, rtf), media_types.RTF)

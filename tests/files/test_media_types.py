"""The type of a file, told from its bytes alone."""

import io
import json
import time
import zipfile

import pytest

from afterword.files import media_types
from tests.harness.packages import epub, odt, pptx, xlsx, zipped
from tests.harness.seeds import SEED_PARAMS, seeded


def archive(*names: str, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip archive with files of these names."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as opened:
        for name in names:
            opened.writestr(name, "x" * 100)
    return out.getvalue()


DOCX = archive("[Content_Types].xml", "_rels/.rels", "word/document.xml")
MARKDOWN_LIST = "Today:\n\n- one [link](https://example.com)\n- two\n"


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        pytest.param(b"%PDF-1.7\n...", media_types.PDF, id="PDF"),
        pytest.param(b"\x00 some bytes %PDF-1.4\n...", media_types.PDF, id="PDF behind bytes"),
        pytest.param(bytes(1_019) + b"%PDF-", media_types.PDF, id="the last place of a PDF"),
        pytest.param(bytes(1_020) + b"%PDF-", media_types.UNKNOWN, id="PDF too late"),
        pytest.param(b"A PDF begins with %PDF-1.7.", media_types.TEXT, id="about PDF"),
        pytest.param(b"\x89PNG\r\n\x1a\n\x00\x00", media_types.PNG, id="PNG"),
        pytest.param(b"\x89PNG\n\x1a\n", media_types.UNKNOWN, id="PNG with its line end changed"),
        pytest.param(b"\xff\xd8\xff\xe0", media_types.JPEG, id="JPEG"),
        pytest.param(b"GIF87a\x01", media_types.GIF, id="GIF of 1987"),
        pytest.param(b"GIF89a\x01", media_types.GIF, id="GIF of 1989"),
        pytest.param(b"RIFF\x24\x00\x00\x00WEBPVP8 ", media_types.WEBP, id="WEBP"),
        pytest.param(b"RIFF\x24\x00\x00\x00WAVEfmt ", media_types.UNKNOWN, id="WAVE"),
        pytest.param(DOCX, media_types.DOCX, id="DOCX"),
        pytest.param(
            archive("word/document.xml", "[Content_Types].xml", compression=zipfile.ZIP_STORED),
            media_types.DOCX,
            id="DOCX, stored, in another order",
        ),
        pytest.param(xlsx({"A": ""}), media_types.XLSX, id="XLSX"),
        pytest.param(pptx([""]), media_types.PPTX, id="PPTX"),
        pytest.param(odt(""), media_types.ODT, id="ODT"),
        pytest.param(epub({}), media_types.EPUB, id="EPUB"),
        pytest.param(
            archive("[Content_Types].xml", "xl/workbook.xml"), media_types.XLSX, id="XLSX by a name"
        ),
        pytest.param(
            zipped({"mimetype": "application/vnd.oasis.opendocument.spreadsheet"}),
            media_types.UNKNOWN,
            id="a spreadsheet of OpenDocument",
        ),
        pytest.param(b"{\\rtf1\\ansi a}", media_types.RTF, id="RTF"),
        pytest.param(b"\xef\xbb\xbf\r\n{\\rtf1 a}", media_types.RTF, id="RTF behind a mark"),
        pytest.param(b"{\\rich text}", media_types.TEXT, id="no RTF"),
        pytest.param(b"From: a@b\r\nSubject: c\r\n\r\nd", media_types.EML, id="mail"),
        pytest.param(
            b"Received: from a\n\tby b; Mon, 30 Nov 2026 10:00:00 +0000\nTo: c\n\n\x89\x00",
            media_types.EML,
            id="mail with bytes in it",
        ),
        pytest.param(b"Subject: a\nTo: b\n\nc", media_types.TEXT, id="fields of no mail alone"),
        pytest.param(b"From: a\n\nb", media_types.TEXT, id="one field"),
        pytest.param(
            b"Content-Type: multipart/mixed; boundary=a\n\n--a", media_types.EML, id="mail of parts"
        ),
        pytest.param(b"From: a\nTo: b\nand so on", media_types.TEXT, id="fields in a text"),
        pytest.param(
            b"From a@b Mon Nov 30 10:00:00 2026\nFrom: a@b\nTo: c\n\nd",
            media_types.MBOX,
            id="mailbox",
        ),
        pytest.param(
            b"From - Mon Nov 30 10:00:00 2026\nX-Status: 0\nDate: a\nFrom: b\n\nc",
            media_types.MBOX,
            id="mailbox of Thunderbird",
        ),
        pytest.param(
            b"From Monday to 10:00 on Friday\nwe are here", media_types.TEXT, id="from day to day"
        ),
        pytest.param(archive("a/word/document.xml"), media_types.UNKNOWN, id="zip"),
        pytest.param(DOCX[:-40], media_types.UNKNOWN, id="DOCX without its end"),
        pytest.param(b"PK\x03\x04", media_types.UNKNOWN, id="no more than a zip's mark"),
        pytest.param(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", media_types.UNKNOWN, id="old Word"),
        pytest.param(b"\x7fELF\x02", media_types.UNKNOWN, id="program"),
        pytest.param("Été".encode("latin-1"), media_types.TEXT, id="Latin-1"),
        pytest.param("Été".encode("utf-16-le"), media_types.TEXT, id="UTF-16 without its mark"),
        pytest.param("Été".encode("utf-16-be"), media_types.TEXT, id="UTF-16, big ends first"),
        pytest.param("Été".encode("utf-32"), media_types.TEXT, id="UTF-32"),
        pytest.param(b"\xff\xfe\x00\xd8", media_types.UNKNOWN, id="half of a surrogate pair"),
        pytest.param(b"\x00", media_types.UNKNOWN, id="NUL"),
        pytest.param(b"a\x00b", media_types.TEXT, id="text with a NUL"),
        pytest.param(b"a\x00\x01b" * 9, media_types.UNKNOWN, id="NULs among letters"),
        pytest.param(b"\xe9\x01" * 9, media_types.UNKNOWN, id="controls among other bytes"),
        pytest.param(b"\x1b[32mok\x1b[0m\x0b", media_types.TEXT, id="output of a terminal"),
        pytest.param("abc\x01".encode("utf-16"), media_types.TEXT, id="UTF-16 with a control"),
        pytest.param(b"", media_types.EMPTY, id="nothing"),
        pytest.param(b" \r\n\t\x0c", media_types.TEXT, id="white space"),
        pytest.param(b"\xef\xbb\xbf", media_types.TEXT, id="nothing but a byte order mark"),
    ],
)
def test_a_file_is_what_its_bytes_say(content: bytes, media_type: str) -> None:
    """Each kind of file is known by its bytes; a file of another kind is unknown."""
    assert media_types.detect(content) == media_type


TEXTS = [
    pytest.param('{"a": [1, 2.5, null]}', media_types.JSON, id="JSON object"),
    pytest.param(' \n[{"a": "é"}]\n', media_types.JSON, id="JSON array"),
    pytest.param("[" + "9" * 5_000 + "]", media_types.JSON, id="JSON with a long number"),
    pytest.param("[" + '{"a": 1},' * 200_000 + "1]", media_types.JSON, id="long JSON"),
    pytest.param('{"a": ' + "x" * 1_000_000 + "}", media_types.JSON, id="long, JSON by its ends"),
    pytest.param("[see below] " + "a" * 1_000_000 + "]", media_types.TEXT, id="long, no JSON"),
    pytest.param('{"a": NaN}', media_types.TEXT, id="NaN is no JSON"),
    pytest.param('"a string"', media_types.TEXT, id="JSON string"),
    pytest.param('{"a": 1, "b": 2}\n{"a": 3, "b": 4}\n', media_types.TEXT, id="JSON lines"),
    pytest.param("[" * 100_000 + "]" * 100_000, media_types.TEXT, id="JSON too deep"),
    pytest.param("<!DOCTYPE html>\n<p>Hello", media_types.HTML, id="HTML with its type"),
    pytest.param("\n<HTML lang=fr><body>", media_types.HTML, id="HTML without its type"),
    pytest.param('<?xml version="1.0"?><!-- a -->\n<html xmlns="x">', media_types.HTML, id="XHTML"),
    pytest.param("<p>Hello</p>\n<p>Bye</p>\n", media_types.HTML, id="part of a page"),
    pytest.param("<p>x</p>\n\n# Title\n\n- one\n", media_types.MARKDOWN, id="not to its end"),
    pytest.param("<rss><a>1</a></rss>", media_types.TEXT, id="XML"),
    pytest.param("a < b and c > d", media_types.TEXT, id="no tag"),
    pytest.param("name,price\ncoffee,4\ntea,3\n", media_types.CSV, id="CSV"),
    pytest.param("nom;prix;été\r\ncafé;4,50;non\r\n", media_types.CSV, id="CSV, as in France"),
    pytest.param("a\tb\tc\n1\t2\t3", media_types.CSV, id="tabs"),
    pytest.param('a,b\n"x, ""y""\nz",2\n\n3,4\n', media_types.CSV, id="CSV with quotes"),
    pytest.param("sep=;\r\na;b,5\r\nc;d\r\ne;f\r\n", media_types.CSV, id="CSV of Excel"),
    pytest.param("a,b,c\n1,2,3\n4,5,6\n7,8,9\nTotal,15\n", media_types.CSV, id="an uneven row"),
    pytest.param("a,b,c\n1,2,3\n4,5\n7,8,9\n", media_types.TEXT, id="one uneven row of few"),
    pytest.param("a,b\n1,2\n3,4\n5,6\nTotal\n7,8\n", media_types.TEXT, id="few columns"),
    pytest.param(
        'a,b,c\n1,2,3\n4,"x' + "\ny" * 40_000 + '",6\n', media_types.CSV, id="a long cell"
    ),
    pytest.param("a,b\x0bc,d\n1,2,3\n", media_types.CSV, id="a vertical tab"),
    pytest.param("a,b,c\n" * 30_000, media_types.CSV, id="long CSV"),
    pytest.param(("a" * 1_000 + ",b,c\n") * 100, media_types.CSV, id="long rows"),
    pytest.param("a,b,c\n1,2\n3,4,5\n", media_types.TEXT, id="uneven rows"),
    pytest.param("a,b\n1,2\n", media_types.TEXT, id="too few cells to tell"),
    pytest.param("a,b,c,d,e,f\n", media_types.TEXT, id="one row"),
    pytest.param("Dear Bob, hello.\nAll well, I hope.\nYours, Al", media_types.TEXT, id="prose"),
    pytest.param("# Title\n\nText.", media_types.MARKDOWN, id="heading"),
    pytest.param("Title\n=====\n", media_types.MARKDOWN, id="underlined heading"),
    pytest.param("Run:\n```\nmake\n```\n", media_types.MARKDOWN, id="fence"),
    pytest.param("| a | b |\n|---|:-:|\n| 1 | 2 |\n", media_types.MARKDOWN, id="table"),
    pytest.param(MARKDOWN_LIST, media_types.MARKDOWN, id="list with a link"),
    pytest.param("- one\n- two\n", media_types.TEXT, id="list alone"),
    pytest.param("#hashtag\n", media_types.TEXT, id="hashtag"),
    pytest.param("#!/bin/sh\necho\n", media_types.TEXT, id="script"),
    pytest.param("Bonjour,\n\nMerci.\n", media_types.TEXT, id="mail"),
]


@pytest.mark.parametrize(("text", "media_type"), TEXTS)
def test_a_text_is_what_it_looks_like(text: str, media_type: str) -> None:
    """JSON, HTML, CSV and Markdown are told from other texts, in each encoding of text."""
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        assert media_types.detect(text.encode(encoding)) == media_type


@pytest.mark.parametrize("seed", SEED_PARAMS)
def test_every_file_has_a_type(seed: int) -> None:
    """For any bytes, deciding never fails and says the same twice."""
    rng = seeded(seed)
    known = media_types.DOCUMENTS | media_types.IMAGES | {media_types.UNKNOWN}
    starts = [b"", b"PK\x03\x04", b"%PDF-", b"\xff\xfe", b"{", b"<", DOCX, DOCX[:-22]]
    for _ in range(200):
        changed = bytearray(rng.choice(starts) + rng.randbytes(rng.randrange(1, 40)))
        if rng.random() < 0.5:  # a directory that leads nowhere
            changed = bytearray(DOCX)
            changed[-rng.randrange(1, 300)] = rng.randrange(256)
        content = bytes(changed)
        assert media_types.detect(content) == media_types.detect(content)
        assert media_types.detect(content) in known


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"PK\x03\x04" + b"PK\x01\x02" * 1_100_000, id="zip"),
        pytest.param(b"[" * 4_500_000 + b"]", id="brackets"),
        pytest.param(b"[{}," + b"{}," * 330_000 + b"1]", id="JSON"),
        pytest.param(b"[a](" * 1_125_000, id="links"),
        pytest.param(b"<p " * 1_500_000, id="tags"),
        pytest.param(b"<!--" * 1_125_000, id="comments"),
        pytest.param(b'"a,' * 1_500_000, id="quotes"),
        pytest.param(b"**a" * 1_500_000, id="bold"),
        pytest.param(b"\n" * 4_500_000, id="line ends"),
        pytest.param(b"| - " * 1_125_000, id="a table's line"),
        pytest.param("é".encode("utf-16") * 1_125_000, id="UTF-16"),
    ],
)
def test_deciding_is_quick(content: bytes) -> None:
    """The biggest files take some milliseconds, whatever is in them."""
    began = time.process_time()
    media_types.detect(content)
    assert time.process_time() - began < 0.5


def test_a_directory_is_followed_no_further_than_it_must() -> None:
    """An archive that says it has more names than a document has is not read to its end."""
    many = archive("[Content_Types].xml", *map(str, range(10_000)), "word/document.xml")
    assert media_types.detect(many) == media_types.UNKNOWN
    few = archive("[Content_Types].xml", *map(str, range(1_000)), "word/document.xml")
    assert media_types.detect(few) == media_types.DOCX


def test_json_is_told_by_what_json_means() -> None:
    """Everything that Python writes as a JSON object or array is JSON."""
    values: list[object] = [{}, [], {"a": {"b": [True, False, None]}}, [[]], ["\ud83d\ude00"]]
    for value in values:
        assert media_types.detect(json.dumps(value).encode()) == media_types.JSON

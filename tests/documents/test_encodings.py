"""The encodings of texts and pages."""

import codecs

import pytest

from afterword.files import media_types
from afterword.generations import FailedError, Reason
from afterword_documents import encodings
from afterword_documents.extraction import extract
from tests.harness.seeds import seeded

JAPANESE = "ご利用規約。返品は三十日以内にお願いします。送料は無料です。"
CHINESE = "退货期限为三十天。运费由买方承担。"
TAIWANESE = "退貨期限為三十天。運費由買方承擔。"
KOREAN = "반품은 30일 이내에 가능합니다. 배송비는 무료입니다."
RUSSIAN = "Возврат товара возможен в течение тридцати дней."
GREEK = "\u039f\u03b9 επιστροφές γίνονται εντός τριάντα ημερών."
POLISH = "Zażółć gęślą jaźń. Zwrot możliwy w ciągu trzydziestu dni, później niż środa. " * 8
FRENCH = "L\u2019été déjà\u00a0: 12,50 € «\u00a0à régler\u00a0»\r\n"


def read(content: bytes) -> str:
    """Return the text of a file of any type."""
    return extract(media_types.detect(content), content, 20)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (FRENCH, "cp1252"),
        (JAPANESE, "cp932"),
        (JAPANESE, "euc_jp"),
        (JAPANESE, "iso2022_jp"),
        (CHINESE, "gb18030"),
        ("联通", "gb18030"),
        (TAIWANESE, "big5"),
        (KOREAN, "cp949"),
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8_r"),
        (RUSSIAN, "cp866"),
        (GREEK, "iso8859_7"),
        (POLISH, "cp1250"),
        (f"nom;été;prix\n{FRENCH}", "utf-16"),
        (FRENCH, "utf-16-le"),
        (FRENCH, "utf-16-be"),
        (FRENCH, "utf-32"),
        (FRENCH, "utf-8-sig"),
    ],
)
def test_a_text_is_read_in_any_usual_encoding(text: str, encoding: str) -> None:
    """A text that declares nothing is read by its mark, as UTF-8, or by its language."""
    assert read(text.encode(encoding)) == text


@pytest.mark.parametrize(
    "text",
    [
        "Die „Leistung\u201c ist in Anlage 1 beschrieben",
        "Größe ändern \u2013 „Maß\u201c (groß)",
        "Die „Übung\u201c, \u201aÄhnlich\u2018, \u2039Änderung\u203a",
        "Preis: 5 € ‰",
        "¿Qué? ¡Óptimo! (¿Ábrelo?)",
        "L\u2019été †",
    ],
)
def test_the_signs_of_western_languages_are_read(text: str) -> None:
    """Quotes, and signs before words, are windows-1252 where the letters are."""
    assert read(text.encode("cp1252")) == text


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("„Leczenie\u201d jest płatne, żądanie „Łódź\u201d", "cp1250"),
        ("„Договор\u201c за доставка", "cp1251"),
        ("Οι επιστροφές „γίνονται\u201c εντός τριάντα ημερών.", "cp1253"),
        ("LG전자 TV", "cp949"),
        ("テスト test", "cp932"),
        ("你好 world", "gb18030"),
    ],
)
def test_signs_make_no_text_of_other_languages_western(text: str, encoding: str) -> None:
    """Quotes and words of Latin letters are in texts of all languages."""
    assert read(text.encode(encoding)) == text


@pytest.mark.parametrize(
    ("text", "encoding", "label"),
    [
        (FRENCH, "cp1252", "iso-8859-1"),
        (FRENCH, "utf-8", "iso-8859-1"),
        (JAPANESE, "cp932", "Shift_JIS"),
        (JAPANESE, "cp932", "x-sjis"),
        (CHINESE, "gb18030", "gb2312"),
        ("联通", "gb18030", "GBK"),
        (CHINESE, "utf-8", "gbk"),
        (TAIWANESE, "big5hkscs", "Big5"),
        (KOREAN, "cp949", "ks_c_5601-1987"),
        (KOREAN, "cp949", "euc-kr"),
        (RUSSIAN, "cp1251", "windows-1251"),
        (RUSSIAN, "koi8_r", "KOI8-R"),
        (FRENCH, "utf-8", "utf-16"),
        (FRENCH, "utf-8", "no-such-encoding"),
        (FRENCH, "cp1252", "utf-8"),
    ],
)
def test_a_page_is_read_in_the_encoding_that_it_declares(
    text: str, encoding: str, label: str
) -> None:
    """The names are those that browsers know; UTF-8 wins over a name that it contradicts."""
    page = f"<!doctype html><meta charset={label}><p>".encode() + text.encode(encoding)
    assert read(page).split() == text.split()


@pytest.mark.parametrize(
    "head",
    [
        "<!doctype html><meta charset={}><p>",
        "<!doctype html><META  name=a  CharSet = '{}' >",
        '<html><head><META HTTP-EQUIV="Content-Type" CONTENT="text/html; charset={}"></head>',
        '\n<?xml version="1.0" encoding="{}"?><html>',
        '<!-- <meta charset="koi8-u"> --><html><meta charset="{}">',
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset={}\r\n\r\n<html><meta charset=big5>",
    ],
)
def test_a_page_may_declare_its_encoding_in_many_ways(head: str) -> None:
    """The declaration is that of HTML, of XML, or of the headers, but none of a comment."""
    page = head.format("Windows-1251").encode()
    assert media_types.detect(page) == media_types.HTML
    assert encodings.declared(page) == "Windows-1251"
    assert encodings.decode_known(page + RUSSIAN.encode("cp1251"), "Windows-1251") == (
        head.format("Windows-1251").replace("\ufeff", "") + RUSSIAN
    )


@pytest.mark.parametrize("length", [16, 40])
def test_noise_is_refused(length: int) -> None:
    """Bytes of no language and no type say what would help."""
    noise = seeded(1).randbytes(length)
    with pytest.raises(FailedError) as caught:
        extract(media_types.TEXT, noise, 20)
    assert caught.value.reason is Reason.UNREADABLE_FILE
    assert str(caught.value) == "The text's encoding cannot be told: save it as UTF-8."


@pytest.mark.parametrize(
    ("content", "text"),
    [
        pytest.param("Ré\x00su\x01mé".encode(), "Résumé", id="controls"),
        pytest.param(b"one\x0btwo\x0cthree\x1a", "one\ntwo\nthree", id="line ends"),
        pytest.param(b"\x1b[1;32mok\x1b[0m \x1b]0;title\x07done", "ok done", id="a terminal"),
        pytest.param(b"N\x08NA\x08AME", "NAME", id="struck twice"),
        pytest.param("don\u0092t \u0096 ok\u0081".encode(), "don\u2019t \u2013 ok", id="C1"),
        pytest.param(b"\xef\xbb\xbfa\xef\xbb\xbfb", "ab", id="a mark within"),
        pytest.param("Été Ä".encode() + b" \xff", "Été Ä \ufffd", id="a bad byte"),
        pytest.param("Été €".encode()[:-1], "Été \ufffd", id="cut off"),
        pytest.param("Été".encode("utf-16") + b"\x00", "Été\ufffd", id="UTF-16, cut off"),
    ],
)
def test_what_is_no_character_is_dropped(content: bytes, text: str) -> None:
    """Control characters are left out or are line ends; U+FFFD stands for bytes of no character."""
    assert read(content) == text


def test_the_names_of_encodings_are_those_of_browsers() -> None:
    """Names of narrower encodings mean the wider ones; those of no text mean nothing."""
    assert encodings.codec(" Latin1 ") == "cp1252"
    assert encodings.codec("US-ASCII") == "cp1252"
    assert encodings.codec("windows-31j") == "cp932"
    assert encodings.codec("x-gbk") == "gb18030"
    for label in ("", "utf-7", "rot13", "base64", "idna", "unicode_escape", "a" * 1_000, "\x00"):
        assert encodings.codec(label) is None


@pytest.mark.parametrize("mark", [codecs.BOM_UTF8, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE])
def test_a_mark_alone_is_no_text(mark: bytes) -> None:
    """A file of a byte order mark is a text without characters."""
    with pytest.raises(FailedError, match="has no text in it"):
        extract(media_types.TEXT, mark, 5)


def test_long_texts_are_decoded_within_the_bounds() -> None:
    """A long text of another encoding is refused for its length, not its encoding."""
    with pytest.raises(FailedError, match="more than 1,000,000 characters"):
        extract(media_types.TEXT, (RUSSIAN * 30_000).encode("cp1251"), 20)

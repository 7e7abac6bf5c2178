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
        ("\u039f\u03b9 επιστροφές „γίνονται\u201c εντός τριάντα ημερών.", "cp1253"),
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


LABELS = {
    "utf-8": (
        "unicode-1-1-utf-8 unicode11utf8 unicode20utf8 utf-8 utf8 x-unicode20utf8 utf-16 "
        "utf-16be utf-16le csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff unicodefffe"
    ),
    "cp866": "866 cp866 csibm866 ibm866",
    "iso8859-2": (
        "csisolatin2 iso-8859-2 iso-ir-101 iso8859-2 iso88592 iso_8859-2 iso_8859-2:1987 l2 latin2"
    ),
    "iso8859-3": (
        "csisolatin3 iso-8859-3 iso-ir-109 iso8859-3 iso88593 iso_8859-3 iso_8859-3:1988 l3 latin3"
    ),
    "iso8859-4": (
        "csisolatin4 iso-8859-4 iso-ir-110 iso8859-4 iso88594 iso_8859-4 iso_8859-4:1988 l4 latin4"
    ),
    "iso8859-5": (
        "csisolatincyrillic cyrillic iso-8859-5 iso-ir-144 iso8859-5 iso88595 iso_8859-5 "
        "iso_8859-5:1988"
    ),
    "iso8859-6": (
        "arabic asmo-708 csiso88596e csiso88596i csisolatinarabic ecma-114 iso-8859-6 "
        "iso-8859-6-e iso-8859-6-i iso-ir-127 iso8859-6 iso88596 iso_8859-6 iso_8859-6:1987"
    ),
    "iso8859-7": (
        "csisolatingreek ecma-118 elot_928 greek greek8 iso-8859-7 iso-ir-126 iso8859-7 "
        "iso88597 iso_8859-7 iso_8859-7:1987 sun_eu_greek"
    ),
    "iso8859-8": (
        "csiso88598e csisolatinhebrew hebrew iso-8859-8 iso-8859-8-e iso-ir-138 iso8859-8 "
        "iso88598 iso_8859-8 iso_8859-8:1988 visual csiso88598i iso-8859-8-i logical"
    ),
    "iso8859-10": "csisolatin6 iso-8859-10 iso-ir-157 iso8859-10 iso885910 l6 latin6",
    "iso8859-13": "iso-8859-13 iso8859-13 iso885913",
    "iso8859-14": "iso-8859-14 iso8859-14 iso885914",
    "iso8859-15": "csisolatin9 iso-8859-15 iso8859-15 iso885915 iso_8859-15 l9",
    "iso8859-16": "iso-8859-16",
    "koi8-r": "cskoi8r koi koi8 koi8-r koi8_r",
    "koi8-u": "koi8-ru koi8-u",
    "mac-roman": "csmacintosh mac macintosh x-mac-roman",
    "cp874": "dos-874 iso-8859-11 iso8859-11 iso885911 tis-620 windows-874",
    "cp1250": "cp1250 windows-1250 x-cp1250",
    "cp1251": "cp1251 windows-1251 x-cp1251",
    "cp1252": (
        "ansi_x3.4-1968 ascii cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1 "
        "iso88591 iso_8859-1 iso_8859-1:1987 l1 latin1 us-ascii windows-1252 x-cp1252"
    ),
    "cp1253": "cp1253 windows-1253 x-cp1253",
    "cp1254": (
        "cp1254 csisolatin5 iso-8859-9 iso-ir-148 iso8859-9 iso88599 iso_8859-9 "
        "iso_8859-9:1989 l5 latin5 windows-1254 x-cp1254"
    ),
    "cp1255": "cp1255 windows-1255 x-cp1255",
    "cp1256": "cp1256 windows-1256 x-cp1256",
    "cp1257": "cp1257 windows-1257 x-cp1257",
    "cp1258": "cp1258 windows-1258 x-cp1258",
    "mac-cyrillic": "x-mac-cyrillic x-mac-ukrainian",
    "gb18030": (
        "chinese csgb2312 csiso58gb231280 gb2312 gb_2312 gb_2312-80 gbk iso-ir-58 x-gbk gb18030"
    ),
    "big5hkscs": "big5 big5-hkscs cn-big5 csbig5 x-x-big5",
    "euc_jp": "cseucpkdfmtjapanese euc-jp x-euc-jp",
    "iso2022_jp": "csiso2022jp iso-2022-jp",
    "cp932": "csshiftjis ms932 ms_kanji shift-jis shift_jis sjis windows-31j x-sjis",
    "cp949": (
        "cseuckr csksc56011987 euc-kr iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 "
        "ksc_5601 windows-949"
    ),
}
"""The labels of https://encoding.spec.whatwg.org/encodings.json, by Python's codecs.

UTF-16 in a declaration means UTF-8. Those of `replacement` and `x-user-defined` are left out.
"""


def test_each_label_of_browsers_is_known() -> None:
    """Every label of an encoding that browsers read names its codec."""
    for name, labels in LABELS.items():
        found = {label: encodings.codec(label) for label in labels.split()}
        assert found == dict.fromkeys(labels.split(), name)

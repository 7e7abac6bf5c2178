"""Forms as clients send them: the fields that come of them, and the refusals and reasons."""

import email.policy
import json
import random
import string
from email.message import EmailMessage
from email.parser import BytesParser
from urllib.parse import urlencode

import httpx
import pytest
from urllib3.filepost import encode_multipart_formdata

from afterword.dialects.genai_stack import form
from afterword.errors import InvalidRequestError
from afterword.files import Upload
from afterword.handlers import form_fields, multipart
from tests.harness.seeds import SEED_PARAMS, seeded

BOUNDARY = "----boundary.7"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
URLENCODED = "application/x-www-form-urlencoded"
JSON = "application/json"
CONTENT = "walnut"
"""Stands in values; no message may have it."""

type Value = str | Upload
type Pairs = list[tuple[str, Value]]


def body_of(*parts: bytes) -> bytes:
    """Return a multipart body of parts, each of which has its headers and its content."""
    delimiter = b"--" + BOUNDARY.encode()
    lines = [line for part in parts for line in (delimiter, part)]
    return b"\r\n".join([*lines, delimiter + b"--", b""])


def part(disposition: str, content: str | bytes = "", *headers: str) -> bytes:
    """Return a part whose Content-Disposition is `form-data` and what is given."""
    lines = [f"Content-Disposition: form-data; {disposition}", *headers, "", ""]
    return "\r\n".join(lines).encode() + (content.encode() if isinstance(content, str) else content)


def parsed(*parts: bytes) -> Pairs:
    """Return the form that a multipart body of these parts is read into."""
    return form.parse(MULTIPART, body_of(*parts))


def file(name: str, content: bytes) -> Upload:
    """Return an upload."""
    return Upload(name=name, content=content)


def refusal(content_type: str, body: bytes) -> str:
    """Return the message of the refusal of a request."""
    with pytest.raises(InvalidRequestError) as refused:
        form.parse(content_type, body)
    assert CONTENT not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param(part('name="a"', "1"), ("a", "1"), id="a text"),
        pytest.param(part("name=a", "1"), ("a", "1"), id="a name without quotes"),
        pytest.param(part('NAME = "a" ;', "1"), ("a", "1"), id="spaces and capitals"),
        pytest.param(part('name="a"'), ("a", ""), id="an empty text"),
        pytest.param(part('name="a"', "é 日本 🙂"), ("a", "é 日本 🙂"), id="UTF-8"),
        pytest.param(
            part('name="a"', "\r\n1\r2\n3\r\n\r\n"), ("a", "\r\n1\r2\n3\r\n\r\n"), id="line breaks"
        ),
        pytest.param(
            part('name="a"', f"--{BOUNDARY}\r\n\n--{BOUNDARY}\r\n-{BOUNDARY}--"),
            ("a", f"--{BOUNDARY}\r\n\n--{BOUNDARY}\r\n-{BOUNDARY}--"),
            id="a boundary that is on no line of its own",
        ),
        pytest.param(
            part('name="a"', f"1\r\n--{BOUNDARY}0\r\n\r\n--{BOUNDARY}-\r\n\r\n--{BOUNDARY}\r2"),
            ("a", f"1\r\n--{BOUNDARY}0\r\n\r\n--{BOUNDARY}-\r\n\r\n--{BOUNDARY}\r2"),
            id="lines that begin with the boundary",
        ),
        pytest.param(
            b'content-disposition:form-data\t;name="a"\r\n\r\n1',
            ("a", "1"),
            id="a header in lower case with a tab and no spaces",
        ),
        pytest.param(
            b'X-Own: 1\r\nContent-Type: text/plain\r\nContent-Disposition: form-data; name="a"'
            b"\r\n\r\n1",
            ("a", "1"),
            id="other headers before",
        ),
        pytest.param(
            part('name="a"', "1", "Content-Type: application/octet-stream"),
            ("a", "1"),
            id="a type and no file name",
        ),
        pytest.param(
            part('name="a"', "1", 'Content-Type: text/plain; charset="UTF-8"'),
            ("a", "1"),
            id="a charset",
        ),
        pytest.param(
            part('name="a"', "é", "Content-Type: text/plain; charset=utf8"),
            ("a", "é"),
            id="a charset as many write it",
        ),
        pytest.param(
            part('name="a"', "MQ==", "Content-Transfer-Encoding: Binary"),
            ("a", "MQ=="),
            id="an encoding that encodes nothing",
        ),
        pytest.param(
            part('name="a"; filename="b.bin"', b"\0\xff\r\n", "Content-Type: text/plain"),
            ("a", file("b.bin", b"\0\xff\r\n")),
            id="a file",
        ),
        pytest.param(
            part('filename="b"; name="a"', "1"), ("a", file("b", b"1")), id="the file name first"
        ),
        pytest.param(
            part('name="a"; filename="b"'), ("a", file("b", b"")), id="an empty file with a name"
        ),
        pytest.param(
            part('name="a"; filename=""', "1"), ("a", file("", b"1")), id="a file without a name"
        ),
        pytest.param(
            part('name="a"; filename="b"', "\xe9".encode("latin-1"), "Content-Type: multipart/x"),
            ("a", file("b", b"\xe9")),
            id="a file of a type that is not looked at",
        ),
        pytest.param(part('name="a%22b"', "1"), ('a"b', "1"), id="a quote as HTML has it"),
        pytest.param(part(r'name="a\"b\\c\d"', "1"), (r'a"b\c\d', "1"), id="escapes of RFC 822"),
        pytest.param(part('name="a\\"', "1"), ("a\\", "1"), id="a backslash at the end"),
        pytest.param(
            part('name="a\\"; filename="b"', "1"),
            ("a\\", file("b", b"1")),
            id="a backslash at the end of the first",
        ),
        pytest.param(part('name="a;b=c"', "1"), ("a;b=c", "1"), id="a name like a parameter"),
        pytest.param(part('name="é 日本"', "1"), ("é 日本", "1"), id="a name in UTF-8"),
        pytest.param(part('name="100%41"', "1"), ("100%41", "1"), id="a percent sign that is one"),
        pytest.param(
            part("name*=utf-8'fr'%c3%a9t%C3%A9; filename*=UTF-8''%E6%97%A5.txt", "1"),
            ("été", file("日.txt", b"1")),
            id="names as in RFC 8187",
        ),
        pytest.param(
            part('name="a"; filename="=?utf-8?B?w6k=?="; filename*=utf-8\'\'%C3%A9', "1"),
            ("a", file("é", b"1")),
            id="both file names, as .NET sends them",
        ),
    ],
)
def test_each_part_is_a_field_or_a_file(sent: bytes, expected: tuple[str, Value]) -> None:
    """A part is a file if it has a file name, else a text, whatever its client makes of quoting."""
    assert parsed(sent) == [expected]
    assert parsed(part('name="0"', "0"), sent, part('name="9"', "9")) == [
        ("0", "0"),
        expected,
        ("9", "9"),
    ]


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        pytest.param("report.pdf", "report.pdf", id="plain"),
        pytest.param("/home/me/report.pdf", "report.pdf", id="a folder"),
        pytest.param(r"C:\Users\me\report.pdf", "report.pdf", id="a folder of Windows"),
        pytest.param(r"..\../report.pdf", "report.pdf", id="folders of both kinds"),
        pytest.param("folder/", "", id="a folder alone"),
        pytest.param("a%0D%0Ab%22.txt", 'ab".txt', id="line breaks and a quote"),
        pytest.param("a\tb\x85\u2028\u202efdp.exe", "abfdp.exe", id="what cannot be seen"),
        pytest.param("e\u0301te\u0301.txt", "\u00e9t\u00e9.txt", id="decomposed, as on a Mac"),
        pytest.param(" a b ", "a b", id="spaces around"),
        pytest.param("x" * 300, "x" * 255, id="300 bytes"),
        pytest.param("日" * 100, "日" * 85, id="300 bytes of Japanese"),
        pytest.param("x" + "日" * 100, "x" + "日" * 84, id="cut in a character"),
    ],
)
def test_a_file_name_is_fit_to_be_shown(sent: str, shown: str) -> None:
    """Of a file's name stays what can be shown: no folder, nothing unseen, at most 255 bytes."""
    assert parsed(part(f'name="a"; filename="{sent}"', "1")) == [("a", file(shown, b"1"))]


def test_an_empty_file_input_is_as_if_not_sent() -> None:
    """The part that browsers send for an empty file input is no input."""
    nothing = part('name="b"; filename=""', "", "Content-Type: application/octet-stream")
    assert parsed(part('name="a"', "1"), nothing) == [("a", "1")]
    chosen_nothing = part('name="input_value"; filename=""', "")
    assert parsed(
        part('name="input_key"', "a"),
        chosen_nothing,
        part('name="input_key"', "b"),
        part('name="input_value"', "2"),
    ) == [("b", "2")]


def test_a_form_may_tell_that_it_is_utf_8() -> None:
    """HTML's `_charset_` is no input; one that is not UTF-8 is refused."""
    told = part('name="_charset_"', "UTF-8")
    assert parsed(told, part('name="a"', "1")) == [("a", "1")]
    assert form.parse(URLENCODED, b"_charset_=utf-8&a=1") == [("a", "1")]
    expected = "_charset_: must be UTF-8."
    assert refusal(URLENCODED, b"_charset_=windows-1252&a=1") == expected
    assert refusal(MULTIPART, body_of(part('name="_charset_"; filename="a"', "utf-8"))) == expected


@pytest.mark.parametrize(
    ("boundary", "delimiter"),
    [
        pytest.param("b", b"b", id="one character"),
        pytest.param('"a b:=?"', b"a b:=?", id="in quotes"),
        pytest.param("----=_Part_1_2.3=", b"----=_Part_1_2.3=", id="an equals sign, no quotes"),
        pytest.param("b;charset=utf-8", b"b", id="a parameter after"),
        pytest.param("x" * 200, b"x" * 200, id="200 characters"),
    ],
)
@pytest.mark.parametrize(
    "end", [b"", b"\r\n", b" \t\r\n\r\n"], ids=["no line break", "a line break", "blank lines"]
)
@pytest.mark.parametrize("begin", [b"", b"\r\n"], ids=["", "a line break before"])
def test_boundaries_are_as_the_client_likes(
    boundary: str, delimiter: bytes, begin: bytes, end: bytes
) -> None:
    """Any boundary of visible ASCII is taken, and blank lines around the form do not count."""
    content = part('name="a"', "1") + b"\r\n"
    body = begin + b"--%b\r\n%b--%b \t\r\n%b--%b--" % (
        delimiter,
        content,
        delimiter,
        content,
        delimiter,
    )
    content_type = f"Multipart/Form-Data; Boundary={boundary}"
    assert form.parse(content_type, body + end) == [("a", "1"), ("a", "1")]
    assert form.parse(content_type, begin + b"--" + delimiter + b"--" + end) == []


GOOD = part('name="a"', CONTENT)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(
            body_of(b"\r\n" + CONTENT.encode()),
            "Part 1: must have a Content-Disposition of form-data.",
            id="no headers",
        ),
        pytest.param(
            body_of(GOOD, b'Content-Disposition: attachment; name="a"\r\n\r\n1'),
            "Part 2: must have a Content-Disposition of form-data.",
            id="another disposition",
        ),
        pytest.param(
            body_of(GOOD, part('filename="a"')),
            "Part 2: must have a name in its Content-Disposition.",
            id="no name",
        ),
        pytest.param(body_of(part('name=""')), "Part 1: must have a name.", id="an empty name"),
        pytest.param(
            body_of(part(f'name="{"x" * 257}"')),
            "Part 1: must have a name of at most 256 characters.",
            id="a long name",
        ),
        pytest.param(
            body_of(part('name="a%0D%0Ab"')),
            "Part 1: must have a name without control characters.",
            id="a line break in a name",
        ),
        pytest.param(
            body_of(part('name="a"; name="b"')),
            "Part 1: must have a well-formed content-disposition.",
            id="two names",
        ),
        pytest.param(
            body_of(part('name="a')),
            "Part 1: must have a well-formed content-disposition.",
            id="a quote that is not closed",
        ),
        pytest.param(
            body_of(part('name="a"b"')),
            "Part 1: must have a well-formed content-disposition.",
            id="a quote in a name",
        ),
        pytest.param(
            body_of(part('name="a"\nX: "1"')),
            "Part 1: must have a well-formed content-disposition.",
            id="a header that ends in LF",
        ),
        pytest.param(
            body_of(part('name="a\nX: 1"')),
            "Part 1: must have a name without control characters.",
            id="a line break as it is in a name",
        ),
        pytest.param(
            body_of(b'Content-Disposition: form-data; name="\xe9"\r\n\r\n1'),
            "Part 1: must have a content-disposition in UTF-8.",
            id="a name in Latin-1",
        ),
        pytest.param(
            body_of(part("name*=iso-8859-1''%E9")),
            "Part 1: must have its name* in UTF-8 as in RFC 8187.",
            id="an encoded name in Latin-1",
        ),
        pytest.param(
            body_of(part("name=\"a\"; filename*=utf-8''%E9")),
            "a (part 1): must have its filename* in UTF-8 as in RFC 8187.",
            id="an encoded file name that is not UTF-8",
        ),
        pytest.param(
            body_of(part("name=\"a\"; filename*=utf-8''100%")),
            "a (part 1): must have its filename* in UTF-8 as in RFC 8187.",
            id="an encoded file name with a lone percent sign",
        ),
        pytest.param(
            body_of(part('name="a"; filename*=b.txt')),
            "a (part 1): must have its filename* in UTF-8 as in RFC 8187.",
            id="an encoded file name that is not",
        ),
        pytest.param(
            body_of(part("name=a; filename*0*=utf-8''b; filename*1=c")),
            "a (part 1): must have its filename* in UTF-8 as in RFC 8187.",
            id="a file name in pieces",
        ),
        pytest.param(
            body_of(part('name="a"', "1", 'Content-Disposition: form-data; name="b"')),
            "Part 1: must have each header once.",
            id="two dispositions",
        ),
        pytest.param(
            body_of(part('name="a"', CONTENT, "Content-Transfer-Encoding: BASE64")),
            "a (part 1): must have its content as it is, without a Content-Transfer-Encoding.",
            id="base64",
        ),
        pytest.param(
            body_of(part('name="a"; filename="b"', CONTENT, "Content-Transfer-Encoding: x-own")),
            "a (part 1): must have its content as it is, without a Content-Transfer-Encoding.",
            id="an unknown encoding of a file",
        ),
        pytest.param(
            body_of(part('name="a"', CONTENT, "Content-Type: text/plain; charset=iso-8859-1")),
            "a (part 1): must have the charset UTF-8.",
            id="another charset",
        ),
        pytest.param(
            body_of(part('name="a"', CONTENT, "Content-Type: multipart/mixed; boundary=x")),
            "a (part 1): must have no parts of its own; send a field for each.",
            id="parts in a part",
        ),
        pytest.param(
            body_of(GOOD, part('name="a"', CONTENT.encode() + b"\xe9")),
            "a (part 2): must be UTF-8, and byte 6 is not; "
            "a file needs a filename in its Content-Disposition.",
            id="a text in Latin-1",
        ),
        pytest.param(
            body_of(part('name="a"', b"\xed\xa0\x80")),
            "a (part 1): must be UTF-8, and byte 0 is not; "
            "a file needs a filename in its Content-Disposition.",
            id="a surrogate",
        ),
        pytest.param(
            body_of(part('name="a"', CONTENT + "\0")),
            "a (part 1): must have no NUL character.",
            id="NUL",
        ),
        pytest.param(
            body_of(part('name="a"', CONTENT, " folded: 1")),
            "Part 1: must have at most 16 well-formed headers; the fault is at byte 60.",
            id="a folded header",
        ),
        pytest.param(
            b"\r\n" + body_of(part('name="a"', CONTENT, ": 1")),
            "Part 1: must have at most 16 well-formed headers; the fault is at byte 62.",
            id="a header without a name",
        ),
        pytest.param(
            body_of(part('name="a"', CONTENT, *(f"X{i}: 1" for i in range(16)))),
            "Part 1: must have at most 16 well-formed headers; the fault is at byte 170.",
            id="17 headers",
        ),
        pytest.param(
            body_of(part('name="a"', "", "X: " + "1" * multipart.MAX_HEADER_BYTES)),
            "Part 1: must have at most 16 well-formed headers; the fault is at byte 63.",
            id="a long header",
        ),
        pytest.param(
            body_of(GOOD, part('name="a"', "", *(f"X{i}: " + "1" * 6_000 for i in range(3)))),
            "Part 2: must have at most 16384 bytes of headers.",
            id="long headers",
        ),
        pytest.param(
            body_of(GOOD, part('name="a"')[:-4]),
            "Part 2: must have at most 16 well-formed headers; the fault is at byte 148.",
            id="no blank line after the headers",
        ),
        pytest.param(
            body_of(part('name="a"')[:-4])[:-2],
            "Part 1: must have headers that end with an empty line.",
            id="nothing after the headers",
        ),
        pytest.param(
            b"",
            "The body must begin with the Content-Type's boundary on a line that ends in CRLF.",
            id="empty",
        ),
        pytest.param(
            body_of(GOOD).replace(BOUNDARY.encode(), b"other"),
            "The body must begin with the Content-Type's boundary on a line that ends in CRLF.",
            id="another boundary",
        ),
        pytest.param(
            body_of(GOOD).replace(b"\r\n", b"\n"),
            "The body must begin with the Content-Type's boundary on a line that ends in CRLF.",
            id="LF",
        ),
        pytest.param(
            CONTENT.encode() + b"\r\n" + body_of(GOOD),
            "The body must begin with the Content-Type's boundary on a line that ends in CRLF.",
            id="text before",
        ),
        pytest.param(
            body_of(GOOD)[:-4],
            "The body must have its last boundary; its end may be cut off.",
            id="cut off",
        ),
        pytest.param(
            body_of(GOOD) + CONTENT.encode(),
            "The body must end with its last boundary; a file may have the boundary in it.",
            id="text after",
        ),
        pytest.param(
            body_of(GOOD) + body_of(GOOD),
            "The body must end with its last boundary; a file may have the boundary in it.",
            id="two forms",
        ),
        pytest.param(
            body_of(part('name="a"; filename="b"', body_of(GOOD))),
            "The body must end with its last boundary; a file may have the boundary in it.",
            id="a form in itself",
        ),
    ],
)
def test_a_malformed_form_is_refused(body: bytes, message: str) -> None:
    """A fault of a multipart form is named with its part or field, and not its value."""
    assert refusal(MULTIPART, body) == message


@pytest.mark.parametrize(
    ("body", "pairs"),
    [
        pytest.param("", [], id="empty"),
        pytest.param("a=1&b=2&a=3", [("a", "1"), ("b", "2"), ("a", "3")], id="a key repeated"),
        pytest.param("a=&b=2&&", [("a", ""), ("b", "2")], id="blank"),
        pytest.param("a=b=c", [("a", "b=c")], id="an equals sign"),
        pytest.param("a+b=c+d%2Be", [("a b", "c d+e")], id="spaces and a plus"),
        pytest.param("%C3%A9=%e6%97%a5", [("é", "日")], id="UTF-8"),
        pytest.param("é=日", [("é", "日")], id="UTF-8 that is not encoded"),
        pytest.param("a=1%0D%0A2\r\n", [("a", "1\r\n2\r\n")], id="line breaks"),
        pytest.param("a=1;b=2", [("a", "1;b=2")], id="a semicolon"),
        pytest.param(
            "input_key=a&input_value=1&input_key=b&input_value=%26",
            [("a", "1"), ("b", "&")],
            id="pairs",
        ),
    ],
)
def test_a_urlencoded_form_is_taken(body: str, pairs: Pairs) -> None:
    """A urlencoded form is read as the URL standard has it, with blank values kept."""
    assert form.parse(URLENCODED, body.encode()) == pairs


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(b"a=1&walnut", 'Field 2: must have a "=".', id="no equals sign"),
        pytest.param(b"=walnut", "Field 1: must have a name.", id="no name"),
        pytest.param(
            b"a=walnut%",
            'a (field 1): must have two hexadecimal digits after each "%".',
            id="a lone percent sign",
        ),
        pytest.param(
            b"a=1&b=walnut%4g",
            'b (field 2): must have two hexadecimal digits after each "%".',
            id="no hexadecimal digit",
        ),
        pytest.param(
            b"a%=walnut",
            'Field 1: must have two hexadecimal digits after each "%".',
            id="a lone percent sign in a name",
        ),
        pytest.param(b"a=walnut%E9", "a (field 1): must be UTF-8.", id="Latin-1"),
        pytest.param(b"a=walnut\xe9", "a (field 1): must be UTF-8.", id="raw Latin-1"),
        pytest.param(b"a=%ED%A0%80", "a (field 1): must be UTF-8.", id="a surrogate"),
        pytest.param(b"%E9=walnut", "Field 1: must be UTF-8.", id="a name in Latin-1"),
        pytest.param(b"a=walnut%00", "a (field 1): must have no NUL character.", id="NUL"),
        pytest.param(
            b"a%0A=1", "Field 1: must have a name without control characters.", id="a name's line"
        ),
        pytest.param(
            b' {"a": "walnut"}',
            "Content-Type: must be application/json for a body of JSON.",
            id="JSON, as curl -d sends it",
        ),
    ],
)
def test_a_malformed_urlencoded_form_is_refused(body: bytes, message: str) -> None:
    """A fault of a urlencoded form is named with its field, and not its value."""
    assert refusal(URLENCODED, body) == message


@pytest.mark.parametrize(
    ("body", "pairs"),
    [
        pytest.param("{}", [], id="empty"),
        pytest.param('{"a": "1\\r\\n2", "b": "日"}', [("a", "1\r\n2"), ("b", "日")], id="texts"),
        pytest.param(
            '{"a": 1.50, "b": -0, "c": 1E+999, "d": 12345678901234567890123}',
            [("a", "1.50"), ("b", "-0"), ("c", "1E+999"), ("d", "12345678901234567890123")],
            id="numbers",
        ),
        pytest.param(
            '{"a": true, "b": false, "c": null}', [("a", "true"), ("b", "false")], id="the rest"
        ),
        pytest.param(
            '{"a": ["1", 2.0, true, null], "b": []}',
            [("a", "1"), ("a", "2.0"), ("a", "true")],
            id="lists",
        ),
        pytest.param(
            '[{"input_key": "a", "input_value": "1"}, {"input_value": [2, 3], "input_key": "b"}]',
            [("a", "1"), ("b", "2"), ("b", "3")],
            id="a list of pairs",
        ),
        pytest.param(
            '[{"input_key": "a", "input_value": null, "type": "text"}]', [], id="a pair of null"
        ),
        pytest.param(
            '{"input_key": ["a", "b", "c"], "d": 4, "input_value": [1, null, "3"]}',
            [("a", "1"), ("c", "3"), ("d", "4")],
            id="two lists",
        ),
        pytest.param('{"input_key": "a", "input_value": 1}', [("a", "1")], id="one pair"),
    ],
)
def test_json_is_taken(body: str, pairs: Pairs) -> None:
    """A JSON object of inputs, or a list of pairs, is a form; numbers keep their exact text."""
    assert form.parse(JSON, body.encode()) == pairs
    assert form.parse("application/JSON; charset=utf-8", body.encode()) == pairs
    assert form.parse("", b" \r\n" + body.encode()) == pairs


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(
            b'{"a": walnut}',
            "The body is not JSON: Expecting value at line 1, column 7.",
            id="no JSON",
        ),
        pytest.param(b"", "The body is not JSON: Expecting value at line 1, column 1.", id="empty"),
        pytest.param(b'{"a": NaN}', "The body is not JSON: NaN is not a JSON value.", id="NaN"),
        pytest.param(
            b'{"a": "walnut\xe9"}', "The body is not UTF-8: byte 13 cannot be decoded.", id="Latin"
        ),
        pytest.param(
            b"[" * 100_000, "The body is nested deeper than 64 levels.", id="100,000 lists"
        ),
        pytest.param(
            b'"walnut"',
            "The body must be a JSON object, or a list of objects with input_key and input_value.",
            id="a string",
        ),
        pytest.param(
            b'{"a": {"b": "walnut"}}',
            "a: must be a string, a number, true, false or null, or a list of them.",
            id="an object inside",
        ),
        pytest.param(
            b'{"a": [1, ["walnut"]]}',
            "a: must be a string, a number, true, false or null, or a list of them.",
            id="a list in a list",
        ),
        pytest.param(
            b'{"a": "walnut\\ud800"}',
            "a: must have no half of a surrogate pair.",
            id="a surrogate",
        ),
        pytest.param(b'{"a": "walnut\\u0000"}', "a: must have no NUL character.", id="NUL"),
        pytest.param(
            b'{"a": 1, "": 2}', "Member 2 of the JSON object: must have a name.", id="no name"
        ),
        pytest.param(
            b'{"\\udfff": 2}',
            "Member 1 of the JSON object: must have no half of a surrogate pair.",
            id="a surrogate as name",
        ),
        pytest.param(
            b'[{"input_key": "a", "input_value": 1}, {"a": "walnut"}]',
            "Item 2 of the JSON list: must be an object with input_key, a string, and input_value.",
            id="a list of something else",
        ),
        pytest.param(
            b'["walnut"]',
            "Item 1 of the JSON list: must be an object with input_key, a string, and input_value.",
            id="a list of texts",
        ),
        pytest.param(
            b'[{"input_key": "walnut"}]',
            "Item 1 of the JSON list: must be an object with input_key, a string, and input_value.",
            id="a pair without a value",
        ),
        pytest.param(
            b'[{"input_key": null, "input_value": "walnut"}]',
            "Item 1 of the JSON list: must be an object with input_key, a string, and input_value.",
            id="a pair without a key",
        ),
        pytest.param(
            b'[{"input_key": "a", "input_value": {"b": "walnut"}}]',
            "input_value (item 1): must be a string, a number, true, false or null,"
            " or a list of them.",
            id="a pair of an object",
        ),
    ],
)
def test_json_of_another_form_is_refused(body: bytes, message: str) -> None:
    """A fault of a JSON form is named with its key, and not its value."""
    assert refusal(JSON, body) == message


KINDS = (
    "Content-Type: must be multipart/form-data, application/x-www-form-urlencoded"
    " or application/json."
)
NO_BOUNDARY = (
    "Content-Type: must have a boundary of 1 to 200 ASCII characters."
    " Leave this header to the HTTP client, which knows the boundary."
)


@pytest.mark.parametrize(
    ("content_type", "message"),
    [
        pytest.param("", KINDS, id="none"),
        pytest.param("text/plain", KINDS, id="text"),
        pytest.param("multipart/mixed; boundary=b", KINDS, id="another multipart"),
        pytest.param("application/json, text/plain", KINDS, id="two"),
        pytest.param(
            f"{URLENCODED}; charset=iso-8859-1",
            "Content-Type: must have the charset UTF-8.",
            id="another charset",
        ),
        pytest.param("multipart/form-data", NO_BOUNDARY, id="no boundary"),
        pytest.param('multipart/form-data; boundary=""', NO_BOUNDARY, id="an empty boundary"),
        pytest.param(
            f"multipart/form-data; boundary={'x' * 201}", NO_BOUNDARY, id="a long boundary"
        ),
        pytest.param('multipart/form-data; boundary="a "', NO_BOUNDARY, id="a space at its end"),
        pytest.param("multipart/form-data; boundary=é", NO_BOUNDARY, id="no ASCII"),
        pytest.param(
            "multipart/form-data; boundary=a; boundary=b",
            "Content-Type: must have well-formed parameters.",
            id="two boundaries",
        ),
        pytest.param(
            "multipart/form-data; boundary",
            "Content-Type: must have well-formed parameters.",
            id="a parameter without a value",
        ),
    ],
)
def test_other_types_are_refused(content_type: str, message: str) -> None:
    """A body whose type cannot be read is refused with the types that can."""
    assert refusal(content_type, f"a={CONTENT}".encode()) == message


KEY, VALUE = 'name="input_key"', 'name="input_value"'
FILE = part(f'{VALUE}; filename="c.txt"', "3")


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(
            [part(KEY, "a"), part(VALUE, "1"), part(KEY, "c"), FILE], id="key, value, key, value"
        ),
        pytest.param([part(KEY, "a"), part(KEY, "c"), part(VALUE, "1"), FILE], id="keys first"),
        pytest.param([part(VALUE, "1"), FILE, part(KEY, "a"), part(KEY, "c")], id="values first"),
        pytest.param(
            [part(VALUE, "1"), part(KEY, "a"), FILE, part(KEY, "c")], id="value, key, value, key"
        ),
    ],
)
def test_the_nth_key_has_the_nth_value(sent: list[bytes]) -> None:
    """Pairs are read in whatever order a client puts keys and values."""
    assert parsed(*sent) == [("a", "1"), ("c", file("c.txt", b"3"))]


def test_a_form_may_have_pairs_and_plain_fields() -> None:
    """Pairs and plain fields come in the order sent, and a pair stands where its key does."""
    pair = (part(KEY, "b"), part('name="c"', "3"), part(VALUE, "2"))
    assert parsed(part('name="a"', "1"), *pair, part('name="a"', "4")) == [
        ("a", "1"),
        ("b", "2"),
        ("c", "3"),
        ("a", "4"),
    ]


def test_an_input_called_like_the_fields_of_a_pair_is_sent_as_a_pair() -> None:
    """An app's own `input_key` and `input_value` can be reached, though not as plain fields."""
    body = b"input_key=input_value&input_value=1&input_key=input_key&input_value=2"
    assert form.parse(URLENCODED, body) == [("input_value", "1"), ("input_key", "2")]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(
            b"input_key=a&input_value=walnut&input_key=b",
            "input_key, input_value: must be sent equally often, not 2 and 1 times.",
            id="a key too many",
        ),
        pytest.param(
            b"input_value=walnut",
            "input_key, input_value: must be sent equally often, not 0 and 1 times.",
            id="a value without a key",
        ),
        pytest.param(
            b"input_key=a&input_value=1&input_key=&input_value=walnut",
            "input_key (pair 2): must have a name.",
            id="an empty key",
        ),
        pytest.param(
            b"input_key=" + b"walnut" * 43 + b"&input_value=1",
            "input_key (pair 1): must have a name of at most 256 characters.",
            id="a long key",
        ),
        pytest.param(
            b"input_key=walnut%0A&input_value=1",
            "input_key (pair 1): must have a name without control characters.",
            id="a key with a line break",
        ),
    ],
)
def test_pairs_that_do_not_add_up_are_refused(body: bytes, message: str) -> None:
    """Keys and values that cannot be paired are refused with how many there are."""
    assert refusal(URLENCODED, body) == message


def test_a_file_is_no_key() -> None:
    """A key is a text: a file instead of one is refused."""
    body = body_of(part(f'{KEY}; filename="k"', CONTENT), part(VALUE, CONTENT))
    assert refusal(MULTIPART, body) == "input_key (pair 1): must be a text."


def test_a_form_has_a_thousand_fields_at_most() -> None:
    """A form of 1,000 fields is taken, whatever its type, and one of 1,001 is not."""

    def forms(count: int) -> list[tuple[str, bytes]]:
        return [
            (MULTIPART, body_of(*[part('name="a"', "1")] * count)),
            (URLENCODED, b"&".join([b"a=1"] * count)),
            (JSON, json.dumps({"a": ["1"] * count}).encode()),
            (JSON, json.dumps([{"input_key": "a", "input_value": ["1"] * (count // 2)}]).encode()),
        ]

    taken = [form.parse(*sent) for sent in forms(1_000)]
    assert taken == [[("a", "1")] * 1_000] * 3 + [[("a", "1")] * 500]
    refused = {refusal(*sent) for sent in forms(1_002)}
    assert refused == {"The form must have at most 1000 fields."}
    assert refusal(*forms(1_001)[0]) == "The form must have at most 1000 fields."


def test_headers_at_the_limit_are_taken() -> None:
    """A part may have 16 headers, and a name may have 256 characters."""
    name = "日" * 256
    own = [f"X{i}: {'1' * 900}" for i in range(15)]
    assert parsed(part(f'name="{name}"', "1", *own)) == [(name, "1")]


ODD = (*"\"\\%;='*/&+ ", "é", "日", "🙂", "\u0301", "%22", "%41", "=?", "--", "input_", "a")


def odd_name(source: random.Random) -> str:
    """Return a name made of what clients quote in different ways."""
    return "".join(source.choices(ODD, k=source.randint(1, 6)))


def odd_text(source: random.Random) -> str:
    """Return a text of line breaks, boundaries and other characters."""
    pieces = ("\r", "\n", "\r\n", "-", "--", f"--{BOUNDARY}", f"{BOUNDARY}--", ":", " ", "é", "1")
    text = "".join(source.choices(pieces, k=source.randint(0, 30)))
    # The one thing that a content cannot have: a line that is a boundary of its form.
    return text.replace(f"\r\n--{BOUNDARY}", "\r\n")


def odd_fields(source: random.Random) -> Pairs:
    """Return fields and files of all kinds."""
    fields: Pairs = []
    for _ in range(source.randint(1, 8)):
        name = odd_name(source)
        if source.random() < 0.5:
            fields.append((name, odd_text(source)))
        else:
            content = source.randbytes(source.randint(0, 40)) + odd_text(source).encode()
            fields.append((name, file("".join(source.choices(string.ascii_letters, k=8)), content)))
    return fields


def as_html(name: str) -> str:
    """Quote a name as the HTML standard has it."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def received(name: str) -> str:
    """Return a name as it arrives: HTML does not tell a quote from a name that has `%22`."""
    return name.replace("%22", '"')


@pytest.mark.parametrize("seed", SEED_PARAMS)
def test_what_clients_encode_is_what_is_read(seed: int) -> None:
    """Any fields that httpx or urllib3 encodes are read as they were, in their order."""
    source = seeded(seed)
    for _ in range(20):
        sent = odd_fields(source)
        expected = [(received(name), value) for name, value in sent]
        files = [
            (name, (value.name, value.content) if isinstance(value, Upload) else (None, value))
            for name, value in sent
        ]
        request = httpx.Request("POST", "http://localhost", files=files)
        assert form.parse(request.headers["content-type"], request.read()) == expected
        # urllib3 does not escape backslashes, which is read as it stands if no escape is meant.
        plain = [field for field in sent if "\\" not in field[0]]
        body, content_type = encode_multipart_formdata(
            [
                (name, (value.name, value.content) if isinstance(value, Upload) else value)
                for name, value in plain
            ]
        )
        assert form.parse(content_type, body) == [(received(n), value) for n, value in plain]
        texts = [(name, value) for name, value in sent if isinstance(value, str)]
        assert form.parse(URLENCODED, urlencode(texts).encode()) == texts
        assert form.parse(JSON, json.dumps(dict(texts)).encode()) == list(dict(texts).items())


@pytest.mark.parametrize("seed", SEED_PARAMS)
def test_contents_are_those_that_the_mail_parser_finds(seed: int) -> None:
    """A content is what stands between the boundaries, byte for byte, as Python's email has it."""
    source = seeded(seed)
    for _ in range(20):
        # The mail parser takes a boundary after a lone CR or LF too, which HTTP does not.
        contents = [
            value.content if isinstance(value, Upload) else value.encode()
            for _, value in odd_fields(source)
        ]
        contents = [content.replace(BOUNDARY.encode(), b"") for content in contents]
        body = body_of(*[part(f'name="{i}"; filename="f"', c) for i, c in enumerate(contents)])
        message = BytesParser(policy=email.policy.HTTP).parsebytes(
            b"Content-Type: " + MULTIPART.encode() + b"\r\n\r\n" + body
        )
        assert isinstance(message, EmailMessage)
        found = [
            (str(each["content-disposition"].params["name"]), each.get_payload(decode=True))
            for each in message.iter_parts()
        ]
        assert form.parse(MULTIPART, body) == [
            (name, file("f", content)) for name, content in found if isinstance(content, bytes)
        ]
        assert [content for _, content in found] == contents


TOKENS = (
    b"\r\n",
    b"\r",
    b"\n",
    b"\0",
    b'"',
    b"\\",
    b";",
    b"%",
    b"--" + BOUNDARY.encode(),
    b"\r\n--" + BOUNDARY.encode() + b"--",
    b"filename*=utf-8''%",
    b"Content-Disposition: form-data; name=",
    b"input_key",
    b"&",
    b"=",
    b"[",
    b"{",
    b"\xff",
    b"\\ud800",
    b"1e999",
)


def mutated(source: random.Random, body: bytes) -> bytes:
    """Return a body with a few bytes changed, taken out, put in or repeated, or cut off."""
    for _ in range(source.choice((1, 1, 1, 2, 4))):
        at = source.randrange(len(body) + 1)
        end = at + source.randint(1, 8)
        change = source.randrange(9)
        if change < 2:
            body = body[:at] + source.randbytes(1) + body[at + 1 :]
        elif change < 4:
            body = body[:at] + body[end:]
        elif change < 6:
            body = body[:at] + source.choice(TOKENS) + body[at:]
        elif change < 8:
            body = body[:end] + body[at:]
        else:
            body = body[:at]
    return body


@pytest.mark.parametrize("seed", SEED_PARAMS)
def test_whatever_is_sent_is_read_or_refused(seed: int) -> None:
    """A body that went wrong on its way is a form of sound texts, or a refusal in one sentence."""
    source = seeded(seed)
    pair = part(KEY, "a"), part(f"{VALUE}; filename=\"b\"; filename*=utf-8''%C3%A9", "1")
    bodies = {
        MULTIPART: body_of(GOOD, *pair, part('name="é"', "2", "Content-Type: text/plain")),
        URLENCODED: b"a=1&input_key=b%20c&input_value=%C3%A9&d=",
        JSON: b'[{"input_key": "a", "input_value": ["\\u00e9", 1.5, null, true]}]',
        "": b'{"a": "1", "b": [2, null], "input_key": "c", "input_value": false}',
    }
    refusals = []
    texts = []
    for _ in range(400):
        content_type, body = source.choice([*bodies.items()])
        if source.random() < 0.1:
            content_type = mutated(source, content_type.encode()).decode("latin-1")
        try:
            inputs = form.parse(content_type, mutated(source, body))
        except InvalidRequestError as error:
            refusals.append(str(error))
            continue
        for name, value in inputs:
            assert 0 < len(name) <= form_fields.MAX_NAME_LENGTH
            texts += [name, value if isinstance(value, str) else value.name]
    assert not [text for text in texts if "\0" in text or text != text.encode().decode()]
    assert not [message for message in refusals if len(message) > 500 or message[-1] != "."]
    assert len(texts) > 20
    assert len(refusals) > 20

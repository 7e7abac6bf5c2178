"""Hostile requests by hand, against parsers, decoders and storage of every endpoint.

Each test takes a good request to an endpoint and changes one thing of it. The answer is the
endpoint's own affair, if openapi.json has it, nothing raises, and a refusal stores nothing. The
long form sends every change to every endpoint, the short form each change to two or three.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from itertools import chain, islice
from typing import Any
from urllib.parse import quote

import pytest

from tests.fuzz.conftest import World
from tests.fuzz.contract import OPERATIONS, Operation
from tests.fuzz.gateway import HttpRequest

type Changes = Iterator[tuple[str, HttpRequest]]

BYTES = {
    "nothing": b"",
    "NUL": b"\x00",
    "NULs": b"\x00" * 10_000,
    "0xff": b"\xff",
    "a UTF-8 BOM": b"\xef\xbb\xbf{}",
    "a UTF-16 BOM": b"\xff\xfe",
    "UTF-16": '{"subject": "A", "body": "B"}'.encode("utf-16"),
    "UTF-32": '{"subject": "A", "body": "B"}'.encode("utf-32"),
    "Latin-1": '{"subject": "é", "body": "B"}'.encode("latin-1"),
    "an overlong NUL": b'{"subject": "\xc0\x80", "body": "B"}',
    "an encoded surrogate": b'{"subject": "\xed\xa0\x80", "body": "B"}',
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03",
    "6 MB of text": b"a" * 6_000_001,
    "6 MB of JSON": b'{"subject": "A", "body": "' + b"a" * 6_000_000 + b'"}',
}
JSON_TEXTS = {
    "NaN": "NaN",
    "Infinity": "Infinity",
    "-Infinity": "-Infinity",
    "-0": "-0",
    "-0.0": "-0.0",
    "1e999": "1e999",
    "-1e999": "-1e999",
    "1e-999": "1e-999",
    "5,000 digits": "7" * 5_000,
    "5,000 decimals": "0." + "7" * 5_000,
    "an exponent of 5,000 digits": "1e" + "7" * 5_000,
    "2^64": str(2**64),
    "100,000 arrays": "[" * 100_000 + "]" * 100_000,
    "100,000 objects": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "100,000 arrays that stay open": "[" * 100_000,
    "64 arrays": "[" * 64 + "]" * 64,
    "twice the same name": '{"a": 1, "a": {"a": 2, "a": [3]}}',
    "half a pair": '"\\ud800"',
    "the other half": '"\\udc00"',
    "a pair the wrong way round": '"\\udc00\\ud800"',
    "half a pair as a name": '{"\\ud800": 1}',
    "a whole pair": '"\\ud83d\\ude00"',
    "NUL": '"\\u0000"',
    "NUL as a name": '{"\\u0000": 1}',
    "__proto__": '{"__proto__": {"admin": true}, "constructor": {"prototype": 1}}',
    "an empty name": '{"": 1}',
    "a name of 1 MB": '{"' + "n" * 1_000_000 + '": 1}',
    "10,000 names": json.dumps({f"n{number}": number for number in range(10_000)}),
    "a string of 1 MB": '"' + "s" * 1_000_000 + '"',
    "controls": '"\\u0001\\u001f\\u007f\\u0085"',
    "null": "null",
    "true": "true",
    "an empty string": '""',
    "an empty array": "[]",
    "an empty object": "{}",
    "a format string": '"%s %n {0} {0.__class__} ${jndi:ldap://x}"',
    "a tag": '"</body><body>&lt;&#0;]]>"',
    "brackets": '"[][[a]][ ][\\n]' + "[b]" * 200 + '"',
}
AROUND = {
    "trailing garbage": ("", "x"),
    "a second value": ("", " {}"),
    "trailing NUL": ("", "\x00"),
    "a comment": ("/* c */", "// d"),
    "a leading BOM": ("\ufeff", ""),
    "a JSON sequence": ("\x1e", "\n"),
    "a prefix against hijacking": (")]}',\n", ""),
    "odd white space": ("\u00a0\u2003", "\x0b"),
    "1 MB of white space": (" " * 1_000_000, ""),
}
BOUNDARY = "b0undary"
PART = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="subject"\r\n\r\nA claim\r\n'
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n'
    "Content-Type: text/plain\r\n\r\nHello\r\n"
).encode()
END = f"--{BOUNDARY}--\r\n".encode()
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
FORMS: Mapping[str, tuple[str, bytes]] = {
    "a good one": (MULTIPART, PART + END),
    "no boundary": ("multipart/form-data", PART + END),
    "an empty boundary": ("multipart/form-data; boundary=", PART + END),
    "a boundary of 100 KB": (f"multipart/form-data; boundary={'b' * 100_000}", PART + END),
    "another boundary": ("multipart/form-data; boundary=other", PART + END),
    "a quoted boundary": (f'multipart/form-data; boundary="{BOUNDARY}"', PART + END),
    "a boundary that is not ASCII": ("multipart/form-data; boundary=é", PART + END),
    "a boundary with brackets": ("multipart/form-data; boundary=(.*)+[", PART + END),
    "the boundary inside": (MULTIPART, PART.replace(b"Hello", f"--{BOUNDARY} x".encode()) + END),
    "the end inside": (MULTIPART, PART.replace(b"Hello", END) + END),
    "no end": (MULTIPART, PART),
    "cut off in a header": (MULTIPART, PART[:30]),
    "cut off in the boundary": (MULTIPART, PART[:5]),
    "only the end": (MULTIPART, END),
    "nothing": (MULTIPART, b""),
    "no line ends": (MULTIPART, PART.replace(b"\r\n", b"") + END),
    "only line feeds": (MULTIPART, PART.replace(b"\r\n", b"\n") + END),
    "a part without a name": (MULTIPART, PART.replace(b'; name="subject"', b"") + END),
    "a part without headers": (MULTIPART, f"--{BOUNDARY}\r\n\r\nx\r\n".encode() + END),
    "NUL in a name": (MULTIPART, PART.replace(b"subject", b"sub\x00ject") + END),
    "no text in a name": (MULTIPART, PART.replace(b"subject", b"\xff\xfe") + END),
    "no text in a value": (MULTIPART, PART.replace(b"A claim", b"\xff\xfe\x00") + END),
    "a path in a file's name": (MULTIPART, PART.replace(b"a.txt", b"../../etc/passwd") + END),
    "quotes in a name": (MULTIPART, PART.replace(b"subject", b'su\\"b"ject') + END),
    "a star in a name": (
        MULTIPART,
        PART.replace(b'name="subject"', b"name*=utf-8''%ff%00") + END,
    ),
    "a header of 100 KB": (MULTIPART, PART.replace(b"text/plain", b"t" * 100_000) + END),
    "an unknown charset": (
        MULTIPART,
        PART.replace(b"text/plain", b"text/plain; charset=klingon") + END,
    ),
    "an encoding": (
        MULTIPART,
        PART.replace(b"text/plain", b"text/plain\r\nContent-Transfer-Encoding: base64") + END,
    ),
    "a form in a form": (
        MULTIPART,
        PART.replace(b"text/plain", b"multipart/mixed; boundary=" + BOUNDARY.encode()) + END,
    ),
    "5,000 parts": (MULTIPART, PART * 2_500 + END),
    "a good plain form": ("application/x-www-form-urlencoded", b"subject=A&body=B"),
    "a plain form of escapes": ("application/x-www-form-urlencoded", b"%=%zz&%00=%ff&a=%ed%a0%80"),
    "a plain form of signs": ("application/x-www-form-urlencoded", b"&&=&==&;&a&=a"),
    "20,000 fields": ("application/x-www-form-urlencoded", b"a=1&" * 20_000),
}
TEXTS = {
    "right to left": "\u202e\u2067abc\u2069\u202c",
    "combining": "e" + "\u0301" * 500,
    "joined": "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "NUL": "a\x00b",
    "noncharacters": "\ufffe\uffff\U0010ffff",
    "controls": "\x01\x1b[31m\x7f",
    "a line end": "a\r\nx-injected: 1",
    "spaces": " \u00a0\u2003\u200b ",
    "another form": "\ufb01\u1e9b\u0323",
    "other digits": "\u0663\u0661",
    "capitals": "\u0130\u00df\u1e9e",
    "10 KB": "x" * 10_000,
    "a slash": "a/b",
    "dots": "..",
    "more dots": "../../registry",
    "a hash": "demo#019a6f3e-7c00-7000-8000-000000000001",
    "a percent sign": "%00%2F%25",
    "a comma": "a,b",
    "a quote": "'\"`",
    "upper case": "019A6F3E-7C00-7000-8000-000000000001",
    "no hyphens": "019a6f3e7c0070008000000000000001",
    "braces": "{019a6f3e-7c00-7000-8000-000000000001}",
    "urn": "urn:uuid:019a6f3e-7c00-7000-8000-000000000001",
    "nil": "00000000-0000-0000-0000-000000000000",
    "a line end after it": "019a6f3e-7c00-7000-8000-000000000001\n",
}
ESCAPES = {
    "no UTF-8": "%ff",
    "an encoded surrogate": "%ed%a0%80",
    "an overlong slash": "%c0%af",
    "half an escape": "%",
    "no escape": "%zz",
    "twice escaped": "%252e%252e%252f",
    "a dot": "%2e%2e",
    "a slash": "%2f",
    "a backslash": "..%5c",
    "NUL": "%00",
}
VALUES = {
    "nothing": "",
    "a space": " ",
    "a comma": ",",
    "NUL": "\x00",
    "a line end": "a\r\nb",
    "a control": "\x1b",
    "not ASCII": "clé-é",
    "an emoji": "\U0001f511",
    "a quote": '"case-1"',
    "255": "k" * 255,
    "256": "k" * 256,
    "10 KB": "k" * 10_000,
    "-1": "-1",
    "0": "0",
    "9": "9",
    "10": "10",
    "1e3": "1e3",
    "60.5": "60.5",
    "+60": "+60",
    " 60": " 60",
    "0x3c": "0x3c",
    "1_000": "1_000",
    "other digits": "\u0666\u0660",
    "9,999,999": "9999999",
    "400 digits": "6" * 400,
    "NaN": "NaN",
    "Basic": "Basic dGVzdDp0ZXN0",
    "Bearer": "Bearer",
    "Bearer alone": "Bearer ",
    "two keys": "Bearer a, Bearer b",
    "a bad checksum": f"Bearer aw_{'a' * 12}_{'b' * 40}_00000000",
    "a surrogate": "\ud800",
}
HEADERS = (
    "authorization", "x-api-key", "x-account-id", "x-website-id", "x-user-email",
    "idempotency-key", "afterword-deadline", "content-type", "prefer", "if-none-match",
    "accept-encoding", "cookie", "content-encoding", "transfer-encoding", "constructor",
)  # fmt: skip
SHARES, EVENT_SHARES = 44, 6
"""How many endpoints there are for each change in the short form."""
FEW = ("nothing", "NUL", "a line end", "not ASCII", "10 KB", "a surrogate")


def bodies(good: HttpRequest) -> Changes:
    """Bytes that are no text, or too many."""
    for name, body in BYTES.items():
        yield name, replace(good, body=body)


def whole_json(good: HttpRequest) -> Changes:
    """JSON texts instead of the body, and odd things around it."""
    for name, text in JSON_TEXTS.items():
        yield name, replace(good, body=text.encode())
    for name, (before, after) in AROUND.items():
        yield name, replace(good, body=before.encode() + good.body + after.encode())


def members(good: HttpRequest) -> Changes:
    """JSON texts as one member of a good body, of each that it has and one that it has not."""
    if ("content-type", "application/json") not in good.headers:
        return
    members = {name: json.dumps(value) for name, value in json.loads(good.body).items()}
    for member in (*members, "unknown"):
        for name, text in JSON_TEXTS.items():
            changed = {**members, member: text}
            body = ", ".join(f'"{key}": {value}' for key, value in changed.items())
            yield f"{member}: {name}", replace(good, body=f"{{{body}}}".encode())


def forms(good: HttpRequest) -> Changes:
    """Forms, good and broken."""
    for name, (content_type, body) in FORMS.items():
        yield name, _with(replace(good, body=body), "content-type", content_type)


def types(good: HttpRequest) -> Changes:
    """Send good bodies under another type, so that they come as base64 or as text."""
    for content_type in (
        "", "x", "/", "text/plain", "application/octet-stream", "application/json; charset=utf-16",
        "application/problem+json", "image/png", "multipart/form-data", "a" * 10_000,
    ):  # fmt: skip
        yield content_type[:40], _with(good, "content-type", content_type)


def parameters(good: HttpRequest) -> Changes:
    """Anything instead of one segment of the path."""
    segments = good.path.split("/")
    for at in range(1, len(segments)):
        for name, text in TEXTS.items():
            yield f"{at}: {name}", _at(good, at, quote(text, safe=""))
        for name, text in ESCAPES.items():
            yield f"{at}: {name}", _at(good, at, text)
    yield "an ending slash", replace(good, path=f"{good.path}/")
    yield "two slashes", replace(good, path=f"/{good.path}")
    yield "nothing", replace(good, path="")


def queries(good: HttpRequest) -> Changes:
    """Anything in the query."""
    for name, text in TEXTS.items():
        yield name, replace(good, query=f"token={quote(text, safe='')}&{quote(text, safe='')}=1")
    for name, text in ESCAPES.items():
        yield name, replace(good, query=f"token={text}&{text}")
    for query in ("&", "=", "?", "a", "a=1&a=2&a", "__proto__[a]=1", "a=1&" * 10_000):
        yield query[:20], replace(good, query=query)


GROUPS: tuple[Callable[[HttpRequest], Changes], ...] = (
    bodies, whole_json, members, forms, types, parameters, queries,
)  # fmt: skip


def headers(good: HttpRequest, read: AbstractSet[str]) -> Changes:
    """No headers, too many, and anything in one that is read, or a little in any other."""
    yield "none at all", replace(good, headers=())
    yield "all twice", replace(good, headers=[*good.headers, *good.headers])
    yield "1,000", replace(good, headers=[*good.headers, *[("x-a", "1")] * 1_000])
    assert read <= {*HEADERS}
    for header in HEADERS:
        for name in VALUES if header in read else FEW:
            yield f"{header}: {name}", _with(good, header, VALUES[name])


NO_EVENT: Mapping[str, Callable[[dict[str, Any]], object]] = {
    "no body": lambda event: event.pop("body", None),
    "body null": lambda event: event.update(body=None),
    "body empty, encoded": lambda event: event.update(body="", isBase64Encoded=True),
    "no headers": lambda event: event.pop("headers"),
    "headers null": lambda event: event.update(headers=None),
    "query null": lambda event: event.update(queryStringParameters=None),
    "cookies null": lambda event: event.update(cookies=None),
    "not said whether encoded": lambda event: event.pop("isBase64Encoded"),
    "no context": lambda event: event.pop("requestContext"),
    "half a pair in the body": lambda event: event.update(body='{"subject": "\ud800"}'),
    "headers in capitals": lambda event: event.update(
        headers={name.upper(): value for name, value in event["headers"].items()}
    ),
}


def try_all[T](inputs: Iterable[tuple[str, T]], ask: Callable[[T], object]) -> None:
    """Ask for each of the inputs, and raise what went wrong with any of them, by their names."""
    failures = []
    for name, each in inputs:
        try:
            ask(each)
        except Exception as error:  # noqa: BLE001 - the other inputs are worth a try too
            error.add_note(f"The input is: {name}")
            failures.append(error)
    if failures:
        message = f"{len(failures)} inputs"
        raise ExceptionGroup(message, failures)


@pytest.mark.parametrize(
    ("number", "operation"),
    [*enumerate(OPERATIONS)],
    ids=lambda value: getattr(value, "route", None),
)
def test_a_share_of_hostile_requests(world: World, number: int, operation: Operation) -> None:
    """A hostile request gets a documented answer, and a refusal leaves nothing behind."""
    good = world.request(operation)
    changes = chain(*(group(good) for group in GROUPS), headers(good, operation.reads))
    share = islice(changes, number % SHARES, None, SHARES)
    try_all(share, lambda request: world.ask(operation, request))
    events = islice(NO_EVENT.items(), number % EVENT_SHARES, None, EVENT_SHARES)
    try_all(events, lambda change: world.ask_changed(operation, change))


@pytest.mark.long
@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.__name__)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.route)
def test_hostile_requests(
    world: World, operation: Operation, group: Callable[[HttpRequest], Changes]
) -> None:
    """A hostile request gets a documented answer, and a refusal leaves nothing behind."""
    try_all(group(world.request(operation)), lambda request: world.ask(operation, request))


@pytest.mark.long
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.route)
def test_hostile_headers(world: World, operation: Operation) -> None:
    """The same is true of headers, above all of those that the endpoint reads."""
    changes = headers(world.request(operation), operation.reads)
    try_all(changes, lambda request: world.ask(operation, request))


@pytest.mark.long
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.route)
def test_hostile_events(world: World, operation: Operation) -> None:
    """An event that lacks what API Gateway leaves out or might, is answered like any other."""
    try_all(NO_EVENT.items(), lambda change: world.ask_changed(operation, change))


def _with(request: HttpRequest, header: str, value: str) -> HttpRequest:
    others = [(name, sent) for name, sent in request.headers if name != header]
    return replace(request, headers=[*others, (header, value)])


def _at(request: HttpRequest, at: int, text: str) -> HttpRequest:
    segments = request.path.split("/")
    segments[at] = re.sub(r"^$", "%20", text)
    return replace(request, path="/".join(segments))

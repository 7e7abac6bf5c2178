"""Bodies with a content coding and with a byte order mark, at every endpoint that takes a body."""

import base64
import gzip
import zlib
from codecs import BOM_UTF8, BOM_UTF16_LE
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from afterword.handlers.http import MAX_BODY_BYTES
from tests.conftest import Event
from tests.fuzz.conftest import World
from tests.fuzz.contract import DOCUMENT, OPERATIONS, SUCCESSES, Operation

WITH_BODY = [
    each for each in OPERATIONS if "requestBody" in DOCUMENT["paths"][each.path][each.method]
]

SHORT = {"submit_generation", "submit_mail_generation", "create_text_generation", "submit_query"}
"""Operations of the short form, of a native, a JSON, a form and a key in the body."""


def each_of(operations: Sequence[Operation]) -> list[Any]:
    """Return operations as parameters, those that are not named for the long form."""
    return [
        pytest.param(each, id=each.route, marks=[] if each.name in SHORT else [pytest.mark.long])
        for each in operations
    ]


every_body = pytest.mark.parametrize("operation", each_of(WITH_BODY))


def body_of(event: Event) -> bytes:
    """Return the bytes of an event's body."""
    body = event.get("body", "")
    return base64.b64decode(body) if event["isBase64Encoded"] else body.encode()


def send(event: Event, body: bytes, coding: str = "") -> None:
    """Put another body into an event, as API Gateway passes on what is not UTF-8."""
    event |= {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    if coding:
        event["headers"]["content-encoding"] = coding


@every_body
def test_gzip_is_taken(world: World, operation: Operation) -> None:
    """A good request is good with gzip, also where the key is in the body."""

    def pack(event: Event) -> None:
        send(event, gzip.compress(body_of(event)), "gzip")

    assert world.ask_changed(operation, pack).status in SUCCESSES


@every_body
@pytest.mark.parametrize(
    ("coding", "pack"),
    [
        pytest.param("deflate", zlib.compress, id="deflate"),
        pytest.param("br", bytes, id="br"),
        pytest.param("gzip", bytes, id="not packed"),
        pytest.param("gzip", lambda body: gzip.compress(body)[:-4], id="cut"),
    ],
)
def test_other_codings_are_refused(
    world: World, operation: Operation, coding: str, pack: Callable[[bytes], bytes]
) -> None:
    """Another coding, and a body that is no gzip, is 415 in the dialect's shape, and named."""

    def change(event: Event) -> None:
        send(event, pack(body_of(event) or b"{}"), coding)

    response = world.ask_changed(operation, change)
    assert response.status == 415
    assert response.headers["accept-encoding"] == "gzip, identity"
    assert b"Content-Encoding: must be " in response.body


@every_body
def test_a_bomb_is_refused(world: World, operation: Operation) -> None:
    """A body that unpacks to more than a plain one may have is 413."""
    bomb = gzip.compress(b" " * (MAX_BODY_BYTES + 1))
    response = world.ask_changed(operation, lambda event: send(event, bomb, "gzip"))
    assert response.status == 413


@every_body
def test_a_byte_order_mark_is_left_out(world: World, operation: Operation) -> None:
    """A mark before the body is no part of it, as text and in base64, with gzip and without."""

    def mark(event: Event) -> None:
        body = body_of(event)
        if body:
            send(event, BOM_UTF8 + body)

    def mark_text(event: Event) -> None:
        body = event.get("body", "")
        if body and not event["isBase64Encoded"]:
            event["body"] = f"\ufeff{body}"

    def mark_packed(event: Event) -> None:
        send(event, gzip.compress(BOM_UTF8 + body_of(event)), "gzip")

    for change in (mark, mark_text, mark_packed):
        assert world.ask_changed(operation, change).status in SUCCESSES


@every_body
def test_utf_16_is_told_by_its_mark(world: World, operation: Operation) -> None:
    """JSON that a Windows program has saved in UTF-16 is read."""

    def save(event: Event) -> None:
        if event["headers"].get("content-type", "").startswith("application/json"):
            send(event, BOM_UTF16_LE + body_of(event).decode().encode("utf-16-le"))

    assert world.ask_changed(operation, save).status in SUCCESSES


def test_the_key_is_told_first(world: World) -> None:
    """A request without a good key is 401, whatever its body is."""
    operation = next(each for each in WITH_BODY if each.route == "POST /v1/generations")

    def change(event: Event) -> None:
        send(event, b"x", "br")
        event["headers"]["authorization"] = "Bearer aw_wrong"

    assert world.ask_changed(operation, change).status == 401

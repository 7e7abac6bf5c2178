"""Giving a generation a title through GenAI Stack's API: the handler with its event, under moto."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from afterword import clock
from afterword.generations import Reason
from afterword.generations.claims import Claim
from afterword.runtime.clients import clients
from afterword.services import services
from tests.conftest import Call, SetClock
from tests.harness.fake_model import completion
from tests.harness.genai_stack import (
    BIG,
    DOCUMENTED_READ,
    Client,
    answer,
    body_of,
    differences,
    refusal,
    send,
    shown,
    unprocessable,
)

HELLO = {"text": "Hello"}

type ReadItem = Callable[[str, str], dict[str, Any]]


@pytest.fixture
def generation_id(client: Client) -> str:
    """Submit a text and return its generation's id."""
    return client.submitted()


def claim(generation_id: str) -> Claim:
    """Claim a generation as a worker does."""
    claimed = services().store.claim("demo", generation_id, clock.now() + timedelta(seconds=70))
    assert claimed is not None
    return claimed


def test_the_sample_update_sets_a_title(client: Client, generation_id: str) -> None:
    """A title is answered with the generation, and is there whenever it is read."""
    event = client.event("update_text_generation", generation_id)
    result = send("update_text_generation", event)
    assert result == answer(shown(generation_id, HELLO, title="Refunds"))
    assert differences(body_of(result), DOCUMENTED_READ) == []
    assert client.get(generation_id) == result
    assert body_of(client.list()) == [body_of(result)]


@pytest.mark.parametrize(
    "title", ["Refunds", "x" * 255, "😀" * 255, "", " ", "</b>\r\n\0\u2028", "null", None]
)
def test_a_title_is_any_text_up_to_255_characters(
    client: Client, generation_id: str, title: str | None
) -> None:
    """A title is kept as it was sent; null takes it away."""
    client.set_title(generation_id, "Before")
    expected = answer(shown(generation_id, HELLO, title=title))
    assert client.set_title(generation_id, title) == expected
    assert client.get(generation_id) == expected


@pytest.mark.parametrize("before", [None, "Before"])
@pytest.mark.parametrize("body", ["{}", '{"name": "x", "status": "completed"}'])
def test_without_a_title_nothing_changes(
    client: Client, generation_id: str, body: str, before: str | None
) -> None:
    """An update without a title is answered with the generation as it is."""
    client.set_title(generation_id, before)
    expected = answer(shown(generation_id, HELLO, title=before))
    assert client.update(generation_id, body) == expected
    assert client.get(generation_id) == expected


@pytest.mark.parametrize(
    ("title", "message"),
    [
        ("x" * 256, "must be at most 255 characters, not 256."),
        (7, "must be a string or null."),
        (1.5, "must be a string or null."),
        (True, "must be a string or null."),
        ([], "must be a string or null."),
        ({"text": "x"}, "must be a string or null."),
    ],
    ids=range(6),
)
def test_what_is_no_title_is_refused(
    client: Client, generation_id: str, title: object, message: str
) -> None:
    """A title that is too long or no text gets 422, and the one before stays."""
    before = client.set_title(generation_id, "Before")
    assert client.set_title(generation_id, title) == unprocessable("title", message)
    assert client.get(generation_id) == before


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "The body is not JSON: Expecting value at line 1, column 1."),
        ("title=x", "The body is not JSON: Expecting value at line 1, column 1."),
        ('{"title": "x"', "The body is not JSON: Expecting ',' delimiter at line 1, column 14."),
        ('["x"]', "The body must be a JSON object."),
        ('"x"', "The body must be a JSON object."),
        ("null", "The body must be a JSON object."),
        (
            '{"title": "\\ud800"}',
            "The body has half of a surrogate pair (\\ud800 to \\udfff), which is no character.",
        ),
    ],
    ids=range(7),
)
def test_a_body_that_is_no_update_is_refused(
    client: Client, generation_id: str, body: str, message: str
) -> None:
    """A body that is no JSON object gets 400, and the title stays."""
    before = client.set_title(generation_id, "Before")
    assert client.update(generation_id, body) == refusal(400, message)
    assert client.get(generation_id) == before


def test_nothing_else_changes(client: Client, generation_id: str, read_item: ReadItem) -> None:
    """A title adds one attribute, and taking it away leaves the item as it was, lease and all."""
    claim(generation_id)
    before = read_item("demo", generation_id)
    client.set_title(generation_id, "Refunds")
    assert read_item("demo", generation_id) == before | {"title": {"S": "Refunds"}}
    client.set_title(generation_id, None)
    assert read_item("demo", generation_id) == before


@pytest.mark.parametrize("how", ["completed", "failed", "canceled"])
def test_a_generation_that_has_ended_can_have_a_title(
    client: Client, generation_id: str, read_item: ReadItem, how: str
) -> None:
    """A title can change after the end, and the result stays."""
    match how:
        case "completed":
            services().store.succeed(claim(generation_id), completion(BIG))
        case "failed":
            services().store.fail(claim(generation_id), Reason.REFUSED_CONTENT, "Refused.")
        case _:
            services().outbox.cancel("demo", generation_id)
    ended = body_of(client.get(generation_id))
    item = read_item("demo", generation_id)
    assert client.set_title(generation_id, "Refunds") == answer(ended | {"title": "Refunds"})
    assert read_item("demo", generation_id) == item | {"title": {"S": "Refunds"}}


def test_a_worker_and_a_title_lose_nothing_of_each_other(
    client: Client, generation_id: str, set_clock: SetClock
) -> None:
    """Titles between a worker's writes, and a worker's writes between titles, all stand."""
    store = services().store
    client.set_title(generation_id, "before the claim")
    first = claim(generation_id)
    assert body_of(client.get(generation_id))["title"] == "before the claim"
    running = body_of(client.set_title(generation_id, "while it runs"))
    assert (running["status"], running["title"]) == ("processing", "while it runs")
    assert store.requeue(first, failed=False)
    assert body_of(client.set_title(generation_id, "requeued"))["status"] == "pending"
    second = claim(generation_id)
    client.set_title(generation_id, "again")
    set_clock.advance(seconds=1)
    assert store.succeed(second, completion("Hi")) is not None
    ended = body_of(client.get(generation_id))
    assert (ended["status"], ended["title"], ended["outputs"]) == (
        "completed",
        "again",
        {"text": "Hi"},
    )
    assert client.set_title(generation_id, "after the end") == answer(
        ended | {"title": "after the end"}
    )


def test_a_worker_that_writes_at_the_same_moment_loses_nothing(
    client: Client, generation_id: str
) -> None:
    """A result that is stored while a title is on its way stands, and so does the title."""
    claimed = claim(generation_id)
    done = False

    def succeed_first(**_: object) -> None:
        nonlocal done
        if not done:
            done = True
            services().store.succeed(claimed, completion("Hi"))

    clients().dynamodb.meta.events.register("before-call.dynamodb.UpdateItem", succeed_first)
    body = body_of(client.set_title(generation_id, "Refunds"))
    assert done
    assert (body["status"], body["title"], body["outputs"]) == (
        "completed",
        "Refunds",
        {"text": "Hi"},
    )


def test_a_title_is_not_made_for_what_expires_meanwhile(
    client: Client, generation_id: str, set_clock: SetClock, read_item: ReadItem
) -> None:
    """An expired generation gets no title, though its item may still be there."""
    before = read_item("demo", generation_id)
    set_clock.advance(days=30)
    assert client.set_title(generation_id, "x")["statusCode"] == 404
    assert read_item("demo", generation_id) == before


def test_a_refusal_costs_no_write(client: Client, generation_id: str, calls: list[Call]) -> None:
    """A body that is refused is refused before any call of AWS, with the key known."""
    client.get(generation_id)
    calls.clear()
    assert client.update(generation_id, json.dumps({"title": 7}))["statusCode"] == 422
    assert client.update("nonsense", json.dumps({"title": "x"}))["statusCode"] == 400
    assert calls == []

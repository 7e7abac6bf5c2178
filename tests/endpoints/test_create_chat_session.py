"""A new chat session: its id, its title, its cap, and the apps that have sessions."""

import json
import uuid
from collections.abc import Callable

import pytest

from afterword.generations import sessions
from afterword.runtime.clients import clients
from tests.conftest import SetClock, Stored
from tests.harness.chats import Chats
from tests.harness.deployment import REFERENCES
from tests.harness.genai_stack import Client, answer, body_of, refusal, unprocessable
from tests.harness.stand_in_aws import read_items

FULL = (
    "An app has at most 3 chat sessions: send messages to one of them, or wait for the oldest to"
    " expire."
)
NOTHING = Stored(items=0, messages=0, objects=0)


@pytest.fixture
def low_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an app have three sessions."""
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 3)


@pytest.mark.parametrize("body", [None, "", "{}", '{"title": null}', '{"more": 1}'])
def test_a_session_needs_nothing(chats: Chats, body: str | None) -> None:
    """A session is made of nothing, has an id at once, and is there though empty."""
    created = chats.create(body)
    session = body_of(created)
    assert created == answer({"id": session["id"], "title": None, "data": []})
    assert str(uuid.UUID(session["id"])) == session["id"]
    assert chats.get(session["id"]) == created
    assert body_of(chats.list()) == [session]


def test_a_session_may_have_a_title(chats: Chats) -> None:
    """A title is kept to the letter, and two sessions may have the same."""
    ids = {chats.created("Réfunds & more"), chats.created("Réfunds & more")}
    assert len(ids) == 2
    shown = [(each["id"] in ids, each["title"]) for each in body_of(chats.list())]
    assert shown == [(True, "Réfunds & more")] * 2


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"title": 1}', unprocessable("title", "must be a string or null.")),
        (
            json.dumps({"title": "x" * 256}),
            unprocessable("title", "must be at most 255 characters, not 256."),
        ),
        ("[]", refusal(400, "The body must be a JSON object.")),
        ("{", None),
    ],
)
def test_a_bad_body_makes_no_session(
    chats: Chats, stored: Callable[[], Stored], body: str, expected: object
) -> None:
    """A title that does not fit is a 422, another body a 400, and nothing is stored."""
    result = chats.create(body)
    assert result == (expected or refusal(400, json.loads(result["body"])["detail"]))
    assert stored() == NOTHING


def test_an_app_of_the_other_type_has_no_sessions(
    client: Client, stored: Callable[[], Stored]
) -> None:
    """An app that is no chat gets a 409 that says how to make it one, and an empty list."""
    other = Chats(client)
    assert other.create() == refusal(
        409, "The app has no chat sessions: its flow must have the type chat."
    )
    assert other.list() == answer([])
    assert stored() == NOTHING


@pytest.mark.usefixtures("low_cap")
def test_an_app_has_only_so_many_sessions(chats: Chats, stored: Callable[[], Stored]) -> None:
    """One session too many is a 409 with the cap, and nothing of it is stored."""
    for _ in range(3):
        chats.created()
    before = stored()
    assert chats.create() == refusal(409, FULL)
    assert chats.create() == refusal(409, FULL)
    assert stored() == before


@pytest.mark.usefixtures("low_cap")
def test_expired_sessions_make_room(chats: Chats, set_clock: SetClock) -> None:
    """Sessions that are gone are counted no more, an hour after a full app was counted last."""
    for _ in range(3):
        chats.created()
    assert chats.create()["statusCode"] == 409
    forget_sessions(1)
    set_clock.advance(minutes=59)
    assert chats.create()["statusCode"] == 409
    set_clock.advance(minutes=1)
    chats.created()
    assert chats.create()["statusCode"] == 409


def forget_sessions(count: int) -> None:
    """Delete sessions as DynamoDB's TTL does."""
    found = [item for item in read_items("GenerationsTable") if "#session#" in item["pk"]["S"]]
    for item in found[:count]:
        clients().dynamodb.delete_item(
            TableName=REFERENCES["GenerationsTable"], Key={"pk": item["pk"]}
        )


def test_the_cap_is_that_of_the_documentation() -> None:
    """An app has ten thousand sessions."""
    assert sessions.MAX_SESSIONS == 10_000


def test_a_session_expires_after_its_newest_question(
    chats: Chats, set_clock: SetClock, work_while_waiting: Callable[[None], None]
) -> None:
    """A session lives a day longer than its newest question, which renews it, and no longer."""
    work_while_waiting(None)
    used, unused = chats.created(), chats.created()
    set_clock.advance(days=20)
    chats.said(used, "Why?")
    set_clock.advance(days=12)
    assert chats.get(unused)["statusCode"] == 404
    assert len(body_of(chats.get(used))["data"]) == 1
    assert [each["id"] for each in body_of(chats.list())] == [used]
    set_clock.advance(days=20)
    assert chats.say(used, "When?") == refusal(404, "There is no such chat session.")

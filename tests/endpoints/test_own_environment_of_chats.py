"""The functions of chats, each with its own environment and its own permissions."""

import json
from collections.abc import Callable

import pytest

from afterword import generations
from afterword.engine import waiting
from afterword.generations import sessions
from afterword.services import services
from tests.endpoints.test_own_environment import (
    BIG,
    lose_slots,
    messages_in,
    ours,
    run_alone,
    somebody_else_succeeds,
    unused,
)
from tests.harness.chats import Chats, events_of
from tests.harness.deployment import Deployment
from tests.harness.genai_stack import CHAT, CHAT_DOCUMENT

__all__ = ["lose_slots", "run_alone"]
pytestmark = pytest.mark.usefixtures("greedy_tenant")


@pytest.fixture
def chats(chats: Chats) -> Chats:
    """Return a client of a chat whose questions may be too big for an item."""
    question = {"inputs": [{"name": "question", "kind": "long_text"}]}
    document = json.dumps(json.loads(CHAT_DOCUMENT) | question)
    services().registry.put_flow("demo", CHAT, document)
    return chats


def test_an_app_has_what_it_needs(
    deployment: Deployment, chats: Chats, run_alone: Callable[[str], set[str]]
) -> None:
    """The app's function uses all its variables and permissions, and no other."""
    chats.client.submitted(("question", BIG))
    asked = run_alone("get_stack_app")
    assert chats.client.app()["statusCode"] == 200
    assert asked == ours(deployment, "get_stack_app")
    assert unused("get_stack_app") == set()


def test_creating_a_session_has_what_it_needs(
    deployment: Deployment,
    chats: Chats,
    run_alone: Callable[[str], set[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The creating function uses all its variables and permissions, for a full app, too."""
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 1)
    asked = run_alone("create_chat_session")
    chats.created("Refunds")
    assert chats.create()["statusCode"] == 409
    assert asked == ours(deployment, "create_chat_session")
    assert unused("create_chat_session") == set()


@pytest.mark.parametrize("folder", ["list_chat_sessions", "get_chat_session"])
def test_reading_sessions_has_what_it_needs(
    deployment: Deployment,
    chats: Chats,
    run_alone: Callable[[str], set[str]],
    monkeypatch: pytest.MonkeyPatch,
    folder: str,
) -> None:
    """The reading functions use all their variables and permissions, and no other."""
    monkeypatch.setattr(waiting, "WAIT_SECONDS", 0.0)
    session_id = chats.created()
    chats.said(session_id, BIG)
    asked = run_alone(folder)
    read = chats.list() if folder == "list_chat_sessions" else chats.get(session_id)
    assert read["statusCode"] == 200
    assert asked == ours(deployment, folder)
    assert unused(folder) == set()


def test_a_message_has_what_it_needs(
    deployment: Deployment,
    chats: Chats,
    lose_slots: Callable[[], None],
    run_alone: Callable[[str], set[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The message's function uses all its variables and permissions, and no other."""
    monkeypatch.setattr(waiting, "WAIT_SECONDS", 0.0)
    session_id = chats.created()
    lose_slots()
    asked = run_alone("send_chat_message")
    waited = chats.say(session_id, BIG, idempotency_key="case-457")
    assert [name for name, _ in events_of(waited)] == ["end"]
    somebody_else_succeeds(generations.id_for_key("demo", "case-457"))
    answered = chats.say(session_id, BIG, idempotency_key="case-457")
    assert [name for name, _ in events_of(answered)] == ["message", "end"]
    assert messages_in("Queue") == 1
    assert asked == ours(deployment, "send_chat_message")
    assert unused("send_chat_message") == set()

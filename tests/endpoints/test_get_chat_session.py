"""A chat session with its turns."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from afterword.generations import Submission
from afterword.handlers import paging
from afterword.services import services
from tests.conftest import FLOW, Tenant
from tests.endpoints.conftest import ClientFor
from tests.endpoints.test_other_versions import let_a_newer_version_write
from tests.harness.chats import Chats, turns
from tests.harness.fake_model import FakeModel, completion
from tests.harness.genai_stack import (
    ABSENT,
    CHAT,
    CHAT_DOCUMENT,
    NO_APP,
    answer,
    body_of,
    refusal,
)

NO_SESSION = refusal(404, "There is no such chat session.")

type Work = Callable[[FakeModel | None], None]


def echo() -> FakeModel:
    """Return a model that answers with the question."""
    return FakeModel(lambda prompt: completion(f"Re: {prompt.user}"))


def test_a_session_has_its_turns(chats: Chats, work_while_waiting: Work) -> None:
    """A session shows its questions and answers, oldest first, and a question without an answer."""
    work_while_waiting(echo())
    session_id = chats.created("Reasons")
    chats.said(session_id, "Why?")
    chats.said(session_id, "When?")
    work_while_waiting(None)
    chats.said(session_id, "Where?")
    assert chats.get(session_id) == answer(
        {
            "id": session_id,
            "title": "Reasons",
            "data": turns(
                "Why?",
                "Re: <question>Why?</question>",
                "When?",
                "Re: <question>When?</question>",
                "Where?",
            ),
        }
    )


def test_an_id_is_a_uuid_in_either_case(chats: Chats) -> None:
    """A session's id is read in either case; another text is a 400."""
    session_id = chats.created()
    assert chats.get(session_id.upper()) == chats.get(session_id)
    for text in ("x", session_id.replace("-", ""), f"{{{session_id}}}"):
        assert chats.get(text) == refusal(400, "chat_session_id: must be a valid UUID.")


def test_a_foreign_session_looks_like_an_absent_one(
    chats: Chats, tenant: Tenant, other_tenant: Tenant, client_for: ClientFor
) -> None:
    """Another tenant's session, another flow's and a generation's id are as absent as any."""
    session_id = chats.created()
    services().registry.put_flow(other_tenant.id, CHAT, CHAT_DOCUMENT)
    for other in (client_for(other_tenant, CHAT), client_for(tenant, FLOW)):
        assert Chats(other).get(session_id) == NO_SESSION
        assert Chats(other).list() == answer([])
    generation_id = chats.client.submitted(("question", "Why?"))
    for absent in (ABSENT, generation_id):
        assert chats.get(absent) == NO_SESSION


def test_a_session_is_no_generation(chats: Chats) -> None:
    """A session's id opens no generation, and no list has one for it."""
    session_id = chats.created()
    assert chats.client.get(session_id)["statusCode"] == 404
    assert body_of(chats.client.list()) == []


def test_of_a_long_session_the_oldest_turns_are_left_out(
    chats: Chats, work_while_waiting: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session has the newest turns that fit into a response."""
    work_while_waiting(None)
    session_id = chats.created()
    for text in ("First", "x" * 9_000, "Third"):
        chats.said(session_id, text)
    monkeypatch.setattr(paging, "PAGE_BYTES", 9_000)
    assert body_of(chats.get(session_id))["data"] == turns("Third")
    monkeypatch.undo()


def test_a_deleted_message_leaves_no_text(chats: Chats, work_while_waiting: Work) -> None:
    """A session holds no text of its messages: a deleted generation is in it no more."""
    work_while_waiting(echo())
    session_id = chats.created()
    kept, deleted = chats.said(session_id, "Keep"), chats.said(session_id, "Delete")
    services().store.delete("demo", deleted)
    assert kept != deleted
    shown = chats.get(session_id)
    assert body_of(shown)["data"] == turns("Keep", "Re: <question>Keep</question>")
    assert "Delete" not in json.dumps(body_of(chats.list()))


def test_a_session_of_another_version_is_read(chats: Chats, work_while_waiting: Work) -> None:
    """Sessions with attributes of a newer version are shown, listed and go on as before."""
    work_while_waiting(echo())
    session_id = chats.created("Reasons")
    chats.said(session_id, "Why?")
    before = chats.get(session_id), chats.list()
    let_a_newer_version_write()
    assert (chats.get(session_id), chats.list()) == before
    chats.said(session_id, "When?")
    chats.created()


def test_a_key_without_an_app_has_no_sessions(chats: Chats, tenant: Tenant) -> None:
    """A key that is for no flow gets 404 at each endpoint of chats."""
    session_id = chats.created()
    keyless = Chats(replace(chats.client, key=tenant.key))
    for refused in (
        keyless.create(),
        keyless.list(),
        keyless.get(session_id),
        keyless.say(session_id, "Why?"),
    ):
        assert refused == NO_APP


def test_other_apis_may_continue_a_session(chats: Chats, work_while_waiting: Work) -> None:
    """A question of another API with the session's id as its conversation is in the session."""
    work_while_waiting(None)
    session_id = chats.created()
    chats.said(session_id, "Why?")
    question = Submission(
        dialect="unless",
        flow=CHAT,
        inputs={"question": "When?"},
        template=None,
        external={},
        conversation=session_id,
    )
    services().submitter.submit("demo", question)
    assert body_of(chats.get(session_id))["data"] == [
        *turns("Why?"),
        *turns("When?"),
    ]

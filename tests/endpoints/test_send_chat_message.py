"""Messages to a chat session: the answer as server-sent events, and the history in the prompt."""

import io
import json
from collections.abc import Callable

import pytest

from afterword.engine import waiting
from afterword.generations import Reason
from afterword.limits import Limits
from afterword.models import ChatTurn, ModelRefusedError
from afterword.services import services
from tests.conftest import FLOW, SetClock, Stored, Tenant
from tests.endpoints.conftest import ClientFor
from tests.harness.chats import Chats, events_of, message, turn
from tests.harness.fake_model import FakeModel, completion, raising, saying
from tests.harness.genai_stack import (
    ABSENT,
    CHAT,
    CHAT_DOCUMENT,
    body_of,
    refusal,
    unprocessable,
)
from tests.harness.stand_in_aws import read_items

NO_SESSION = refusal(404, "There is no such chat session.")
NO_KEY = unprocessable("chatKey", "must be the name of one of the inputs.")

type Work = Callable[[FakeModel | None], None]


def end(session_id: str, generation_id: str, status: str) -> tuple[str, object]:
    """Return the last event of an answer."""
    data = {"chat_session_id": session_id, "text_gen_id": generation_id, "status": status}
    return "end", data


def test_a_message_is_answered(chats: Chats, work_while_waiting: Work) -> None:
    """A message's answer is one turn, and the last event has its generation."""
    work_while_waiting(saying("Two\nweeks. «é»"))
    session_id = chats.created()
    events = events_of(chats.say(session_id, "When?"))
    generation_id = events[-1][1]["text_gen_id"]
    assert events == [
        ("message", turn("Two\nweeks. «é»", is_bot=True)),
        end(session_id, generation_id, "completed"),
    ]
    shown = body_of(chats.client.get(generation_id))
    assert (shown["outputs"], shown["inputs"]) == (
        {"text": "Two\nweeks. «é»"},
        {"question": "When?"},
    )


def test_the_events_are_written_as_the_standard_has_them(
    chats: Chats, work_while_waiting: Work
) -> None:
    """Each event is its name, one line of data and an empty line, and the body is whole."""
    work_while_waiting(saying("So."))
    session_id = chats.created()
    result = chats.say(session_id, "Why?")
    name, data, nothing, last, _, *rest = result["body"].split("\n")
    assert (name, nothing, last, rest) == ("event: message", "", "event: end", ["", ""])
    assert json.loads(data.removeprefix("data: "))["message"] == "So."


def test_earlier_messages_are_in_the_prompt(
    chats: Chats, work_while_waiting: Work, set_clock: SetClock
) -> None:
    """The model is told the session's earlier questions and answers, and no other session's."""
    model = FakeModel(lambda prompt: completion(f"{len(prompt.turns)} before"))
    work_while_waiting(model)
    session_id, other = chats.created(), chats.created()
    for question, to in (("I am Ada.", session_id), ("I am Eve.", other), ("Who?", session_id)):
        chats.said(to, question)
        set_clock.advance(seconds=1)
    assert model.prompts[-1].turns == (ChatTurn(question="I am Ada.", answer="0 before"),)


def test_an_answer_that_takes_too_long_comes_later(
    chats: Chats, work_while_waiting: Work, set_clock: SetClock
) -> None:
    """After 26 seconds the one event says that the message goes on; the session has it later."""
    work_while_waiting(None)
    session_id = chats.created()
    begun = set_clock()
    ((name, data),) = events_of(chats.say(session_id, "Why?"))
    assert (set_clock() - begun).total_seconds() == pytest.approx(waiting.WAIT_SECONDS)
    assert (name, data) == end(session_id, data["text_gen_id"], "pending")
    claim = services().store.claim("demo", data["text_gen_id"], set_clock())
    assert claim is not None
    services().store.succeed(claim, completion("So."))
    assert [each["message"] for each in body_of(chats.get(session_id))["data"]] == ["Why?", "So."]


def test_a_failure_is_an_event(chats: Chats, work_while_waiting: Work) -> None:
    """A message that fails has the reason in the place of the answer."""
    work_while_waiting(raising(ModelRefusedError(Reason.REFUSED_CONTENT, "No.")))
    session_id = chats.created()
    first, last = events_of(chats.say(session_id, "Why?"))
    assert first == ("error", {"detail": "refused_content: No."})
    assert last == end(session_id, last[1]["text_gen_id"], "failed")


def test_a_canceled_message_says_so(chats: Chats, work_while_waiting: Work) -> None:
    """A message that its owner cancels ends the wait."""
    work_while_waiting(None)
    session_id = chats.created()
    generation_id = events_of(chats.say(session_id, "Why?", idempotency_key="k"))[0][1][
        "text_gen_id"
    ]
    services().outbox.cancel("demo", generation_id)
    assert events_of(chats.say(session_id, "Why?", idempotency_key="k")) == [
        ("error", {"detail": "The message was canceled."}),
        end(session_id, generation_id, "failed"),
    ]


def test_a_repeated_message_is_one(
    chats: Chats, work_while_waiting: Work, stored: Callable[[], Stored]
) -> None:
    """The same key is the same message with the same answer; another session's is a 422."""
    work_while_waiting(saying("So."))
    session_id = chats.created()
    first = chats.say(session_id, "Why?", idempotency_key="k")
    before = stored()
    assert chats.say(session_id, "Why?", idempotency_key="k") == first
    assert stored().items == before.items
    reused = "The Idempotency-Key was used before, for another request."
    assert chats.say(chats.created(), "Why?", idempotency_key="k") == refusal(422, reused)


def test_the_chat_key_names_the_primary_input(chats: Chats, work_while_waiting: Work) -> None:
    """The input of the chat key comes first, in the turn and in its `chatKey`."""
    inputs = [{"name": "topic"}, {"name": "words", "kind": "number"}, {"name": "question"}]
    document = json.dumps(json.loads(CHAT_DOCUMENT) | {"inputs": inputs})
    services().registry.put_flow("demo", CHAT, document)
    work_while_waiting(saying("So."))
    session_id = chats.created()
    sent = {"topic": "Snow", "words": 40, "question": "Why?"}
    first, _ = events_of(chats.post(session_id, {"chatKey": "question", "inputs": sent}))
    assert first == ("message", turn("So.", is_bot=True, key="question"))
    assert body_of(chats.get(session_id))["data"][0] == turn("Why?\nSnow\n40", is_bot=False)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", None),
        ("{", None),
        ("[]", refusal(400, "The body must be a JSON object.")),
        ({}, unprocessable("inputs", "must be a JSON object.")),
        ({"chatKey": "question", "inputs": []}, unprocessable("inputs", "must be a JSON object.")),
        ({"chatKey": "question", "inputs": {}}, unprocessable("question", "must be sent.")),
        ({"inputs": {"question": "Why?"}}, NO_KEY),
        ({"chatKey": "paper", "inputs": {"question": "Why?"}}, NO_KEY),
        ({"chatKey": "absent", "inputs": {"question": "Why?"}}, NO_KEY),
        ({"chatKey": ["question"], "inputs": {"question": "Why?"}}, NO_KEY),
        (
            {"chatKey": "question", "inputs": {"question": {"a": 1}}},
            refusal(
                400,
                "inputs.question: must be a string, a number, true, false or null, or a list of"
                " them.",
            ),
        ),
        (
            {"chatKey": "question", "inputs": {"question": "a\0b"}},
            refusal(400, "inputs.question: must have no NUL character."),
        ),
        (
            {"chatKey": "question", "inputs": {"": "a"}},
            refusal(400, "Member 1 of inputs: must have a name."),
        ),
        (
            {"chatKey": "question", "inputs": {"question": "Why?", "more": "a"}},
            unprocessable("more", "must be one of: question, paper."),
        ),
        (
            {"chatKey": "question", "inputs": {"question": ["a", "b"]}},
            unprocessable("question", "must be sent once, not 2 times."),
        ),
        (
            {"chatKey": "question", "inputs": {"question": "Why?", "paper": "a"}},
            unprocessable("paper", "must be a file."),
        ),
        (
            {"chatKey": "question", "inputs": {"question": ["a"] * 1_001}},
            refusal(400, "The form must have at most 1000 fields."),
        ),
        (
            {"chatKey": "question", "inputs": {"question": "\u200b"}},
            unprocessable("inputs", "must have a text, or a file: the prompt is blank."),
        ),
    ],
)
def test_a_bad_message_is_refused(
    chats: Chats,
    stored: Callable[[], Stored],
    set_clock: SetClock,
    body: object,
    expected: object,
) -> None:
    """A message that does not fit is refused with the field; nothing is stored, or renewed."""
    session_id = chats.created()
    before, sessions = stored(), read_items("GenerationsTable")
    set_clock.advance(hours=1)
    result = chats.post(session_id, body)
    assert result == (expected or refusal(400, json.loads(result["body"])["detail"]))
    assert (stored(), read_items("GenerationsTable")) == (before, sessions)


def test_a_foreign_session_looks_like_an_absent_one(
    chats: Chats,
    tenant: Tenant,
    other_tenant: Tenant,
    client_for: ClientFor,
    stored: Callable[[], Stored],
) -> None:
    """A message to another tenant's or flow's session is refused, and nothing is stored."""
    session_id = chats.created()
    services().registry.put_flow(other_tenant.id, CHAT, CHAT_DOCUMENT)
    before = stored()
    assert Chats(client_for(other_tenant, CHAT)).say(session_id, "Why?") == NO_SESSION
    sent = {"chatKey": "text", "inputs": {"text": "Why?"}}
    assert Chats(client_for(tenant, FLOW)).post(session_id, sent) == NO_SESSION
    assert chats.say(ABSENT, "Why?") == NO_SESSION
    assert chats.say("x", "Why?") == refusal(400, "chat_session_id: must be a valid UUID.")
    assert stored() == before


def test_no_text_is_logged(chats: Chats, work_while_waiting: Work, log: io.StringIO) -> None:
    """Neither a title nor a message nor an answer is in a line of the log, refused or not."""
    work_while_waiting(saying("Pangolin"))
    session_id = chats.created("Wombat")
    chats.said(session_id, "Quokka")
    chats.post(session_id, {"chatKey": "Axolotl", "inputs": {"question": "Quokka"}})
    chats.post(session_id, {"chatKey": "question", "inputs": {"Narwhal": "Quokka"}})
    logged = log.getvalue()
    assert "accepted" in logged
    assert "refused a request" in logged
    words = ("Pangolin", "Wombat", "Quokka", "Axolotl", "Narwhal")
    assert [word for word in words if word in logged] == []


def test_a_limited_tenant_gets_a_429(chats: Chats, work_while_waiting: Work) -> None:
    """A message above the tenant's limit is refused in the dialect's shape, not as an event."""
    services().registry.set_limits("demo", Limits(requests_per_minute=1))
    services.cache_clear()
    work_while_waiting(saying("So."))
    session_id = chats.created()
    chats.said(session_id, "Why?")
    refused = chats.post(session_id, message("When?"))
    assert refused["statusCode"] == 429
    assert refused["headers"]["content-type"] == "application/json"
    assert 1 <= int(refused["headers"]["retry-after"]) <= 60

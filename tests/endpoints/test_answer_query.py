"""Asking through Unless' API and waiting for the answer: the handler with its event, under moto."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from afterword import clock
from afterword.dialects import unless
from afterword.dialects.unless import chat_data
from afterword.generations import Reason, Status, id_for_key
from afterword.knowledge import Draft
from afterword.models import ChatTurn, ModelRefusedError
from afterword.services import services
from afterword.tenants.keys import Scope
from tests.conftest import FLOW, Call, Event, LambdaContext, SetClock, Stored, Tenant
from tests.endpoints.test_generate_flow import Time, time
from tests.endpoints.test_privacy import leaked, watch
from tests.harness.api import invoke
from tests.harness.fake_model import FakeModel, raising, saying
from tests.harness.unless import (
    ANSWER,
    ASKED,
    CHAT,
    DOCUMENTED,
    NOT_THEIRS,
    SESSION,
    WEBSITE,
    Result,
    Visitor,
    answer,
    put_flow,
    refusal,
    turns,
)

__all__ = ["leaked", "time", "watch"]
NOTHING = Stored(items=0, messages=0, objects=0)
CONTEXT, WORKER = LambdaContext(milliseconds=29_000), LambdaContext(milliseconds=300_000)
SENT: dict[str, Any] = {
    "history": [
        {"type": "message", "sender": "bot", "message": "Welcome!"},
        {"type": "message", "sender": "user", "message": "I am Ada.", "uuid": "u1"},
        {"type": "message", "sender": "bot", "message": "Hello Ada.", "feedback": "positive"},
        {"type": "message", "sender": "user", "message": "Nobody answers this."},
        {"type": "message", "sender": "support", "message": "Somebody does."},
    ],
    "metadata": {},
    "conversationId": "e796d388-ddb3-4ab6-9891-06f2e4dd16cb",
}
"""A conversation that this side knows nothing of."""

TWO_KEYS = refusal(401, "apiKey: must be the request's only key.", www_authenticate="Bearer")

type Ask = Callable[..., Result]


@pytest.fixture
def ask(
    visitor: Visitor,
    message_event: Callable[[str], Event],
    use_model: Callable[[FakeModel], None],
    time: Time,
    set_clock: SetClock,
) -> Ask:
    """Return a function that asks, with the seed's question by default, and lets a model answer.

    `fields` stand instead of the question's, or beside.
    """

    def send(
        model: FakeModel | None = None, headers: Mapping[str, str] | None = None, **fields: object
    ) -> Result:
        use_model(model or saying(ANSWER))
        key = f"key-{clock.now()}".replace(" ", "_")
        time.work = lambda: invoke("generate", message_event(id_for_key("demo", key)), WORKER)
        time.now = 1000.0
        event = visitor.event("answer_query", **{"idempotency-key": key, **(headers or {})})
        event["headers"] = {name: text for name, text in event["headers"].items() if text}
        event["body"] = json.dumps({**ASKED, **fields})
        result = invoke("answer_query", event, CONTEXT)
        set_clock.advance(seconds=1)
        return result

    return send


def chat(result: Result) -> Any:  # noqa: ANN401 - JSON
    """Return the chat data of an answer."""
    assert result["statusCode"] == 200, result
    return json.loads(result["body"])


def test_the_answer_is_the_documented_chat_data(ask: Ask) -> None:
    """The seed's question is answered by the seed's chat data, up to ids, times and sources."""
    result = ask()
    found = chat(result)
    assert result == answer(found)
    (asked, told), (documented, reply) = found["history"], DOCUMENTED["history"]
    made = ("uuid", "timestamp")
    assert asked == documented | {name: asked[name] for name in made}
    assert told == reply | {name: told[name] for name in (*made, "metadata", "languageCode")}
    assert (told["metadata"], told["languageCode"]) == ([], "en")
    rest = {name: found[name] for name in ("history", "conversationId")}
    assert found == DOCUMENTED | rest
    assert list(found) == list(DOCUMENTED)


def test_the_async_answer_is_the_same(ask: Ask, visitor: Visitor) -> None:
    """The answer can be read again with the id that stands in the conversation's."""
    found = chat(ask())
    question_id = found["conversationId"].removeprefix("async-")
    assert visitor.chat(question_id) == found


def test_the_sample_event_is_answered(
    ask: Ask, load_event: Callable[[str], Event], tenant: Tenant
) -> None:
    """The account and the website of the body are enough, and messages are HTML if asked for."""
    sample = load_event("answer_query")
    sent = json.loads(sample["body"])
    assert {"x-account-id", "x-website-id"}.isdisjoint(sample["headers"])
    rel = 'rel="nofollow noopener noreferrer"'
    link = f'<a href="https://a.example/x" {rel}>https://a.example/x</a>'
    found = chat(ask(saying("**Fees** are at https://a.example/x."), **sent))
    assert [turn["message"] for turn in found["history"]] == [
        "Hello",
        "Welcome.",
        "<p>What does Unless do?</p>",
        f"<p><strong>Fees</strong> are at {link}.</p>",
    ]
    question_id = found["conversationId"].removeprefix("async-")
    assert services().store.get(tenant.id, question_id).flow == FLOW


@pytest.mark.parametrize("place", ["body", "both"])
def test_the_key_may_be_in_the_body(
    ask: Ask, visitor: Visitor, place: str, calls: list[Call]
) -> None:
    """A key in the body opens like one in the header, and is stored nowhere."""
    headers = {"x-api-key": ""} if place == "body" else {}
    assert chat(ask(headers=headers, apiKey=visitor.key, metadata={"apiKey": "crm-123"}))
    assert visitor.key not in repr([call.params for call in calls])


@pytest.mark.parametrize("key", ["aw_wrong", 7, ["aw_wrong"]])
def test_two_keys_must_be_the_same(ask: Ask, stored: Callable[[], Stored], key: object) -> None:
    """Another key in the body than in the header is refused, and nothing is stored."""
    assert ask(apiKey=key) == TWO_KEYS
    assert stored() == NOTHING


@pytest.mark.parametrize("function", ["answer_query", "submit_query", "give_feedback"])
def test_a_key_of_another_object_is_none(
    visitor: Visitor, stored: Callable[[], Stored], function: str
) -> None:
    """A key within the metadata, which others may have sent, acts for nobody."""
    event = visitor.event(function)
    del event["headers"]["x-api-key"]
    feedback = {"feedback": "positive", "questionId": "x"}
    for own in ({}, {"apiKey": "aw_another"}):
        event["body"] = json.dumps(
            {"metadata": {"apiKey": visitor.key}, **ASKED, **feedback, **own}
        )
        assert invoke(function, event, CONTEXT) == TWO_KEYS
    assert stored() == NOTHING


@pytest.mark.parametrize("body", ['{"apiKey": "aw_no"}', '{"apiKey": 7}', '{"apiKey": ', "[]", ""])
def test_a_body_without_a_good_key_opens_nothing(visitor: Visitor, body: str) -> None:
    """Without a key in the header, a body that names none, or cannot be read, is 401."""
    event = visitor.event("answer_query") | {"body": body}
    del event["headers"]["x-api-key"]
    assert invoke("answer_query", event)["statusCode"] == 401


@pytest.mark.parametrize(
    "fields",
    [{"accountId": "nobody"}, {"websiteId": "nothing"}, {"accountId": ""}, {"websiteId": ""}],
)
def test_account_and_website_are_the_keys_own(ask: Ask, fields: Mapping[str, object]) -> None:
    """Another account or website than the key's own is the same 403, absent or foreign."""
    assert ask(**fields) == NOT_THEIRS


@pytest.mark.parametrize(
    ("fields", "headers", "message"),
    [
        (
            {"accountId": "demo"},
            {"x-account-id": "other"},
            "accountId: must be the same as the header x-account-id.",
        ),
        (
            {"websiteId": WEBSITE},
            {"x-website-id": FLOW},
            "websiteId: must be the same as the header x-website-id.",
        ),
        ({"accountId": 7}, {}, "accountId: must be a string of 0 to 255 characters."),
        ({"query": " "}, {}, "query: must not be blank."),
        ({"sessionId": None}, {}, "sessionId: must be present."),
        ({"visitorId": ""}, {}, "visitorId: must be a string of 1 to 255 characters."),
        ({"messageFormat": "pdf"}, {}, "messageFormat: must be one of: md, html."),
        ({"messageFormat": []}, {}, "messageFormat: must be one of: md, html."),
        ({"skipLanguageDetection": "no"}, {}, "skipLanguageDetection: must be true or false."),
        ({"metadata": "a"}, {}, "metadata: must be a JSON object, or its text."),
        ({"metadata": 7}, {}, "metadata: must be a JSON object."),
        ({"chatDataJson": "a"}, {}, "chatDataJson: must be a JSON object, or its text."),
        ({"chatDataJson": 7}, {}, "chatDataJson: must be a JSON object, or its text."),
        (
            {"chatDataJson": {"history": "a"}},
            {},
            "chatDataJson: must have a history of JSON objects.",
        ),
        (
            {"chatDataJson": {"history": ["a"]}},
            {},
            "chatDataJson: must have a history of JSON objects.",
        ),
        (
            {"chatDataJson": {"history": [{}] * 1_001}},
            {},
            "chatDataJson: must have at most 1000 turns, not 1001.",
        ),
        (
            {"chatDataJson": '{"history": [{"timestamp": 1e999}]}'},
            {},
            "chatDataJson: must have numbers below 1e308.",
        ),
    ],
)
def test_a_field_that_does_not_fit_is_named(
    ask: Ask,
    stored: Callable[[], Stored],
    fields: Mapping[str, object],
    headers: Mapping[str, str],
    message: str,
) -> None:
    """A field that does not fit is 400 with its name, and nothing is stored."""
    assert ask(headers=headers, **fields) == refusal(400, message)
    assert stored() == NOTHING


def test_sent_turns_come_before_the_question(ask: Ask) -> None:
    """A client's own history is in the prompt, and comes back as it was sent."""
    model = saying("You are Ada.")
    found = chat(ask(model, query="Who am I?", chatDataJson=json.dumps(SENT)))
    assert model.prompts[0].turns == (ChatTurn(question="I am Ada.", answer="Hello Ada."),)
    assert found["history"][:-2] == SENT["history"]
    assert turns(found)[-2:] == [("user", "Who am I?"), ("bot", "You are Ada.")]
    assert found["sessionId"] == SESSION


def test_the_newest_sent_turns_that_fit_come_back(ask: Ask) -> None:
    """A history that no response has room for comes back without its oldest turns."""
    half = "x" * (unless.MAX_HISTORY_BYTES // 2)
    sent = [{"sender": "user", "message": f"{number}{half}"} for number in range(3)]
    found = chat(ask(chatDataJson=json.dumps({"history": sent})))
    assert found["history"][:-2] == sent[2:]


def test_sent_turns_stand_for_those_of_the_session(ask: Ask) -> None:
    """With a sent history, even an empty one, the session's own questions are not told again."""
    first = chat(ask(saying("Hello Ada."), query="I am Ada."))
    model = saying("You are Ada.")
    second = chat(ask(model, query="Who am I?", chatDataJson=json.dumps(first)))
    assert turns(second) == [
        ("user", "I am Ada."),
        ("bot", "Hello Ada."),
        ("user", "Who am I?"),
        ("bot", "You are Ada."),
    ]
    assert second["history"][:2] == first["history"]
    chat(ask(model, query="And now?", chatDataJson={"history": []}))
    assert [len(prompt.turns) for prompt in model.prompts] == [1, 0]


@pytest.mark.parametrize("sent", [None, "", "{}", {"sessionId": SESSION}])
def test_without_a_sent_history_the_session_goes_on(ask: Ask, sent: object) -> None:
    """Without turns of the client's the session's earlier questions are told and shown."""
    chat(ask(saying("Hello Ada."), query="I am Ada."))
    model = saying("You are Ada.")
    found = chat(ask(model, query="Who am I?", chatDataJson=sent))
    assert model.prompts[0].turns == (ChatTurn(question="I am Ada.", answer="Hello Ada."),)
    assert [message for _, message in turns(found)] == [
        "I am Ada.",
        "Hello Ada.",
        "Who am I?",
        "You are Ada.",
    ]


def test_a_sent_question_is_looked_for_with_the_next(ask: Ask) -> None:
    """A question without passages of its own is looked for together with the sent one before."""
    step = {"name": "answer", "instructions": "Answer.", "context": {}}
    put_flow("demo", steps=[step])
    from_before = {
        "history": [
            {"sender": "user", "message": "When are refunds made?"},
            {"sender": "bot", "message": "Soon."},
        ]
    }
    draft = Draft(name="Refunds", text="Refunds are made in two weeks.", folder="Help")
    services().contents.create("demo", draft)
    model = saying("In winter, too.")
    chat(ask(model, query="And winter?", chatDataJson=from_before))
    assert "Refunds are made in two weeks." in model.prompts[0].user


def test_sent_html_is_told_as_text(ask: Ask) -> None:
    """Turns that were shown as HTML come back as they were sent, and are told as their texts."""
    shown = {"messageFormat": "html"}
    answered = "**Fees** are at https://a.example/x."
    first = chat(ask(saying(answered), query="Fees & more?", **shown))
    plain = [{"sender": "user", "message": "a<b, c>d?"}, {"sender": "bot", "message": "No."}]
    nothing = [{"sender": "user", "message": "Why?"}, {"sender": "bot", "message": "<p></p>"}]
    sent = [*first["history"], *plain, *nothing]
    model = saying("Yes.")
    second = chat(ask(model, query="So?", chatDataJson={"history": sent}, **shown))
    assert model.prompts[0].turns == (
        ChatTurn(question="Fees & more?", answer=answered),
        ChatTurn(question="a<b, c>d?", answer="No."),
    )
    assert second["history"][:-2] == sent


def test_sent_turns_are_bounded() -> None:
    """The newest 100 pairs of 300,000 characters go to the worker, and none before a gap."""
    pairs = [
        ({"sender": "user", "message": f"Q{number}"}, {"sender": "bot", "message": "A"})
        for number in range(120)
    ]
    sent = chat_data.SentChat([turn for pair in pairs for turn in pair], (), None)
    kept = chat_data.list_earlier_turns(sent)
    assert (len(kept), kept[0].question, kept[-1].question) == (100, "Q20", "Q119")
    big = {"sender": "bot", "message": "x" * chat_data.MAX_EARLIER_CHARACTERS}
    gap = chat_data.SentChat([*pairs[0], pairs[1][0], big, *pairs[2]], (), None)
    assert [turn.question for turn in chat_data.list_earlier_turns(gap)] == ["Q2"]


def test_metadata_may_be_a_text(ask: Ask) -> None:
    """Metadata as the text of an object come back to the letter."""
    result = ask(metadata='{ "a": 1.50 }')
    assert '"metadata": { "a": 1.50 }' in result["body"]
    assert chat(result)["metadata"] == {"a": 1.5}


def test_what_takes_too_long_goes_on(ask: Ask, visitor: Visitor, time: Time) -> None:
    """After 26 seconds the answer is 504 with the question's id, whose answer comes later."""
    time.work_after = 100.0
    result = ask()
    question_id = json.loads(result["body"])["questionId"]
    path = f"/api/v1/ai/async/answer?questionId={question_id}"
    error = f"The answer takes longer: it will be at {path}."
    assert result == answer({"error": error, "questionId": question_id}, 504)
    time.work()
    assert turns(visitor.chat(question_id))[-1] == ("bot", ANSWER)


def test_a_retry_of_a_question_keeps_its_turns(ask: Ask, set_clock: SetClock) -> None:
    """A canceled question that is submitted again has the same turns before it."""
    result = ask(raising(ModelRefusedError(Reason.REFUSED_CONTENT, "No.")), chatDataJson=SENT)
    question_id = json.loads(result["body"])["questionId"]
    retry = services().submitter.retry("demo", question_id)
    claim = services().store.claim("demo", retry.id, set_clock())
    assert claim is not None
    assert [turn.question for turn in claim.earlier or ()] == ["I am Ada."]


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (Reason.REFUSED_CONTENT, 422),
        (Reason.TOO_LONG, 422),
        (Reason.EMPTY_OUTPUT, 502),
        (Reason.TIMED_OUT, 504),
    ],
)
def test_a_failure_is_an_error_with_its_reason(ask: Ask, reason: Reason, status: int) -> None:
    """A question that fails is an error by its reason, with the question's id."""
    result = ask(raising(ModelRefusedError(reason, "No.")))
    question_id = json.loads(result["body"])["questionId"]
    assert result == answer({"error": f"{reason}: No.", "questionId": question_id}, status)
    assert services().store.get("demo", question_id).status is Status.FAILED


def test_a_canceled_question_is_a_conflict(ask: Ask, time: Time, visitor: Visitor) -> None:
    """A question that is canceled during the wait is 409."""
    time.work_after = 100.0
    cancel = {"idempotency-key": "case-1"}
    question_id = json.loads(ask(headers=cancel)["body"])["questionId"]
    services().outbox.cancel("demo", question_id)
    event = visitor.event("answer_query", **cancel) | {"body": json.dumps(ASKED)}
    assert invoke("answer_query", event, CONTEXT) == answer(
        {"error": "The question was canceled.", "questionId": question_id}, 409
    )


def test_a_key_without_read_sees_no_conversation(visitor: Visitor, ask: Ask) -> None:
    """The response shows a session, so the key has to be one that reads."""
    _, key = services().registry.create_key("demo", [Scope.SUBMIT])
    assert ask(headers={"x-api-key": key}) == refusal(
        403, "The API key does not have the scope 'read'."
    )
    assert visitor.key != key


def test_a_conversation_leaves_no_word(
    ask: Ask, visitor: Visitor, leaked: Callable[[], list[str]]
) -> None:
    """Sent turns, the question, the answer and a key in the body are written nowhere."""
    sent = {
        "history": [
            {"sender": "user", "message": "Xylophone?"},
            {"sender": "bot", "message": "Quokka."},
        ]
    }
    key = {"headers": {"x-api-key": ""}, "apiKey": visitor.key}
    assert chat(ask(saying("Pangolin."), query="Wombat?", chatDataJson=sent, **key))
    assert ask(chatDataJson={"history": ["Narwhal"]}, **key)["statusCode"] == 400
    assert ask(apiKey=f"{visitor.key}x")["statusCode"] == 401
    assert leaked() == []


def test_a_flow_with_another_input_needs_no_field(ask: Ask) -> None:
    """The question is the flow's first text, with sent turns too; others have their defaults."""
    tone = {"name": "tone", "kind": "choice", "options": ["dry"], "default": "dry"}
    put_flow("demo", inputs=[*CHAT["inputs"], tone])
    model = saying("Yes.")
    chat(ask(model, chatDataJson=SENT))
    assert model.prompts[0].turns == (ChatTurn(question="I am Ada.", answer="Hello Ada."),)

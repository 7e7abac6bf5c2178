"""Fetching an answer through Unless' API: the handler with its event, under moto."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from afterword import clock
from afterword.generations import Reason, Submission
from afterword.knowledge import Draft
from afterword.services import services
from afterword.tenants.keys import Scope
from tests.conftest import FLOW, Call, Event, LambdaContext, SetClock, Tenant
from tests.harness.api import invoke
from tests.harness.fake_model import FakeModel, saying
from tests.harness.genai_stack import differences
from tests.harness.unless import (
    ANSWER,
    ASKED,
    CHAT,
    DOCUMENTED,
    NO_SUCH_QUESTION,
    NOT_THEIRS,
    SESSION,
    SOURCE,
    WEBSITE,
    Result,
    Visitor,
    answer,
    finish,
    put_flow,
    refusal,
    turns,
)

ABSENT = "019a6f3e-7c00-7000-8000-000000000009"
WORKER = LambdaContext(milliseconds=300_000)
STEP = {"name": "answer", "instructions": "Answer the question."}
STARTED = 1794301200000
"""START in milliseconds."""

type VisitorOf = Callable[[Tenant], Visitor]


@pytest.fixture
def visitor_of(
    load_event: Callable[[str], Event],
    set_clock: SetClock,  # noqa: ARG001 - asked for its effect
) -> VisitorOf:
    """Return a function that makes a client of a tenant whose only chat is the help center."""

    def make(tenant: Tenant) -> Visitor:
        put_flow(tenant.id)
        return Visitor(load_event, tenant.id, tenant.key)

    return make


@pytest.fixture
def visitor(tenant: Tenant, visitor_of: VisitorOf) -> Visitor:
    """Return a client of the tenant of the sample events."""
    return visitor_of(tenant)


def bound(visitor: Visitor, flow: str) -> Visitor:
    """Return the client with a key that is for one flow alone."""
    _, key = services().registry.create_key(visitor.tenant, [Scope.READ], flow=flow)
    return replace(visitor, key=key)


def error_of(result: Result) -> str:
    """Return why a question has no answer."""
    body = json.loads(result["body"])
    assert list(body) == ["questionId", "status", "error"]
    assert (result["statusCode"], body["status"]) == (200, "ERROR")
    why: str = body["error"]
    return why


def test_a_queued_question_is_pending(visitor: Visitor) -> None:
    """A question that waits is PENDING, with its id and nothing else."""
    question_id = visitor.asked()
    expected = answer({"questionId": question_id, "status": "PENDING"})
    assert visitor.answer(question_id) == expected


def test_a_running_question_is_processing(visitor: Visitor) -> None:
    """A question that a worker has is PROCESSING; requeued it is PENDING again."""
    question_id = visitor.asked()
    claim = services().store.claim("demo", question_id, clock.now())
    assert claim is not None
    expected = answer({"questionId": question_id, "status": "PROCESSING"})
    assert visitor.answer(question_id) == expected
    services().store.requeue(claim, failed=False)
    expected = answer({"questionId": question_id, "status": "PENDING"})
    assert visitor.answer(question_id) == expected


def test_a_failed_question_says_why(visitor: Visitor) -> None:
    """A question that failed is ERROR, with the reason and a sentence."""
    question_id = visitor.asked()
    message = "It was not finished in time."
    services().store.fail_unclaimed("demo", question_id, Reason.DEADLINE, message)
    assert visitor.answer(question_id) == answer(
        {"questionId": question_id, "status": "ERROR", "error": f"deadline: {message}"}
    )


def test_a_canceled_question_says_so(visitor: Visitor) -> None:
    """A question that was canceled is ERROR."""
    question_id = visitor.asked()
    services().outbox.cancel("demo", question_id)
    assert error_of(visitor.answer(question_id)) == "The question was canceled."


def test_the_seeds_example_is_answered(visitor: Visitor, set_clock: SetClock) -> None:
    """An answer is as documented, field by field, in its order; only ids are of our own making."""
    question_id = visitor.asked()
    set_clock.advance(milliseconds=1833)
    finish("demo", question_id, ANSWER, SOURCE)
    result = visitor.answer(question_id)
    user, bot = DOCUMENTED["history"]
    (source,) = bot["metadata"]
    chat = json.loads(result["body"])["chatData"]
    ids = [turn["uuid"] for turn in chat["history"]]
    stable_id = chat["history"][1]["metadata"][0]["stableId"]
    told = {**bot, "metadata": [{**source, "stableId": stable_id}]}
    language = {"languageCode": "en"}
    told = {**dict(list(told.items())[:8]), **language, **dict(list(told.items())[8:])}
    history = [
        {**user, "timestamp": STARTED, "uuid": ids[0]},
        {**told, "timestamp": STARTED + 1833, "uuid": ids[1]},
    ]
    body = {
        "questionId": question_id,
        "status": "DONE",
        "chatData": {
            **DOCUMENTED,
            "history": history,
            "conversationId": f"async-{question_id}",
        },
    }
    assert result == answer(body)
    assert len(set(ids)) == 2
    assert [len(ids[0]), len(ids[1]), len(stable_id)] == [36, 36, 32]
    assert differences(chat["history"][0], user) == []
    assert visitor.answer(question_id) == result


def test_what_was_sent_comes_back(visitor: Visitor) -> None:
    """Metadata come back to the letter, the conversation's name as it was given."""
    text = '{"b": 1.50, "big": 12345678901234567890, "a": [null, "é"],  "b": 2e3}'
    fields = {**ASKED, "conversationName": "Câble & co"}
    body = json.dumps(fields)[:-1] + f', "metadata": {text}}}'
    question_id = json.loads(visitor.post(body)["body"])["questionId"]
    finish("demo", question_id)
    result = visitor.answer(question_id)["body"]
    assert f'"metadata": {text}, "toolsetName": null' in result
    assert json.loads(result)["chatData"]["conversationName"] == "Câble & co"


def test_a_session_goes_on(visitor: Visitor, set_clock: SetClock) -> None:
    """Later questions of a session have the earlier turns before them, up to their own."""
    first = visitor.asked("What does Unless do?")
    set_clock.advance(seconds=1)
    finish("demo", first, "It answers.")
    set_clock.advance(seconds=1)
    second = visitor.asked("Combien ça coûte ?")
    finish("demo", second, "Rien du tout, c'est gratuit.")
    asked = [("user", "What does Unless do?"), ("bot", "It answers.")]
    assert turns(visitor.chat(first)) == asked
    chat = visitor.chat(second)
    asked += [("user", "Combien ça coûte ?"), ("bot", "Rien du tout, c'est gratuit.")]
    assert turns(chat) == asked
    assert [turn["languageCode"] for turn in chat["history"]] == ["en", "en", "fr", "fr"]
    assert [turn["timestamp"] - STARTED for turn in chat["history"]] == [0, 1000, 2000, 2000]
    assert (chat["sessionId"], chat["conversationId"]) == (SESSION, f"async-{second}")
    assert chat["history"][:2] == visitor.chat(first)["history"]


def test_two_questions_at_once_are_both_there_once(visitor: Visitor) -> None:
    """Questions of the same moment have one order, and each is in the history of the later one."""
    asked = [visitor.asked(f"Question {number}?") for number in (1, 2)]
    for question_id in reversed(asked):
        finish("demo", question_id, f"Answer to {question_id}")
    earlier, later = sorted(asked)
    chats = {question_id: turns(visitor.chat(question_id)) for question_id in asked}
    assert chats[later][:2] == chats[earlier]
    assert [said for _, said in chats[later]][1::2] == [
        f"Answer to {earlier}",
        f"Answer to {later}",
    ]
    assert {said for _, said in chats[later]} >= {"Question 1?", "Question 2?"}
    assert (len(chats[earlier]), len(chats[later])) == (2, 4)


def test_an_earlier_question_without_an_answer_stands_alone(
    visitor: Visitor, set_clock: SetClock
) -> None:
    """An open, failed or canceled question is in the history as the user's turn alone."""
    ids = []
    for name in ("Open", "Failed", "Canceled", "Last"):
        ids.append(visitor.asked(f"{name}?"))
        set_clock.advance(seconds=1)
    services().store.fail_unclaimed("demo", ids[1], Reason.DEADLINE, "Too late.")
    services().outbox.cancel("demo", ids[2])
    finish("demo", ids[3], "Done.")
    assert turns(visitor.chat(ids[3])) == [
        ("user", "Open?"),
        ("user", "Failed?"),
        ("user", "Canceled?"),
        ("user", "Last?"),
        ("bot", "Done."),
    ]
    finish("demo", ids[0], "Late.")
    assert turns(visitor.chat(ids[3]))[:2] == [("user", "Open?"), ("bot", "Late.")]


def test_a_session_is_its_tenants_and_its_websites(
    visitor: Visitor, other_tenant: Tenant, visitor_of: VisitorOf
) -> None:
    """The same session id at another tenant, or another website, is another conversation."""
    them = visitor_of(other_tenant)
    theirs = them.asked("Theirs?")
    finish("other", theirs, "Theirs.")
    put_flow("demo", id="second")
    second = replace(visitor, headers={"x-website-id": "second"}).asked("Second?")
    finish("demo", second, "Second.")
    ours = replace(visitor, headers={"x-website-id": WEBSITE}).asked("Ours?")
    finish("demo", ours, "Ours.")
    assert turns(visitor.chat(ours)) == [("user", "Ours?"), ("bot", "Ours.")]
    assert turns(visitor.chat(second)) == [("user", "Second?"), ("bot", "Second.")]
    assert turns(them.chat(theirs)) == [("user", "Theirs?"), ("bot", "Theirs.")]
    assert visitor.answer(theirs) == them.answer(ours) == NO_SUCH_QUESTION


def test_the_index_may_lag_behind(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer has its own question even while the index does not know it."""
    question_id = visitor.asked("New?")
    finish("demo", question_id, "Yes.")
    monkeypatch.setattr(services().listings, "read_conversation", lambda *_, **__: [])
    assert turns(visitor.chat(question_id)) == [("user", "New?"), ("bot", "Yes.")]


@pytest.mark.parametrize(
    ("source", "is_public"),
    [
        ("https://example.com/a", True),
        ("HTTP://example.com/a", True),
        ("s3://bucket/a", False),
        ("/srv/a.pdf", False),
        (None, False),
    ],
)
def test_a_source_is_public_if_it_is_on_the_web(
    visitor: Visitor,
    source: str | None,
    is_public: bool,  # noqa: FBT001 - a case
) -> None:
    """A source is public if its address is one of the web, and has an address in any case."""
    question_id = visitor.asked()
    finish("demo", question_id, ANSWER, replace(SOURCE, source=source, used=False))
    (shown,) = visitor.chat(question_id)["history"][1]["metadata"]
    assert (shown["isPublic"], shown["source"]) == (is_public, source or "")
    assert shown["isUsedForAnswer"] is False


def test_a_stable_id_stays(visitor: Visitor, other_tenant: Tenant, visitor_of: VisitorOf) -> None:
    """The stable id is of the tenant and its external id, or of the content without one."""
    sources = (
        SOURCE,
        replace(SOURCE, content="added-again"),
        replace(SOURCE, external_id="another"),
        replace(SOURCE, external_id=None),
        replace(SOURCE, external_id=SOURCE.content),
    )
    question_id = visitor.asked()
    finish("demo", question_id, ANSWER, *sources)
    shown = visitor.chat(question_id)["history"][1]["metadata"]
    ids = [each["stableId"] for each in shown]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 4
    assert [each["documentId"] for each in shown[:2]] == [SOURCE.content, "added-again"]
    them = visitor_of(other_tenant)
    theirs = them.asked()
    finish("other", theirs, ANSWER, SOURCE)
    (foreign,) = them.chat(theirs)["history"][1]["metadata"]
    assert foreign["stableId"] not in ids


def test_a_long_conversation_loses_its_oldest_turns(visitor: Visitor, set_clock: SetClock) -> None:
    """An answer stays below what Lambda returns: the oldest turns are left out first."""
    metadata = {"quotes": '"' * 499_000}
    for number in range(6):
        question_id = visitor.asked(f"Question {number}?", metadata=metadata)
        set_clock.advance(seconds=1)
        finish("demo", question_id, f"{number}" + "\n" * 350_000)
    result = visitor.answer(question_id)
    assert len(json.dumps(result, ensure_ascii=False).encode()) < 6_000_000
    chat = json.loads(result["body"])["chatData"]
    assert [said.strip() for _, said in turns(chat)] == [
        "Question 3?",
        "3",
        "Question 4?",
        "4",
        "Question 5?",
        "5",
    ]
    assert chat["metadata"] == metadata


def test_a_generation_of_another_api_is_shown(visitor: Visitor) -> None:
    """A generation of another API has its inputs as the question, and no session."""
    submission = Submission(
        dialect="dialonce",
        flow=FLOW,
        inputs={"subject": "Refund", "body": "Where is it?", "tags": ["a", "b"]},
        template=None,
        external={"external_ref": '"x"'},
    )
    generation_id = services().submitter.submit("demo", submission)
    expected = answer({"questionId": generation_id, "status": "PENDING"})
    assert visitor.answer(generation_id) == expected
    finish("demo", generation_id, "On its way.")
    chat = visitor.chat(generation_id)
    assert turns(chat) == [("user", "Refund\nWhere is it?\na\nb"), ("bot", "On its way.")]
    assert (chat["sessionId"], chat["metadata"], chat["conversationName"]) == ("", {}, None)


def test_other_inputs_are_no_part_of_the_question(visitor: Visitor) -> None:
    """Defaults of the flow's other inputs are not shown as if the visitor had said them."""
    tone = {"name": "tone", "default": "warm"}
    put_flow(
        "demo", inputs=[{"name": "size", "kind": "number", "default": "3"}, *CHAT["inputs"], tone]
    )
    question_id = visitor.asked("Hello?")
    finish("demo", question_id, "Hi.")
    assert turns(visitor.chat(question_id)) == [("user", "Hello?"), ("bot", "Hi.")]


def test_a_worker_answers_and_remembers(
    visitor: Visitor,
    set_clock: SetClock,
    message_event: Callable[[str], Event],
    use_model: Callable[[FakeModel], None],
) -> None:
    """The worker's answer is fetched, and the next question of the session reaches it with both."""
    said = []
    for question in ("My name is Zoë.", "What is my name?"):
        model = saying(f"You said: {question}")
        use_model(model)
        question_id = visitor.asked(question)
        set_clock.advance(seconds=1)
        assert invoke("generate", message_event(question_id), WORKER) == {"batchItemFailures": []}
        said += [("user", question), ("bot", f"You said: {question}")]
        assert turns(visitor.chat(question_id)) == said
    assert "Zoë" in repr(model.prompts)


def test_an_answer_names_the_contents_that_it_is_from(
    visitor: Visitor,
    message_event: Callable[[str], Event],
    use_model: Callable[[FakeModel], None],
) -> None:
    """The contents of the prompt are the bot turn's sources, and those cited are marked as used."""
    put_flow("demo", steps=[{**STEP, "context": {"otherwise": "The documents do not say."}}])
    address = "https://example.com/refunds"
    refunds, forms = (
        services().contents.create("demo", Draft(name=name, text=text, folder="FAQ", source=source))
        for name, text, source in (
            ("Refunds", "Refunds arrive within five days.", address),
            ("Forms", "A form for refunds is in the account.", None),
        )
    )
    model = saying("Within five days [1].")
    use_model(model)
    question_id = visitor.asked("When do refunds arrive within five days?")
    assert invoke("generate", message_event(question_id), WORKER) == {"batchItemFailures": []}
    bot = visitor.chat(question_id)["history"][1]
    assert [(each["documentId"], each["isUsedForAnswer"]) for each in bot["metadata"]] == [
        (refunds.id, True),
        (forms.id, False),
    ]
    first = bot["metadata"][0]
    assert (first["title"], first["source"], first["isPublic"]) == ("Refunds", address, True)
    assert first["trainingDataId"] == refunds.folder.id
    question_id = visitor.asked("Zyzzyva?", sessionId="another")
    assert invoke("generate", message_event(question_id), WORKER) == {"batchItemFailures": []}
    bot = visitor.chat(question_id)["history"][1]
    assert (bot["message"], bot["metadata"]) == ("The documents do not say.", [])
    assert len(model.prompts) == 1


def test_a_question_id_is_needed(visitor: Visitor) -> None:
    """Without a question id the answer is 400."""
    missing = refusal(400, "questionId: must be present.")
    assert visitor.answer("") == missing
    event = visitor.event("get_answer")
    del event["queryStringParameters"]
    assert invoke("get_answer", event) == missing


def test_what_is_not_there_is_not_found(
    visitor: Visitor, other_tenant: Tenant, visitor_of: VisitorOf
) -> None:
    """An unknown, malformed, foreign or another website's question gets the same 404."""
    own = visitor.asked()
    theirs = visitor_of(other_tenant).asked()
    for asked in (ABSENT, theirs, own.upper(), f"{own},{own}", "x", "\ud800", "demo#", "0" * 5_000):
        assert visitor.answer(asked) == NO_SUCH_QUESTION
    assert bound(visitor, FLOW).answer(own) == NO_SUCH_QUESTION
    assert visitor.answer(own, x_website_id=FLOW) == NO_SUCH_QUESTION
    assert bound(visitor, WEBSITE).answer(own) == visitor.answer(own)


def test_account_and_website_must_be_the_keys_own(visitor: Visitor, other_tenant: Tenant) -> None:
    """An account or website that is absent or another's gets one and the same 403."""
    put_flow(other_tenant.id, id="theirs")
    own = visitor.asked()
    for account in ("other", "nobody", ""):
        assert visitor.answer(own, x_account_id=account) == NOT_THEIRS
    for website in ("theirs", "absent", ""):
        assert visitor.answer(own, x_website_id=website) == NOT_THEIRS
        assert bound(visitor, WEBSITE).answer(own, x_website_id=website) == NOT_THEIRS
    headers = {"x_account_id": "demo", "x_website_id": WEBSITE, "x_user_email": "a@example.com"}
    assert visitor.answer(own, **headers) == visitor.answer(own)
    refused = refusal(400, "x-user-email: must be an e-mail address.")
    assert visitor.answer(own, x_user_email="nobody") == refused


def test_the_sample_event_finds_nothing(tenant: Tenant, load_event: Callable[[str], Event]) -> None:
    """The sample event, with all of the headers, asks for a question that is not there."""
    event = load_event("get_answer")
    event["headers"]["x-api-key"] = tenant.key
    assert invoke("get_answer", event) == NO_SUCH_QUESTION


def test_a_poll_is_one_read(visitor: Visitor, calls: list[Call]) -> None:
    """While it is not answered a poll reads one item; the conversation is read at the end only."""
    question_id = visitor.asked()
    calls.clear()
    visitor.answer(question_id)
    assert [call.operation for call in calls] == ["dynamodb.GetItem"]
    finish("demo", question_id)
    calls.clear()
    visitor.answer(question_id)
    reads = ["dynamodb.GetItem", "dynamodb.Query", "dynamodb.BatchGetItem"]
    assert [call.operation for call in calls] == reads

"""Feedback through Unless' API: the handler with its event, under moto."""

import json
from collections.abc import Callable, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from afterword.engine import feedback as keeping
from afterword.errors import UnavailableError
from afterword.generations import Feedback, FeedbackKind, Reason
from afterword.generations.feedback import MAX_NOTE, FeedbackChange
from afterword.runtime.deadline import Deadline
from afterword.runtime.dynamodb import Table, TransactionCanceledError
from afterword.services import services
from afterword.tenants.keys import Scope
from tests.conftest import Call, Event, LambdaContext, SetClock, Tenant
from tests.endpoints.test_privacy import leaked, watch
from tests.harness.administration import Administration
from tests.harness.api import invoke
from tests.harness.native_generations import Native
from tests.harness.unless import (
    NO_SUCH_QUESTION,
    NOT_THEIRS,
    Result,
    Visitor,
    answer,
    finish,
    put_flow,
    refusal,
)

if TYPE_CHECKING:
    from afterword.usage.statistics import Tally

__all__ = ["leaked", "watch"]
ABSENT = "019a6f3e-7c00-7000-8000-000000000009"
DAY = date(2026, 11, 10)
KEPT = "Thank you. The feedback is kept with the answer."
JUDGED = FeedbackChange(sets_kind=True, kind=FeedbackKind.POSITIVE)
NOTED = FeedbackChange(sets_kind=False, sets_note=True, note="Too short.")

type Give = Callable[..., Result]
type ReadItem = Callable[[str, str], dict[str, Any]]


@pytest.fixture
def question(visitor: Visitor) -> str:
    """Return a question that is answered."""
    return answered(visitor)


@pytest.fixture
def give(visitor: Visitor) -> Give:
    """Return a function that gives feedback, with the tenant's key by default."""

    def post(question_id: str | None = None, /, **fields: object) -> Result:
        key = fields.pop("key", visitor.key)
        event = visitor.event("give_feedback", **{"x-api-key": str(key)})
        named = {} if question_id is None else {"questionId": question_id}
        event["body"] = json.dumps({**named, **fields})
        return invoke("give_feedback", event)

    return post


def answered(visitor: Visitor, query: str = "Why?") -> str:
    """Ask a question that is answered; return its id."""
    question_id = visitor.asked(query)
    finish("demo", question_id, f"Re: {query}")
    return question_id


def kept(question_id: str, kind: str, message: str = KEPT) -> Result:
    """Return the answer to a feedback."""
    return answer(
        {
            "conversationId": f"async-{question_id}",
            "sender": "bot",
            "message": message,
            "type": "message",
            "questionId": question_id,
            "feedback": kind,
        }
    )


def tallies() -> list[Mapping[FeedbackKind, int]]:
    """Return the counts of feedback in the tenant's tallies of the day."""
    found = services().statistics.get_tallies("demo", DAY, DAY).values()
    return [tally.feedback for tally in found]


def shown(visitor: Visitor, question_id: str) -> list[str]:
    """Return the feedback of the turns of a chat, as they are shown."""
    return [turn["feedback"] for turn in visitor.chat(question_id)["history"]]


def test_the_sample_event_is_taken(visitor: Visitor, native: Native) -> None:
    """The documented fields are taken, and the feedback is in the native API as well."""
    question_id = native.submitted()
    finish("demo", question_id)
    event = visitor.load("give_feedback")
    event["headers"]["x-api-key"] = visitor.key
    event["body"] = json.dumps({**json.loads(event["body"]), "questionId": question_id})
    assert invoke("give_feedback", event) == kept(question_id, "negative")
    expected = {"kind": "negative", "note": "Too short."}
    assert native.ask("get_generation", question_id)["body"]["feedback"] == expected
    assert native.page()["body"]["items"][0]["feedback"] == expected


@pytest.mark.parametrize("kind", [*FeedbackKind])
def test_each_judgment_is_kept_shown_and_counted(
    give: Give, visitor: Visitor, question: str, kind: str
) -> None:
    """A judgment is the answer's turn's in chat data, and counts once however often it is sent."""
    for _ in range(2):
        assert give(question, feedback=kind) == kept(question, kind)
    assert shown(visitor, question) == ["", kind]
    assert tallies() == [{kind: 1}]


def test_a_judgment_changes_and_goes(
    give: Give, question: str, read_item: ReadItem, visitor: Visitor
) -> None:
    """A later judgment takes the place of the earlier one, in the count too; "" removes both."""
    before = read_item("demo", question)
    give(question, feedback="positive")
    assert give(question, feedback="escalated", note="Call me.") == kept(question, "escalated")
    assert tallies() == [{"escalated": 1}]
    for nothing in ("", None):
        removed = kept(question, "", "The feedback is removed.")
        assert give(question, feedback=nothing) == removed
    assert read_item("demo", question) == before
    assert shown(visitor, question) == ["", ""]
    assert tallies() == [{}]


def test_a_note_and_a_judgment_leave_each_other_alone(
    give: Give, question: str, native: Native
) -> None:
    """`note` sets the note alone, a judgment without a note leaves it, and "" removes it."""

    def read() -> object:
        return native.ask("get_generation", question)["body"]["feedback"]

    assert give(question, feedback="note", note="Too short.") == kept(question, "")
    assert read() == {"kind": None, "note": "Too short."}
    assert tallies() == [{}]
    give(question, feedback="negative")
    assert read() == {"kind": "negative", "note": "Too short."}
    give(question, feedback="note", note="Too long.")
    assert read() == {"kind": "negative", "note": "Too long."}
    give(question, feedback="negative", note="")
    assert read() == {"kind": "negative", "note": None}
    give(question, feedback="", note="Never mind.")
    assert read() == {"kind": None, "note": "Never mind."}
    assert give(question, feedback="note", note=None)["statusCode"] == 200
    assert read() is None


def test_the_longest_note_is_taken(give: Give, question: str) -> None:
    """A note has up to 2,000 characters, of whatever kind."""
    assert give(question, feedback="note", note="😀" * MAX_NOTE)["statusCode"] == 200
    given = services().store.get("demo", question).feedback
    assert given is not None
    assert given.note == "😀" * MAX_NOTE


def test_chat_data_name_the_answer(give: Give, visitor: Visitor, set_clock: SetClock) -> None:
    """The newest turn with the judgment is meant, of earlier questions too, else the last one."""
    questions = []
    for query in ("One?", "Two?", "Three?"):
        questions.append(answered(visitor, query))
        set_clock.advance(seconds=1)
    chat = visitor.chat(questions[-1])
    assert give(feedback="positive", chatDataJson=json.dumps(chat)) == kept(
        questions[2], "positive"
    )
    for at in (0, 1):
        chat["history"][2 * at + 1]["feedback"] = "negative"
        judged = give(feedback="negative", chatDataJson=chat)
        assert judged == kept(questions[at], "negative")
    assert shown(visitor, questions[2]) == ["", "negative", "", "negative", "", "positive"]


def test_an_earlier_answer_is_judged_while_the_newest_question_is_open(
    give: Give, visitor: Visitor, question: str, set_clock: SetClock
) -> None:
    """An earlier turn of the chat data is judged, though the newest question has no answer yet."""
    chat = visitor.chat(question)
    set_clock.advance(seconds=1)
    chat["conversationId"] = f"async-{visitor.asked('And why?')}"
    assert give(feedback="positive", chatDataJson=chat) == kept(question, "positive")
    assert tallies() == [{"positive": 1}]


def test_an_answer_of_another_session_is_none_of_the_chat(
    give: Give, visitor: Visitor, question: str
) -> None:
    """A turn that the session of the chat data does not have is 404."""
    chat = visitor.chat(question)
    other = visitor.asked("Elsewhere?", sessionId="another")
    finish("demo", other)
    chat["history"] = visitor.chat(other)["history"]
    assert give(feedback="positive", chatDataJson=chat) == NO_SUCH_QUESTION
    chat["history"][-1]["uuid"] = "019a6f3e"
    assert give(feedback="positive", chatDataJson=chat) == NO_SUCH_QUESTION


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "feedback: must be present."),
        (
            {"feedback": "fine"},
            "feedback: must be one of: positive, negative, escalated, note, or an empty text.",
        ),
        (
            {"feedback": ["positive"]},
            "feedback: must be one of: positive, negative, escalated, note, or an empty text.",
        ),
        ({"feedback": "note"}, "note: must be present."),
        ({"feedback": "note", "note": 7}, "note: must be a string of up to 2000 characters."),
        (
            {"feedback": "positive", "note": "x" * 2_001},
            "note: must be a string of up to 2000 characters.",
        ),
        (
            {"feedback": "positive", "sendEmail": True},
            "sendEmail: must be false, as no e-mail is sent.",
        ),
        ({"feedback": "positive", "sendEmail": "no"}, "sendEmail: must be true or false."),
        ({"feedback": "positive", "questionId": 7}, "questionId: must be a string."),
        (
            {"feedback": "positive", "questionId": None},
            "questionId, chatDataJson: one of them must be present.",
        ),
        (
            {"feedback": "positive", "questionId": None, "chatDataJson": {"history": []}},
            "chatDataJson: must have the conversationId of an answer of this API.",
        ),
        (
            {
                "feedback": "positive",
                "questionId": None,
                "chatDataJson": {"history": [], "conversationId": "async-x"},
            },
            "chatDataJson: must have a turn of a bot, with its uuid.",
        ),
    ],
)
def test_a_field_that_does_not_fit_is_named(
    give: Give,
    question: str,
    read_item: ReadItem,
    fields: Mapping[str, object],
    message: str,
) -> None:
    """A field that does not fit is 400 with its name, and nothing changes."""
    before = read_item("demo", question)
    assert give(**{"questionId": question, **fields}) == refusal(400, message)
    assert read_item("demo", question) == before
    assert tallies() == [{}]


def test_a_foreign_answer_looks_like_an_absent_one(
    give: Give, other_tenant: Tenant, load_event: Callable[[str], Event]
) -> None:
    """Another tenant's question, an absent one, a malformed one and its chat data are 404."""
    put_flow(other_tenant.id)
    other = Visitor(load_event, other_tenant.id, other_tenant.key)
    theirs = other.asked()
    finish(other_tenant.id, theirs)
    for question_id in (theirs, ABSENT, "nonsense", "", "x" * 5_000):
        assert give(question_id, feedback="positive") == NO_SUCH_QUESTION
    assert give(feedback="positive", chatDataJson=other.chat(theirs)) == NO_SUCH_QUESTION
    assert services().store.get(other_tenant.id, theirs).feedback is None


def test_a_bound_key_judges_its_own_website(give: Give, question: str) -> None:
    """A key for another flow finds no such question, and may not name its website."""
    scopes = [Scope.SUBMIT, Scope.READ]
    _, key = services().registry.create_key("demo", scopes, flow="mail-reply")
    assert give(question, feedback="positive", key=key) == NO_SUCH_QUESTION
    named = give(question, feedback="positive", key=key, websiteId="help-center")
    assert named == NOT_THEIRS


def test_an_open_question_has_nothing_to_judge(give: Give, visitor: Visitor) -> None:
    """A question without an end is 409."""
    assert give(visitor.asked(), feedback="positive") == refusal(
        409, "The generation has not ended: there is nothing to judge yet."
    )


def test_a_failure_can_be_escalated(give: Give, visitor: Visitor, set_clock: SetClock) -> None:
    """A question that failed is judged like an answer, and counts under no model."""
    question_id = visitor.asked()
    claim = services().store.claim("demo", question_id, set_clock())
    assert claim is not None
    services().store.fail(claim, Reason.TIMED_OUT, "Too slow.")
    assert give(question_id, feedback="escalated") == kept(question_id, "escalated")
    ((cell, tally),) = services().statistics.get_tallies("demo", DAY, DAY).items()
    assert (cell.model, tally.failed, tally.feedback) == (None, 1, {"escalated": 1})


def test_a_deleted_generation_leaves_its_count_alone(give: Give, question: str) -> None:
    """The note and the judgment go with the generation; its count stays, like its end's."""
    give(question, feedback="negative", note="Xylophone")
    services().store.delete("demo", question)
    stored = json.dumps(services().store._read("demo", question))  # noqa: SLF001 - its tombstone
    assert "Xylophone" not in stored
    assert "feedback" not in stored
    assert tallies() == [{"negative": 1}]
    assert give(question, feedback="positive") == NO_SUCH_QUESTION


def test_feedback_counts_on_the_day_of_the_end(
    give: Give, question: str, set_clock: SetClock, administration: Administration
) -> None:
    """After its hour was counted an end's feedback counts on its day, once, by flow and model."""
    set_clock.advance(days=1)
    services().statistics.count_hours(Deadline.after(600))
    give(question, feedback="positive")
    services().statistics.count_hours(Deadline.after(600))
    tallied: dict[Any, Tally] = services().statistics.get_tallies("demo", DAY, set_clock().date())
    ((cell, tally),) = tallied.items()
    assert (cell.day, cell.flow, cell.model) == (DAY, "help-center", "m")
    assert (tally.succeeded, tally.feedback) == (1, {"positive": 1})
    query = {"from": "2026-11-01", "to": "2026-11-30", "by": "flow"}
    report = administration.call("get_usage", query=query)["body"]
    assert report["groups"][0]["feedback"] == report["total"]["feedback"] == {"positive": 1}


def test_a_change_takes_a_read_and_a_transaction(
    give: Give, question: str, calls: list[Call]
) -> None:
    """The generation and its count are written in one call, which happens whole or not."""
    give(question, feedback="")
    calls.clear()
    give(question, feedback="positive")
    assert [call.operation for call in calls] == ["dynamodb.GetItem", "dynamodb.TransactWriteItems"]
    tables = [part["Update"]["TableName"] for part in calls[-1].params["TransactItems"]]
    assert len({*tables}) == 2


def meet(
    question: str, monkeypatch: pytest.MonkeyPatch, first: FeedbackChange, second: FeedbackChange
) -> object:
    """Make a change between the read and the write of another one; return the feedback of that."""
    keeper, find = services().feedback, services().store.get_rated_end
    others = [first]

    def read_and_wait(*which: Any) -> object:  # noqa: ANN401 - the store's own
        end = find(*which)
        if others:
            keeper.give("demo", question, None, others.pop())
        return end

    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr(services().store, "get_rated_end", read_and_wait)
    return keeper.give("demo", question, None, second)


def test_changes_at_the_same_moment_count_once(
    question: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change that finds another one done begins again from there."""
    negative = FeedbackChange(sets_kind=True, kind=FeedbackKind.NEGATIVE)
    assert meet(question, monkeypatch, negative, JUDGED) == Feedback(FeedbackKind.POSITIVE, None)
    assert tallies() == [{"positive": 1}]


@pytest.mark.parametrize(("first", "second"), [(JUDGED, NOTED), (NOTED, JUDGED)])
def test_a_note_and_a_judgment_at_the_same_moment_are_both_kept(
    question: str, monkeypatch: pytest.MonkeyPatch, first: FeedbackChange, second: FeedbackChange
) -> None:
    """A note does not take a judgment away that came after its read, nor a judgment a note."""
    both = Feedback(FeedbackKind.POSITIVE, "Too short.")
    assert meet(question, monkeypatch, first, second) == both
    assert services().store.get("demo", question).feedback == both
    assert tallies() == [{"positive": 1}]


def test_of_two_notes_at_the_same_moment_one_is_kept(
    question: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A note that finds another one done begins again from there."""
    other = FeedbackChange(sets_kind=False, sets_note=True, note="Too long.")
    assert meet(question, monkeypatch, other, NOTED) == Feedback(None, "Too short.")
    assert tallies() == [{}]


def test_a_note_alone_is_one_plain_write(give: Give, question: str, calls: list[Call]) -> None:
    """A change that counts nothing takes no transaction, which would cost twice as much."""
    give(question, feedback="")
    calls.clear()
    give(question, feedback="note", note="Too short.")
    assert [call.operation for call in calls] == ["dynamodb.GetItem", "dynamodb.UpdateItem"]


@pytest.mark.parametrize("conflicts", [4, 5])
def test_a_transaction_in_the_way_is_waited_for(
    question: str, monkeypatch: pytest.MonkeyPatch, conflicts: int
) -> None:
    """A busy item is tried again, and in the end the client is asked to come back."""
    reasons = ["TransactionConflict"] * conflicts
    transact = Table.transact

    def fail(self: Table, *writes: Any) -> None:  # noqa: ANN401 - the table's own
        if not reasons:
            transact(self, *writes)
            return
        canceled = [{"Code": reasons.pop()}, {"Code": "None"}]
        response: Any = {"Error": {"Code": "x"}, "CancellationReasons": canceled}
        raise TransactionCanceledError(response, "TransactWriteItems")

    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    monkeypatch.setattr(Table, "transact", fail)
    change = FeedbackChange(sets_kind=True, kind=FeedbackKind.POSITIVE)
    if conflicts <= len(keeping.CONFLICT_WAITS):
        services().feedback.give("demo", question, None, change)
        assert tallies() == [{"positive": 1}]
    else:
        with pytest.raises(UnavailableError):
            services().feedback.give("demo", question, None, change)
        assert tallies() == [{}]
    assert len(waits) == min(conflicts, len(keeping.CONFLICT_WAITS))


def test_a_note_is_written_nowhere_else(
    give: Give, question: str, leaked: Callable[[], list[str]]
) -> None:
    """A note and an address leave the process to their owner alone, of a refusal too."""
    note = "Xylophone at Quokka"
    assert give(question, feedback="negative", note=note)["statusCode"] == 200
    assert give(question, feedback=note, note=note)["statusCode"] == 400
    assert give(question, feedback="note", note=[note])["statusCode"] == 400
    sent = {"email": "wombat@example.com", "sendEmail": True}
    assert give(question, feedback="escalated", **sent)["statusCode"] == 400
    assert leaked() == []


def test_a_judgment_and_a_rating_are_apart(
    give: Give, question: str, native: Native, message_event: Callable[[str], Event]
) -> None:
    """Feedback and Promptitude's rating are kept beside each other; the worker leaves both."""
    services().store.rate("demo", question, None, 3)
    give(question, feedback="positive")
    invoke("generate", message_event(question), LambdaContext(milliseconds=300_000))
    body = native.ask("get_generation", question)["body"]
    assert (body["rating"], body["feedback"]["kind"]) == (3, "positive")

"""Conversations: the earlier questions that the worker tells a model, and their order."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from afterword import generations
from afterword.flows.drafts import Flow
from afterword.generations import Reason, Submission
from afterword.generations.details import GenerationDetail
from afterword.knowledge import Draft
from afterword.models import ChatTurn, ModelRefusedError, Prompt
from afterword.services import services
from tests.conftest import Call, Event, SetClock, Tenant
from tests.harness.api import invoke
from tests.harness.fake_model import FakeModel, completion, raising

SESSION = "session-123"
CHAT = "chat"


def put_chat(tenant: str, *steps: dict[str, object], flow: str = CHAT, **fields: object) -> None:
    """Save a flow whose callers ask one question."""
    saved = Flow.model_validate(
        {
            "id": flow,
            "name": "Chat",
            "inputs": [{"name": "question"}],
            "steps": steps or ({"name": "answer", "prompt": "{{question}}"},),
            **fields,
        }
    )
    services().registry.put_flow(tenant, flow, saved.model_dump_json(exclude_unset=True))


def submit(
    question: str, tenant: str = "demo", session: str | None = SESSION, flow: str = CHAT
) -> str:
    """Submit a question of a session and return its id."""
    submission = Submission(
        dialect="unless",
        flow=flow,
        inputs={"question": question},
        template=None,
        external={},
        conversation=session,
    )
    return services().submitter.submit(tenant, submission)


def history(question_id: str, tenant: str = "demo") -> list[GenerationDetail]:
    """Return the conversation up to a question."""
    last = services().store.get_detail(tenant, question_id)
    return services().listings.read_conversation(tenant, CHAT, SESSION, until=last.order)


def questions(turns: list[GenerationDetail]) -> list[object]:
    """Return the questions that the model was asked, in order."""
    return [listed.inputs["question"] for listed in turns]


def echo(prompt: Prompt) -> generations.Completion:
    """Answer a question with itself."""
    return completion(f"Re: {prompt.user}")


type Run = Callable[..., FakeModel]


@pytest.fixture
def run(
    message_event: Callable[[str], Event],
    use_model: Callable[[FakeModel], None],
    tenant: Tenant,
    set_clock: SetClock,
) -> Run:
    """Return a function that runs generations in turn, a second apart, and gives the model."""
    put_chat(tenant.id)

    def go(*ids: str, model: FakeModel | None = None, of: str = tenant.id) -> FakeModel:
        model = model or FakeModel(echo)
        use_model(model)
        for generation_id in ids:
            event = message_event(generation_id)
            event["Records"][0]["body"] = f'{{"tenant": "{of}", "id": "{generation_id}"}}'
            assert invoke("generate", event) == {"batchItemFailures": []}
            set_clock.advance(seconds=1)
        return model

    return go


def test_a_question_follows_on_those_before(run: Run) -> None:
    """Earlier questions and answers of the session go before the question, oldest first."""
    run(submit("My name is Ada."))
    run(submit("I live in Lyon."))
    (prompt,) = run(submit("Who am I?")).prompts
    assert (prompt.turns, prompt.user) == (
        (
            ChatTurn(question="My name is Ada.", answer="Re: My name is Ada."),
            ChatTurn(question="I live in Lyon.", answer="Re: I live in Lyon."),
        ),
        "Who am I?",
    )


@pytest.mark.parametrize("session", [None, "session-12", "session-1234", "", "#session-123"])
def test_sessions_are_apart(run: Run, session: str | None) -> None:
    """A question knows nothing of another session, nor of questions of none."""
    run(submit("My name is Ada.", session=session))
    assert run(submit("Who am I?")).prompts[0].turns == ()


def test_a_session_belongs_to_one_tenant_and_flow(run: Run, other_tenant: Tenant) -> None:
    """The same session id at another tenant, or with another flow, is another session."""
    put_chat(other_tenant.id)
    put_chat("demo", flow="other-chat")
    run(submit("My name is Ada.", tenant=other_tenant.id), of=other_tenant.id)
    run(submit("My name is Eve.", flow="other-chat"))
    question = submit("Who am I?")
    assert run(question).prompts[0].turns == ()
    assert questions(history(question)) == ["Who am I?"]


def test_two_questions_at_once_are_both_in_the_history(run: Run, set_clock: SetClock) -> None:
    """Both are in the conversation once, in the order of their questions, whichever ends first."""
    first = submit("What is your name?")
    set_clock.advance(seconds=0.001)
    second = submit("And where are you?")
    assert run(second).prompts[0].turns == ()
    run(first)
    set_clock.advance(seconds=1)
    third = submit("Since when?")
    (prompt,) = run(third).prompts
    assert [turn.question for turn in prompt.turns] == ["What is your name?", "And where are you?"]
    asked = ["What is your name?", "And where are you?", "Since when?"]
    assert questions(history(third)) == asked
    assert questions(history(second)) == asked[:2]
    assert questions(history(first)) == asked[:1]


def test_two_questions_in_the_same_millisecond_are_both_there(run: Run) -> None:
    """Questions of the same time have an order too, the same for every reader."""
    ids = [submit(f"Question {number}") for number in range(5)]
    run(*ids)
    last = submit("The last")
    (prompt,) = run(last).prompts
    asked = [turn.question for turn in prompt.turns]
    assert sorted(asked) == [f"Question {number}" for number in range(5)]
    assert questions(history(last)) == [*asked, "The last"]


def test_a_repeated_submission_is_one_question(run: Run) -> None:
    """The same request with the same Idempotency-Key is in the history once."""
    submission = Submission(
        dialect="unless",
        flow=CHAT,
        inputs={"question": "Once?"},
        template=None,
        external={},
        conversation=SESSION,
    )
    ids = {services().submitter.submit("demo", submission, "key-1") for _ in range(3)}
    (question,) = ids
    run(question)
    assert questions(history(question)) == ["Once?"]


def test_a_question_without_an_answer_is_not_told(run: Run, set_clock: SetClock) -> None:
    """A question that failed, or is still open, is in the history but not in the prompt."""
    refused = raising(ModelRefusedError(Reason.REFUSED_CONTENT, "No."))
    run(submit("Something bad"), model=refused)
    submit("Still open")
    set_clock.advance(seconds=1)
    last = submit("And now?")
    assert run(last).prompts[0].turns == ()
    assert questions(history(last)) == ["Something bad", "Still open", "And now?"]


def test_a_conversation_is_told_within_its_tokens(run: Run) -> None:
    """The newest turns that fit into the flow's budget are told, and none before a gap."""
    put_chat("demo", history_tokens=20)
    for text in ("a" * 5, "b" * 5, "c" * 5):
        run(submit(text))
    turns = run(submit("?")).prompts[0].turns
    assert [turn.question for turn in turns] == ["a" * 5, "b" * 5, "c" * 5]
    run(submit("d" * 20))
    turns = run(submit("?!")).prompts[0].turns
    assert [turn.question for turn in turns] == ["?", "d" * 20]


def test_a_flow_may_tell_nothing(run: Run) -> None:
    """With no tokens for it, a conversation is not told at all."""
    put_chat("demo", history_tokens=0)
    run(submit("My name is Ada."))
    assert run(submit("Who am I?")).prompts[0].turns == ()


def test_only_the_first_step_is_told(run: Run) -> None:
    """Later steps work on the result of the first."""
    put_chat(
        "demo",
        {"name": "draft", "prompt": "{{question}}"},
        {"name": "polish", "prompt": "Polish: {{draft}}"},
    )
    run(submit("My name is Ada."))
    first, second = run(submit("Who am I?")).prompts
    assert [turn.question for turn in first.turns] == ["My name is Ada."]
    assert second.turns == ()


def test_what_has_expired_is_forgotten(run: Run, set_clock: SetClock) -> None:
    """A question past its retention is in no history, though the database may still have it."""
    run(submit("My name is Ada."))
    set_clock.moment += timedelta(days=31)
    question = submit("Who am I?")
    assert run(question).prompts[0].turns == ()
    assert questions(history(question)) == ["Who am I?"]


def test_a_question_about_the_one_before_finds_its_passages(run: Run) -> None:
    """A question that finds nothing by itself is looked for together with the one before."""
    services().contents.create(
        "demo", Draft(name="Parking", text="Parking costs four euros an hour.", folder="Terms")
    )
    put_chat("demo", {"name": "answer", "prompt": "{{question}}", "context": {}})
    run(submit("What does the parking cost?"))
    (prompt,) = run(submit("And tomorrow?")).prompts
    assert "four euros an hour" in prompt.user
    (prompt,) = run(submit("And tomorrow?", session="another")).prompts
    assert "four euros an hour" not in prompt.user


def test_a_long_conversation_is_read_in_part(run: Run) -> None:
    """Of a conversation without end the newest questions are read, as many as one batch may."""
    ids = []
    for number in range(4):
        ids.append(submit(f"Question {number}"))
        run(ids[-1])
    last = services().store.get_detail("demo", ids[-1])
    newest = services().listings.read_conversation("demo", CHAT, SESSION, until=last.order, limit=2)
    assert questions(newest) == ["Question 2", "Question 3"]


def test_the_turn_before_is_read_consistently(run: Run, calls: list[Call]) -> None:
    """A turn that has just ended is in the prompt, for its item is read consistently."""
    first = submit("Open today?")
    run(first)
    calls.clear()
    assert questions(history(first)) == ["Open today?"]
    (read,) = (call for call in calls if call.operation == "dynamodb.BatchGetItem")
    assert [request["ConsistentRead"] for request in read.params["RequestItems"].values()] == [True]


def test_a_big_answer_is_read_from_the_bucket(run: Run) -> None:
    """Texts too big for an item are in the history as they are."""
    put_chat("demo", history_tokens=100_000)
    long = "x" * 20_000
    run(submit("Much?"), model=FakeModel(lambda _: completion(long)))
    assert run(submit("And?")).prompts[0].turns == (ChatTurn(question="Much?", answer=long),)


def test_a_retry_belongs_to_the_conversation(run: Run) -> None:
    """A retry is a new question of the same conversation."""
    refused = raising(ModelRefusedError(Reason.REFUSED_CONTENT, "No."))
    failed = submit("Again?")
    run(failed, model=refused)
    retry = services().submitter.retry("demo", failed).id
    run(retry)
    assert questions(history(retry)) == ["Again?", "Again?"]

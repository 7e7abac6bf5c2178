"""Flows of several steps: each result is stored before the next step begins."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from afterword import clock
from afterword.engine.attempts import MAX_BACKOFF_SECONDS, MIN_STEP_SECONDS, WRITE_SECONDS
from afterword.flows.drafts import Flow
from afterword.generations import Output, Reason, Status, Submission
from afterword.models import LENGTH, ModelTimedOutError, ModelUnavailableError, Prompt
from afterword.runtime.payloads import INLINE_BYTES
from afterword.services import services
from tests.conftest import Call, Event, LambdaContext, SetClock, Tenant
from tests.harness.api import invoke
from tests.harness.fake_model import FakeModel, completion
from tests.harness.prompts import AS_ARRAY

NAMES = {"name": "names", "prompt": "Name {{count}} towns of {{country}}.", "output": "array"}
POEM = {"name": "poem", "prompt": "Rhyme about {{names}}.", "instructions": "Be brief."}
TITLE = {"name": "title", "prompt": "A title for: {{poem}} ({{country}})"}
TOWN = {
    "name": "town",
    "prompt": "Describe {{country}}",
    "output": "json",
    "output_schema": {
        "type": "object",
        "properties": {"size": {"type": "integer", "minimum": 1}},
        "required": ["size"],
    },
}
INPUTS = [{"name": "count", "kind": "number"}, {"name": "country"}]
ANSWERS = {
    "Name": '{"items": ["Lyon", "Nîmes"]}',
    "Rhyme": "Lyon, {{country}}, Nîmes",
    "A title": "Towns",
}
CONTEXT = LambdaContext(milliseconds=300_000)
EACH = completion("").tokens_in + completion("").tokens_out

type Run = Callable[..., dict[str, Any]]


def flow(*steps: dict[str, Any]) -> None:
    """Save a flow of these steps."""
    saved = Flow.model_validate({"id": "towns", "name": "Towns", "inputs": INPUTS, "steps": steps})
    services().registry.put_flow("demo", "towns", saved.model_dump_json(exclude_unset=True))


def submit() -> str:
    """Submit to the flow and return the generation's id."""
    submission = Submission(
        dialect="genai_stack",
        flow="towns",
        inputs={"count": "2", "country": "France {{poem}}"},
        template=None,
        external={},
    )
    return services().submitter.submit("demo", submission)


def answering(failing: str = "", error: Exception | None = None) -> FakeModel:
    """Return a model that answers each prompt in its way, and fails at one if told so."""

    def answer(prompt: Prompt) -> Any:  # noqa: ANN401 - a completion
        if failing and prompt.user.startswith(failing) and error is not None:
            raise error
        start = next(start for start in ANSWERS if prompt.user.startswith(start))
        return completion(ANSWERS[start])

    return FakeModel(answer)


def asked(model: FakeModel) -> list[str]:
    """Return the prompts of a model."""
    return [prompt.user for prompt in model.prompts]


@pytest.fixture
def run(
    tenant: Tenant,  # noqa: ARG001 - asked for its effect
    set_clock: SetClock,
    message_event: Callable[[str], Event],
    use_model: Callable[[FakeModel], None],
) -> Run:
    """Return a function that runs a generation once with a model, until its next try is due."""

    def run_once(
        generation_id: str, model: FakeModel, context: LambdaContext = CONTEXT
    ) -> dict[str, Any]:
        use_model(model)
        try:
            return invoke("generate", message_event(generation_id), context)
        finally:
            set_clock.advance(seconds=MAX_BACKOFF_SECONDS)

    return run_once


def test_each_step_uses_the_results_before_it(run: Run) -> None:
    """Names stand for inputs and earlier results, in one pass: a name inside a value stays."""
    flow(NAMES, POEM, TITLE)
    model = answering()
    generation_id = submit()
    run(generation_id, model)
    assert asked(model) == [
        "Name 2 towns of France {{poem}}.",
        'Rhyme about ["Lyon", "Nîmes"].',
        "A title for: Lyon, {{country}}, Nîmes (France {{poem}})",
    ]
    assert [prompt.system for prompt in model.prompts] == [AS_ARRAY, "Be brief.", ""]
    generation = services().store.get("demo", generation_id)
    assert generation.status is Status.SUCCEEDED
    assert generation.completion is not None
    assert generation.completion.text == "Towns"
    assert generation.completion.tokens_in + generation.completion.tokens_out == 3 * EACH


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (ModelUnavailableError("Busy."), False),
        (ModelTimedOutError("Slow."), False),
        (RuntimeError("a bug"), True),
    ],
)
def test_a_retry_goes_on_where_the_last_attempt_stopped(
    run: Run, set_clock: SetClock, error: Exception, *, again: bool
) -> None:
    """A finished step is not paid for again, whatever ends the attempt after it."""
    flow(NAMES, POEM, TITLE)
    generation_id = submit()
    assert bool(run(generation_id, answering("A title", error))["batchItemFailures"]) is again
    set_clock.advance(minutes=6)
    model = answering()
    assert run(generation_id, model) == {"batchItemFailures": []}
    assert asked(model) == ["A title for: Lyon, {{country}}, Nîmes (France {{poem}})"]
    ended = services().store.get_end("demo", generation_id)
    assert ended is not None
    assert (ended.status, ended.tokens) == (Status.SUCCEEDED, 3 * EACH)


def test_a_result_is_stored_before_the_next_step_begins(
    run: Run, read_item: Callable[[str, str], dict[str, Any]]
) -> None:
    """While a step runs, the results before it are in the item."""
    flow(NAMES, POEM)
    generation_id = submit()
    seen: list[dict[str, Any]] = []

    def answer(prompt: Prompt) -> Any:  # noqa: ANN401 - a completion
        seen.append(read_item("demo", generation_id))
        return answering().generate(prompt, 1.0)

    run(generation_id, FakeModel(answer))
    assert "step_1" not in seen[0]
    assert seen[1]["step_1"]["M"]["text"] == {"S": '["Lyon", "Nîmes"]'}
    assert seen[1]["status"] == {"S": "running"}


def test_a_big_result_is_kept_in_the_bucket(
    run: Run, read_item: Callable[[str, str], dict[str, Any]]
) -> None:
    """A step's result above what an item takes is read back from S3 by the next attempt."""
    flow({**POEM, "prompt": "Rhyme about {{country}}."}, TITLE)
    big = "é" * INLINE_BYTES
    generation_id = submit()

    def answer(prompt: Prompt) -> Any:  # noqa: ANN401 - a completion
        if prompt.user.startswith("A title"):
            raise ModelUnavailableError("Busy.")
        return completion(big)

    run(generation_id, FakeModel(answer))
    assert set(read_item("demo", generation_id)["step_1"]["M"]) >= {"text_key", "model"}
    model = answering()
    run(generation_id, model)
    assert asked(model) == [f"A title for: {big} (France {{{{poem}}}})"]


def test_a_late_attempt_stores_no_step(run: Run, set_clock: SetClock) -> None:
    """An attempt that was taken over while its model answered stops, and leaves nothing."""
    flow(NAMES, POEM)
    generation_id = submit()

    def answer(prompt: Prompt) -> Any:  # noqa: ANN401 - a completion
        set_clock.advance(minutes=6)
        assert services().store.claim("demo", generation_id, clock.now() + timedelta(minutes=6))
        return answering().generate(prompt, 1.0)

    model = FakeModel(answer)
    assert run(generation_id, model) == {"batchItemFailures": []}
    assert len(model.prompts) == 1
    set_clock.advance(minutes=7)
    claim = services().store.claim("demo", generation_id, clock.now() + timedelta(minutes=6))
    assert claim is not None
    assert claim.results == ()


def test_a_later_step_is_left_to_an_invocation_with_time(run: Run, calls: list[Call]) -> None:
    """Near the end of an invocation the next step is requeued, and no failure is counted."""
    flow(NAMES, POEM)
    generation_id = submit()
    seconds = WRITE_SECONDS + MIN_STEP_SECONDS - 1
    short = LambdaContext(milliseconds=int(seconds * 1000))
    assert run(generation_id, answering(), short) == {"batchItemFailures": []}
    waiting = services().store.get("demo", generation_id)
    assert (waiting.status, waiting.setback) == (Status.QUEUED, None)
    claim = services().store.claim("demo", generation_id, clock.now() + timedelta(minutes=6))
    assert claim is not None
    assert (len(claim.results), claim.failures) == (1, 0)
    assert [call.params["DelaySeconds"] for call in calls if "DelaySeconds" in call.params]


def test_each_invocation_gets_on_however_short_it_is(run: Run) -> None:
    """With little time for each, each invocation does one more step."""
    flow(NAMES, POEM, TITLE)
    generation_id = submit()
    short = LambdaContext(milliseconds=int((WRITE_SECONDS + 5) * 1000))
    for _ in range(2):
        assert run(generation_id, answering(), short) == {"batchItemFailures": []}
        assert services().store.get("demo", generation_id).status is Status.QUEUED
    assert run(generation_id, answering(), short) == {"batchItemFailures": []}
    assert services().store.get("demo", generation_id).status is Status.SUCCEEDED


def test_what_ends_between_steps_has_their_tokens(run: Run) -> None:
    """A generation that is canceled after its first step has cost what that took."""
    flow(NAMES, POEM)
    generation_id = submit()
    run(generation_id, answering("Rhyme", ModelUnavailableError("Busy.")))
    services().outbox.cancel("demo", generation_id)
    ended = services().store.get_end("demo", generation_id)
    assert ended is not None
    assert ended.tokens == EACH


@pytest.mark.parametrize(
    ("step", "answer", "text"),
    [
        (NAMES, '{"items": ["a", "é {{x}}"]}', '["a", "é {{x}}"]'),
        (NAMES, '{"items": []}', "[]"),
        (
            TOWN,
            '{"size": 7, "name": "Nîmes"}',
            '{"size": 7, "name": "Nîmes"}',
        ),
    ],
)
def test_a_structured_result_is_checked_and_stored(
    run: Run, step: dict[str, Any], answer: str, text: str
) -> None:
    """An array is its texts, JSON is what the schema asks for; the model is given the schema."""
    flow(step)
    generation_id = submit()
    model = FakeModel(lambda _: completion(answer))
    run(generation_id, model)
    done = services().store.get("demo", generation_id).completion
    assert done is not None
    assert (done.text, done.output) == (text, Output(step["output"]))
    (prompt,) = model.prompts
    assert prompt.schema is not None
    assert prompt.schema["type"] == "object"


@pytest.mark.parametrize(
    ("answer", "answers"),
    [
        ("no JSON", 2),
        ("[7]", 2),
        ('{"items": [1]}', 2),
        ('{"items": ["a"], "more": 1}', 2),
        ('{"items": [NaN]}', 2),
        ("[" * 100_000, 1),  # too long for a repair question
    ],
)
def test_a_structured_result_that_is_none_fails(run: Run, answer: str, answers: int) -> None:
    """A result that does not fit the schema fails with a reason, and its tokens are counted."""
    flow(NAMES)
    generation_id = submit()
    run(generation_id, FakeModel(lambda _: completion(answer)))
    generation = services().store.get("demo", generation_id)
    assert (generation.reason, generation.message) == (
        Reason.INVALID_OUTPUT,
        "The model's output is not the array of the flow's step names.",
    )
    ended = services().store.get_end("demo", generation_id)
    assert ended is not None
    assert ended.tokens == answers * EACH


@pytest.mark.parametrize("answer", ['{"size": 0}', '{"size": "7"}', "{}", "[7]", "7", "null"])
def test_json_that_does_not_fit_its_schema_fails(run: Run, answer: str) -> None:
    """A result that the flow's own schema does not allow fails."""
    flow(TOWN)
    generation_id = submit()
    run(generation_id, FakeModel(lambda _: completion(answer)))
    assert services().store.get("demo", generation_id).reason is Reason.INVALID_OUTPUT


def test_a_structured_result_that_was_cut_off_says_so(run: Run) -> None:
    """Too few tokens are told from nonsense, with what to raise and where."""
    flow({**NAMES, "max_tokens": 7})
    generation_id = submit()
    run(generation_id, FakeModel(lambda _: completion('{"items": ["Ly', LENGTH)))
    generation = services().store.get("demo", generation_id)
    assert (generation.reason, generation.message) == (
        Reason.OUTPUT_TRUNCATED,
        (
            "The model's output ended before it was complete: raise max_tokens, 7 now, in the"
            " flow's step names."
        ),
    )


def test_saving_a_flow_does_not_change_what_runs(run: Run) -> None:
    """A generation goes on with the version that it was submitted to."""
    flow(NAMES, POEM)
    generation_id = submit()
    run(generation_id, answering("Rhyme", ModelUnavailableError("Busy.")))
    flow({"name": "other", "prompt": "Something else"})
    model = answering()
    run(generation_id, model)
    assert asked(model) == ['Rhyme about ["Lyon", "Nîmes"].']
    generation = services().store.get("demo", generation_id)
    assert (generation.status, generation.flow_version) == (Status.SUCCEEDED, 1)


def test_a_mails_template_is_filled_by_the_last_step(run: Run, set_clock: SetClock) -> None:
    """In a flow of several steps, a reply's placeholders are for the last one."""
    assert set_clock()
    steps = [
        {"name": "topic", "prompt": "Topic of: {{body}}"},
        {"name": "reply", "prompt": "Answer about {{topic}}."},
    ]
    document = {"id": "towns", "name": "Towns", "steps": steps}
    services().registry.put_flow("demo", "towns", json.dumps(document))
    submission = Submission(
        dialect="dialonce",
        flow="towns",
        inputs={"subject": "A", "body": "My bill"},
        template="Dear [name],",
        external={},
    )
    generation_id = services().submitter.submit("demo", submission)
    answers = {"Topic": "bills", "Answer": '{"name": "Ada"}'}
    model = FakeModel(lambda prompt: completion(answers[prompt.user.split()[0]]))
    run(generation_id, model)
    assert model.prompts[0].schema is None
    assert model.prompts[1].user == "Answer about bills.\n<template>Dear [name],</template>"
    done = services().store.get("demo", generation_id).completion
    assert done is not None
    assert done.text == "Dear Ada,"

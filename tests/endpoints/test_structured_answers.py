"""Structured answers from their submission to the stored result: unwrapped, repaired once, or not.

The model is a real one behind an endpoint that does as it is told, or a stand-in where time and
limits count.
"""

import io
import json
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from afterword.engine.repairs import MAX_REPAIRED
from afterword.flows.drafts import Flow
from afterword.generations import Completion, Reason
from afterword.limits import Limits
from afterword.models import (
    LENGTH,
    ChatTurn,
    ModelRefusedError,
    ModelTimedOutError,
    ModelUnavailableError,
    Prompt,
)
from afterword.models.bedrock import BedrockModel
from afterword.models.openai import OpenAIModel
from afterword.services import services
from tests.conftest import Event, LambdaContext, SetClock
from tests.harness.api import invoke
from tests.harness.classes import CLASSES_DOCUMENT
from tests.harness.fake_model import FakeModel, completion
from tests.harness.native_generations import Native, Result
from tests.harness.scripted_endpoint import Script, answer, choice, serve_script
from tests.harness.stand_in_aws import read_items

pytestmark = pytest.mark.sockets

ARRAY = {"name": "tags", "prompt": "Tag {{text}}", "output": "array"}
TEXT = {"name": "reply", "prompt": "Answer {{text}}"}
ORDER = {
    "name": "order",
    "prompt": "Read {{text}}",
    "output": "json",
    "output_schema": {
        "type": "object",
        "properties": {"lines": {"type": "array", "items": {"type": "integer"}}},
        "required": ["lines"],
    },
}
EACH = completion("").tokens_in + completion("").tokens_out
AGAIN = (
    "The answer cannot be used. {} Answer the question again: with the whole JSON object,"
    " corrected, and with nothing before or after it."
)
NO_JSON = AGAIN.format("The answer is not JSON: Expecting value at line 1, column 1.")

type Run = Callable[..., Result]


def put_flow(*steps: Mapping[str, object]) -> None:
    """Save the flow `wild` with these steps."""
    flow = Flow.model_validate(
        {"id": "wild", "name": "Wild", "inputs": [{"name": "text"}], "steps": steps}
    )
    services().registry.put_flow("demo", "wild", flow.model_dump_json(exclude_unset=True))


@pytest.fixture
def script() -> Iterator[Script]:
    """Return an endpoint that does as it is told."""
    with serve_script() as served:
        yield served


@pytest.fixture
def run(
    native: Native,
    message_event: Callable[[str], Event],
    use_model: Callable[[Any], None],
) -> Run:
    """Return a function that submits a text, lets a model work, and reads the generation."""

    def submit_and_read(model: object, *, milliseconds: int = 300_000) -> Result:
        use_model(model)
        generation_id = native.submitted(flow="wild", inputs={"text": "Where is it?"})
        event = message_event(generation_id)
        assert invoke("generate", event, LambdaContext(milliseconds=milliseconds)) == {
            "batchItemFailures": []
        }
        read: Result = native.ask("get_generation", generation_id)["body"]
        return read

    return submit_and_read


def in_turn(*answers: str | Exception | Completion) -> FakeModel:
    """Return a model that gives these answers, or raises these errors, one after the other."""
    left = list(answers)

    def give(_: Prompt) -> Completion:
        given = left.pop(0)
        if isinstance(given, Exception):
            raise given
        return completion(given) if isinstance(given, str) else given

    return FakeModel(give)


def endpoint(script: Script, *contents: object) -> OpenAIModel:
    """Return the model at the endpoint, which answers with these contents."""
    script.answers = [answer(200, choice({"content": content})) for content in contents]
    return OpenAIModel(script.url, lambda: None, pool_size=10)


# --- the answers of models in the wild -----------------------------------------------------------

FENCE = "```"


@pytest.mark.parametrize(
    "content",
    [
        '{"items": ["a"]}',
        '{"items": "[\\"a\\"]"}',
        f'{FENCE}json\n{{"items": ["a"]}}\n{FENCE}',
        'Sure, here are the tags of [1]: ["a"]',
        '\ufeff["a"]',
        '{"items": ["a",]}',
        '<think>\nNot ["b"].\n</think>\n\n{"items": ["a"]}',
        [{"type": "thinking", "thinking": '["b"]'}, {"type": "text", "text": '["a"]'}],
    ],
)
def test_an_array_is_stored_however_it_comes(run: Run, script: Script, content: object) -> None:
    """Fences, prose, an array as text, parts and reasoning leave the array, at one call."""
    put_flow(ARRAY)
    read = run(endpoint(script, content))
    assert (read["status"], read["output"]) == ("succeeded", ["a"])
    assert len(script.requests) == 1


def test_a_refused_schema_is_in_the_prompt(run: Run, script: Script) -> None:
    """An endpoint without `response_format` has the schema in its instructions, and is believed."""
    put_flow(ARRAY)
    model = endpoint(script)
    refusal = {"error": {"message": "This response_format type is unavailable now"}}
    script.answers = [answer(400, refusal), answer(400, refusal)]
    script.answers.append(answer(200, choice({"content": f'{FENCE}\n["a"]\n{FENCE}'})))
    assert run(model)["output"] == ["a"]
    asked = script.requests[-1][1]
    assert "response_format" not in asked
    assert '"items":{"type":"array"' in asked["messages"][0]["content"]


def test_a_text_that_was_cut_says_so(run: Run, script: Script) -> None:
    """A text at its step's max_tokens is kept, with `length`; a whole one has `stop`."""
    put_flow(TEXT)
    model = endpoint(script)
    script.answers = [answer(200, choice({"content": "Dear Ja"}, "length"))]
    cut = run(model)
    assert (cut["status"], cut["output"], cut["stop_reason"]) == ("succeeded", "Dear Ja", "length")
    script.answers = [answer(200, choice({"content": "Dear Jane"}))]
    assert run(model)["stop_reason"] == "stop"


@pytest.mark.parametrize("content", ['{"items": ["a"', '["a", "b', "", None, f'{FENCE}\n["a"]'])
@pytest.mark.parametrize("step", [ARRAY, ORDER])
def test_a_structured_answer_that_was_cut_fails(
    run: Run, script: Script, step: Mapping[str, object], content: str | None
) -> None:
    """A cut array or object is no result, and no repair question is asked about it."""
    put_flow(step)
    model = endpoint(script)
    message: dict[str, object] = {"content": content, "reasoning_content": "SECRET"}
    script.answers = [answer(200, choice(message, "length"))]
    read = run(model)
    assert (read["output"], read["stop_reason"]) == (None, None)
    assert read["error"]["reason"] == Reason.OUTPUT_TRUNCATED
    assert "raise max_tokens, 1000 now" in read["error"]["message"]
    assert len(script.requests) == 1


def test_a_text_of_which_reasoning_took_all_tokens_fails_as_cut(run: Run, script: Script) -> None:
    """Without a text, an answer at its limit of tokens says what to raise."""
    put_flow(TEXT)
    model = endpoint(script)
    message: dict[str, object] = {"content": None, "reasoning_content": "SECRET"}
    script.answers = [answer(200, choice(message, "length"))]
    assert run(model)["error"]["reason"] == Reason.OUTPUT_TRUNCATED


@pytest.mark.parametrize(
    "message",
    [
        {"content": "<think>SECRET</think>Dear Jane"},
        {"content": "SECRET</think>\nDear Jane"},
        {"content": "<thinking>\nSECRET\n</thinking>\n\nDear Jane"},
        {"content": "Dear Jane", "reasoning_content": "SECRET"},
        {"content": "Dear Jane", "reasoning": "SECRET", "reasoning_details": [{"text": "SECRET"}]},
        {
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "SECRET"}]},
                {"type": "text", "text": "Dear Jane"},
            ]
        },
    ],
)
def test_reasoning_is_stored_and_logged_nowhere(
    run: Run,
    script: Script,
    message: dict[str, object],
    log: io.StringIO,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Reasoning gets into no step's result, no later prompt, no table and no log."""
    put_flow(TEXT, {"name": "title", "prompt": "A title for {{reply}}"})
    model = endpoint(script)
    script.answers = [answer(200, choice(message)), answer(200, choice(message))]
    assert run(model)["output"] == "Dear Jane"
    assert script.requests[1][1]["messages"][-1]["content"] == "A title for Dear Jane"
    assert "SECRET" not in json.dumps(read_items("GenerationsTable"))
    assert "SECRET" not in log.getvalue() + capsys.readouterr().out
    assert "finished" in log.getvalue()


def test_reasoning_is_in_no_conversation(
    native: Native,
    script: Script,
    message_event: Callable[[str], Event],
    use_model: Callable[[Any], None],
    set_clock: SetClock,
) -> None:
    """The next question of a conversation goes with the answers alone."""
    put_flow(TEXT)
    use_model(endpoint(script, "<think>SECRET</think>In March.", "Yes."))
    for question in ("When?", "Sure?"):
        generation_id = native.submitted(
            flow="wild", inputs={"text": question}, conversation="chat-1"
        )
        invoke("generate", message_event(generation_id), LambdaContext(milliseconds=300_000))
        set_clock.advance(seconds=1)
    assert [each["content"] for each in script.requests[1][1]["messages"]] == [
        "When?",
        "In March.",
        "Answer Sure?",
    ]


# --- the repair question -------------------------------------------------------------------------


def test_an_unusable_answer_is_asked_for_once_more(run: Run) -> None:
    """The bad answer is a turn, the validator's message the question; the second answer counts."""
    put_flow(ORDER)
    model = in_turn('{"lines": [1, "two"]}', '{"lines": [1, 2]}')
    read = run(model)
    assert (read["status"], read["output"]) == ("succeeded", {"lines": [1, 2]})
    first, second = model.prompts
    assert second.turns == (ChatTurn(question=first.user, answer='{"lines": [1, "two"]}'),)
    assert second.user == AGAIN.format(
        'At /lines/1: the value breaks the schema\'s "type": "integer".'
    )
    assert (second.system, second.schema, second.max_tokens) == (
        first.system,
        first.schema,
        first.max_tokens,
    )


def test_both_answers_are_paid_for(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """A repair counts as tokens of the generation, as an answer in the usage, and in metrics."""
    put_flow(ARRAY, TEXT)
    read = run(in_turn("no JSON", '["a"]', "Dear Jane"))
    usage = read["usage"]
    assert usage["tokens_in"] + usage["tokens_out"] == 3 * EACH
    (item,) = read_items("GenerationsTable")
    assert json.loads(item["answers"]["S"]) == [
        ["test-model", 240, 80, 2],
        ["test-model", 120, 40],
    ]
    logged = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [sum(each["TokensIn"]) for each in logged if "TokensIn" in each] == [360]


def test_there_is_no_second_repair_in_an_attempt(run: Run) -> None:
    """An answer that is unusable again fails; so does that of a later step of the attempt."""
    put_flow(ARRAY)
    model = in_turn("no JSON", "still none", '["a"]')
    read = run(model)
    assert (read["error"]["reason"], len(model.prompts)) == (Reason.INVALID_OUTPUT, 2)
    assert read["usage"]["tokens_in"] + read["usage"]["tokens_out"] == 2 * EACH
    put_flow(ARRAY, {**ORDER, "prompt": "Read {{tags}}"})
    model = in_turn("no JSON", '["a"]', "no JSON", '{"lines": [1]}')
    assert (run(model)["error"]["reason"], len(model.prompts)) == (Reason.INVALID_OUTPUT, 3)


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (completion('{"lines": [', LENGTH), Reason.OUTPUT_TRUNCATED),
        (completion('{"lines": ["two"]}', LENGTH), Reason.OUTPUT_TRUNCATED),
        (completion("x" * (MAX_REPAIRED + 1)), Reason.INVALID_OUTPUT),
    ],
)
def test_a_cut_and_a_long_answer_are_not_repaired(
    run: Run, first: Completion, reason: Reason
) -> None:
    """A cut answer would be cut again, and a long one would cost too much."""
    put_flow(ORDER)
    model = in_turn(first)
    assert (run(model)["error"]["reason"], len(model.prompts)) == (reason, 1)


def test_an_answer_up_to_the_bound_is_repaired(run: Run) -> None:
    """The longest answer that is shown again has MAX_REPAIRED characters."""
    put_flow(ARRAY)
    model = in_turn("x" * MAX_REPAIRED, '["a"]')
    assert run(model)["output"] == ["a"]


def test_a_blank_answer_is_no_turn(run: Run) -> None:
    """Models refuse a blank turn: the complaint goes behind the question."""
    put_flow(ARRAY)
    model = in_turn(" ", '["a"]')
    assert run(model)["output"] == ["a"]
    assert model.prompts[1].turns == ()
    assert model.prompts[1].user == f"Tag Where is it?\n\n{NO_JSON}"


@pytest.mark.parametrize("milliseconds", [9_900, 6_000])
def test_without_time_there_is_no_repair(run: Run, milliseconds: int) -> None:
    """With less than five seconds of the invocation left, the answer fails as it is."""
    put_flow(ARRAY)
    model = in_turn("no JSON")
    read = run(model, milliseconds=milliseconds)
    assert (read["error"]["reason"], len(model.prompts)) == (Reason.INVALID_OUTPUT, 1)


def test_a_slow_model_is_not_asked_again_in_less_time(run: Run, set_clock: SetClock) -> None:
    """A repair takes about the time of the answer: with less left, it is not asked for."""
    put_flow(ARRAY)

    def slow(_: Prompt) -> Completion:
        set_clock.advance(seconds=200)
        return completion("no JSON")

    model = FakeModel(slow)
    assert run(model, milliseconds=190_000)["error"]["reason"] == Reason.INVALID_OUTPUT
    assert len(model.prompts) == 1


@pytest.mark.parametrize(("limit", "prompts"), [(EACH, 1), (EACH + 1, 2)])
def test_without_tokens_there_is_no_repair(run: Run, limit: int, prompts: int) -> None:
    """A tenant whose month's tokens are used up, with this answer's, pays for no repair."""
    put_flow(ARRAY)
    services().registry.set_limits("demo", Limits(tokens_per_month=limit))
    model = in_turn("no JSON", '["a"]')
    assert (run(model)["status"] == "succeeded") == (prompts == 2)
    assert len(model.prompts) == prompts


@pytest.mark.parametrize(
    ("error", "tokens"),
    [
        (ModelUnavailableError("Busy."), EACH),
        (ModelTimedOutError("Slow."), EACH),
        (ModelRefusedError(Reason.TOO_LONG, "Too long."), EACH),
        (ModelRefusedError(Reason.REFUSED_CONTENT, "No.", completion("")), 2 * EACH),
    ],
)
def test_a_repair_that_fails_leaves_the_failure_of_the_answer(
    run: Run, error: Exception, tokens: int
) -> None:
    """After any failure of the repair question the generation fails for its answer."""
    put_flow(ARRAY)
    read = run(in_turn("no JSON", error))
    assert (read["status"], read["error"]["reason"]) == ("failed", Reason.INVALID_OUTPUT)
    assert read["usage"]["tokens_in"] + read["usage"]["tokens_out"] == tokens


def test_a_choice_is_repaired(run: Run) -> None:
    """A class outside the list is asked for again, with the list."""
    steps = json.loads(CLASSES_DOCUMENT)["steps"]
    put_flow({**steps[0], "prompt": "Sort {{text}}"})
    model = in_turn(
        '{"classification": "elsewhere", "confidence": 1}',
        'It is {"classification": "complaint", "confidence": 0.5}.',
    )
    assert run(model)["output"]["classification"] == "complaint"
    assert '"enum": ["refund_request"' in model.prompts[1].user


def converse_answer(stop_reason: str, *content: object) -> dict[str, object]:
    """Return an answer of Bedrock's Converse API."""
    return {
        "output": {"message": {"role": "assistant", "content": [*content]}},
        "stopReason": stop_reason,
        "usage": {"inputTokens": 21, "outputTokens": 7, "totalTokens": 28},
    }


def test_a_malformed_tool_of_bedrock_is_asked_for_again(run: Run) -> None:
    """A malformed structured answer of Bedrock is repaired like any other."""
    tool = {"toolUse": {"toolUseId": "t1", "name": "reply", "input": {"items": '["a"]'}}}
    thought = {"reasoningContent": {"reasoningText": {"text": "SECRET"}}}
    replies = [
        converse_answer("malformed_tool_use", thought),
        converse_answer("tool_use", thought, tool),
    ]

    client: Any = SimpleNamespace(converse=lambda **_: replies.pop(0))
    put_flow(ARRAY)
    read = run(BedrockModel(lambda _read_timeout: client))
    assert read["output"] == ["a"]
    assert (read["usage"]["tokens_in"], read["usage"]["tokens_out"]) == (42, 14)
    assert "SECRET" not in json.dumps(read_items("GenerationsTable"))


def test_no_answer_is_logged(run: Run, log: io.StringIO) -> None:
    """A repair is logged without the answer and without the complaint."""
    put_flow(ORDER)
    run(in_turn('{"SECRET": 1}', '{"SECRET": 1}'))
    run(in_turn('{"SECRET": 1}', ModelUnavailableError("Busy.")))
    logged = log.getvalue()
    assert "SECRET" not in logged
    assert logged.count("asked for a repair") == 2
    assert logged.count("could not repair") == 1

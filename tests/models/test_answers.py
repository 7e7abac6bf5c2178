"""Answers of an endpoint become a text with its tokens, or a failure with its cause."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from afterword.flows import outputs
from afterword.flows.flow import read_step
from afterword.generations import Completion, FailedError, Reason, Setback, SetbackReason
from afterword.models import (
    LENGTH,
    STOP,
    ChatTurn,
    ModelRefusedError,
    ModelUnavailableError,
    Prompt,
)
from afterword.models.adaptations import Adaptation
from afterword.models.openai import MAX_REQUESTS, OpenAIModel
from tests.harness.scripted_endpoint import Script, answer, choice

pytestmark = pytest.mark.sockets

CASES = Path(__file__).parent / "cases"
PROMPT = Prompt(
    system="You answer mails.",
    user="Where is my order?",
    schema=None,
    model="m",
    max_tokens=60,
    temperature=0.0,
)
SCHEMA = replace(PROMPT, schema={"type": "object"})
EVERYTHING = replace(SCHEMA, logprobs=True)
DONE = answer(200, choice({"content": "{}"}))


def openai(script: Script) -> OpenAIModel:
    return OpenAIModel(script.url, lambda: None, pool_size=10)


def read_case(name: str) -> dict[str, Any]:
    case: dict[str, Any] = json.loads((CASES / f"{name}.json").read_text())
    return case


def run_case(script: Script, name: str, *more: dict[str, object]) -> Completion:
    """Return the finished text of a step whose model answers like this case, and then with more."""
    case = read_case(name)
    body = case["body"].encode() if isinstance(case["body"], str) else case["body"]
    script.answers = [answer(case["status"], body), *(answer(200, each) for each in more)]
    step = read_step({"name": "reply", "instructions": "Answer.", "output": case["output"]})
    prompt = replace(PROMPT, schema=outputs.answer_schema(step, None))
    return outputs.finish_answer(openai(script).generate(prompt, timeout=5), step, None)


# --- the inputs that once failed -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("think", "Dear Jane"),
        ("content-parts", "Dear Jane"),
        ("lone-surrogate", "Thanks \ufffd Jane"),
        ("usage-null-fields", "Dear Jane"),
        ("fence", '["a"]'),
        ("array-as-text", '["a"]'),
    ],
)
def test_an_answer_that_can_be_read_becomes_its_text(script: Script, name: str, text: str) -> None:
    """Reasoning, parts, half characters, odd usage and wrapped values leave the text."""
    assert run_case(script, name).text == text


@pytest.mark.parametrize(
    ("name", "reason", "message"),
    [
        (
            "context-vllm",
            Reason.TOO_LONG,
            "The model endpoint answered 400 (BadRequestError). The text is too long for this",
        ),
        (
            "quota",
            Reason.MODEL_QUOTA_EXCEEDED,
            "The model endpoint answered 429 (insufficient_quota). The quota of the model's",
        ),
        (
            "reasoning-ate-the-tokens",
            Reason.OUTPUT_TRUNCATED,
            "The model's output ended before it was complete: raise max_tokens",
        ),
    ],
)
def test_a_final_failure_says_its_cause(
    script: Script, name: str, reason: Reason, message: str
) -> None:
    """An answer that no other try changes fails at once, with a reason to act on."""
    with pytest.raises(FailedError) as failed:
        run_case(script, name)
    assert failed.value.reason is reason
    assert str(failed.value).startswith(message)
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    ("name", "setback", "message"),
    [
        (
            "error-in-200",
            Setback(SetbackReason.THROTTLED, "429"),
            "The model endpoint answered 429.",
        ),
        (
            "finish-error",
            Setback(SetbackReason.UNAVAILABLE, "502"),
            "The model endpoint answered 502.",
        ),
    ],
)
def test_an_error_inside_a_200_hands_the_generation_back(
    script: Script, name: str, setback: Setback, message: str
) -> None:
    """An error that may pass is told as it is, whatever the status says."""
    with pytest.raises(ModelUnavailableError) as unavailable:
        run_case(script, name)
    assert (unavailable.value.setback, str(unavailable.value)) == (setback, message)


@pytest.mark.parametrize(
    ("name", "content", "change"),
    [
        ("max-tokens-no-code", "Dear Jane", {"max_tokens": None, "max_completion_tokens": 60}),
        ("no-json-schema", '{"items": ["a"]}', {"response_format": {"type": "json_object"}}),
        (
            "system-role",
            "Dear Jane",
            {"messages": [{"role": "user", "content": "You answer mails.\n\nWhere is my order?"}]},
        ),
    ],
)
def test_a_refused_part_is_left_out_of_the_next_request(
    script: Script, name: str, content: str, change: dict[str, object]
) -> None:
    """The request is sent again without what was refused, and else the same."""
    run_case(script, name, choice({"content": content}))
    first, second = (body for _, body in script.requests)
    assert second == {key: value for key, value in {**first, **change}.items() if value is not None}


@pytest.mark.parametrize("headers", read_case("retry-after")["headers"], ids=str)
def test_a_retry_after_of_any_form_hands_the_generation_back(
    script: Script, headers: dict[str, str]
) -> None:
    """A date without a zone is one, and no error of the worker."""
    script.answers = [answer(429, {}, headers)]
    with pytest.raises(ModelUnavailableError) as unavailable:
        openai(script).generate(PROMPT, timeout=5)
    assert unavailable.value.retry_after is not None


def test_every_case_is_tested() -> None:
    """No file of the cases is without a test here."""
    source = Path(__file__).read_text()
    names = {path.stem for path in CASES.glob("*.json")}
    assert names
    assert {name for name in names if f'"{name}"' not in source} == set()


# --- stop reasons --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reason", ["stop", "end_turn", "stop_sequence", "eos", "eos_token", "STOP", "", None]
)
def test_a_known_good_stop_reason_finishes_an_answer(script: Script, reason: str | None) -> None:
    """The words of servers for a natural end, and none of old servers, make a finished text."""
    script.answers = [answer(200, choice({"content": "Dear Jane"}, reason))]
    completion = openai(script).generate(PROMPT, timeout=5)
    assert (completion.text, completion.stop_reason) == ("Dear Jane", STOP)


@pytest.mark.parametrize("reason", ["length", "max_tokens", "MAX_TOKENS", "model_length"])
def test_an_answer_that_was_cut_says_so_and_is_kept(script: Script, reason: str) -> None:
    """A text that ran into a limit is truncated, in the words of every server."""
    script.answers = [answer(200, choice({"content": "Dear Ja"}, reason))]
    completion = openai(script).generate(PROMPT, timeout=5)
    assert (completion.text, completion.stop_reason) == ("Dear Ja", LENGTH)


@pytest.mark.parametrize(
    "reason",
    ["content_filter", "SAFETY", "refusal", "sensitive", "content_filter: PROHIBITED_CONTENT"],
)
def test_an_answer_that_a_filter_stopped_is_refused_content(script: Script, reason: str) -> None:
    """A filtered text is none, and its tokens are counted all the same."""
    script.answers = [answer(200, choice({"content": "Dear"}, reason))]
    with pytest.raises(ModelRefusedError) as refused:
        openai(script).generate(PROMPT, timeout=5)
    assert refused.value.reason is Reason.REFUSED_CONTENT
    assert refused.value.spent is not None
    assert (refused.value.spent.tokens_in, refused.value.spent.tokens_out) == (11, 3)


@pytest.mark.parametrize("reason", ["error", "abort", "insufficient_system_resource"])
def test_an_answer_that_the_server_gave_up_is_tried_again(script: Script, reason: str) -> None:
    """An unfinished text never passes for a finished one."""
    script.answers = [answer(200, choice({"content": "Dear Ja"}, reason))]
    with pytest.raises(ModelUnavailableError) as unavailable:
        openai(script).generate(PROMPT, timeout=5)
    assert str(unavailable.value) == "The model endpoint gave its answer up."
    assert unavailable.value.spent is not None
    assert (unavailable.value.spent.tokens_in, unavailable.value.spent.tokens_out) == (11, 3)


@pytest.mark.parametrize(
    ("usage", "spent"),
    [
        ({"prompt_tokens": 11, "completion_tokens": 3}, (11, 3)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, None),
        (None, None),
    ],
)
@pytest.mark.parametrize(
    "choices", [[], [{"error": {"code": 502, "message": "Provider returned error"}}]]
)
def test_an_answer_that_failed_has_the_tokens_that_its_server_counts(
    script: Script, choices: list[object], usage: object, spent: tuple[int, int] | None
) -> None:
    """An answer without a text was paid for where its usage says so, and nowhere else."""
    script.answers = [answer(200, {"choices": choices, "usage": usage})]
    with pytest.raises(ModelUnavailableError) as unavailable:
        openai(script).generate(PROMPT, timeout=5)
    paid = unavailable.value.spent
    assert (None if paid is None else (paid.tokens_in, paid.tokens_out)) == spent


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("tool_calls", " (tool_calls)"),
        ("function_call", " (function_call)"),
        ("paused", " (paused)"),
        ("the prompt: SECRET", ""),
        (7, ""),
        (["stop"], ""),
        ({"type": "stop"}, ""),
    ],
)
def test_an_unknown_stop_reason_is_no_success(script: Script, reason: object, shown: str) -> None:
    """Another reason fails for good, since the answer was paid for and would come again."""
    script.answers = [answer(200, choice({"content": "Dear Ja"}, reason))]
    with pytest.raises(ModelRefusedError) as refused:
        openai(script).generate(PROMPT, timeout=5)
    assert refused.value.reason is Reason.INVALID_RESPONSE
    assert str(refused.value) == (
        f"The model endpoint's answer ended for an unknown reason{shown}."
    )


@pytest.mark.parametrize(
    ("message", "tokens_out"),
    [({"role": "assistant"}, 989), ({"role": "assistant", "content": ""}, 989), (None, 989)],
)
def test_reasoning_that_took_all_tokens_leaves_no_text_and_is_counted(
    script: Script, message: dict[str, object] | None, tokens_out: int
) -> None:
    """Gemini counts its reasoning in the total alone, and leaves the content out."""
    body = {
        "choices": [{"finish_reason": "length", "index": 0, "message": message}],
        "usage": {"completion_tokens": 0, "prompt_tokens": 11, "total_tokens": 1_000},
    }
    script.answers = [answer(200, body)]
    completion = openai(script).generate(PROMPT, timeout=5)
    assert (completion.text, completion.stop_reason) == ("", LENGTH)
    assert (completion.tokens_in, completion.tokens_out) == (11, tokens_out)


# --- reasoning and content -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        {"content": "Dear Jane", "reasoning_content": "SECRET"},
        {"content": "Dear Jane", "reasoning": "SECRET"},
        {"content": "Dear Jane", "reasoning_details": [{"type": "text", "text": "SECRET"}]},
        {"content": "<think>SECRET</think>Dear Jane"},
        {"content": [{"type": "thinking", "thinking": "SECRET"}, "Dear Jane"]},
        {"content": [{"type": "text", "text": "<think>SECRET</think>"}, "Dear Jane"]},
    ],
)  # fmt: skip
def test_reasoning_is_in_no_part_of_a_completion(
    script: Script, message: dict[str, object]
) -> None:
    """Wherever a server puts the model's reasoning, the completion has none of it."""
    script.answers = [answer(200, choice(message))]
    completion = openai(script).generate(PROMPT, timeout=5)
    assert completion.text == "Dear Jane"
    assert "SECRET" not in repr(completion)


def test_a_cut_text_of_a_model_that_reasons_first_is_no_text(script: Script) -> None:
    """Where the opening tag is in the template, a text without the closing one is reasoning."""
    model = openai(script)
    script.answers = [answer(200, choice({"content": "Notes.</think>Dear Jane"}))]
    assert model.generate(PROMPT, timeout=5).text == "Dear Jane"
    script.answers = [answer(200, choice({"content": "Private no"}, "length"))]
    assert model.generate(PROMPT, timeout=5).text == ""
    script.answers = [answer(200, choice({"content": "{}"}))]
    model.generate(SCHEMA, timeout=5)
    assert model.describe_adaptations("m") == (Adaptation.REASONS_FIRST,)


def test_a_finished_text_without_reasoning_forgets_what_one_text_has_taught(
    script: Script,
) -> None:
    """An answer about tags costs the tenants after it no text of theirs."""
    model = openai(script)
    for content in ("Close it with </think> here", "Dear Jane"):
        script.answers = [answer(200, choice({"content": content}))]
        model.generate(PROMPT, timeout=5)
    script.answers = [answer(200, choice({"content": "Dear Ja"}, "length"))]
    assert model.generate(PROMPT, timeout=5).text == "Dear Ja"
    assert model.describe_adaptations("m") == ()


def test_half_of_an_answer_is_no_error_with_words(script: Script) -> None:
    """A completion that ends inside its text is a setback, whatever the text is about."""
    body = b'{"choices": [{"message": {"content": "The context length is exceeded: in'
    script.answers = [answer(200, body)]
    with pytest.raises(ModelUnavailableError):
        openai(script).generate(PROMPT, timeout=5)


@pytest.mark.parametrize("more", [{"message": "ok"}, {"detail": None}, {"error": None}])
def test_a_completion_with_further_members_is_one(script: Script, more: dict[str, object]) -> None:
    """A member that errors have, too, makes no error of a completion."""
    script.answers = [answer(200, {**choice({"content": "Dear Jane"}), **more})]
    assert openai(script).generate(PROMPT, timeout=5).text == "Dear Jane"


def test_an_answer_of_the_older_api_is_read(script: Script) -> None:
    """A choice with its text beside no message is an answer, too."""
    script.answers = [answer(200, {"choices": [{"text": "Dear Jane", "finish_reason": "stop"}]})]
    assert openai(script).generate(PROMPT, timeout=5).text == "Dear Jane"


def test_raw_control_characters_and_a_bom_leave_an_answer_readable(script: Script) -> None:
    """A server that escapes nothing, or begins with a byte order mark, is understood."""
    body = b'\xef\xbb\xbf{"choices": [{"message": {"content": "Dear\nJane\xff"}}]}'
    script.answers = [answer(200, body)]
    assert openai(script).generate(PROMPT, timeout=5).text == "Dear\nJane\ufffd"


def test_a_structured_answer_as_an_object_is_its_json(script: Script) -> None:
    """A content that is an object is the value that was asked for."""
    script.answers = [answer(200, choice({"content": {"name": "Zoë"}}))]
    assert openai(script).generate(SCHEMA, timeout=5).text == '{"name": "Zoë"}'


@pytest.mark.parametrize(
    "content",
    [{"type": "order", "text": "A lamp"}, {"type": "text", "text": "A lamp"}, {"text": "A lamp"}],
)
def test_a_structured_answer_may_have_the_members_of_a_part(
    script: Script, content: dict[str, str]
) -> None:
    """A schema's own `type` and `text` are members of the value."""
    script.answers = [answer(200, choice({"content": content}))]
    assert json.loads(openai(script).generate(SCHEMA, timeout=5).text) == content


# --- the prompt ----------------------------------------------------------------------------------


@pytest.mark.parametrize("user", ["", " \n\t\u2003"])
def test_a_blank_prompt_is_not_sent(script: Script, user: str) -> None:
    """A prompt without a character is refused before it is paid for."""
    script.answers = [DONE]
    with pytest.raises(ModelRefusedError) as refused:
        openai(script).generate(replace(PROMPT, user=user), timeout=5)
    assert refused.value.reason is Reason.BLANK_PROMPT
    assert script.requests == []


def test_half_characters_of_a_prompt_are_replaced(script: Script) -> None:
    """A lone surrogate goes as U+FFFD, and two halves that meet as their character."""
    script.answers = [DONE]
    turns = (ChatTurn(question="\ud83d?", answer="\udc00!"),)
    prompt = replace(PROMPT, system="\ud83d\ude00", user="a\udc00b", turns=turns)
    openai(script).generate(prompt, timeout=5)
    ((_, body),) = script.requests
    contents = [message["content"] for message in body["messages"]]
    assert contents == ["😀", "\ufffd?", "\ufffd!", "a\ufffdb"]


# --- parameters ----------------------------------------------------------------------------------


def refusal(message: str, status: int = 400) -> Any:  # noqa: ANN401 - a script's answer
    return answer(status, {"error": {"message": message}})


@pytest.mark.parametrize(
    ("message", "status", "adaptation"),
    [
        ("Unknown parameter: 'max_tokens'.", 400, Adaptation.RENAMED_LIMIT),
        ("temperature is not supported with this model", 400, Adaptation.NO_TEMPERATURE),
        ("invalid temperature: only 1 is allowed for this model", 400, Adaptation.NO_TEMPERATURE),
        ("response_format is not supported", 400, Adaptation.JSON_OBJECT),
        ("System role not supported", 400, Adaptation.NO_SYSTEM),
        ("Jinja Exception: System role not supported", 500, Adaptation.NO_SYSTEM),
        ("Unrecognized request argument supplied: logprobs", 400, Adaptation.NO_LOGPROBS),
        ("You are not allowed to request logprobs from this model", 403, Adaptation.NO_LOGPROBS),
        ("Bad request", 400, Adaptation.NO_LOGPROBS),
        (
            "No endpoints found that can handle the requested parameters.",
            404,
            Adaptation.NO_LOGPROBS,
        ),
    ],
)
def test_a_refusal_is_remembered_of_its_model_alone(
    script: Script, message: str, status: int, adaptation: Adaptation
) -> None:
    """A part that was refused once is left out of the next requests to the same model."""
    model = openai(script)
    script.answers = [refusal(message, status), DONE]
    for _ in range(2):
        assert model.generate(EVERYTHING, timeout=5).text == "{}"
    assert len(script.requests) == 3
    assert script.requests[1][1] == script.requests[2][1]
    assert model.describe_adaptations("m") == (adaptation,)
    assert model.describe_adaptations("another") == ()


def test_a_model_may_refuse_every_part(script: Script) -> None:
    """Each refusal costs one request, and they end."""
    script.answers = [
        refusal("max_tokens is not supported"),
        refusal("temperature is not supported"),
        refusal("System role not supported"),
        refusal("logprobs is not supported"),
        refusal("json_schema is unavailable"),
        refusal("json_object is unavailable"),
        DONE,
    ]
    model = openai(script)
    assert model.generate(EVERYTHING, timeout=5).text == "{}"
    assert len(script.requests) == MAX_REQUESTS
    assert script.requests[-1][1] == {
        "model": "m",
        "messages": [{"role": "user", "content": "You answer mails.\n\nWhere is my order?"}],
        "max_completion_tokens": 60,
    }
    assert len(model.describe_adaptations("m")) == MAX_REQUESTS - 1


@pytest.mark.parametrize(
    "message",
    ["max_tokens, temperature, logprobs and system messages are not supported", "Bad request"],
)
def test_a_model_that_refuses_everything_is_left_alone(script: Script, message: str) -> None:
    """A server that says no to any request is asked a bounded number of times."""
    script.answers = [refusal(message)]
    with pytest.raises(ModelRefusedError):
        openai(script).generate(EVERYTHING, timeout=5)
    assert len(script.requests) <= MAX_REQUESTS


def test_a_refusal_without_a_later_answer_is_forgotten(script: Script) -> None:
    """A part whose absence did not help is sent again the next time."""
    model = openai(script)
    script.answers = [refusal("Bad request")]
    with pytest.raises(ModelRefusedError):
        model.generate(EVERYTHING, timeout=5)
    assert model.describe_adaptations("m") == ()


def test_a_refused_schema_is_not_held_against_another(script: Script) -> None:
    """A schema that a server cannot enforce goes in words; the next one is tried as a schema."""
    model = openai(script)
    script.answers = [refusal("Invalid schema for response_format 'reply': no minLength."), DONE]
    model.generate(SCHEMA, timeout=5)
    model.generate(SCHEMA, timeout=5)
    formats = [body["response_format"]["type"] for _, body in script.requests]
    assert formats == ["json_schema", "json_object", "json_schema"]


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 8 tokens; max_tokens is not supported above it.",
        "The content was flagged: temperature is not supported",
        "You exceeded your current quota; logprobs is not supported",
    ],
)
def test_another_cause_is_not_taken_for_a_refused_part(script: Script, message: str) -> None:
    """A text that is too long, or refused, or not paid for, is sent once."""
    script.answers = [refusal(message)]
    with pytest.raises(ModelRefusedError) as refused:
        openai(script).generate(EVERYTHING, timeout=5)
    assert refused.value.reason is not Reason.INVALID_REQUEST
    assert len(script.requests) == 1


def test_a_value_out_of_bounds_is_told_and_not_left_out(script: Script) -> None:
    """An owner's own mistake comes back with the code and the parameter."""
    error = {"code": "invalid_value", "param": "temperature", "message": "must be at most 2"}
    script.answers = [answer(400, {"error": error})]
    with pytest.raises(ModelRefusedError) as refused:
        openai(script).generate(PROMPT, timeout=5)
    assert str(refused.value) == (
        "The model endpoint answered 400 (invalid_value, param temperature)."
    )
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    "message",
    ["temperature: only values between 0 and 1 are allowed", "temperature must be 1.0 or less"],
)
def test_bounds_of_a_temperature_are_no_refusal_of_it(script: Script, message: str) -> None:
    """A temperature is sent again after an error that states its bounds."""
    script.answers = [refusal(message)]
    model = openai(script)
    with pytest.raises(ModelRefusedError):
        model.generate(PROMPT, timeout=5)
    assert len(script.requests) == 1


def test_a_code_beside_bounds_is_not_held_against_another_temperature(script: Script) -> None:
    """A value that a code refuses is left out once, where the words state the bounds."""
    error = {
        "code": "unsupported_value",
        "param": "temperature",
        "message": "must be between 0 and 1",
    }
    script.answers = [answer(400, {"error": error}), DONE]
    model = openai(script)
    model.generate(replace(PROMPT, temperature=1.5), timeout=5)
    model.generate(replace(PROMPT, temperature=0.5), timeout=5)
    sent = [body.get("temperature") for _, body in script.requests]
    assert sent == [1.5, None, 0.5]


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ("Please pass a valid API key.", 400),
        ("The image could not be processed.", 400),
        ("Invalid content: at least one message is needed.", 422),
        ("The model does not exist.", 400),
    ],
)
def test_an_error_about_another_thing_is_no_refused_part(
    script: Script, message: str, status: int
) -> None:
    """A request is sent once where its error is about a key, an image, its content or its model."""
    script.answers = [refusal(message, status)]
    with pytest.raises(ModelRefusedError):
        openai(script).generate(EVERYTHING, timeout=5)
    assert len(script.requests) == 1


def test_guesses_in_vain_leave_the_first_error(script: Script) -> None:
    """Of a request that is refused in any form, the error of its whole form is told."""
    first = {"code": "missing_required_parameter", "message": "Bad request"}
    then = {"code": "invalid_value", "message": "Bad request"}
    script.answers = [answer(400, {"error": first}), answer(400, {"error": then})]
    with pytest.raises(ModelRefusedError) as refused:
        openai(script).generate(EVERYTHING, timeout=5)
    assert str(refused.value) == "The model endpoint answered 400 (missing_required_parameter)."
    assert len(script.requests) > 1


def test_the_system_text_goes_before_the_first_question_of_a_conversation(script: Script) -> None:
    """Without a system role the instructions stand at the start, and the roles alternate."""
    script.answers = [refusal("System role not supported"), DONE]
    turns = (ChatTurn(question="When?", answer="In May."),)
    openai(script).generate(replace(PROMPT, turns=turns), timeout=5)
    messages = script.requests[1][1]["messages"]
    assert [(each["role"], each["content"]) for each in messages] == [
        ("user", "You answer mails.\n\nWhen?"),
        ("assistant", "In May."),
        ("user", "Where is my order?"),
    ]

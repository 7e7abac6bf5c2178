"""Classes of a step: their bounds, the prompt for them, and the confidence of a choice."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from pydantic import ValidationError

from afterword.engine.prompting import build_prompt
from afterword.flows import drafts, outputs, placeholders
from afterword.flows.classes import Classification, read_classification
from afterword.flows.documents import render_document
from afterword.flows.drafts import Flow
from afterword.flows.flow import Step, read_step, read_stored_flow
from afterword.generations import AnswerToken, Completion, FailedError, Output, Reason
from afterword.models import LENGTH
from tests.harness.classes import CHOSEN, CLASSES_DOCUMENT, REFUND, STEP
from tests.harness.fake_model import completion
from tests.harness.prompts import as_json

CLASSIFY = read_step(STEP)


def answer(text: str, *tokens: tuple[str | bytes, float]) -> Completion:
    """Return a model's answer, with tokens and their log probabilities."""
    return replace(
        completion(text),
        tokens=tuple(
            AnswerToken(text.encode() if isinstance(text, str) else text, logprob)
            for text, logprob in tokens
        ),
    )


def choice(text: str, *tokens: tuple[str | bytes, float], step: Step = CLASSIFY) -> object:
    """Return the finished result of an answer."""
    finished = outputs.finish_answer(answer(text, *tokens), step, None)
    assert (finished.output, finished.tokens) == (Output.JSON, ())
    return json.loads(finished.text)


def result(name: str, confidence: float, source: str) -> dict[str, object]:
    """Return a result."""
    return {"classification": name, "confidence": confidence, "confidence_source": source}


def wrong(step: dict[str, object]) -> tuple[tuple[int | str, ...], str]:
    """Return the place and the message of the one mistake in a step."""
    with pytest.raises(ValidationError) as refused:
        drafts.Step.model_validate(step)
    (error,) = refused.value.errors()
    return error["loc"], error["msg"].removeprefix("Value error, ")


# --- a step with classes ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([REFUND], "must have 2 to 100 classes, not 1"),
        ([{"name": str(n)} for n in range(101)], "must have 2 to 100 classes, not 101"),
        (
            [REFUND, {"name": "refund_request"}],
            "must have each class once, not refund_request twice",
        ),
    ],
)
def test_a_step_has_two_to_a_hundred_different_classes(
    classes: list[dict[str, str]], message: str
) -> None:
    """Too few classes, too many, and a name that stands there twice are refused."""
    assert wrong({**STEP, "classes": classes}) == (("classes",), message)


def test_as_many_and_as_long_classes_as_allowed_are_taken() -> None:
    """A hundred classes of the longest names and descriptions are a step's."""
    classes = [{"name": f"{n:0100}", "description": "x" * 1_000} for n in range(100)]
    assert len(drafts.Step.model_validate({**STEP, "classes": classes}).classes) == 100


@pytest.mark.parametrize(
    ("named", "place"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": " a"}, "name"),
        ({"name": "a\n"}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "a\x00"}, "name"),
        ({"name": 1}, "name"),
        ({"name": "a", "description": ""}, "description"),
        ({"name": "a", "description": "x" * 1_001}, "description"),
        ({"name": "a", "weight": 1}, "weight"),
        ({"description": "x"}, "name"),
    ],
)
def test_a_class_has_a_short_name_and_a_short_description(
    named: dict[str, object], place: str
) -> None:
    """A name that is no line of up to 100 characters is refused, and so is a long description."""
    assert wrong({**STEP, "classes": [REFUND, named]})[0] == ("classes", 1, place)


@pytest.mark.parametrize(
    "more",
    [
        {"output": "array"},
        {"output": "json", "output_schema": {"type": "object"}},
        {"output_schema": {"type": "object"}},
    ],
)
def test_classes_are_the_output_themselves(more: dict[str, object]) -> None:
    """A step with classes has no output of its own."""
    assert wrong({**STEP, **more}) == (
        (),
        "must have no output and no output_schema beside classes",
    )


def test_a_choice_has_no_text_instead() -> None:
    """A step with classes has no `otherwise`, since a text is no class."""
    context = {"otherwise": "Nothing."}
    message = "must have no context.otherwise unless the output is string"
    assert wrong({**STEP, "context": context}) == ((), message)


def test_classes_are_question_enough() -> None:
    """A step with classes needs neither instructions nor a prompt."""
    step = read_step({"name": "topic", "classes": STEP["classes"]})
    assert (step.instructions, step.prompt) == (None, None)


def test_a_flow_with_classes_is_stored_as_its_owner_writes_it() -> None:
    """The stored document has the classes and no schema, and is read back as the same flow."""
    flow = Flow.model_validate_json(CLASSES_DOCUMENT)
    assert json.loads(render_document(flow)) == json.loads(CLASSES_DOCUMENT)
    stored = read_stored_flow(render_document(flow))
    assert stored == read_stored_flow(CLASSES_DOCUMENT) == read_stored_flow(flow.model_dump_json())
    assert Flow.model_validate_json(flow.model_dump_json()) == flow


def test_a_step_may_say_that_there_are_no_classes() -> None:
    """An empty list is a step without classes."""
    assert read_step({**STEP, "classes": [], "output": "array"}).classes == ()


def test_a_class_of_a_newer_version_is_read_without_what_is_new() -> None:
    """A stored class with a field that only another version knows is a class."""
    document = json.loads(CLASSES_DOCUMENT)
    document["steps"][0]["classes"][0]["weight"] = 2
    assert read_stored_flow(json.dumps(document)) == read_stored_flow(CLASSES_DOCUMENT)


# --- the prompt ---------------------------------------------------------------------------------


def test_the_prompt_lists_the_classes() -> None:
    """The model is told of each class, and gets the schema of a choice, the class first."""
    prompt = build_prompt(CLASSIFY, {"body": "Hi"}, None, "model")
    assert prompt.logprobs
    assert prompt.system.startswith("Sort the mail.\n\n")
    assert prompt.system.endswith(
        "Choose the one class of this list that fits best. Return a JSON object with"
        " `classification`, the name of the class to the letter, and `confidence`, a number from 0"
        " to 1 for how sure the choice is:\n"
        "- refund_request: The customer wants money back.\n"
        "- complaint\n"
        "- other: Any other mail.\n\n" + as_json(prompt.schema or {})
    )
    assert prompt.user == "<body>Hi</body>"
    assert json.dumps(prompt.schema) == json.dumps(
        {
            "type": "object",
            "properties": {
                "classification": {
                    "type": "string",
                    "enum": ["refund_request", "complaint", "other"],
                },
                "confidence": {"type": "number", "minimum": 0, "maximum": 1},
            },
            "required": ["classification", "confidence"],
            "additionalProperties": False,
        }
    )


def test_a_template_is_filled_as_ever() -> None:
    """A template in a request to a flow with classes is filled; no class is asked for."""
    template = placeholders.parse_template("Dear [name],")
    prompt = build_prompt(CLASSIFY, {"body": "Hi"}, template, "model")
    assert prompt.schema == template.schema()
    assert not prompt.logprobs
    assert "refund_request" not in prompt.system
    filled = outputs.finish_answer(completion('{"name": "Ada"}'), CLASSIFY, template)
    assert (filled.text, filled.output) == ("Dear Ada,", Output.STRING)


# --- the confidence -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stated", "confidence"),
    [
        ("0.92", 0.92), ("0", 0.0), ("1", 1.0), ("1.5", 1.0), ("92", 1.0), ("-1", 0.0),
        ("0.123456", 0.1235), ("9" * 400, 1.0),
    ],
)  # fmt: skip
def test_without_log_probabilities_the_models_own_number_counts(
    stated: str, confidence: float
) -> None:
    """The number in the answer is the confidence, moved into 0 to 1."""
    text = f'{{"classification": "refund_request", "confidence": {stated}}}'
    assert choice(text) == result("refund_request", confidence, "answer")


HEAD = ('{"classification": "', -9.0)
TAIL = ('", "confidence": 0.92}', -9.0)


@pytest.mark.parametrize(
    ("tokens", "probabilities"),
    [
        ([HEAD, ("refund_request", -0.1), TAIL], [-0.1]),
        ([HEAD, ("ref", -0.1), ("und", -0.2), ("_request", -0.3), TAIL], [-0.1, -0.2, -0.3]),
        ([('{"classification": "ref', -0.5), ("und_request", -0.25), TAIL], [-0.5, -0.25]),
        ([HEAD, ("refund", -0.5), ('_request", "confidence": 0.92}', -0.25)], [-0.5, -0.25]),
        ([(CHOSEN, -0.5)], [-0.5]),
        ([("  \n", -9.0), HEAD, ("refund_request", -0.5), TAIL, ("\n", -9.0)], [-0.5]),
        ([("Hm. ", -9.0), HEAD, ("refund_request", -0.5), TAIL], [-0.5]),
        ([HEAD, ("refund_request", -0.5)], [-0.5]),
        ([HEAD, ("refund_request", -0.5), ('", "conf', -9.0)], [-0.5]),
        ([HEAD, ("", -0.0), ("refund_request", -0.5), TAIL], [-0.5]),
        ([HEAD, ("refund_request", -9_999.0), TAIL], [-9_999.0]),
        ([HEAD, ("refund_request", 5e308), TAIL], [0.0]),
    ],
)
def test_log_probabilities_of_the_class_alone_make_the_confidence(
    tokens: Sequence[tuple[str, float]], probabilities: list[float]
) -> None:
    """The confidence is the probability of the tokens that spell the class, and of no other."""
    expected = round(math.exp(sum(probabilities)), 4)
    assert choice(CHOSEN, *tokens) == result("refund_request", expected, "log_probabilities")


def test_an_answer_with_blanks_is_measured_all_the_same() -> None:
    """White space around the answer, which a server may strip or keep, changes nothing."""
    tokens = [("\n ", -9.0), HEAD, ("refund_request", -0.5), TAIL]
    expected = result("refund_request", 0.6065, "log_probabilities")
    assert choice(f"\n {CHOSEN}", *tokens) == expected
    assert choice(CHOSEN, *tokens) == expected


@pytest.mark.parametrize(
    "tokens",
    [
        [],
        [HEAD],
        [HEAD, ("refund_", -0.1)],
        [("Something else", -0.1)],
        [HEAD, ("refund_request".upper(), -0.1), TAIL],
    ],
)
def test_tokens_that_do_not_spell_the_class_are_left_alone(
    tokens: Sequence[tuple[str, float]],
) -> None:
    """A list that ends before the class does, or is of another text, leaves the model's number."""
    assert choice(CHOSEN, *tokens) == result("refund_request", 0.92, "answer")


def test_a_character_may_be_split_over_tokens() -> None:
    """Tokens are bytes, so that half a character counts as part of the class."""
    step = read_step({**STEP, "classes": [{"name": "résiliation"}, {"name": "b"}]})
    text = '{"classification":"résiliation","confidence":1}'
    head, first, second = b'{"classification":"r', b"\xc3", b"\xa9siliation"
    tokens: list[tuple[str | bytes, float]]
    tokens = [(head, -0.25), (first, -0.5), (second, -0.25), ('","confidence":1}', -9.0)]
    expected = result("résiliation", 0.3679, "log_probabilities")
    assert choice(text, *tokens, step=step) == expected


def test_the_last_of_a_repeated_member_is_measured() -> None:
    """Of a repeated member the last one counts, in JSON and in its confidence."""
    first, second = (
        '{"classification": "other", ',
        '"classification": "complaint", "confidence": 0}',
    )
    tokens = [(first, -9.0), (second[:19], -9.0), ("complaint", -0.5), (second[28:], -9.0)]
    expected = result("complaint", 0.6065, "log_probabilities")
    assert choice(first + second, *tokens) == expected


def test_a_name_with_quotes_is_measured() -> None:
    """A class whose name is escaped in JSON is found in the answer."""
    step = read_step({**STEP, "classes": [{"name": 'say "no"'}, {"name": "b\\"}]})
    text = '{"classification": "say \\"no\\"", "confidence": 1}'
    tokens = [(text[:20], -9.0), (text[20:30], -0.5), (text[30:], -9.0)]
    expected = result('say "no"', 0.6065, "log_probabilities")
    assert choice(text, *tokens, step=step) == expected


def test_a_measured_confidence_needs_no_number_of_the_model() -> None:
    """With log probabilities the answer's own number may be missing, or none."""
    text = '{"classification": "refund_request", "confidence": "high"}'
    expected = result("refund_request", 0.6065, "log_probabilities")
    assert choice(text, HEAD, ("refund_request", -0.5), ('"', -9.0)) == expected
    assert (
        choice('{"classification": "refund_request"}', HEAD, ("refund_request", -0.5)) == expected
    )


@pytest.mark.parametrize(
    "text",
    [
        "refund_request", '"refund_request"', "[]", "{}", "null", '{"confidence": 1}',
        '{"classification": "refund", "confidence": 1}',
        '{"classification": "Refund_request", "confidence": 1}',
        '{"classification": ["refund_request"], "confidence": 1}',
        '{"classification": null, "confidence": 1}',
        '{"classification": "refund_request"}',
        '{"classification": "refund_request", "confidence": "0.9"}',
        '{"classification": "refund_request", "confidence": true}',
        '{"classification": "refund_request", "confidence": null}',
        '{"classification": "refund_request", "confidence": NaN}',
        '{"classification": "refund_request", "confidence": Infinity}',
        '{"classification": "refund_request", "confidence": 1e999}',
    ],
)  # fmt: skip
def test_an_answer_without_a_class_or_a_confidence_fails(text: str) -> None:
    """An answer that is no choice is a failure with a reason, and is not quoted."""
    with pytest.raises(FailedError) as failed:
        choice(text)
    assert (failed.value.reason, str(failed.value)) == (
        Reason.INVALID_OUTPUT,
        "The model's output is not the classification of the flow's step topic.",
    )


def test_a_choice_that_was_cut_off_says_so() -> None:
    """Too few tokens are told from nonsense, with what to raise and where."""
    with pytest.raises(FailedError) as failed:
        outputs.finish_answer(completion('{"classification": "ref', LENGTH), CLASSIFY, None)
    assert failed.value.reason is Reason.OUTPUT_TRUNCATED
    assert "raise max_tokens, 1000 now, in the flow's step topic." in str(failed.value)


# --- the stored result --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (CHOSEN, Classification("refund_request", 0.92)),
        (
            '{"classification": "a", "confidence": 1, "confidence_source": "dice", "more": []}',
            Classification("a", 1.0),
        ),
        ('{"classification": "a", "confidence": 1.5}', Classification("a", 1.0)),
        ('{"classification": "a", "confidence": NaN}', None),
        ('{"classification": "a"}', None),
        ('{"classification": 1, "confidence": 1}', None),
        ("Dear Ada,", None),
        ("[" * 100_000, None),
        ("", None),
        ("7", None),
    ],
)
def test_a_stored_result_of_any_version_is_read(text: str, read: Classification | None) -> None:
    """A result with more members is a classification, and another text is none."""
    assert read_classification(text) == read

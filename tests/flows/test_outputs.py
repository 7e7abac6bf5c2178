"""Results of structured steps: unwrapped answers, refused ones, and complaints to the model."""

import json
import random
from collections.abc import Mapping

import pytest

from afterword.flows import json_values, outputs, placeholders
from afterword.flows.flow import Step, read_step
from afterword.flows.json_values import UnusableError
from afterword.generations import FailedError, Output, Reason
from afterword.models import LENGTH
from tests.harness.classes import STEP as CLASSES_STEP
from tests.harness.fake_model import completion
from tests.harness.seeds import SEED_PARAMS, seeded

ORDER_SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
        "address": {"type": ["object", "null"]},
    },
    "required": ["name"],
    "$defs": {"line": {"type": "object", "properties": {"tags": {"type": "array"}}}},
}
LIST_SCHEMA = {
    "type": "object",
    "properties": {"orders": {"type": "array", "items": {"type": "object"}}},
    "required": ["orders"],
}
ARRAY = Step(name="tags", prompt="x", output=Output.ARRAY)
CLASSES = read_step(CLASSES_STEP)
TEMPLATE = placeholders.parse_template("Dear [name],")
TEXT = Step(name="reply", prompt="x")
FENCE = "```"


def step_of(schema: Mapping[str, object]) -> Step:
    """Return a step whose output is JSON after a schema."""
    return Step(name="order", prompt="x", output=Output.JSON, output_schema=dict(schema))


def finish(text: str, step: Step, stop_reason: str = "stop") -> object:
    """Return the stored JSON of an answer."""
    finished = outputs.finish_answer(completion(text, stop_reason), step, None)
    assert finished.output is step.output
    return json.loads(finished.text)


def refuse(text: str, step: Step = ARRAY, *, of_template: bool = False) -> UnusableError:
    """Return the error of an unusable answer."""
    template = TEMPLATE if of_template else None
    with pytest.raises(UnusableError) as refused:
        outputs.finish_answer(completion(text), step, template)
    return refused.value


# --- unwrapping ---------------------------------------------------------------------------------

WRAPPED = [
    pytest.param('{"items": ["a"]}', id="as it should be"),
    pytest.param('["a"]', id="a bare array"),
    pytest.param('{"items": "[\\"a\\"]"}', id="an array as text"),
    pytest.param('"[\\"a\\"]"', id="all as text"),
    pytest.param('"{\\"items\\": [\\"a\\"]}"', id="the object as text"),
    pytest.param('"{\\"items\\": \\"[\\\\\\"a\\\\\\"]\\"}"', id="text in text"),
    pytest.param(f'{FENCE}json\n{{"items": ["a"]}}\n{FENCE}', id="a code fence"),
    pytest.param(f'{FENCE}\r\n["a"]\r\n{FENCE}\r\n', id="a fence around a bare array"),
    pytest.param(f'Here you are:\n{FENCE}JSON\n["a"]\n{FENCE}\nAnything else?', id="both"),
    pytest.param(f'{FENCE}json\n{{"items": ["a"]}}', id="a fence that is not closed"),
    pytest.param('Sure! {"items": ["a"]}', id="prose before"),
    pytest.param('{"items": ["a"]}\n\nThese are the tags of the mail.', id="prose after"),
    pytest.param('As passage [1] and [2, 3] say: {"items": ["a"]}', id="numbers of passages"),
    pytest.param('["a"] is the JSON, so {"items": ["a"]} or ["a"].', id="the same value again"),
    pytest.param('It\'s "{not} [mine]": {"items": ["a"]}', id="quotes and brackets in prose"),
    pytest.param('<answer>{"items": ["a"]}</answer>', id="tags"),
    pytest.param('\ufeff{"items": ["a"]}', id="a byte order mark"),
    pytest.param('{"items": ["a",]}', id="a comma after the last element"),
    pytest.param('{"items": ["a" , ] ,\n}', id="commas after each last member"),
    pytest.param('["a",]', id="a bare array with a comma"),
    pytest.param(f'{FENCE}\n{{"items": ["a",],}}\n{FENCE}', id="a fence and commas"),
]


@pytest.mark.parametrize("text", WRAPPED)
def test_an_array_is_unwrapped_where_it_has_one_reading(text: str) -> None:
    """Fences, prose, texts and commas around the one array of an answer are left out."""
    assert finish(text, ARRAY) == ["a"]


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ('{"items": ["a\nb\t\x01c"]}', ["a\nb\t\x01c"]),
        ('So: ["a\nb"]', ["a\nb"]),
        ('{"items": "[\\"a\nb\\"]"}', ["a\nb"]),
        ('{"items": ["Thanks \\ud83d Jane"]}', ["Thanks \ufffd Jane"]),
        ('{"items": ["\\ud83d\\ude00", "\\ude00\\ud83d"]}', ["😀", "\ufffd\ufffd"]),
        ('{"items": []}', []),
        ("[]", []),
        ('{"items": ["[1]", "{}", "a,]", "```"]}', ["[1]", "{}", "a,]", "```"]),
        ('So: {"items": ["}", "a \\" ]", "a,]", "\\\\",]}', ["}", 'a " ]', "a,]", "\\"]),
        ('{"items": ["[\\"a\\"]"]}', ['["a"]']),
    ],
)
def test_texts_in_an_array_stay_what_they_are(text: str, items: list[str]) -> None:
    """Raw control characters are kept, halves of pairs replaced, and brackets in texts are text."""
    assert finish(text, ARRAY) == items


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (f'{FENCE}json\n{{"name": "Ada"}}\n{FENCE}', {"name": "Ada"}),
        ('The order [1]: {"name": "Ada"}.', {"name": "Ada"}),
        ('"{\\"name\\": \\"Ada\\"}"', {"name": "Ada"}),
        (
            '{"name": "Ada", "lines": "[{\\"tags\\": \\"[1]\\"}]"}',
            {"name": "Ada", "lines": [{"tags": [1]}]},
        ),
        ('{"name": "Ada", "address": "{}"}', {"name": "Ada", "address": {}}),
        ('{"name": "[1]"}', {"name": "[1]"}),
        ('{"name": "Ada", "note": "[1]"}', {"name": "Ada", "note": "[1]"}),
        ('{"name": "Ada", "lines": [],}', {"name": "Ada", "lines": []}),
    ],
)
def test_json_is_unwrapped_by_its_schema(text: str, value: object) -> None:
    """A text stands for an array or an object where the schema has one there and no text."""
    assert finish(text, step_of(ORDER_SCHEMA)) == value


@pytest.mark.parametrize(
    "text", ['[{"a": 1}]', 'Here: [{"a": 1}]', '{"orders": "[{\\"a\\": 1}]"}', '"[{\\"a\\": 1}]"']
)
def test_a_bare_array_is_the_one_member_that_the_schema_has(text: str) -> None:
    """An array without its object is taken where the schema's object has one member, an array."""
    assert finish(text, step_of(LIST_SCHEMA)) == {"orders": [{"a": 1}]}


def test_a_bare_array_is_nothing_beside_other_members() -> None:
    """An array is not put into an object that has other members, too."""
    assert refuse("[]", step_of(ORDER_SCHEMA)).reason is Reason.INVALID_OUTPUT


@pytest.mark.parametrize(
    "around", ["{}", f"{FENCE}json\n{{}}\n{FENCE}", "The class is [1]: {}. Sure!", "\ufeff{}"]
)
def test_choices_and_templates_are_unwrapped(around: str) -> None:
    """A class and a reply's texts are read through fences and prose like other JSON."""
    choice = around.replace("{}", '{"classification": "refund_request", "confidence": 0.5}')
    finished = outputs.finish_answer(completion(choice), CLASSES, None)
    assert json.loads(finished.text)["classification"] == "refund_request"
    filled = around.replace("{}", '{"name": "Ada\nL \\ud83d",}')
    finished = outputs.finish_answer(completion(filled), TEXT, TEMPLATE)
    assert finished.text == "Dear Ada\nL \ufffd,"


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('["a"] or ["b"]', "The answer has several different JSON values."),
        ('{"items": ["a"]} {"items": ["b"]}', "The answer has several different JSON values."),
        ('{"note": 1} {"items": ["b"]}', "The answer has several different JSON values."),
        (f'{FENCE}\n["a"]\n{FENCE}\n{FENCE}\n["b"]\n{FENCE}', "The answer has several different"),
        ("", "The answer is not JSON: Expecting value at line 1, column 1."),
        ("I cannot do that.", "The answer is not JSON: Expecting value at line 1, column 1."),
        ('{"items": ["a"', "The answer is not JSON: Expecting ',' delimiter at line 1, column 15."),
        ('So: ["a"] and {"items": ["b"', "The answer is not JSON: Expecting value"),
        ("{'items': ['a']}", "The answer is not JSON: Expecting property name"),
        ('{"items": ["say "a""]}', "The answer is not JSON: Expecting ',' delimiter"),
        ('{"items": [a]} ["b"]', "The answer is not JSON: "),
        ('{"items": ["a",,]}', "The answer is not JSON: "),
        ('{"items": [,]}', "The answer is not JSON: "),
        ('{"items": [ , ]}', "The answer is not JSON: "),
        ("{,}", "The answer is not JSON: "),
        ('{"items": [NaN]}', "The answer is not JSON."),
        ("9" * 5_000, "The answer is not JSON."),
        ("[" * 100_000, "The answer is not JSON"),
        ("So: " + "[" * 100_000, "The answer is not JSON"),
        ('["a"]' * 101, "The answer is not JSON: Extra data"),
        ("[" * 70 + "]" * 70, "The answer is nested too deep."),
        ('"text"', 'At the top: the value breaks the schema\'s "type": "object".'),
        ("7", 'At the top: the value breaks the schema\'s "type": "object".'),
        ("{}", 'At the top: the value breaks the schema\'s "required": ["items"].'),
        ('{"items": "a, b"}', 'At /items: the value breaks the schema\'s "type": "array".'),
        ('{"items": ["a", 7]}', 'At /items/1: the value breaks the schema\'s "type": "string".'),
        ('{"items": [], "note": 1}', "At /note: the schema allows no such value."),
        ("[7]", 'At the top: the value breaks the schema\'s "type": "object".'),
    ],
)  # fmt: skip
def test_an_answer_without_one_reading_is_refused(text: str, complaint: str) -> None:
    """An ambiguous, broken or otherwise shaped answer fails, with a complaint to the model."""
    refused = refuse(text)
    assert refused.complaint.startswith(complaint)
    assert (refused.reason, str(refused)) == (
        Reason.INVALID_OUTPUT,
        "The model's output is not the array of the flow's step tags.",
    )


@pytest.mark.parametrize(
    ("text", "message", "complaint"),
    [
        ("Dear Ada", "The model's output for the template is not JSON.", "The answer is not JSON"),
        ('{"na', "The model's output for the template is not JSON.", "The answer is not JSON"),
        ('["Ada"]', "The model's output for the template is no JSON object.", "The answer is no"),
        ("null", "The model's output for the template is no JSON object.", "The answer is no JSON"),
        ('{"name": " "}', "The model left [name] empty.", "At /name: there must be a text"),
    ],
)
def test_an_answer_that_fills_no_template_is_refused(
    text: str, message: str, complaint: str
) -> None:
    """A template's failure names its cause, and the complaint to the model the place."""
    refused = refuse(text, TEXT, of_template=True)
    assert str(refused) == message
    assert refused.complaint.startswith(complaint)


def test_a_choice_outside_the_classes_is_told_the_classes() -> None:
    """The complaint about a choice has the rule that it breaks."""
    refused = refuse('{"classification": "elsewhere", "confidence": 1}', CLASSES)
    assert refused.complaint.startswith('At /classification: the value breaks the schema\'s "enum"')
    no_confidence = refuse('{"classification": "refund_request"}', CLASSES)
    assert no_confidence.complaint.startswith("At the top: the value breaks the schema's")


def test_numbers_beyond_json_are_refused() -> None:
    """A number that Python reads as infinite is none that can be stored."""
    refused = refuse('{"name": "Ada", "much": 1e999}', step_of(ORDER_SCHEMA))
    assert refused.complaint == "The answer has a number that is too large."


@pytest.mark.parametrize("rule", [{"multipleOf": 0.5}, {"enum": [1, 2]}, {"maximum": 5}])
@pytest.mark.parametrize("number", ["1e999", "-1e999"])
def test_a_number_beyond_json_is_not_the_schema_s_fault(
    number: str, rule: Mapping[str, object]
) -> None:
    """The model is asked again for such a number, whatever the schema says of numbers."""
    schema = {"type": "object", "properties": {"much": {"type": "number", **rule}}}
    refused = refuse(f'{{"much": {number}}}', step_of(schema))
    assert refused.complaint == "The answer has a number that is too large."


def test_nesting_that_a_text_hides_is_not_the_schema_s_fault() -> None:
    """A value that is nested too deep once its texts are unfolded is asked for again."""
    hidden = json.dumps("[" * 60 + "]" * 60)
    text = '{"a": ' * 60 + hidden + "}" * 60
    schema: dict[str, object] = {
        "$defs": {"a": {"type": ["object", "array"], "properties": {"a": {"$ref": "#/$defs/a"}}}},
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/a"}},
    }
    assert refuse(text, step_of(schema)).complaint == "The answer is nested too deep."


def test_a_complaint_has_a_bound_and_no_value_of_the_answer() -> None:
    """A complaint names a place and a rule in few characters, however large both are."""
    schema = {
        "type": "object",
        "additionalProperties": {"enum": ["x" * 300] * 100},
    }
    refused = refuse(json.dumps({"k" * 10_000: "SECRET" * 1_000}), step_of(schema))
    assert len(refused.complaint) < 500
    assert "SECRET" not in refused.complaint
    deep = {"type": "object", "properties": {"a": {"$ref": "#"}}, "additionalProperties": False}
    value: object = {"b": "SECRET"}
    for _ in range(50):
        value = {"a": value}
    refused = refuse(json.dumps(value), step_of(deep))
    assert len(refused.complaint) < 500
    assert "SECRET" not in refused.complaint


# --- answers that were cut ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["", " ", '{"items": ["a"', '["a"', f'{FENCE}json\n["a"]', 'So: ["a"] and', "[7]", '{"a": 1}'],
)
def test_a_cut_array_fails_as_truncated(text: str) -> None:
    """Of a cut answer nothing is unwrapped: a value in it may be the half of one."""
    with pytest.raises(FailedError) as failed:
        finish(text, ARRAY, LENGTH)
    assert failed.value.reason is Reason.OUTPUT_TRUNCATED
    assert not isinstance(failed.value, UnusableError)
    assert "raise max_tokens, 1000 now, in the flow's step tags." in str(failed.value)


def test_a_cut_answer_without_a_text_fails_as_truncated() -> None:
    """Where reasoning took all tokens, the failure says what to raise; else it is empty output."""
    for stop_reason, reason in ((LENGTH, Reason.OUTPUT_TRUNCATED), ("stop", Reason.EMPTY_OUTPUT)):
        with pytest.raises(FailedError) as failed:
            outputs.finish_answer(completion("", stop_reason), TEXT, None)
        assert failed.value.reason is reason


def test_an_answer_that_was_complete_when_it_was_cut_is_a_result() -> None:
    """A whole JSON value at the limit of tokens is no half of anything."""
    assert finish('{"items": ["a"]}', ARRAY, LENGTH) == ["a"]
    assert outputs.finish_answer(completion("Dear A", LENGTH), TEXT, None).text == "Dear A"


# --- random answers -----------------------------------------------------------------------------


def _value(rng: random.Random, depth: int = 0) -> object:
    kind = rng.randrange(6 if depth < 3 else 4)
    if kind == 4:
        return [_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind == 5:
        return {_text(rng): _value(rng, depth + 1) for _ in range(rng.randrange(4))}
    return [None, True, rng.randrange(-9, 99), _text(rng)][kind]


def _text(rng: random.Random) -> str:
    return "".join(rng.choice('ab{}[],:"\\\n `é😀') for _ in range(rng.randrange(8)))


@pytest.mark.parametrize("seed", SEED_PARAMS)
def test_any_object_is_read_through_prose_fences_and_commas(seed: int) -> None:
    """Random objects come back through every wrapping, and random damage raises one error alone."""
    rng = seeded(seed)
    step = step_of({"type": "object"})
    for _ in range(300):
        value = {"k": _value(rng)}
        text = json.dumps(value, ensure_ascii=rng.random() < 1 / 2)
        raw = text.replace("\\n", "\n") if "\\\\" not in text else text
        for wrapped in (
            raw,
            f"Sure [1]:\n{FENCE}json\n{raw}\n{FENCE}\nDone.",
            json.dumps(text),
            f"{raw[:-1]},}}",
        ):
            assert finish(wrapped, step) == value, wrapped
        at = rng.randrange(len(text))
        damaged = text[:at] + _text(rng) + text[at + rng.randrange(3) :]
        try:
            finish(damaged, step)
        except FailedError as error:
            assert error.reason is Reason.INVALID_OUTPUT  # noqa: PT017 - or it is still JSON


def test_many_values_in_prose_have_a_bound() -> None:
    """Up to a hundred equal values are one; more are none that is looked for."""
    assert finish("So: " + '["a"] ' * json_values.MAX_VALUES, ARRAY) == ["a"]
    refuse("So: " + '["a"] ' * (json_values.MAX_VALUES + 1))

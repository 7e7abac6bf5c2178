"""Request bodies as JSON: the refusals, and the values that keep their exact text."""

import json
import random

import pytest

from afterword.errors import InvalidRequestError
from afterword.runtime import json_text
from afterword.runtime.json_text import MAX_DEPTH, JsonText
from tests.harness.seeds import SEED_PARAMS, seeded

TOO_DEEP = "The body is nested deeper than 64 levels."
HALF_A_PAIR = "The body has half of a surrogate pair (\\ud800 to \\udfff), which is no character."


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_part_of_the_text(encoding: str) -> None:
    """A mark tells the encoding; values and their texts are the same with it."""
    body = '{"a": "é", "b": 1.0}'.encode(encoding)
    parsed = json_text.parse_object(body)
    assert parsed.values == {"a": "é", "b": 1.0}
    assert parsed.texts == {"a": '"é"', "b": "1.0"}
    assert json_text.parse_texts(body) == {"a": "é", "b": "1.0"}


def nested(levels: int, opening: str, closing: str) -> bytes:
    """Return an object that has `levels` levels, itself and the innermost value included."""
    return b'{"a": ' + (opening * (levels - 1) + "1" + closing * (levels - 1)).encode() + b"}"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(
            b"",
            "The body is not JSON: Expecting value at line 1, column 1.",
            id="empty",
        ),
        pytest.param(
            b" \n\t ",
            "The body is not JSON: Expecting value at line 2, column 3.",
            id="white space",
        ),
        pytest.param(
            b"subject=Hello",
            "The body is not JSON: Expecting value at line 1, column 1.",
            id="a form",
        ),
        pytest.param(
            b'{"subject": "Hello",\n "body": }',
            "The body is not JSON: Expecting value at line 2, column 10.",
            id="a missing value",
        ),
        pytest.param(
            b'{"a": 1} {"b": 2}',
            "The body is not JSON: Extra data at line 1, column 10.",
            id="two objects",
        ),
        pytest.param(
            b'{"a": "1\n2"}',
            "The body is not JSON: Invalid control character at at line 1, column 9.",
            id="a line break in a string",
        ),
        pytest.param(b'{"a": NaN}', "The body is not JSON: NaN is not a JSON value.", id="NaN"),
        pytest.param(
            b'{"a": [Infinity]}',
            "The body is not JSON: Infinity is not a JSON value.",
            id="Infinity",
        ),
        pytest.param(
            b'{"a": {"b": -Infinity}}',
            "The body is not JSON: -Infinity is not a JSON value.",
            id="-Infinity",
        ),
        pytest.param(b'{"a": "\\ud800"}', HALF_A_PAIR, id="a lone surrogate"),
        pytest.param(b'{"a": "\\udc00\\ud800"}', HALF_A_PAIR, id="a pair the wrong way round"),
        pytest.param(b'{"a": [{"b": "x\\udfffy"}]}', HALF_A_PAIR, id="a lone surrogate inside"),
        pytest.param(b'{"\\ud800": 1}', HALF_A_PAIR, id="a lone surrogate in a name"),
        pytest.param(b'{"a": {"\\udbff": 1}}', HALF_A_PAIR, id="a lone surrogate in a name inside"),
        pytest.param(
            b'{"a": "\xff"}', "The body is not UTF-8: byte 7 cannot be decoded.", id="no UTF-8"
        ),
        pytest.param(
            b'{"a": "\xed\xa0\x80"}',
            "The body is not UTF-8: byte 7 cannot be decoded.",
            id="a surrogate in UTF-8",
        ),
        pytest.param(
            '{"a": "é"}'.encode("utf-16-le"),
            "The body is not UTF-8: byte 14 cannot be decoded.",
            id="UTF-16 without a mark",
        ),
        pytest.param(
            b'{"a": ' + b"9" * 5_000 + b"}",
            "The body has a number with more digits than are taken.",
            id="a number of 5,000 digits",
        ),
        pytest.param(nested(10_000, "[", "]"), TOO_DEEP, id="10,000 arrays"),
        pytest.param(nested(10_000, '{"a":', "}"), TOO_DEEP, id="10,000 objects"),
        pytest.param(b"[" * 10_000, TOO_DEEP, id="10,000 open arrays"),
        pytest.param(b"[]", "The body must be a JSON object.", id="an array"),
        pytest.param(b'"text"', "The body must be a JSON object.", id="a string"),
        pytest.param(b"null", "The body must be a JSON object.", id="null"),
        pytest.param(b"1", "The body must be a JSON object.", id="a number"),
    ],
)
def test_what_cannot_be_stored_and_shown_again_is_refused(body: bytes, message: str) -> None:
    """A body that is no plain JSON object is refused with a message that says what is wrong."""
    with pytest.raises(InvalidRequestError) as refused:
        json_text.parse_object(body)
    assert str(refused.value) == message


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_nesting_is_taken_to_its_limit_and_no_further(opening: str, closing: str) -> None:
    """64 levels are taken, 65 are not, in arrays and in objects."""
    assert json_text.parse_object(nested(MAX_DEPTH, opening, closing)).texts["a"]
    with pytest.raises(InvalidRequestError, match="deeper than 64 levels"):
        json_text.parse_object(nested(MAX_DEPTH + 1, opening, closing))


@pytest.mark.parametrize(
    "text",
    [
        "1.10",
        "1e400",
        "-0",
        "-0.0",
        "1E+2",
        "123456789012345678901234567890",
        "0.1000000000000000055511151231257827",
        "9" * 4_300,
        "true",
        "null",
        '""',
        r'"\u00e9"',
        '"é"',
        r'"\ud83d\ude00"',
        '"😀"',
        r'"a\/b\\\"\n\u0000"',
        '"\u2028\u2029\u00a0"',
        "[]",
        "{}",
        '[ 1 ,\t2\n, { "b" : [ ] } ]',
        '{"a":1,"a":2}',
        '{"b": "}", "c": "]{[", "d": ",:"}',
    ],
)
def test_a_value_keeps_its_exact_text(text: str) -> None:
    """A value comes back as it was sent, to the letter: numbers, escapes, white space."""
    body = f'\n{{ "before" : 1 , "kept"\t:\r\n{text} , "after":[2]}}  '
    parsed = json_text.parse_object(body.encode())
    assert parsed.texts == {"before": "1", "kept": text, "after": "[2]"}
    assert list(parsed.values) == ["before", "kept", "after"]


def test_values_are_those_of_python() -> None:
    """The values are what the JSON says, ready to be checked by type."""
    parsed = json_text.parse_object(b'{"a": "\\u00e9", "b": [1, 2.5, null, true], "c": {}}')
    assert parsed.values == {"a": "é", "b": [1, 2.5, None, True], "c": {}}


def test_of_a_repeated_name_the_last_counts() -> None:
    """A name given twice has its last value, and that value's text, however it is written."""
    parsed = json_text.parse_object(rb'{"a": "first", "b": 2, "\u0061": 1.0}')
    assert parsed.values == {"a": 1.0, "b": 2}
    assert parsed.texts == {"a": "1.0", "b": "2"}


@pytest.mark.parametrize("body", [b"{}", b" { \n } "])
def test_an_empty_object_is_an_object(body: bytes) -> None:
    """An object without members is taken, for the dialect to say what is missing."""
    assert json_text.parse_object(body) == json_text.JsonObject({}, {})


@pytest.mark.parametrize("seed", SEED_PARAMS)
def test_any_object_is_taken_apart_into_its_texts(seed: int) -> None:
    """In any object, each member's text is exactly the text that was written."""
    rng = seeded(seed)
    members = {_string(rng): _value(rng, 4) for _ in range(rng.randrange(1, 12))}
    spaced = ",".join(
        f"{_space(rng)}{name}{_space(rng)}:{_space(rng)}{text}{_space(rng)}"
        for name, text in members.items()
    )
    parsed = json_text.parse_object(f"{_space(rng)}{{{spaced}}}{_space(rng)}".encode())
    assert parsed.texts == {json.loads(name): text for name, text in members.items()}
    assert parsed.values == {json.loads(name): json.loads(text) for name, text in members.items()}


def test_json_texts_in_an_object_stay_to_the_letter() -> None:
    """An object is rendered with its characters unescaped, and a JsonText in it as it is."""
    members = {
        'a "quoted" name': JsonText("1.10"),
        "é": "ü",
        "within": {"kept": JsonText('{"b" :  1e400}'), "list": [1, None]},
    }
    assert json_text.render(members) == (
        '{"a \\"quoted\\" name": 1.10, "é": "ü",'
        ' "within": {"kept": {"b" :  1e400}, "list": [1, null]}}'
    )


def test_an_array_is_rendered_from_texts() -> None:
    """The items of an array are JSON texts that stay as they are."""
    assert json_text.render({"a": json_text.render_array(["1.10", "{}"])}) == '{"a": [1.10, {}]}'


def _space(rng: random.Random) -> str:
    return "".join(rng.choice(" \t\n\r") for _ in range(rng.randrange(3)))


def _string(rng: random.Random) -> str:
    text = "".join(rng.choice('ab"\\/{}[],:é\u2028😀\n\x00') for _ in range(rng.randrange(8)))
    return json.dumps(text, ensure_ascii=rng.random() < 0.5)


def _value(rng: random.Random, depth: int) -> str:
    kind = rng.randrange(7 if depth else 5)
    if kind == 0:
        return _string(rng)
    if kind == 1:
        return str(rng.randrange(-(10**30), 10**30))
    if kind == 2:
        return f"{rng.uniform(-9, 9):.{rng.randrange(1, 20)}f}e{rng.randrange(-9, 9)}"
    if kind <= 4:
        return rng.choice(["true", "false", "null"])
    items = [_value(rng, depth - 1) for _ in range(rng.randrange(4))]
    if kind == 5:
        return "[" + ",".join(f"{_space(rng)}{item}{_space(rng)}" for item in items) + "]"
    return "{" + ",".join(f"{_space(rng)}{_string(rng)}:{item}" for item in items) + "}"

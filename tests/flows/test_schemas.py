"""Schemas of answers: their verdicts, and the bounds of their checks."""

import json
import random
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from afterword.flows import patterns, schemas
from afterword.flows.patterns import Pattern
from afterword.flows.schemas import (
    MAX_FAULT,
    Schema,
    TooComplexError,
    check_document,
    is_shallow,
)
from tests.harness import seeds

NAMES = ["a", "b", "ab"]
TEXTS = ["", "a", "b", "ab", "1a", "é"]
NUMBERS: list[float] = [0, 1, 1.0, 2, -1, 0.5, 3]
SECONDS = 20.0
"""More than any bounded check takes on a busy machine, and less than an unbounded one."""


def make_value(chance: random.Random, depth: int = 3) -> object:
    """Return some JSON value."""
    kind = chance.randrange(7 if depth else 5)
    if kind == 5:
        return [make_value(chance, depth - 1) for _ in range(chance.randrange(4))]
    if kind == 6:
        return {name: make_value(chance, depth - 1) for name in chance.sample(NAMES, 2)}
    return [None, True, False, chance.choice(NUMBERS), chance.choice(TEXTS)][kind]


def make_schema(chance: random.Random, depth: int = 3) -> Any:  # noqa: ANN401 - a JSON schema
    """Return some JSON schema."""

    def some() -> object:
        return make_schema(chance, depth - 1)

    if not depth:
        return chance.choice([True, False, {}, {"type": "string"}, {"type": "integer"}])
    keywords: dict[str, Callable[[], object]] = {
        "type": lambda: chance.choice(
            [
                "object",
                "array",
                "string",
                "number",
                "integer",
                "boolean",
                "null",
                ["null", "string"],
            ]
        ),
        "const": lambda: make_value(chance, 1),
        "enum": lambda: [make_value(chance, 1) for _ in range(3)],
        "minimum": lambda: chance.choice(NUMBERS),
        "maximum": lambda: chance.choice(NUMBERS),
        "exclusiveMinimum": lambda: chance.choice(NUMBERS),
        "exclusiveMaximum": lambda: chance.choice(NUMBERS),
        "multipleOf": lambda: chance.choice([0.5, 1, 2]),
        "minLength": lambda: chance.randrange(3),
        "maxLength": lambda: chance.randrange(3),
        "pattern": lambda: chance.choice(["^a", "b$", "[a-b]{2}", r"^\d", "é|1"]),
        "minItems": lambda: chance.randrange(3),
        "maxItems": lambda: chance.randrange(3),
        "uniqueItems": lambda: chance.choice([True, False]),
        "items": some,
        "prefixItems": lambda: [some(), some()],
        "contains": some,
        "minContains": lambda: chance.randrange(3),
        "maxContains": lambda: chance.randrange(3),
        "minProperties": lambda: chance.randrange(3),
        "maxProperties": lambda: chance.randrange(3),
        "required": lambda: chance.sample(NAMES, 1),
        "dependentRequired": lambda: {"a": ["b"]},
        "dependentSchemas": lambda: {"a": some()},
        "properties": lambda: {name: some() for name in chance.sample(NAMES, 2)},
        "patternProperties": lambda: {"b$": some()},
        "additionalProperties": some,
        "propertyNames": lambda: {"maxLength": 1},
        "allOf": lambda: [some(), some()],
        "anyOf": lambda: [some(), some()],
        "oneOf": lambda: [some(), some()],
        "not": some,
        "if": some,
        "then": some,
        "else": some,
        "$ref": lambda: "#/$defs/one",
        "title": lambda: "A title",
    }
    return {name: keywords[name]() for name in chance.sample(sorted(keywords), 3)}


@pytest.mark.parametrize("seed", seeds.SEED_PARAMS)
def test_verdicts_are_those_of_jsonschema(seed: int) -> None:
    """Random schemas accept the values that jsonschema accepts."""
    chance = seeds.seeded(seed)
    for number in range(150):
        document = make_schema(chance) | {"$defs": {"one": make_schema(chance, 0)}}
        validator, schema = Draft202012Validator(document), Schema(document)
        for _ in range(4):
            value = make_value(chance)
            assert schema.accepts(value) == validator.is_valid(value), (number, document, value)


@pytest.mark.parametrize(
    ("document", "value", "fits"),
    [
        ({"multipleOf": 0.1}, 0.3, True),
        ({"multipleOf": 0.5}, 10**400, True),
        ({"multipleOf": 0.3}, 10**400, False),
        ({"maximum": 1.5}, 10**400, False),
        ({"uniqueItems": True}, [1, 1.0], False),
        ({"uniqueItems": True}, [1, True, "1", [1]], True),
        ({"const": {"a": 1, "b": [2]}}, {"b": [2.0], "a": 1}, True),
        ({"pattern": "^a$"}, "a\n", False),
        ({"pattern": r"\p{Lu}"}, "é É", True),
        ({"type": "integer"}, 1e300, True),
        ({"$ref": "#/$defs/a~1b%25"}, 1, False),
    ],
)
def test_numbers_and_texts_are_compared_exactly(
    document: dict[str, object],
    value: object,
    fits: bool,  # noqa: FBT001 - a column
) -> None:
    """Numbers are compared as they were written, and texts by their characters."""
    schema = Schema(document | {"$defs": {"a/b%": {"type": "string"}}})
    assert schema.accepts(value) is fits


@pytest.mark.parametrize(
    ("document", "value", "place", "rule"),
    [
        ({"maxLength": 1}, "ab", "the top", '"maxLength": 1'),
        ({"items": {"type": "null"}}, [None, 1], "/1", '"type": "null"'),
        ({"prefixItems": [True, False]}, [1, 2], "/1", None),
        ({"prefixItems": [True], "items": False}, [1, 2], "/1", None),
        ({"properties": {"a": {"minimum": 2}}}, {"a": 1}, "/a", '"minimum": 2'),
        ({"patternProperties": {"^a": False}}, {"ab": 1}, "/ab", None),
        ({"additionalProperties": False}, {"b": 1}, "/b", None),
        ({"propertyNames": {"maxLength": 1}}, {"ab": 1}, "/ab", '"maxLength": 1'),
        ({"anyOf": [{"type": "null"}, False]}, 1, "the top", '"anyOf": [{"type": "null"}, false]'),
        ({"not": {}}, 1, "the top", '"not": {}'),
        ({"if": False, "else": {"type": "null"}}, 1, "the top", '"type": "null"'),
        ({"allOf": [{"items": {"$ref": "#/$defs/one"}}]}, [1], "/0", '"type": "string"'),
        ({"contains": {"type": "null"}}, [1], "the top", '"contains": {"type": "null"}'),
        (
            {"dependentSchemas": {"a": {"required": ["b"]}}},
            {"a": 1},
            "the top",
            '"required": ["b"]',
        ),
        (
            {"properties": {"a": {"anyOf": [{"type": "null"}, {}]}, "b": {"const": 1}}},
            {"a": 1, "b": 2},
            "/b",
            '"const": 1',
        ),
    ],
)
def test_a_fault_names_its_place_and_rule(
    document: dict[str, object], value: object, place: str, rule: str | None
) -> None:
    """The first broken rule is named with the place of the value that breaks it."""
    schema = Schema(document | {"$defs": {"one": {"type": "string"}}})
    says = "schema allows no such value" if rule is None else f"value breaks the schema's {rule}"
    assert schema.find_fault(value) == f"At {place}: the {says}."


@pytest.mark.parametrize("seed", seeds.SEED_PARAMS)
def test_a_fault_is_short(seed: int) -> None:
    """The description of any fault of a random schema has its bound."""
    chance = seeds.seeded(seed)
    for _ in range(300):
        schema = Schema(make_schema(chance) | {"$defs": {"one": make_schema(chance, 0)}})
        fault = schema.find_fault(make_value(chance))
        assert fault is None or (fault.startswith("At ") and len(fault) <= MAX_FAULT)


def doubling(keyword: str, levels: int) -> dict[str, object]:
    """Return a schema in which each level asks twice for the next one."""
    steps: dict[str, object] = {
        f"d{level}": {keyword: [{"$ref": f"#/$defs/d{level + 1}"}] * 2} for level in range(levels)
    }
    return {
        "type": "object",
        "$defs": steps | {f"d{levels}": {"type": "string"} if keyword == "anyOf" else {}},
        "properties": {"a": {"$ref": "#/$defs/d0"}},
    }


HOSTILE: Mapping[str, tuple[dict[str, object], object]] = {
    "anyOf": (doubling("anyOf", 60), {"a": 1}),
    "allOf": (doubling("allOf", 60), {"a": 1}),
    "oneOf": (doubling("oneOf", 60), {"a": 1}),
    "itself": ({"type": "object", "$ref": "#"}, {}),
    "itself in not": ({"type": "object", "not": {"$ref": "#"}}, {}),
    "enum": (
        {"type": "object", "additionalProperties": {"items": {"enum": [*range(1_000)]}}},
        {"a": [999] * 100_000},
    ),
    "const": (
        {"type": "object", "additionalProperties": {"items": {"const": [[1] * 900]}}},
        {"a": [[[1] * 900]] * 10_000},
    ),
    "long texts": (
        {"type": "object", "additionalProperties": {"pattern": "a[ab]{1500}c"}},
        {"a": "ab" * 100_000},
    ),
    "many texts": (
        {"type": "object", "additionalProperties": {"items": {"pattern": "a[ab]{1500}c|a"}}},
        {"a": ["ab" * 1_000] * 100_000},
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_check_ends_at_its_budget(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that would take for ever ends after its budget of steps."""
    monkeypatch.setattr(schemas, "MAX_STEPS", 50_000)
    document, value = HOSTILE[name]
    check_document(document)
    start = time.thread_time()
    with pytest.raises(TooComplexError):
        Schema(document).accepts(value)
    assert time.thread_time() - start < SECONDS


def test_numbers_with_one_hash_are_unique_in_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers that are chosen for their equal hash values cost no more than others."""
    monkeypatch.setattr(schemas, "MAX_STEPS", 500_000)
    numbers = [number * (2**61 - 1) for number in range(50_000)]
    start = time.thread_time()
    assert Schema({"uniqueItems": True}).accepts(numbers)
    assert time.thread_time() - start < SECONDS


def test_a_pattern_takes_linear_time() -> None:
    """A pattern that takes Python's engine exponential time is matched at once."""
    pattern = Pattern("^(a+)+$")
    pattern.compile()
    start = time.thread_time()
    assert not pattern.matches("a" * 1_000_000 + "!")
    assert time.thread_time() - start < SECONDS


@pytest.mark.parametrize(
    ("text", "weight"),
    [
        ("^(a+)+$", 3),
        ("a{3}", 3),
        ("(ab{3}){4}", 16),
        (r"[A-Z\]]{2}\d{1,30}", 32),
        ("(?:a|b){2,}", 6),
        ("[[:alpha:]{9}]{5}", 5),
        (r"\p{L}{4}x", 5),
        (r"\{9{3}", 4),
        ("a{10}{10}", 100),
        ("(?<year>[0-9]{4})-x", 6),
        ("(((a{10}){10}){10}){10}", 10_000),
    ],
)
def test_a_pattern_weighs_what_its_repetitions_write_out(text: str, weight: int) -> None:
    """A pattern's weight counts characters and classes as often as they are repeated."""
    if weight > patterns.MAX_WEIGHT:
        with pytest.raises(ValueError, match="bound texts by maxLength"):
            Pattern(text)
    else:
        assert Pattern(text).weight == weight


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"pattern": "(?=a)b"}, "must have patterns without flags and look-around, unlike (?=a)b"),
        ({"pattern": r"(a)\1"}, "without look-around and backreferences, unlike (a)\\1"),
        ({"pattern": "("}, "must have regular expressions of a linear engine"),
        ({"pattern": "(?x)a{1 000}"}, "must have patterns without flags and look-around"),
        ({"pattern": "a{3000}"}, "bound texts by maxLength"),
        ({"pattern": r"\w{1500}"}, "must have regular expressions of a linear engine"),
        ({"pattern": "a" * 1_001}, "must have patterns of at most 1,000 characters"),
        ({"patternProperties": {"(": True}}, "must have regular expressions of a linear engine"),
        ({"unevaluatedProperties": False}, "must have no unevaluatedProperties"),
        ({"not": {"$dynamicRef": "#a"}}, "must have no $dynamicRef"),
        ({"not": {"$id": "http://a"}}, "must have no $id below its top"),
        ({"$ref": "#/$defs/b"}, "must have a schema at #/$defs/b"),
        ({"$ref": "#/title", "title": "a"}, "must have a schema at #/title"),
        ({"$ref": "#a"}, "must refer to its parts by path, such as #/$defs/name"),
        ({"$ref": "http://a"}, "must not refer to another document, which is not fetched"),
        ({"enum": [*range(1_001)]}, "must have at most 1,000 elements in an array"),
        ({"properties": {str(n): {} for n in range(2_500)}}, "must have at most 5,000 values"),
        (
            {f"p{n}": {"pattern": f"a{{1000}}{n}"} for n in range(6)},
            "must have fewer or shorter patterns: bound texts by maxLength",
        ),
    ],
)
def test_a_schema_beyond_the_bounds_is_refused(more: dict[str, object], problem: str) -> None:
    """A schema that could not be checked in bounded time is refused, with its problem."""
    document = {"type": "object", **({"properties": more} if "p5" in more else more)}
    with pytest.raises(ValueError, match=re.escape(problem)):
        check_document(document)


def test_a_deep_schema_is_refused() -> None:
    """A schema may be nested 32 levels deep."""
    document: dict[str, object] = {}
    for _ in range(40):
        document = {"not": document}
    with pytest.raises(ValueError, match="must be nested at most 32 levels deep"):
        check_document({"type": "object", **document})


def test_the_depth_of_an_answer_has_a_bound() -> None:
    """An answer may be nested 64 levels deep."""
    assert is_shallow(json.loads("[" * 64 + "]" * 64))
    assert not is_shallow(json.loads("[" * 66 + "]" * 66))

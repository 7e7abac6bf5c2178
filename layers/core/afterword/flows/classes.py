"""Classes of a step: the question for one of them, and the answer with its confidence.

A confidence comes from the log probabilities of the tokens that spell the class. From a model that
gives none, the number in its own answer is taken: docs/decisions/0061-classes.md.
"""

import json
import math
import re
from enum import StrEnum
from itertools import accumulate
from typing import TYPE_CHECKING

from afterword.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from afterword.flows.flow import Class
    from afterword.generations import Completion

_CLASSIFICATION, _CONFIDENCE = "classification", "confidence"
_DIGITS = 4
_CHOOSE = (
    "Choose the one class of this list that fits best. Return a JSON object with `classification`,"
    " the name of the class to the letter, and `confidence`, a number from 0 to 1 for how sure the"
    " choice is:"
)
_CHOSEN = re.compile(rf'"{_CLASSIFICATION}"\s*:\s*("(?:[^"\\]|\\.)*")')


class ConfidenceSource(StrEnum):
    """The origin of a confidence: the tokens' log probabilities, or the model's own answer."""

    LOG_PROBABILITIES = "log_probabilities"
    ANSWER = "answer"


@dataclass(frozen=True, slots=True)
class Classification:
    """A class by its name, with a confidence from 0 to 1."""

    name: str
    confidence: float


def classes_schema(classes: "Sequence[Class]") -> "Mapping[str, object]":
    """Return the JSON schema of a choice; the class comes first, before the model rates it."""
    names = [each.name for each in classes]
    return {
        "type": "object",
        "properties": {
            _CLASSIFICATION: {"type": "string", "enum": names},
            _CONFIDENCE: {"type": "number", "minimum": 0, "maximum": 1},
        },
        "required": [_CLASSIFICATION, _CONFIDENCE],
        "additionalProperties": False,
    }


def describe_classes(classes: "Sequence[Class]") -> str:
    """Return the instructions to choose a class, with the names and descriptions."""
    lines = (
        f"- {each.name}" if each.description is None else f"- {each.name}: {each.description}"
        for each in classes
    )
    return "\n".join((_CHOOSE, *lines))


def finish_choice(
    value: object, answer: "Completion", classes: "Sequence[Class]"
) -> "Mapping[str, object] | None":
    """Return the result of a choice, an object of `classification`, `confidence` and its source.

    `value` is the JSON value of the answer. None for one without a class of the list, and for one
    whose confidence can neither be measured nor read.
    """
    match value:
        case {"classification": str(name), **others} if any(each.name == name for each in classes):
            stated = _clamp(others.get(_CONFIDENCE))
        case _:
            return None
    measured = _measure(answer, name)
    confidence = stated if measured is None else measured
    if confidence is None:
        return None
    source = ConfidenceSource.ANSWER if measured is None else ConfidenceSource.LOG_PROBABILITIES
    return {
        _CLASSIFICATION: name,
        _CONFIDENCE: round(confidence, _DIGITS),
        "confidence_source": source,
    }


def read_classification(text: str) -> Classification | None:
    """Return the classification of a stored result; None for a text of another form."""
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    match value:
        case {"classification": str(name), "confidence": number}:
            confidence = _clamp(number)
            return None if confidence is None else Classification(name, confidence)
    return None


def _clamp(number: object) -> float | None:
    """Return a JSON number, moved into 0 to 1; None for another value."""
    match number:
        case bool():
            return None
        case int() | float() if number == number:  # noqa: PLR0124 - no NaN
            return float(min(1, max(0, number)))
    return None


def _measure(answer: "Completion", name: str) -> float | None:
    """Return the probability of the tokens that spell the class.

    None where the tokens end before the class does, or are not those of the text.
    """
    found = [*_CHOSEN.finditer(answer.text)]
    if not found or json.loads(found[-1][1]) != name:  # of a repeated member the last one counts
        return None
    first, last = found[-1].span(1)
    before, until = (
        answer.text[:place].lstrip().encode() for place in (first + 1, last - 1)
    )  # without the quotes; some servers strip the text
    tokens = answer.tokens
    spelled = b"".join(token.text for token in tokens)
    after = spelled[::-1].find(until[::-1])  # the last one; unlike rfind, in linear time
    if after < 0:
        return None
    start = len(spelled) - after - len(until)
    ends = accumulate(len(token.text) for token in tokens)
    total = sum(
        token.logprob
        for token, end in zip(tokens, ends, strict=True)
        if end > start + len(before) and end - len(token.text) < start + len(until)
    )
    return math.exp(min(0.0, total))

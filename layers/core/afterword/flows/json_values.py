"""JSON values of models' answers: unwrapped where an answer has one reading alone.

Models put code fences and prose around JSON, write arrays as text and raw line ends into strings.
Each function takes linear time: docs/decisions/0071-structured-answers.md.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import cast

from afterword.flows import schemas
from afterword.generations import FailedError, Reason
from afterword.models.text import replace_surrogates

MAX_VALUES = 100
"""JSON values in the prose of one answer; an answer with more has no single one."""
_BLANKS = " \t\r\n\ufeff"
_START = re.compile(r'\{\s*["}]|\[\s*(?:["\[{\]]|-?[0-9]|(?:true|false|null)\b)')
"""The start of an object or an array, which other brackets in prose seldom look like."""
_MARK = re.compile(r'[\[\]{}]|"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_COMMA = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{,]\s*,|,(?=\s*[\]}])', re.DOTALL)


class UnusableError(FailedError):
    """An answer that is not the step's result; `complaint` says why in words for the model.

    The complaint has no more than a few hundred characters of the answer, in names of members.
    """

    def __init__(self, reason: Reason, message: str, complaint: str) -> None:
        super().__init__(reason, message)
        self.complaint = complaint


class _TooLargeError(ValueError):
    """A number that no float can have."""


class NoValueError(ValueError):
    """A text without one JSON value; the message says why and quotes nothing of the text."""


def read_value(
    text: str, adopt: Callable[[object], object | None], *, whole: bool = False
) -> object:
    """Return the one JSON value of an answer; raise NoValueError for none, or for several.

    The value is the whole text, else the one object or array in it. `adopt` returns an object or
    array in its proper form, and None for one that prose may have, such as the number of a passage.
    Equal values are one. A broken object is no prose, and so are texts refused that have one. With
    `whole`, as for a text that was cut, all of the text is the value.
    """
    text = text.strip(_BLANKS)
    try:
        value = _loads(text)
    except (ValueError, RecursionError) as error:
        found = None if whole else _find_one(text, adopt)
        if found is None:
            raise NoValueError(_describe(error)) from None
        return found
    if isinstance(value, str) and not whole:
        value = _unquote(value, (dict, list))
    adopted = adopt(value)
    return value if adopted is None else adopted


def unfold(value: object, schema: Mapping[str, object], follow: Callable[[str], object]) -> object:
    """Return a value with its arrays and objects that are texts unfolded, as the schema has them.

    A text becomes the array or object that its JSON is, where the schema allows such a one and no
    text. `follow` returns the schema of a `$ref`.
    """
    return _unfold(value, schema, follow, schemas.MAX_VALUE_DEPTH)


def name_of_array(schema: Mapping[str, object]) -> str | None:
    """Return the name of a schema's one member, if the member is an array."""
    members = schema.get("properties")
    if not isinstance(members, dict) or len(members) != 1 or schema.get("type") != "object":
        return None
    ((name, member),) = members.items()
    is_array = isinstance(member, dict) and member.get("type") == "array"
    return str(name) if is_array else None


def make_storable(value: object) -> object:
    """Return a value with U+FFFD for halves of surrogate pairs.

    Raises NoValueError for deeper nesting than a result may have.
    """
    if not schemas.is_shallow(value):
        raise NoValueError("The answer is nested too deep.")
    text = json.dumps(value, ensure_ascii=False)
    replaced = replace_surrogates(text)
    return value if replaced == text else json.loads(replaced)


def _find_one(text: str, adopt: Callable[[object], object | None]) -> object | None:
    """Return the one value in prose; None without one, and beside a broken object."""
    found: object | None = None
    shown = ""
    for number, part in enumerate(_list_parts(text)):
        value = _read_part(part)
        if number >= MAX_VALUES or (value is None and part.startswith("{")):
            return None
        value = adopt(value)
        if value is None:
            continue
        canonical = json.dumps(value, sort_keys=True)
        if found is not None and canonical != shown:
            raise NoValueError("The answer has several different JSON values.")
        found, shown = value, canonical
    return found


def _list_parts(text: str) -> Iterator[str]:
    """Yield the parts of a text that begin like an object or an array, to their closing bracket.

    A part that is not closed, or is nested too deep, is yielded as a broken object.
    """
    at = 0
    while (start := _START.search(text, at)) is not None:
        closed = _find_end(text, start.start())
        if closed is None:
            yield "{"
            return
        yield text[start.start() : closed]
        at = closed


def _find_end(text: str, start: int) -> int | None:
    open_brackets: list[str] = []
    for mark in _MARK.finditer(text, start):
        match mark[0]:
            case "{" | "[" as bracket:
                open_brackets.append("}" if bracket == "{" else "]")
                if len(open_brackets) > schemas.MAX_VALUE_DEPTH:
                    return None
            case "}" | "]" as bracket:
                if open_brackets.pop() != bracket:
                    return None
                if not open_brackets:
                    return mark.end()
    return None


def _read_part(part: str) -> object | None:
    """Return the object or array of a part, also with a comma after its last member."""
    try:
        return _loads(part)
    except ValueError:
        without = _COMMA.sub(lambda match: "" if match[0] == "," else match[0], part)
    try:
        return _loads(without)
    except ValueError:
        return None


def _unfold(value: object, schema: object, follow: Callable[[str], object], depth: int) -> object:
    for _ in range(schemas.MAX_DEPTH):
        if not isinstance(schema, dict) or "$ref" not in schema:
            break
        schema = follow(str(schema["$ref"]))
    if not isinstance(schema, dict) or depth == 0:
        return value
    if isinstance(value, str):
        value = _unquote(value, _structures(schema.get("type")))
    if isinstance(value, dict):
        members = cast("Mapping[str, object]", schema.get("properties", {}))
        return {
            name: _unfold(each, members.get(name), follow, depth - 1)
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [_unfold(each, schema.get("items"), follow, depth - 1) for each in value]
    return value


def _structures(types: object) -> tuple[type, ...]:
    """Return the types of values that stand for a text in a schema's place; none beside a text."""
    names = types if isinstance(types, list) else [types]
    if "string" in names:
        return ()
    return tuple(each for name, each in (("object", dict), ("array", list)) if name in names)


def _unquote(text: str, types: tuple[type, ...]) -> object:
    """Return the value of a text that is the JSON of one of the types, else the text."""
    if not types:
        return text
    try:
        value = _loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, types) and schemas.is_shallow(value) else text


def _loads(text: str) -> object:
    """Return a JSON value; raise ValueError or RecursionError. Strings may have raw line ends.

    A number that is infinite as a float raises _TooLargeError, a ValueError.
    """
    value: object = json.loads(text, strict=False, parse_constant=_refuse, parse_float=_read_float)
    return value


def _read_float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _TooLargeError(text)
    return number


def _refuse(name: str) -> None:
    raise ValueError(name)


def _describe(error: ValueError | RecursionError) -> str:
    if isinstance(error, _TooLargeError):
        return "The answer has a number that is too large."
    if isinstance(error, json.JSONDecodeError):
        return f"The answer is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
    return "The answer is not JSON."

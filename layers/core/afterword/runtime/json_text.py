"""Request bodies as strict JSON: values that cannot be stored or shown are refused at the edge.

Python's parser accepts NaN, lone surrogates and any depth, and turns numbers into floats. Here
these are refused, and values that responses repeat keep their exact text.
"""

import json
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterable, Mapping
from typing import Never

from afterword.errors import InvalidRequestError
from afterword.records import dataclass

MAX_DEPTH = 64
_WHITESPACE = " \t\n\r"


@dataclass(frozen=True, slots=True)
class JsonObject:
    """A JSON object of a request: its values by name, and each value's text as sent."""

    values: Mapping[str, object]
    texts: Mapping[str, str]


def parse_object(body: bytes) -> JsonObject:
    """Parse a request's body, which must be one JSON object in UTF-8, or in UTF-16 with its mark.

    Raises InvalidRequestError for any other body. Also for values that RFC 8259 leaves open and
    that could not be stored: NaN and Infinity, lone surrogates, integers beyond Python's 4,300
    digits, and nesting deeper than MAX_DEPTH. Of a repeated name the last value counts.
    """
    text = _decode(body)
    value = _load(text)
    if not isinstance(value, dict):
        raise InvalidRequestError("The body must be a JSON object.")
    _check(value)
    return JsonObject(value, _member_texts(text))


def parse_texts(body: bytes) -> object:
    """Parse a request's body, any JSON value in UTF-8; numbers are their text as sent.

    Raises InvalidRequestError like `parse_object`, but leaves texts and depth to the caller, which
    can name the field.
    """
    return _load(_decode(body), parse_number=str)


def _decode(body: bytes) -> str:
    """Return the text of a body; a byte order mark tells UTF-16, and is no part of the text."""
    encoding = "utf-16" if body.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return body.decode(encoding)
    except UnicodeDecodeError as error:
        raise InvalidRequestError(
            f"The body is not UTF-8: byte {error.start} cannot be decoded."
        ) from error


def _load(text: str, parse_number: Callable[[str], object] | None = None) -> object:
    try:
        value: object = json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_int=parse_number,
            parse_float=parse_number,
        )
    except json.JSONDecodeError as error:
        raise InvalidRequestError(
            f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from error
    except RecursionError as error:
        raise InvalidRequestError(_TOO_DEEP) from error
    except ValueError as error:
        raise InvalidRequestError(
            "The body has a number with more digits than are taken."
        ) from error
    return value


_TOO_DEEP = f"The body is nested deeper than {MAX_DEPTH} levels."


def _refuse_constant(name: str) -> Never:
    raise InvalidRequestError(f"The body is not JSON: {name} is not a JSON value.")


def _check(root: object) -> None:
    """Raise InvalidRequestError for depth or a lone surrogate, without recursion."""
    open_values: list[tuple[object, int]] = [(root, 1)]
    while open_values:
        value, depth = open_values.pop()
        if isinstance(value, str):
            if not value.isascii():
                _check_encodable(value)
        elif isinstance(value, dict | list):
            if depth > MAX_DEPTH:
                raise InvalidRequestError(_TOO_DEEP)
            children = [*value, *value.values()] if isinstance(value, dict) else value
            open_values.extend((child, depth + 1) for child in children)


def _check_encodable(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidRequestError(
            "The body has half of a surrogate pair (\\ud800 to \\udfff), which is no character."
        ) from error


def _member_texts(text: str) -> dict[str, str]:
    """Return the text of each member's value of a valid JSON object, as sent."""
    decoder = json.JSONDecoder()
    texts: dict[str, str] = {}
    at = _skip(text, _skip(text, 0) + 1)  # past "{"
    while text[at] != "}":
        name, at = decoder.raw_decode(text, at)
        start = _skip(text, _skip(text, at) + 1)  # past ":"
        _, end = decoder.raw_decode(text, start)
        texts[name] = text[start:end]
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return texts


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _WHITESPACE:
        at += 1
    return at


class JsonText(str):
    """A JSON text, which a response repeats to the letter."""

    __slots__ = ()


_encode = json.JSONEncoder(ensure_ascii=False).encode  # `json.dumps` makes an encoder a call


def render(value: object) -> str:
    """Return a value as JSON with unescaped characters, since escapes have three times the size.

    A JsonText is unchanged, as the value or as a member of an object.
    """
    if isinstance(value, JsonText):
        return value
    if not isinstance(value, Mapping):
        return _encode(value)
    members = (f"{render(name)}: {render(each)}" for name, each in value.items())
    return "{" + ", ".join(members) + "}"


def render_array(texts: Iterable[str]) -> JsonText:
    """Return a JSON array of JSON texts."""
    return JsonText(f"[{', '.join(texts)}]")

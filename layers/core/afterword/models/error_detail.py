"""The error in a provider's answer, whichever form it has.

OpenAI puts an object into `error`, Ollama a text, vLLM and Mistral nothing around it, FastAPI a
list into `detail`, Gemini a list around it all; a gateway repeats its provider's answer as a text.
"""

import json
from collections.abc import Iterator, Mapping
from http import HTTPStatus

from afterword.records import dataclass

MAX_WORDS = 4_000
"""Characters of an error's messages that are read."""
_MAX_NESTED = 6
"""Levels of errors within errors that are read."""
_MAX_EACH = 10
"""Errors of a list that are read."""
_CODES = ("code", "type", "error_type", "status", "reason", "Code", "__type")
_MEMBERS = (
    "error",
    "errors",
    "message",
    "Message",
    "msg",
    "detail",
    "details",
    "innererror",
    "metadata",
    "raw",
    "reasons",
    "error_msg",
)
_STATUSES = ("code", "status", "status_code", "statusCode")


@dataclass(frozen=True, slots=True)
class ErrorDetail:
    """A provider's error: its status, and what its body says.

    - `codes` are its codes and types, the outer ones first.
    - `param` is the parameter that it names; None without one.
    - `words` are its messages, which may repeat the prompt.
    """

    status: int
    codes: tuple[str, ...] = ()
    param: str | None = None
    words: str = ""

    @property
    def known_codes(self) -> frozenset[str]:
        """The codes in lower case, for comparisons."""
        return frozenset(code.lower() for code in self.codes)


def read_error(body: object, status: int) -> ErrorDetail:
    """Return the error of a body: parsed JSON of any form, or a text."""
    parts = list(_parts(body, 0))
    codes = dict.fromkeys(part.text for part in parts if isinstance(part, _Code))
    params = (part.text for part in parts if isinstance(part, _Param))
    words = "\n".join(part.text for part in parts if isinstance(part, _Words))
    return ErrorDetail(status, tuple(codes), next(params, None), words[:MAX_WORDS])


def error_status(body: object, otherwise: int) -> int:
    """Return the HTTP status that a body names as its error's code; `otherwise` without one."""
    match body:
        case [{"error": dict(error)}, *_] | {"error": dict(error)} | dict(error):
            numbers = (_number(error.get(name)) for name in _STATUSES)
            return next((number for number in numbers if number is not None), otherwise)
        case _:
            return otherwise


def _number(value: object) -> int | None:
    """Return an error's HTTP status; None for another value."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:4])
    if isinstance(value, int) and value in HTTPStatus and value >= HTTPStatus.BAD_REQUEST:
        return value
    return None


@dataclass(frozen=True, slots=True)
class _Part:
    text: str


class _Code(_Part):
    """A code or a type."""


class _Param(_Part):
    """The name of a parameter."""


class _Words(_Part):
    """A message."""


def _parts(body: object, depth: int) -> Iterator[_Part]:
    if depth > _MAX_NESTED:
        return
    match body:
        case str() if (nested := _parse_nested(body)) is not None:
            yield from _parts(nested, depth + 1)
        case str():
            yield _Words(body[:MAX_WORDS])
        case list():
            for each in body[:_MAX_EACH]:
                yield from _parts(each, depth + 1)
        case dict():
            yield from _codes(body)
            yield from _params(body)
            for name in _MEMBERS:
                yield from _parts(body.get(name), depth + 1)


def _codes(error: Mapping[str, object]) -> Iterator[_Code]:
    for name in _CODES:
        value = error.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool):
            yield _Code(str(value)[:MAX_WORDS])


def _params(error: Mapping[str, object]) -> Iterator[_Param]:
    """Return the parameter of an error: OpenAI's `param`, or FastAPI's `loc` without `body`."""
    match error:
        case {"param": str(param)} if param:
            yield _Param(param[:MAX_WORDS])
        case {"loc": list(place)}:
            yield _Param(".".join(str(each) for each in place if each != "body")[:MAX_WORDS])


def _parse_nested(text: str) -> object | None:
    """Return the JSON of an error inside another one's text; None for another text."""
    if text.lstrip()[:1] not in {"{", "["} or len(text) > 20 * MAX_WORDS:
        return None
    try:
        value: object = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None
    return value

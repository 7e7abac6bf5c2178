"""What a flow asks its callers for: the declared inputs, and the check of what they send.

The declaration is part of the flow's document, which was validated when it was saved
(afterword.flows.flow), so that a submission need not import pydantic to read it.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from afterword.errors import UnprocessableError
from afterword.files import SubmittedFile, Upload, media_types
from afterword.generations import Values

NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_.-]{0,63}$"
MAX_TEXT, MAX_LONG_TEXT = 10_000, 1_000_000
"""Characters of a text, and of a long one, where the flow does not say."""
MAX_FILE_BYTES = 4_500_000
"""Bytes of a file, where the flow does not say: Bedrock takes no more, and fewer fit a request."""
MAX_FILES = 20
MAX_DIGITS = 100
FILE_TYPES = "text, Markdown, CSV, JSON, HTML, PDF, DOCX, PNG, JPEG, GIF, WebP"
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]{1,3})?")
_MOST = 1e308
"""Of any number: beyond it lies what a float takes for infinite."""
_TRUE, _FALSE = frozenset({"true", "1", "on", "yes"}), frozenset({"false", "0", "off", "no"})


class Kind(StrEnum):
    """What an input is. A long text is a text that a form shows in a larger box."""

    TEXT = "text"
    LONG_TEXT = "long_text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    CHOICE = "choice"
    FILE = "file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One input of a flow.

    `default` is what holds when nothing is sent. `max_length` bounds a text's characters, `least`
    and `most` a number, `max_bytes` a file; `options` are a choice's. With `multiple` it may be
    sent several times.
    """

    name: str
    label: str
    kind: Kind = Kind.TEXT
    required: bool = True
    multiple: bool = False
    default: str | None = None
    max_length: int | None = None
    least: float | None = None
    most: float | None = None
    options: tuple[str, ...] = ()
    max_bytes: int = MAX_FILE_BYTES


ANY_TEXT = Input(name="text", label="Text", kind=Kind.LONG_TEXT)
"""What a flow asks for that declares nothing."""


def declared_inputs(document: str) -> tuple[Input, ...]:
    """Return the inputs of a flow's stored document."""
    sent = json.loads(document).get("inputs") or []
    return tuple(read_input(spec) for spec in sent) or (ANY_TEXT,)


def read_input(spec: Mapping[str, object]) -> Input:
    """Return an input as the flow's document has it."""
    given = {name: value for name, value in spec.items() if value is not None}
    known = {"label": spec["name"], **given}
    known["kind"] = Kind(str(known.get("kind", Kind.TEXT)))
    known["options"] = tuple(cast("list[str]", known.get("options", ())))
    return Input(**cast("dict[str, Any]", known))


def check_inputs(
    inputs: Sequence[Input], sent: Sequence[tuple[str, str | Upload]]
) -> tuple[Values, tuple[SubmittedFile, ...]]:
    """Return the values and files of a form, with defaults for what was not sent.

    Raises UnprocessableError, which names the input, for an unknown one, a missing one, one that is
    there too often, and a value of the wrong kind or out of its limits.
    """
    by_name = _by_name(inputs, sent)
    values: dict[str, str | list[str]] = {}
    files: list[SubmittedFile] = []
    for each in inputs:
        found = by_name[each.name]
        if not each.multiple and len(found) > 1:
            raise UnprocessableError(each.name, f"it is there {len(found)} times; once is taken.")
        if each.kind is Kind.FILE:
            files += _files(each, found)
        elif texts := _texts(each, found):
            values[each.name] = texts if each.multiple else texts[0]
    if len(files) > MAX_FILES:
        raise UnprocessableError(
            files[MAX_FILES].input, f"there are {len(files)} files; at most {MAX_FILES} are taken."
        )
    return values, tuple(files)


def _by_name(
    inputs: Sequence[Input], sent: Sequence[tuple[str, str | Upload]]
) -> Mapping[str, list[str | Upload]]:
    by_name: dict[str, list[str | Upload]] = {each.name: [] for each in inputs}
    for name, value in sent:
        if name not in by_name:
            listed = ", ".join(by_name)
            raise UnprocessableError(_shown(name), f"there is no such input; there are: {listed}.")
        by_name[name].append(value)
    return by_name


def _shown(name: str) -> str:
    """Return an unknown name as a message may show it."""
    return name if re.fullmatch(r"[\w .-]{1,64}", name) else "An input"


def _files(each: Input, found: Sequence[str | Upload]) -> list[SubmittedFile]:
    if each.required and not found:
        raise UnprocessableError(each.name, "it is missing.")
    return [_file(each, value) for value in found]


def _texts(each: Input, found: Sequence[str | Upload]) -> list[str]:
    texts = [text for value in found if (text := _text(each, value)) is not None]
    if not texts and each.default is not None:
        return [each.default]
    if not texts and each.required:
        raise UnprocessableError(each.name, "it is empty." if found else "it is missing.")
    return texts


def _file(each: Input, value: str | Upload) -> SubmittedFile:
    if isinstance(value, str):
        raise UnprocessableError(each.name, "it must be a file.")
    if not value.content:
        raise UnprocessableError(each.name, "the file is empty.")
    if len(value.content) > each.max_bytes:
        raise UnprocessableError(
            each.name,
            f"the file has {len(value.content)} bytes; at most {each.max_bytes} are taken.",
        )
    media_type = media_types.detect(value.content)
    if media_type == media_types.UNKNOWN:
        raise UnprocessableError(
            each.name, f"the file is of no type that is taken; there are: {FILE_TYPES}."
        )
    return SubmittedFile(
        input=each.name, name=value.name, media_type=media_type, content=value.content
    )


def _text(each: Input, value: str | Upload) -> str | None:
    """Return a value of an input that is no file; None if it is blank."""
    if isinstance(value, Upload):
        raise UnprocessableError(each.name, "it must be a text, not a file.")
    if not value.strip():
        return None
    match each.kind:
        case Kind.NUMBER:
            return _number(each, value.strip())
        case Kind.BOOLEAN:
            return _boolean(each, value.strip().lower())
        case Kind.CHOICE if value not in each.options:
            raise UnprocessableError(each.name, f"it must be one of: {', '.join(each.options)}.")
        case Kind.CHOICE:
            return value
        case kind:
            usual = MAX_LONG_TEXT if kind is Kind.LONG_TEXT else MAX_TEXT
            limit = each.max_length or usual
            if len(value) > limit:
                raise UnprocessableError(
                    each.name, f"it has {len(value)} characters; at most {limit} are taken."
                )
            return value


def _number(each: Input, value: str) -> str:
    if len(value) > MAX_DIGITS or not _NUMBER.fullmatch(value):
        raise UnprocessableError(each.name, "it must be a number.")
    number = float(value)
    least = -_MOST if each.least is None else each.least
    most = _MOST if each.most is None else each.most
    if number < least:
        raise UnprocessableError(each.name, f"it must be at least {least:.15g}.")
    if number > most:
        raise UnprocessableError(each.name, f"it must be at most {most:.15g}.")
    return value


def _boolean(each: Input, value: str) -> str:
    if value in _TRUE:
        return "true"
    if value in _FALSE:
        return "false"
    raise UnprocessableError(each.name, "it must be true or false.")

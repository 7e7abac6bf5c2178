"""The declared inputs of a flow, and the check of a caller's values against them.

The declaration is part of the flow's document, which was validated at its saving
(afterword.flows.drafts). So a submission reads it without importing pydantic.
"""

import json
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import partial
from typing import cast

from afterword.errors import UnprocessableError, WrongFields
from afterword.files import SubmittedFile, Upload, media_types
from afterword.files.signatures import describe
from afterword.generations import Values
from afterword.records import dataclass
from afterword.runtime.stored import read_fields

NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_.-]{0,63}$"
MAX_TEXT, MAX_LONG_TEXT = 10_000, 1_000_000
"""Characters of a text, and of a long one, by default."""
MAX_FILE_BYTES = 4_500_000
"""Bytes of a file by default: Bedrock's maximum, which still fits into a request."""
MAX_FILES = 20
MAX_DIGITS = 100
FILE_TYPES = f"{media_types.NAMES}, PNG, JPEG, GIF, WebP"
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]{1,3})?")
_MAX_NUMBER = 1e308
"""The bound of all numbers; larger ones may be infinite as a float."""
_TRUE, _FALSE = frozenset({"true", "1", "on", "yes"}), frozenset({"false", "0", "off", "no"})


class Kind(StrEnum):
    """The kind of an input; a form shows a long text in a larger box."""

    TEXT = "text"
    LONG_TEXT = "long_text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    CHOICE = "choice"
    FILE = "file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One input of a flow.

    - `default` is the value of an input that was not sent.
    - `max_length` bounds a text's characters, `least` and `most` a number, `max_bytes` a file.
    - `options` are those of a choice.
    - With `multiple` the input may be sent several times.
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
"""The input of a flow that declares none."""


def declared_inputs(document: str) -> tuple[Input, ...]:
    """Return the inputs of a flow's stored document."""
    sent = json.loads(document).get("inputs") or []
    return tuple(read_input(spec) for spec in sent) or (ANY_TEXT,)


def read_input(spec: Mapping[str, object]) -> Input:
    """Return an input of a flow's document."""
    given = {name: value for name, value in spec.items() if value is not None}
    known = {"label": spec["name"], **given}
    kind = str(known.get("kind", Kind.TEXT))
    known["kind"] = Kind(kind) if kind in Kind else Kind.TEXT  # of another version
    known["options"] = tuple(cast("list[str]", known.get("options", ())))
    return read_fields(Input, known)


def check_inputs(
    inputs: Sequence[Input], sent: Sequence[tuple[str, str | Upload]]
) -> tuple[Values, tuple[SubmittedFile, ...]]:
    """Return the values and files of a form, with defaults for inputs that were not sent.

    Raises UnprocessableError, which names the inputs: unknown, missing and repeated ones, and those
    with a value of the wrong kind or out of bounds.
    """
    wrong = WrongFields()
    by_name = _by_name(inputs, sent, wrong)
    values: dict[str, str | list[str]] = {}
    files: list[SubmittedFile] = []
    for each in inputs:
        texts, read = wrong.read(partial(_read_input, each, by_name[each.name])) or ([], [])
        files += read
        if texts:
            values[each.name] = texts if each.multiple else texts[0]
    if len(files) > MAX_FILES:
        message = f"must be at most {MAX_FILES} files in all, not {len(files)}."
        wrong.note([(files[MAX_FILES].input, message)])
    wrong.refuse()
    return values, tuple(files)


def _by_name(
    inputs: Sequence[Input], sent: Sequence[tuple[str, str | Upload]], wrong: WrongFields
) -> Mapping[str, list[str | Upload]]:
    """Return the sent values by input, and add the unknown inputs to the wrong ones, each once."""
    by_name: dict[str, list[str | Upload]] = {each.name: [] for each in inputs}
    unknown = dict.fromkeys(name for name, _ in sent if name not in by_name)
    listed = ", ".join(by_name)
    wrong.note((_show_name(name), f"must be one of: {listed}.") for name in unknown)
    for name, value in sent:
        if name in by_name:
            by_name[name].append(value)
    return by_name


def _read_input(
    each: Input, values: Sequence[str | Upload]
) -> tuple[list[str], list[SubmittedFile]]:
    """Return the texts and the files of an input; an input has either."""
    if not each.multiple and len(values) > 1:
        raise UnprocessableError(each.name, f"must be sent once, not {len(values)} times.")
    if each.kind is Kind.FILE:
        return [], _read_files(each, values)
    return _read_texts(each, values), []


def _show_name(name: str) -> str:
    """Return an unknown name in the form that a message may have."""
    return name if re.fullmatch(r"[\w .-]{1,64}", name) else "An input"


def _read_files(each: Input, values: Sequence[str | Upload]) -> list[SubmittedFile]:
    if each.required and not values:
        raise UnprocessableError(each.name, "must be sent.")
    return [_read_file(each, value) for value in values]


def _read_texts(each: Input, values: Sequence[str | Upload]) -> list[str]:
    texts = [text for value in values if (text := _read_text(each, value)) is not None]
    if not texts and each.default is not None:
        return [each.default]
    if not texts and each.required:
        raise UnprocessableError(each.name, "must not be empty." if values else "must be sent.")
    return texts


def _read_file(each: Input, value: str | Upload) -> SubmittedFile:
    if isinstance(value, str):
        raise UnprocessableError(each.name, "must be a file.")
    if not value.content:
        raise UnprocessableError(each.name, "must not be an empty file.")
    if len(value.content) > each.max_bytes:
        raise UnprocessableError(
            each.name,
            f"must be a file of at most {each.max_bytes} bytes, not {len(value.content)}.",
        )
    media_type = media_types.detect(value.content)
    if media_type not in media_types.DOCUMENTS | media_types.IMAGES:
        raise UnprocessableError(
            each.name,
            f"must be a file of one of these types: {FILE_TYPES}; not {describe(value.content)}.",
        )
    return SubmittedFile(
        input=each.name, name=value.name, media_type=media_type, content=value.content
    )


def _read_text(each: Input, value: str | Upload) -> str | None:
    """Return a value of an input other than a file; None for a blank one."""
    if isinstance(value, Upload):
        raise UnprocessableError(each.name, "must be a text, not a file.")
    if not value.strip():
        return None
    match each.kind:
        case Kind.NUMBER:
            return _check_number(each, value.strip())
        case Kind.BOOLEAN:
            return _read_boolean(each, value.strip().lower())
        case Kind.CHOICE if value not in each.options:
            raise UnprocessableError(each.name, f"must be one of: {', '.join(each.options)}.")
        case Kind.CHOICE:
            return value
        case kind:
            usual = MAX_LONG_TEXT if kind is Kind.LONG_TEXT else MAX_TEXT
            limit = each.max_length or usual
            if len(value) > limit:
                raise UnprocessableError(
                    each.name, f"must have at most {limit} characters, not {len(value)}."
                )
            return value


def _check_number(each: Input, value: str) -> str:
    if len(value) > MAX_DIGITS or not _NUMBER.fullmatch(value):
        raise UnprocessableError(each.name, "must be a number.")
    number = float(value)
    least = -_MAX_NUMBER if each.least is None else each.least
    most = _MAX_NUMBER if each.most is None else each.most
    if number < least:
        raise UnprocessableError(each.name, f"must be at least {least:.15g}.")
    if number > most:
        raise UnprocessableError(each.name, f"must be at most {most:.15g}.")
    return value


def _read_boolean(each: Input, value: str) -> str:
    if value in _TRUE:
        return "true"
    if value in _FALSE:
        return "false"
    raise UnprocessableError(each.name, "must be true or false.")

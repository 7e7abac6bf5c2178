"""Bodies of forms: multipart/form-data, urlencoded or JSON, read into fields in their order.

In JSON a number, true and false are the text that they are written with. null counts as not sent,
and a list is the field repeated. Text is UTF-8 without NUL, and keeps its line breaks. `_charset_`
is HTML's name of the form's encoding, which must be UTF-8, and no field.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import unquote_to_bytes

from afterword.errors import InvalidRequestError
from afterword.handlers.form_fields import (
    UTF_8,
    Field,
    check_charset,
    check_count,
    check_name,
    check_text,
    decode_text,
)
from afterword.handlers.multipart import parse_parameters, read_multipart
from afterword.records import dataclass
from afterword.runtime import json_text

_CHARSET = "_charset_"
_MULTIPART = "multipart/form-data"
_URLENCODED = "application/x-www-form-urlencoded"
_JSON = "application/json"
_BAD_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")

type ReadJson = Callable[[object], Iterable[Field]]
"""Reads the fields of a JSON body that is no object; raises InvalidRequestError."""


@dataclass(frozen=True, slots=True)
class Form:
    """A form's fields in the order sent, of which one may be repeated.

    `emptied` are the names of JSON's empty lists.
    """

    fields: list[Field]
    emptied: frozenset[str] = frozenset()


def read(content_type: str, body: bytes, otherwise: ReadJson | None = None) -> Form:
    """Return the form of a request's body.

    `content_type` is the header; without one, "", a body must begin like JSON. JSON must be an
    object, or any value that `otherwise` reads. Raises InvalidRequestError, which names the field
    and never has any of its value in it.
    """
    header = parse_parameters(content_type)
    if header is None:
        raise InvalidRequestError("Content-Type: must have well-formed parameters.")
    media_type, parameters = header
    if not media_type and _begins_like_json(body):
        media_type = _JSON
    check_charset(parameters, "Content-Type")
    if media_type == _MULTIPART:
        form = Form(read_multipart(parameters.get("boundary", ""), body))
    elif media_type == _URLENCODED:
        form = Form(_read_urlencoded(body))
    elif media_type == _JSON:
        form = _read_json(body, otherwise)
    else:
        raise InvalidRequestError(f"Content-Type: must be {_MULTIPART}, {_URLENCODED} or {_JSON}.")
    return Form(_drop_charset(form.fields), form.emptied)


def _drop_charset(fields: list[Field]) -> list[Field]:
    """Return the fields without `_charset_`; raise InvalidRequestError unless that is UTF-8."""
    for name, value in fields:
        if name == _CHARSET and not (isinstance(value, str) and value.lower() in UTF_8):
            raise InvalidRequestError(f"{_CHARSET}: must be UTF-8.")
    return [field for field in fields if field[0] != _CHARSET]


def _read_urlencoded(body: bytes) -> list[Field]:
    """Read a urlencoded form.

    Unlike urllib's parse_qsl, errors name the field, and a lone "%" is refused.
    """
    if _begins_like_json(body):
        raise InvalidRequestError(f"Content-Type: must be {_JSON} for a body of JSON.")
    check_count(body.count(b"&") + 1)
    fields: list[Field] = []
    for number, field in enumerate(body.split(b"&"), 1):
        if not field:
            continue
        where = f"Field {number}"
        sent_name, equals, sent_value = field.partition(b"=")
        if not equals:
            raise InvalidRequestError(f'{where}: must have a "=".')
        name = _decode(sent_name, where)
        check_name(name, where)
        fields.append((name, _decode(sent_value, f"{name} (field {number})")))
    return fields


def _decode(sent: bytes, where: str) -> str:
    if _BAD_PERCENT.search(sent):
        raise InvalidRequestError(f'{where}: must have two hexadecimal digits after each "%".')
    try:
        return decode_text(unquote_to_bytes(sent.replace(b"+", b" ")), where)
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"{where}: must be UTF-8.") from error


def _read_json(body: bytes, otherwise: ReadJson | None) -> Form:
    sent = json_text.parse_texts(body)
    fields: list[Field] = []
    emptied: frozenset[str] = frozenset()
    if isinstance(sent, dict):
        for number, (name, value) in enumerate(sent.items(), 1):
            check_name(name, f"Member {number} of the JSON object")
            fields.extend((name, text) for text in json_texts(value, name))
        emptied = frozenset(name for name, value in sent.items() if value == [])
    elif otherwise is not None:
        fields.extend(otherwise(sent))
    else:
        raise InvalidRequestError("The body must be a JSON object.")
    check_count(len(fields))
    return Form(fields, emptied)


def json_texts(value: object, where: str) -> Iterator[str | None]:
    """Yield the value of a member as text, or each value of its list."""
    for item in value if isinstance(value, list) else [value]:
        match item:
            case str():
                yield check_text(item, where)
            case bool():
                yield "true" if item else "false"
            case None:
                yield None
            case _:
                raise InvalidRequestError(
                    f"{where}: must be a string, a number, true, false or null, or a list of them."
                )


def _begins_like_json(body: bytes) -> bool:
    return body.lstrip(b" \t\r\n").startswith((b"{", b"["))

r"""Bodies of forms: multipart/form-data, urlencoded or JSON, read into fields in their order.

multipart/form-data is read as RFC 7578 and the HTML standard have it, and what they leave to luck
is refused:

- A file is a part with a `filename`, whatever its Content-Type; every other part is a text.
- What a browser sends for an empty file input, `filename=""` and no content, is as if not sent.
- `\"` and `\\` in a quoted name are escapes (RFC 822), unless the header can only be read without
  (a browser's name that ends in a backslash); `%22`, `%0D` and `%0A` are what HTML makes of a quote
  and a line break. `name*` and `filename*`, which RFC 7578 rules out and .NET and older Python
  clients send, go before `name` and `filename`, as in RFC 6266.
- Content-Transfer-Encoding is deprecated: one that would need decoding is refused.
- Text before the first boundary or after the last is refused, and so is a form without its last
  boundary: it would hide that a file's content has the boundary in it, or that the body was cut.

In JSON a number, true and false are the text they are written with, null is as if not sent, and a
list is the field repeated. Text is UTF-8 without NUL everywhere, and keeps its line breaks.
`_charset_` is HTML's (it tells the form's encoding, which has to be UTF-8) and no field.
"""

import logging
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import unquote, unquote_to_bytes

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser

from afterword.errors import InvalidRequestError
from afterword.files import Upload
from afterword.runtime import json_text

MAX_FIELDS = 1_000
MAX_HEADERS = 16
MAX_HEADER_BYTES = 16 * 1024
"""What one part may have of headers, and these together of bytes."""
MAX_NAME_LENGTH = 256
MAX_FILE_NAME_BYTES = 255

_CHARSET = "_charset_"
_MULTIPART = "multipart/form-data"
_URLENCODED = "application/x-www-form-urlencoded"
_JSON = "application/json"

_BOUNDARY = re.compile(r"[ -~]{0,199}[!-~]")
_UTF_8 = {"utf-8", "utf8", "us-ascii", "ascii"}
_IDENTITY_ENCODINGS = {"7bit", "8bit", "binary"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_NOT_SHOWN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Control characters, line breaks, and what shows a name in another order than it is written."""

_BAD_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_EXTENDED = re.compile(r"(?i:utf-8)'[^']*'((?:%[0-9A-Fa-f]{2}|[^%'])*)")
_HTML_ESCAPE = re.compile(r"%(?:22|0[AaDd])")
_ESCAPE = re.compile(r'\\(["\\])')


def _parameter(quoted: str) -> re.Pattern[str]:
    value = rf'(?:"({quoted})"|([^\s;"]+))'
    return re.compile(rf";[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*{value}[ \t]*")


_GRAMMARS = (
    (_parameter(r'[^"\\]*(?:\\.[^"\\]*)*'), _ESCAPE),
    (_parameter(r'[^"]*'), None),
)
"""A header's parameter and the escapes in it: as RFC 822 has it, and as HTML has it, with none."""

type Field = tuple[str, str | Upload | None]
"""A field's name and value; None is a value that is as if not sent."""

type OfJson = Callable[[object], Iterable[Field]]
"""Makes fields of a JSON body that is no object; raises InvalidRequestError if it cannot."""


@dataclass(frozen=True, slots=True)
class Form:
    """A form's fields in the order sent; one may be repeated. JSON's empty lists are by name."""

    fields: list[Field]
    emptied: frozenset[str] = frozenset()


def read(content_type: str, body: bytes, otherwise: OfJson | None = None) -> Form:
    """Return the form that a request's body is.

    `content_type` is the header, "" if there was none: then only a body that begins like JSON is
    read. JSON is an object, or what `otherwise` reads. Raises InvalidRequestError, which says what
    is wrong and in which field, and never has any of a field's value in it.
    """
    header = _parameters(content_type)
    if header is None:
        raise InvalidRequestError("Content-Type: its parameters cannot be read.")
    media_type, parameters = header
    if not media_type and _begins_like_json(body):
        media_type = _JSON
    _check_charset(parameters, "Content-Type")
    if media_type == _MULTIPART:
        form = Form(_from_multipart(parameters.get("boundary", ""), body))
    elif media_type == _URLENCODED:
        form = Form(_from_urlencoded(body))
    elif media_type == _JSON:
        form = _from_json(body, otherwise)
    else:
        raise InvalidRequestError(
            f"Content-Type: it must be {_MULTIPART}, {_URLENCODED} or {_JSON}."
        )
    return Form(_in_utf_8(form.fields), form.emptied)


def _in_utf_8(fields: list[Field]) -> list[Field]:
    """Return the fields without `_charset_`, which has to be UTF-8."""
    for name, value in fields:
        if name == _CHARSET and not (isinstance(value, str) and value.lower() in _UTF_8):
            raise InvalidRequestError(f"{_CHARSET}: the form must be UTF-8.")
    return [field for field in fields if field[0] != _CHARSET]


def _from_multipart(boundary: str, body: bytes) -> list[Field]:
    if not _BOUNDARY.fullmatch(boundary):
        raise InvalidRequestError(
            "Content-Type: it has no boundary, or none that is 1 to 200 ASCII characters. "
            "Leave this header to the HTTP client, which knows the boundary."
        )
    delimiter = b"--" + boundary.encode("ascii")
    form = body.lstrip(b"\r\n")
    if not form.startswith((delimiter + b"\r\n", delimiter + b"--")):
        raise InvalidRequestError(
            "The body does not begin with the Content-Type's boundary on a line that ends in CRLF."
        )
    _, last, rest = (b"\r\n" + form).partition(b"\r\n" + delimiter + b"--")
    if not last:
        raise InvalidRequestError("The body ends before its last boundary; it may be cut off.")
    if rest.strip(b" \t\r\n"):
        raise InvalidRequestError(
            "The body goes on after its last boundary; a file may have the boundary in it."
        )
    parts = _Parts()
    parser = MultipartParser(
        delimiter[2:],
        {
            "on_part_begin": parts.begin,
            "on_header_field": parts.header_name,
            "on_header_value": parts.header_value,
            "on_header_end": parts.header_end,
            "on_part_data": parts.data,
            "on_part_end": parts.end,
            "on_end": parts.finish,
        },
        max_header_count=MAX_HEADERS,
        max_header_size=MAX_HEADER_BYTES,
    )
    parser.logger.setLevel(logging.ERROR)  # what is malformed is told to the caller
    try:
        parser.write(form)
    except MultipartParseError as error:
        raise InvalidRequestError(
            f"Part {parts.number}: its headers are malformed or too many, "
            f"at byte {len(body) - len(form) + error.offset} of the body."
        ) from error
    if not parts.finished:
        raise InvalidRequestError(f"Part {parts.number}: its headers have no end.")
    return parts.fields


class _Parts:
    """Makes fields of what MultipartParser finds."""

    def __init__(self) -> None:
        self.fields: list[Field] = []
        self.number = 0
        """Of the part that is being read, from 1."""
        self.finished = False
        self._name = self._value = b""
        self._header_bytes = 0
        self._headers: dict[bytes, bytes] = {}
        self._content = b""

    def begin(self) -> None:
        if self.number == MAX_FIELDS:
            raise InvalidRequestError(_TOO_MANY)
        self.number += 1
        self._headers = {}
        self._header_bytes = 0
        self._content = b""

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._count(start, end)
        self._name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._count(start, end)
        self._value += data[start:end]

    def _count(self, start: int, end: int) -> None:
        self._header_bytes += end - start
        if self._header_bytes > MAX_HEADER_BYTES:
            raise InvalidRequestError(
                f"Part {self.number}: its headers have more than {MAX_HEADER_BYTES} bytes."
            )

    def header_end(self) -> None:
        name = self._name.lower()
        if name in self._headers:
            raise InvalidRequestError(f"Part {self.number}: a header is there twice.")
        self._headers[name] = self._value
        self._name = self._value = b""

    def data(self, data: bytes, start: int, end: int) -> None:
        self._content += data[start:end]

    def end(self) -> None:
        self.fields.append(_part(self.number, self._headers, self._content))

    def finish(self) -> None:
        self.finished = True


def _part(number: int, headers: Mapping[bytes, bytes], content: bytes) -> Field:
    where = f"Part {number}"
    disposition, parameters = _part_header(headers, b"content-disposition", where)
    if disposition != "form-data":
        raise InvalidRequestError(f"{where}: it needs a Content-Disposition of form-data.")
    name = _sent_name(parameters, "name", where)
    if name is None:
        raise InvalidRequestError(f"{where}: its Content-Disposition has no name.")
    check_name(name, where)
    where = f"{name} (part {number})"
    encoding, _ = _part_header(headers, b"content-transfer-encoding", where)
    if encoding and encoding not in _IDENTITY_ENCODINGS:
        raise InvalidRequestError(
            f"{where}: its Content-Transfer-Encoding is not taken; send the content as it is."
        )
    file_name = _sent_name(parameters, "filename", where)
    if file_name is not None:
        unused = not (file_name or content)
        return name, None if unused else Upload(name=shown_name(file_name), content=content)
    media_type, type_parameters = _part_header(headers, b"content-type", where)
    if media_type.startswith("multipart/"):
        raise InvalidRequestError(f"{where}: it has parts of its own; send a field for each.")
    _check_charset(type_parameters, where)
    try:
        return name, _text(content, where)
    except UnicodeDecodeError as error:
        raise InvalidRequestError(
            f"{where}: it is not UTF-8, byte {error.start} cannot be decoded; "
            "a file needs a filename in its Content-Disposition."
        ) from error


def _part_header(
    headers: Mapping[bytes, bytes], name: bytes, where: str
) -> tuple[str, Mapping[str, str]]:
    """Return a header's first word, "" if it is absent, and its parameters."""
    try:
        text = headers.get(name, b"").decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"{where}: its {name.decode()} is not UTF-8.") from error
    parsed = _parameters(text)
    if parsed is None:
        raise InvalidRequestError(f"{where}: its {name.decode()} cannot be read.")
    return parsed


def _parameters(header: str) -> tuple[str, Mapping[str, str]] | None:
    """Return a header's first word and its parameters; None if it has another form."""
    kind, semicolon, rest = header.partition(";")
    rest = semicolon + rest
    for grammar, escape in _GRAMMARS:
        parameters: dict[str, str] = {}
        at = 0
        while (found := grammar.match(rest, at)) and found[1].lower() not in parameters:
            value = found[3] if found[2] is None else found[2]
            parameters[found[1].lower()] = escape.sub(r"\1", value) if escape else value
            at = found.end()
        if not rest[at:].strip("; \t"):
            return kind.strip(" \t").lower(), parameters
    return None


def _sent_name(parameters: Mapping[str, str], parameter: str, where: str) -> str | None:
    """Return the `name` or `filename` of a part, None if it has none."""
    extended = [key for key in parameters if key.startswith(f"{parameter}*")]
    if not extended:
        sent = parameters.get(parameter)
        return sent and _HTML_ESCAPE.sub(lambda escape: unquote(escape[0]), sent)
    if extended == [f"{parameter}*"]:
        encoded = _EXTENDED.fullmatch(parameters[extended[0]])
        with suppress(UnicodeDecodeError):
            if encoded:
                return unquote(encoded[1], errors="strict")
    raise InvalidRequestError(f"{where}: its {parameter}* is not UTF-8 as in RFC 8187.")


def shown_name(file_name: str) -> str:
    """Return what of a file's name is kept, to be shown: no folder, nothing invisible, in NFC."""
    name = file_name.replace("\\", "/").rpartition("/")[2]
    name = unicodedata.normalize("NFC", _NOT_SHOWN.sub("", name)).strip()
    return name.encode()[:MAX_FILE_NAME_BYTES].decode("utf-8", "ignore")


def _from_urlencoded(body: bytes) -> list[Field]:
    """Read a urlencoded form; urllib's parse_qsl cannot tell the field, and takes a lone "%"."""
    if _begins_like_json(body):
        raise InvalidRequestError(f"The body looks like JSON; its Content-Type must be {_JSON}.")
    if body.count(b"&") >= MAX_FIELDS:
        raise InvalidRequestError(_TOO_MANY)
    fields: list[Field] = []
    for number, field in enumerate(body.split(b"&"), 1):
        if not field:
            continue
        where = f"Field {number}"
        sent_name, equals, sent_value = field.partition(b"=")
        if not equals:
            raise InvalidRequestError(f'{where}: it has no "=".')
        name = _urldecoded(sent_name, where)
        check_name(name, where)
        fields.append((name, _urldecoded(sent_value, f"{name} (field {number})")))
    return fields


def _urldecoded(sent: bytes, where: str) -> str:
    if _BAD_PERCENT.search(sent):
        raise InvalidRequestError(f'{where}: it has a "%" without two hexadecimal digits.')
    try:
        return _text(unquote_to_bytes(sent.replace(b"+", b" ")), where)
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"{where}: it is not UTF-8.") from error


def _from_json(body: bytes, otherwise: OfJson | None) -> Form:
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
    if len(fields) > MAX_FIELDS:
        raise InvalidRequestError(_TOO_MANY)
    return Form(fields, emptied)


def json_texts(value: object, where: str) -> Iterator[str | None]:
    """Yield the value of a member, or each of its list, as text."""
    for item in value if isinstance(value, list) else [value]:
        match item:
            case str():
                yield _checked(item, where)
            case bool():
                yield "true" if item else "false"
            case None:
                yield None
            case _:
                raise InvalidRequestError(
                    f"{where}: it must be a string, a number, true, false or null, "
                    "or a list of them."
                )


def _begins_like_json(body: bytes) -> bool:
    return body.lstrip(b" \t\r\n").startswith((b"{", b"["))


_TOO_MANY = f"The form has more than {MAX_FIELDS} fields."


def _check_charset(parameters: Mapping[str, str], where: str) -> None:
    if parameters.get("charset", "utf-8").lower() not in _UTF_8:
        raise InvalidRequestError(f"{where}: its charset must be UTF-8.")


def check_name(name: str, where: str) -> None:
    """Refuse a name that no input has and no message should repeat."""
    if not name:
        raise InvalidRequestError(f"{where}: its name is empty.")
    if len(name) > MAX_NAME_LENGTH:
        raise InvalidRequestError(f"{where}: its name has more than {MAX_NAME_LENGTH} characters.")
    if _CONTROL.search(_checked(name, where)):
        raise InvalidRequestError(f"{where}: its name has a control character.")


def _text(content: bytes, where: str) -> str:
    return _checked(content.decode("utf-8"), where)


def _checked(text: str, where: str) -> str:
    """Return a text, if it is one that can be stored and asked a model."""
    if "\0" in text:
        raise InvalidRequestError(f"{where}: it has a NUL character.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidRequestError(
            f"{where}: it has half of a surrogate pair, which is no character."
        ) from error
    return text

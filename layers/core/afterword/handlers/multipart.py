r"""Forms of multipart/form-data, as RFC 7578 and the HTML standard have them.

Where these leave a choice, a form is refused:

- A file is a part with a `filename`, whatever its Content-Type; every other part is a text.
- A browser sends an empty file input as `filename=""` without content, which counts as not sent.
- `\"` and `\\` in a quoted name are escapes (RFC 822), unless the header can only be read without
  (a browser's name that ends in a backslash).
- `%22`, `%0D` and `%0A` are HTML's forms of a quote and a line break.
- `name*` and `filename*` go before `name` and `filename`, as in RFC 6266: RFC 7578 rules them out,
  but .NET and older Python clients send them.
- Content-Transfer-Encoding is deprecated: one that would need decoding is refused.
- Text before the first boundary or after the last is refused, and so is a form without its last
  boundary. Otherwise a boundary within a file, or a cut body, would stay unseen.
"""

import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import unquote

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser

from afterword.errors import InvalidRequestError
from afterword.files import Upload
from afterword.handlers.form_fields import (
    Field,
    check_charset,
    check_count,
    check_name,
    decode_text,
    shown_name,
)

MAX_HEADERS = 16
MAX_HEADER_BYTES = 16 * 1024
"""Headers of one part, and the bytes of them together."""

_BOUNDARY = re.compile(r"[ -~]{0,199}[!-~]")
_IDENTITY_ENCODINGS = {"7bit", "8bit", "binary"}
_EXTENDED = re.compile(r"(?i:utf-8)'[^']*'((?:%[0-9A-Fa-f]{2}|[^%'])*)")
_HTML_ESCAPE = re.compile(r"%(?:22|0[AaDd])")
_ESCAPE = re.compile(r'\\(["\\])')


def _build_grammar(quoted: str) -> re.Pattern[str]:
    value = rf'(?:"({quoted})"|([^\s;"]+))'
    return re.compile(rf";[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*{value}[ \t]*")


_GRAMMARS = (
    (_build_grammar(r'[^"\\]*(?:\\.[^"\\]*)*'), _ESCAPE),
    (_build_grammar(r'[^"]*'), None),
)
"""A header's parameter and its escapes: RFC 822's, and HTML's, which has none."""


def read_multipart(boundary: str, body: bytes) -> list[Field]:
    """Return the fields of a body; raise InvalidRequestError, which never has a value in it."""
    if not _BOUNDARY.fullmatch(boundary):
        raise InvalidRequestError(
            "Content-Type: must have a boundary of 1 to 200 ASCII characters. "
            "Leave this header to the HTTP client, which knows the boundary."
        )
    delimiter = b"--" + boundary.encode("ascii")
    form = body.lstrip(b"\r\n")
    if not form.startswith((delimiter + b"\r\n", delimiter + b"--")):
        raise InvalidRequestError(
            "The body must begin with the Content-Type's boundary on a line that ends in CRLF."
        )
    _, last, rest = (b"\r\n" + form).partition(b"\r\n" + delimiter + b"--")
    if not last:
        raise InvalidRequestError("The body must have its last boundary; its end may be cut off.")
    if rest.strip(b" \t\r\n"):
        raise InvalidRequestError(
            "The body must end with its last boundary; a file may have the boundary in it."
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
    parser.logger.setLevel(logging.ERROR)  # the caller is told of malformed parts
    try:
        parser.write(form)
    except MultipartParseError as error:
        raise InvalidRequestError(
            f"Part {parts.number}: must have at most {MAX_HEADERS} well-formed headers;"
            f" the fault is at byte {len(body) - len(form) + error.offset}."
        ) from error
    if not parts.finished:
        raise InvalidRequestError(
            f"Part {parts.number}: must have headers that end with an empty line."
        )
    return parts.fields


class _Parts:
    """The callbacks of MultipartParser, which collect fields."""

    def __init__(self) -> None:
        self.fields: list[Field] = []
        self.number = 0
        """The number of the present part, from 1."""
        self.finished = False
        self._name = self._value = b""
        self._header_bytes = 0
        self._headers: dict[bytes, bytes] = {}
        self._content = b""

    def begin(self) -> None:
        check_count(self.number + 1)
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
                f"Part {self.number}: must have at most {MAX_HEADER_BYTES} bytes of headers."
            )

    def header_end(self) -> None:
        name = self._name.lower()
        if name in self._headers:
            raise InvalidRequestError(f"Part {self.number}: must have each header once.")
        self._headers[name] = self._value
        self._name = self._value = b""

    def data(self, data: bytes, start: int, end: int) -> None:
        self._content += data[start:end]

    def end(self) -> None:
        self.fields.append(_read_part(self.number, self._headers, self._content))

    def finish(self) -> None:
        self.finished = True


def _read_part(number: int, headers: Mapping[bytes, bytes], content: bytes) -> Field:
    where = f"Part {number}"
    disposition, parameters = _read_header(headers, b"content-disposition", where)
    if disposition != "form-data":
        raise InvalidRequestError(f"{where}: must have a Content-Disposition of form-data.")
    name = _read_name(parameters, "name", where)
    if name is None:
        raise InvalidRequestError(f"{where}: must have a name in its Content-Disposition.")
    check_name(name, where)
    where = f"{name} (part {number})"
    encoding, _ = _read_header(headers, b"content-transfer-encoding", where)
    if encoding and encoding not in _IDENTITY_ENCODINGS:
        raise InvalidRequestError(
            f"{where}: must have its content as it is, without a Content-Transfer-Encoding."
        )
    file_name = _read_name(parameters, "filename", where)
    if file_name is not None:
        unused = not (file_name or content)
        return name, None if unused else Upload(name=shown_name(file_name), content=content)
    media_type, type_parameters = _read_header(headers, b"content-type", where)
    if media_type.startswith("multipart/"):
        raise InvalidRequestError(f"{where}: must have no parts of its own; send a field for each.")
    check_charset(type_parameters, where)
    try:
        return name, decode_text(content, where)
    except UnicodeDecodeError as error:
        raise InvalidRequestError(
            f"{where}: must be UTF-8, and byte {error.start} is not; "
            "a file needs a filename in its Content-Disposition."
        ) from error


def _read_header(
    headers: Mapping[bytes, bytes], name: bytes, where: str
) -> tuple[str, Mapping[str, str]]:
    """Return a header's first word, "" for an absent header, and its parameters."""
    try:
        text = headers.get(name, b"").decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"{where}: must have a {name.decode()} in UTF-8.") from error
    parsed = parse_parameters(text)
    if parsed is None:
        raise InvalidRequestError(f"{where}: must have a well-formed {name.decode()}.")
    return parsed


def parse_parameters(header: str) -> tuple[str, Mapping[str, str]] | None:
    """Return a header's first word and its parameters; None for a malformed header."""
    kind, semicolon, rest = header.partition(";")
    rest = semicolon + rest
    for grammar, escape in _GRAMMARS:
        parameters: dict[str, str] = {}
        at = 0
        while (match := grammar.match(rest, at)) and match[1].lower() not in parameters:
            value = match[3] if match[2] is None else match[2]
            parameters[match[1].lower()] = escape.sub(r"\1", value) if escape else value
            at = match.end()
        if not rest[at:].strip("; \t"):
            return kind.strip(" \t").lower(), parameters
    return None


def _read_name(parameters: Mapping[str, str], parameter: str, where: str) -> str | None:
    """Return the `name` or `filename` of a part; None without one."""
    extended = [key for key in parameters if key.startswith(f"{parameter}*")]
    if not extended:
        sent = parameters.get(parameter)
        return sent and _HTML_ESCAPE.sub(lambda escape: unquote(escape[0]), sent)
    if extended == [f"{parameter}*"]:
        encoded = _EXTENDED.fullmatch(parameters[extended[0]])
        with suppress(UnicodeDecodeError):
            if encoded:
                return unquote(encoded[1], errors="strict")
    raise InvalidRequestError(f"{where}: must have its {parameter}* in UTF-8 as in RFC 8187.")

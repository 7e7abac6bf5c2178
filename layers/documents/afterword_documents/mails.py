"""The text of mails (RFC 5322, MIME) and of mailboxes (RFC 4155): headers, body, attachments."""

import base64
import binascii
import codecs
import quopri
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from email.message import Message
from email.parser import BytesFeedParser

from afterword.files.mails import SEPARATOR
from afterword_documents import detection, encodings, rtf, web_pages
from afterword_documents.lines import Lines
from afterword_documents.verdicts import MAX_PARTS, Verdict, VerdictError

codecs.lookup("raw-unicode-escape")  # of parameters in headers (RFC 2231)

type ReadFile = Callable[[bytes, int, str], str | None]
"""Returns the text of an attached file, in so many mails, with the encoding that its part names.

None for a file that is not read.
"""

MAX_DEPTH = 5
"""Mails in mails, as forwarded ones are, that are read."""
_HEADERS = ("From", "To", "Cc", "Date", "Subject")
_PASSED_OVER = {
    "application/pgp-signature",
    "application/pkcs7-signature",
    "application/x-pkcs7-signature",
    "message/external-body",
}
"""Parts that no reader sees."""
_UNSEEN = {"css", "javascript"}
"""Texts that stand in the mail itself, and that no reader sees either."""
_STUB = 3
"""A plain text that many times shorter than the page beside it says that the mail is a page."""


def text(content: bytes, read_file: ReadFile, depth: int = 0) -> str:
    """Return the text of a mail, or of all mails of a mailbox.

    Raises VerdictError for a text that is too long, and for too many mails.
    """
    lines = Lines()
    mails = _split(content) if _SEPARATOR.match(content) else iter([content])
    for number, each in enumerate(mails):
        if number == MAX_PARTS:
            raise VerdictError(Verdict.TOO_MANY_PAGES)
        try:
            _Mail(lines, read_file, depth).add(_parse(each))
        except TypeError as error:  # of the library, for parameters that are numbered in part
            raise VerdictError(Verdict.DAMAGED) from error
    return lines.text()


_SEPARATOR = re.compile(rb"(?:\A|\n\r?\n)" + SEPARATOR)


def _split(content: bytes) -> Iterator[bytes]:
    """Yield the mails of a mailbox, each without the line that begins it."""
    begin = None
    for match in _SEPARATOR.finditer(content):
        if begin is not None:
            yield _unquote(content[begin : match.start()])
        begin = match.end()
    if begin is not None:
        yield _unquote(content[begin:])


def _unquote(mail: bytes) -> bytes:
    return re.sub(rb"(?m)^>(>*From )", rb"\1", mail)


def _parse(content: bytes) -> Message:
    parser = BytesFeedParser()
    content = content.lstrip(b"\xef\xbb\xbf \t\r\n")
    for at in range(0, len(content), _CHUNK):  # at once it would take four times the memory
        parser.feed(content[at : at + _CHUNK])
    return parser.close()


_CHUNK = 65_536


class _Mail:
    """One mail, whose lines are added: subject, headers, body, then attachments."""

    def __init__(self, lines: Lines, read_file: ReadFile, depth: int) -> None:
        self._lines = lines
        self._read_file = read_file
        self._depth = depth
        self._bodies: list[str] = []
        self._attachments: list[Message] = []

    def add(self, mail: Message) -> None:
        """Add a mail's lines; a mail without headers and text has none."""
        self._read(mail)
        headers = [(name, _header(mail, name)) for name in _HEADERS]
        subject = headers[-1][1]
        self._heading(subject, 1)
        self._lines.add("\n".join(f"{name}: {value}" for name, value in headers if value))
        for body in self._bodies:
            self._lines.add(body)
        for part in self._attachments:
            self._attach(part)

    def _heading(self, title: str, level: int) -> None:
        if title:
            self._lines.add(f"{'#' * min(self._depth + level, 6)} {title}")

    # --- the body ---------------------------------------------------------------------------------

    def _read(self, part: Message) -> None:
        kind = part.get_content_type()
        if kind in _PASSED_OVER:
            return
        if kind == "multipart/alternative" and part.is_multipart():
            self._choose(_parts(part))
        elif part.is_multipart() and part.get_content_maintype() == "multipart":
            for each in _parts(part):
                self._read(each)
        elif _is_body(part):
            if part.get_content_subtype() not in _UNSEEN:
                self._bodies.append(_body(part))
        else:
            self._attachments.append(part)

    def _choose(self, parts: list[Message]) -> None:
        """Take one of several forms of a body: plain text, unless it is a stub of the page."""
        forms: dict[str, str] = {}
        for leaf in _leaves(parts):
            if not _is_body(leaf):
                if leaf.get_content_type() not in _PASSED_OVER:
                    self._attachments.append(leaf)
                continue
            kind = leaf.get_content_subtype()
            if kind in _UNSEEN:
                continue
            forms[kind] = "\n\n".join(filter(None, (forms.get(kind), _body(leaf).strip())))
        plain = forms.get("plain", "")
        page = forms.get("html", "")
        best = page if len(plain) * _STUB < len(page) else plain
        self._bodies.append(best or next((form for form in forms.values() if form), ""))

    # --- attachments ------------------------------------------------------------------------------

    def _attach(self, part: Message) -> None:
        if part.get_content_type() == "message/rfc822" and part.is_multipart():
            self._forward(_parts(part))
            return
        name = _name(part)
        text = self._read_file(_content(part), self._depth, _parameter(part, "charset"))
        if text is not None and text.strip():
            self._heading(name, 2)
            self._lines.add(text.replace("\r\n", "\n").strip("\n"))
        elif not _is_picture_of_page(part) and (part.get_filename() or _content(part)):
            self._lines.add(f"Attached, and not read: {name}")

    def _forward(self, mails: list[Message]) -> None:
        if self._depth + 1 >= MAX_DEPTH:
            self._lines.add("Attached, and not read: a mail within many others")
            return
        for mail in mails:
            _Mail(self._lines, self._read_file, self._depth + 1).add(mail)


def _parts(part: Message) -> list[Message]:
    return [each for each in part.get_payload() if isinstance(each, Message)]


def _leaves(parts: list[Message]) -> Iterator[Message]:
    for part in parts:
        if part.is_multipart() and part.get_content_maintype() == "multipart":
            yield from _leaves(_parts(part))
        else:
            yield part


def _is_body(part: Message) -> bool:
    """Whether a part is text that stands in the mail itself, or parts that cannot be told apart."""
    return (
        part.get_content_maintype() in {"text", "multipart"}
        and part.get_content_disposition() != "attachment"
        and not part.get_filename()
    )


def _is_picture_of_page(part: Message) -> bool:
    return part.get_content_maintype() == "image" and "content-id" in part


def _body(part: Message) -> str:
    content = _content(part)
    if content.lstrip().startswith(b"{\\rtf"):
        return rtf.text(content)
    if part.get_content_subtype() == "html":
        charset = _parameter(part, "charset") or encodings.declared(content)
        return web_pages.page_text(_decode(content, charset))
    text = _decode(content, _parameter(part, "charset")).replace("\r\n", "\n")
    if part.get_content_subtype() == "calendar":
        return _events(text) or text.strip("\n")
    if _parameter(part, "format") == "flowed":
        text = _unflow(text, delete=_parameter(part, "delsp") == "yes")
    return text.strip("\r\n")


_EVENT_FACTS = {
    "SUMMARY": "Event",
    "DTSTART": "Start",
    "DTEND": "End",
    "DUE": "Due",
    "LOCATION": "Location",
    "DESCRIPTION": "Description",
}
_EVENTS = {"VEVENT", "VTODO"}
_PROPERTY = re.compile(r'([A-Z-]{1,40})((?:;[^:;"]{0,200}(?:"[^"]{0,200}")?){0,20}):(.*)')
_ZONE = re.compile(r";TZID=\"?([^;\"]+)")
_ESCAPED = re.compile(r"\\(.)")


def _events(text: str) -> str:
    """Return the events and tasks of a calendar (RFC 5545), without its time zones and alarms."""
    lines: list[str] = []
    inner = ""
    for line in re.sub(r"\n[ \t]", "", text).split("\n"):
        found = _PROPERTY.match(line)
        if found is None:
            continue
        name, parameters, value = found.groups()
        if name in {"BEGIN", "END"}:
            inner = value.strip() if name == "BEGIN" else "VEVENT" if value == "VALARM" else ""
        elif inner in _EVENTS and name in _EVENT_FACTS:
            value = _ESCAPED.sub(lambda each: "\n" if each[1] in "nN" else each[1], value).strip()
            zone = _ZONE.search(parameters)
            value += f" ({zone[1]})" if zone else ""
            lines += [f"{_EVENT_FACTS[name]}: {value}"] if value else []
    return "\n".join(lines)


def _unflow(text: str, *, delete: bool) -> str:
    """Join the lines that were broken for their length alone (RFC 3676)."""
    lines: list[str] = []
    open_quote = None
    for line in text.split("\n"):
        quote = line[: len(line) - len(line.lstrip(">"))]
        rest = line.removeprefix(quote).removeprefix(" ")
        if lines and open_quote == quote:
            lines[-1] += rest
        else:
            lines.append(f"{quote} {rest}" if quote else rest)
        flows = rest.endswith(" ") and rest != "-- "
        open_quote = quote if flows else None
        if flows and delete:
            lines[-1] = lines[-1][:-1]
    return "\n".join(lines)


def _content(part: Message) -> bytes:
    """Return a part's bytes; of a report on a delivery, its fields."""
    if part.is_multipart():
        fields = (f"{name}: {value}" for each in _parts(part) for name, value in each.raw_items())
        return "\n".join(fields).encode("utf-8", "replace")
    if str(part.get("content-transfer-encoding", "")).strip().lower() == "base64":
        with suppress(ValueError):  # which the library below mends, in more memory
            return binascii.a2b_base64(str(part.get_payload()))
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


# --- headers --------------------------------------------------------------------------------------

_ENCODED = re.compile(r"=\?([^?\s*]{1,40})(?:\*[^?\s]{0,20})?\?([BbQq])\?([^?\r\n]*)\?=")
_BETWEEN = re.compile(r"(?<=\?=)\s+(?==\?)")
_MAX_HEADER = 10_000
"""Characters of a header that are read: of hundreds of receivers, the first."""


def _header(mail: Message, name: str) -> str:
    """Return a header's words, decoded; empty for a missing one."""
    for key, value in mail.raw_items():
        if key.lower() == name.lower():
            return _decode_words(str(value)[:_MAX_HEADER], _parameter(mail, "charset"))
    return ""


def _decode_words(value: str, label: str = "") -> str:
    """Return a header without its encoded words (RFC 2047).

    `label` is the encoding of bytes that came as they are.
    Words of one encoding are decoded together, as many programs cut characters between them.
    """
    value = _BETWEEN.sub("", value)
    out: list[str] = []
    held, charset = b"", ""
    at = 0
    for match in _ENCODED.finditer(value):
        between = value[at : match.start()]
        if held and (between or match[1].lower() != charset):
            out.append(_decode(held, charset))
            held = b""
        out.append(_raw(between, label))
        held += _unpack(match[2], match[3])
        charset = match[1].lower()
        at = match.end()
    out.append(_decode(held, charset) if held else "")
    out.append(_raw(value[at:], label))
    return " ".join("".join(out).split())


def _unpack(coding: str, word: str) -> bytes:
    raw = word.encode("ascii", "replace")
    if coding in "Qq":
        return quopri.decodestring(raw, header=True)
    try:
        return base64.b64decode(raw + b"=" * (-len(raw) % 4))
    except binascii.Error:
        return raw


def _raw(text: str, label: str) -> str:
    """Return a stretch of a header, whose bytes beyond ASCII may have come as they are."""
    if text.isascii():
        return text
    return _decode(text.encode("utf-8", "surrogateescape"), label)


def _decode(content: bytes, label: str) -> str:
    """Return a text's characters, in windows-1252 where the encoding cannot be told."""
    try:
        return detection.decode(content, label)
    except VerdictError:
        return encodings.clean(encodings.decode_by(content, "cp1252"))


def _parameter(part: Message, name: str) -> str:
    value = part.get_param(name, "")
    return (value[2] if isinstance(value, tuple) else str(value)).strip().lower()


def _name(part: Message) -> str:
    """Return an attachment's name, or its type."""
    name = _decode_words((part.get_filename() or "")[:_MAX_HEADER])
    return name or part.get_content_type()

"""Mails (RFC 5322) and mailboxes (RFC 4155) by their first lines."""

import re

_SAMPLE = 65_536
_BEFORE = re.compile(rb"(?:\xef\xbb\xbf)?\s{0,100}")
_FIELD = re.compile(rb"([A-Za-z][A-Za-z0-9-]{0,76})[ \t]?:[^\n]*\n?")
_MORE = re.compile(rb"[ \t][^\n]*\n?")
SEPARATOR = rb"From (?=[^\n]{0,500}[0-9]:[0-9]{2})[^\n]*\n"
"""The line with a time that begins a mail of a mailbox; other lines may begin with the word."""
_TELLING = frozenset(
    b"""
    from received return-path message-id mime-version delivered-to x-mailer dkim-signature
    """.split()
)
_USUAL = _TELLING | frozenset(
    b"""
    to cc bcc subject date reply-to sender content-type content-transfer-encoding references
    in-reply-to x-originating-ip user-agent list-id importance thread-topic
    """.split()
)
_MIN_FIELDS = 2
_PARTS = re.compile(rb"(?i)content-type[ \t]?:[ \t]{0,10}multipart/")


def is_mailbox(content: bytes) -> bool:
    """Whether a file is a mailbox: a separator with a time, and a mail below it."""
    separator = re.match(SEPARATOR, content)
    return separator is not None and _has_fields(content, separator.end())


def is_mail(content: bytes) -> bool:
    """Whether a file is a mail: usual fields stand first, and one of them is a mail's own."""
    start = _BEFORE.match(content)
    return start is not None and _has_fields(content, start.end())


def _has_fields(content: bytes, at: int) -> bool:
    """Whether the lines up to the first blank one are fields, as those of mails are."""
    content = content[at : at + _SAMPLE]
    at = 0
    names: set[bytes] = set()
    while at < len(content) and content[at : at + 1] not in {b"\r", b"\n"}:
        field = _FIELD.match(content, at)
        if field is not None:
            names.add(field[1].lower())
            if _PARTS.match(field[0]):
                names.add(b"mime-version")  # which some mails of parts lack
            at = field.end()
            continue
        more = _MORE.match(content, at) if names else None
        if more is None:
            return False
        at = more.end()
    return bool(names & _TELLING) and len(names & _USUAL) >= _MIN_FIELDS

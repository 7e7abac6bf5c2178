"""Bytes that are text: their encoding as far as a file's type needs it.

The documents layer decides on encodings (afterword_documents.encodings). Here a text whose encoding
is unknown is read as Latin-1: its ASCII characters tell the type.
"""

from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE

_MARKS = (
    (BOM_UTF8, "utf-8"),
    (BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark is its start
    (BOM_UTF32_BE, "utf-32-be"),
    (BOM_UTF16_LE, "utf-16-le"),
    (BOM_UTF16_BE, "utf-16-be"),
)
_TEXTUAL = b"\t\n\v\f\r\a\b\x1a\x1b" + bytes(range(32, 127)) + bytes(range(128, 256))
"""Bytes of texts: white space, ends and bells of old systems, escapes of terminals, characters."""
_CONTROLS = bytes(set(range(256)) - set(_TEXTUAL))
_SAMPLE = 4_096


def marked_encoding(content: bytes) -> tuple[str, bytes] | None:
    """Return the Unicode encoding of a text, and its bytes after the byte order mark.

    None for all but Unicode. UTF-16 is known without its mark too: letters of Latin and line ends
    have a zero in every other byte.
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return encoding, content[len(mark) :]
    start = content[:_SAMPLE]
    pairs = len(start) // 2
    if pairs < _MIN_PAIRS or len(content) % 2:
        return None
    for encoding, zeros, others in (
        ("utf-16-le", start[1::2], start[::2]),
        ("utf-16-be", start[::2], start[1::2]),
    ):
        if zeros.count(0) > pairs * 0.7 and not others.count(0):
            return encoding, content
    return None


_MIN_PAIRS = 3


def view_text(content: bytes) -> str | None:
    """Return a text's characters as far as they tell its type; None for bytes of no text.

    A text may have some control characters, as old systems and terminals write them, and some
    bytes that are none of its encoding.
    """
    unicode = marked_encoding(content)
    if unicode is not None:
        encoding, content = unicode
        text = content.decode(encoding, "replace")
        if not _is_mostly_good(text) or _has_controls(text.encode(), 50):
            return None
        return text
    text = content.decode("utf-8", "replace")
    if not is_good(text):
        return None if _has_controls(content, 200, least=0) else content.decode("latin-1")
    return None if _has_controls(content, 50) else text


def is_good(text: str) -> bool:
    """Whether bytes are of an encoding by their text, where U+FFFD stands for those that are not.

    Single bytes may be wrong. Texts of other encodings have no or few sequences of UTF-8.
    """
    bad = text.count("\ufffd")
    return not bad or bad <= (len(text) - len(text.encode("ascii", "ignore"))) / 2


def _is_mostly_good(text: str) -> bool:
    bad = text.count("\ufffd")
    return not bad or (bad < len(text) and bad <= max(1, len(text) // 10))


def _has_controls(content: bytes, share: int, least: int = 2) -> bool:
    """Whether more than one byte in `share` is a control that texts do not have."""
    controls = len(content) - len(content.translate(None, _CONTROLS))
    return controls > max(min(least, len(content) // 3), len(content) // share)

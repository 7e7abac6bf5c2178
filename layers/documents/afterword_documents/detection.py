"""The characters of a text whose encoding only its language tells, by chardet."""

import chardet

from afterword_documents import encodings
from afterword_documents.verdicts import Verdict, VerdictError

encodings.load()
chardet.detect(b"\xcf\xf0\xe8\xe2\xe5\xf2")  # loads its models, before files cannot be opened

_SAMPLE = 200_000
_LATIN = frozenset({"cp1250", "iso8859-2", "cp1254", "cp1257", "iso8859-13"})
_LEAST = 0.05
"""Confidence: that of noise is below, that of two characters of Chinese above."""
_LEAST_FOR_LATIN = 0.15
"""Below, other Latin letters are found in short texts of windows-1252 too."""
_MOST_WRONG = 0.02
"""The share of characters that may be none of the encoding."""


def decode(content: bytes, label: str = "") -> str:
    """Return a text's characters by its mark or its declaration `label`, else by its language.

    Raises VerdictError for an encoding that cannot be told.
    """
    known = encodings.decode_known(content, label)
    return text(content) if known is None else known


def text(content: bytes) -> str:
    """Return the characters by their language; raise VerdictError for those of none."""
    found = chardet.detect(content[:_SAMPLE])
    name = encodings.codec(found["encoding"] or "")
    confidence = found["confidence"]
    if encodings.is_western(content):
        is_other = name in _LATIN and confidence >= _LEAST_FOR_LATIN
        return _decode(content, name if name and is_other else "cp1252")
    if name is None or confidence < _LEAST:
        raise VerdictError(Verdict.UNKNOWN_ENCODING)
    text = _decode(content, name)
    if text.count("\ufffd") > _MOST_WRONG * len(text):
        raise VerdictError(Verdict.UNKNOWN_ENCODING)
    return text


def _decode(content: bytes, name: str) -> str:
    return encodings.clean(encodings.decode_by(content, name))

"""The characters of a text whose encoding only its language tells, by chardet."""

import chardet

from afterword_documents import encodings
from afterword_documents.verdicts import Verdict, VerdictError

encodings.load()
chardet.detect(b"\xcf\xf0\xe8\xe2\xe5\xf2")  # loads its models, before files cannot be opened

_SAMPLE = 200_000


def text(content: bytes) -> str:
    """Return the characters; raise VerdictError for an encoding that cannot be told."""
    name = encodings.codec(chardet.detect(content[:_SAMPLE])["encoding"] or "")
    if name is None:
        raise VerdictError(Verdict.UNKNOWN_ENCODING)
    return encodings.clean(encodings.decode_by(content, name))

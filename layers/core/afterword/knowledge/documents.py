"""The text of a document that is to be a content, whatever kind of document it is."""

import importlib

from afterword.errors import UnprocessableError
from afterword.files import media_types
from afterword.generations import FailedError

TYPES = "text, Markdown, HTML, PDF, DOCX, CSV, JSON"


def extract_text(field: str, content: bytes, seconds: float) -> str:
    """Return a document's text, which may take so many seconds to be read.

    Its type is by its bytes. Raises UnprocessableError for the field if there is no text to be had,
    and UnavailableError where there was no time to read it beside others. What reads documents is
    in a layer of its own, which the function has to have.
    """
    media_type = media_types.detect(content)
    if media_type not in media_types.DOCUMENTS:
        raise UnprocessableError(
            field,
            "must not be an empty file."
            if media_type == media_types.EMPTY
            else f"must be a file of one of these types: {TYPES}.",
        )
    extract = importlib.import_module("afterword_documents.extraction").extract
    try:
        text: str = extract(media_type, content, seconds)
    except FailedError as error:
        raise UnprocessableError(field, str(error)) from error
    return text

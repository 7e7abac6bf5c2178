"""The text of a document that is to be a content, whatever kind of document it is."""

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
            "the file is empty."
            if media_type == media_types.EMPTY
            else f"the file is of no type that is taken; there are: {TYPES}.",
        )
    from afterword_documents.extraction import extract

    try:
        return extract(media_type, content, seconds)
    except FailedError as error:
        raise UnprocessableError(field, str(error)) from error

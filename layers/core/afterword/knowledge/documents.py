"""The text of a document for a content, whatever the document's type."""

from afterword.errors import UnprocessableError
from afterword.files import media_types
from afterword.files.signatures import describe
from afterword.generations import FailedError


def extract_text(field: str, content: bytes, seconds: float) -> str:
    """Return a document's text within `seconds`; the bytes decide its type.

    Raises UnprocessableError for the field of a document without text, and UnavailableError without
    time left beside other documents. The function needs the documents layer.
    """
    media_type = media_types.detect(content)
    if media_type not in media_types.DOCUMENTS:
        raise UnprocessableError(
            field,
            "must not be an empty file."
            if media_type == media_types.EMPTY
            else f"must be a file of one of these types: {media_types.NAMES};"
            f" not {describe(content)}.",
        )
    from afterword_documents.extraction import extract

    try:
        return extract(media_type, content, seconds)
    except FailedError as error:
        raise UnprocessableError(field, str(error)) from error

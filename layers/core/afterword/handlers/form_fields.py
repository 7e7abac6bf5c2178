"""Fields of a form: their type, names and texts, whatever body they come in."""

import re
import unicodedata
from collections.abc import Mapping

from afterword.errors import InvalidRequestError
from afterword.files import Upload

MAX_FIELDS = 1_000
MAX_NAME_LENGTH = 256
MAX_FILE_NAME_BYTES = 255
UTF_8 = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
"""The names of UTF-8, and of its subset, in lower case."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_NOT_SHOWN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Control characters, line breaks, and the controls of text direction."""

type Field = tuple[str, str | Upload | None]
"""A field's name and value; None stands for a value that was not sent."""


def check_count(count: int) -> None:
    """Raise InvalidRequestError for more than MAX_FIELDS fields."""
    if count > MAX_FIELDS:
        raise InvalidRequestError(f"The form must have at most {MAX_FIELDS} fields.")


def check_charset(parameters: Mapping[str, str], where: str) -> None:
    """Raise InvalidRequestError for a `charset` other than UTF-8."""
    if parameters.get("charset", "utf-8").lower() not in UTF_8:
        raise InvalidRequestError(f"{where}: must have the charset UTF-8.")


def check_name(name: str, where: str) -> None:
    """Raise InvalidRequestError for a name that no input has and no message may repeat."""
    if not name:
        raise InvalidRequestError(f"{where}: must have a name.")
    if len(name) > MAX_NAME_LENGTH:
        raise InvalidRequestError(
            f"{where}: must have a name of at most {MAX_NAME_LENGTH} characters."
        )
    if _CONTROL.search(check_text(name, where)):
        raise InvalidRequestError(f"{where}: must have a name without control characters.")


def shown_name(file_name: str) -> str:
    """Return a file's name as it is stored: without folder and invisible characters, in NFC."""
    name = file_name.replace("\\", "/").rpartition("/")[2]
    name = unicodedata.normalize("NFC", _NOT_SHOWN.sub("", name)).strip()
    return name.encode()[:MAX_FILE_NAME_BYTES].decode("utf-8", "ignore")


def decode_text(content: bytes, where: str) -> str:
    """Return a text of UTF-8; raise UnicodeDecodeError, or InvalidRequestError for a NUL."""
    return check_text(content.decode("utf-8"), where)


def check_text(text: str, where: str) -> str:
    """Return the text; raise InvalidRequestError for characters that cannot be stored."""
    if "\0" in text:
        raise InvalidRequestError(f"{where}: must have no NUL character.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidRequestError(f"{where}: must have no half of a surrogate pair.") from error
    return text

"""Texts to and from models that are no Unicode: halves of surrogate pairs."""


def replace_surrogates(text: str) -> str:
    """Return the text with U+FFFD for lone surrogates; two halves that meet are one character.

    JSON may carry them as escapes; UTF-8, and so storage and every client, cannot.
    """
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text

"""Prompt templates: `{{name}}` stands for an input, or for the result of an earlier step.

All names are filled in one pass, so that a name inside a value stays.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

_NAMED = re.compile(r"\{\{([^{}\n]*)\}\}")


class TooLongError(ValueError):
    """A template whose values make it longer than its bound."""


def list_names(text: str) -> list[str]:
    """Return the names in a template, in order; any text between double braces is a name."""
    return [match[1].strip() for match in _NAMED.finditer(text)]


def has_text(parts: Iterable[str]) -> bool:
    """Whether a text has a visible character: one that is no blank and no control."""
    return any(char.isprintable() and not char.isspace() for part in parts for char in part)


def fill_template(text: str, values: Mapping[str, str], most: int) -> str:
    """Return the text with each name replaced by its value, '' without one.

    Raises TooLongError for more than `most` characters, before they are put together: a long value
    may stand in a template a thousand times.
    """
    parts = []
    for part in fill_parts(text, values):
        most -= len(part)
        if most < 0:
            raise TooLongError
        parts.append(part)
    return "".join(parts)


def fill_parts(text: str, values: Mapping[str, str]) -> Iterator[str]:
    """Yield the parts of a filled template in order."""
    at = 0
    for match in _NAMED.finditer(text):
        yield text[at : match.start()]
        yield values.get(match[1].strip(), "")
        at = match.end()
    yield text[at:]

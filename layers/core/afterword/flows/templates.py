"""Prompt templates: `{{name}}` stands for an input, or for the result of an earlier step.

All names are filled in one pass, so that a name inside a value stays.
"""

import re
from collections.abc import Mapping

_NAMED = re.compile(r"\{\{([^{}\n]*)\}\}")


def list_names(text: str) -> list[str]:
    """Return the names in a template, in order; any text between double braces is a name."""
    return [match[1].strip() for match in _NAMED.finditer(text)]


def fill_template(text: str, values: Mapping[str, str]) -> str:
    """Return the text with each name replaced by its value, '' without one."""
    return _NAMED.sub(lambda match: values.get(match[1].strip(), ""), text)

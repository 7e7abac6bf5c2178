"""Prompt templates: `{{name}}` stands for an input, or for the result of an earlier step.

Filled in one pass over the names: a value that looks like a name itself stays as it is.
"""

import re
from collections.abc import Mapping

_NAMED = re.compile(r"\{\{([^{}\n]*)\}\}")


def placeholder_names(text: str) -> list[str]:
    """Return the names in a template, in order; anything between double braces is meant as one."""
    return [match[1].strip() for match in _NAMED.finditer(text)]


def fill_template(text: str, values: Mapping[str, str]) -> str:
    """Return the text with each name's value in its place; nothing for what has none."""
    return _NAMED.sub(lambda match: values.get(match[1].strip(), ""), text)

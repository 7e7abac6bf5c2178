"""Reply templates: fixed words with bracketed placeholders, such as `Dear [customer's name],`.

A placeholder is 1 to 200 characters between `[` and `]` on one line. White space alone is none, and
brackets inside are not allowed. Other text is unchanged. Equal placeholders have one value.
"""

import re
import unicodedata
from collections.abc import Mapping

from afterword.errors import InvalidRequestError
from afterword.flows.json_values import UnusableError
from afterword.generations import Reason
from afterword.records import dataclass

_PLACEHOLDER = re.compile(r"\[([^\[\]\n\r]{1,200})\]")
MAX_PLACEHOLDERS = 100
MAX_OUTPUT = 2_000_000
"""Characters of a filled template."""
_PROPERTY_LENGTH = 64  # Bedrock's maximum for the name of a tool's property


@dataclass(frozen=True, slots=True)
class Template:
    """A reply template. `properties` maps a JSON property to the placeholder that it fills."""

    text: str
    properties: Mapping[str, str]

    def schema(self) -> dict[str, object]:
        """Return the JSON schema of an object with one non-empty string for each placeholder."""
        return {
            "type": "object",
            "properties": {
                name: {"type": "string", "description": placeholder, "minLength": 1}
                for name, placeholder in self.properties.items()
            },
            "required": list(self.properties),
            "additionalProperties": False,
        }

    def fill(self, output: object) -> str:
        """Return the template with each placeholder replaced by its value in the model's output.

        The output is a JSON object after `schema`. Values are inserted in one pass, so that a
        placeholder inside a value stays. Raises UnusableError for another output, and for a value
        that is missing, blank, or the placeholder itself.
        """
        values = self._values(output)
        by_placeholder = {
            placeholder: values[name] for name, placeholder in self.properties.items()
        }
        size = len(self.text)
        for match in _PLACEHOLDER.finditer(self.text):
            size += len(by_placeholder.get(match[1], match[0])) - len(match[0])
            if size > MAX_OUTPUT:
                filled = f"The template would be filled with more than {MAX_OUTPUT:,} characters."
                raise UnusableError(
                    Reason.INVALID_RESPONSE, filled, f"{filled} Write shorter texts."
                )
        return _PLACEHOLDER.sub(lambda match: by_placeholder.get(match[1], match[0]), self.text)

    def _values(self, output: object) -> dict[str, str]:
        if not isinstance(output, dict):
            raise UnusableError(
                Reason.INVALID_RESPONSE,
                "The model's output for the template is no JSON object.",
                "The answer is no JSON object.",
            )
        values: dict[str, str] = {}
        for name, placeholder in self.properties.items():
            value = output.get(name)
            text = value.strip() if isinstance(value, str) else ""
            if not text or text == f"[{placeholder}]":
                raise UnusableError(
                    Reason.EMPTY_PLACEHOLDER,
                    f"The model left [{placeholder}] empty.",
                    f"At /{name}: there must be a text that is not empty.",
                )
            values[name] = text
        return values


def parse_template(text: str) -> Template:
    """Return a template with its placeholders, in the order of their first occurrence.

    Raises InvalidRequestError for more than MAX_PLACEHOLDERS different ones.
    """
    properties: dict[str, str] = {}
    seen: set[str] = set()
    for match in _PLACEHOLDER.finditer(text):
        placeholder = match[1]
        if placeholder.strip() and placeholder not in seen:
            seen.add(placeholder)
            if len(properties) == MAX_PLACEHOLDERS:
                raise InvalidRequestError(
                    f"template: must have at most {MAX_PLACEHOLDERS} different placeholders."
                )
            properties[_name_property(placeholder, properties)] = placeholder
    return Template(text, properties)


def _name_property(placeholder: str, taken: Mapping[str, str]) -> str:
    """Return a readable property name in ASCII that is not taken."""
    ascii_text = unicodedata.normalize("NFKD", placeholder).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "_", ascii_text.lower()).strip("_") or "placeholder"
    name = slug = slug[: _PROPERTY_LENGTH - 4].rstrip("_")
    count = 1
    while name in taken:
        count += 1
        name = f"{slug}_{count}"
    return name

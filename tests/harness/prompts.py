"""The words of a prompt that its schema brings along."""

import json
from collections.abc import Mapping


def as_json(schema: Mapping[str, object]) -> str:
    """Return the instructions with a schema."""
    return (
        "Answer with one JSON object that is valid by this JSON schema, and with nothing before or"
        f" after it:\n{json.dumps(schema, ensure_ascii=False, separators=(',', ':'))}"
    )


AS_ARRAY = as_json(
    {
        "type": "object",
        "properties": {"items": {"type": "array", "items": {"type": "string"}}},
        "required": ["items"],
        "additionalProperties": False,
    }
)
"""The instructions of a step whose output is an array."""

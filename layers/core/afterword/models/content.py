"""The text of an answer, whose content may be a text or a list of parts."""

import json
from collections.abc import Mapping

from afterword.records import dataclass

_TEXT_TYPES = frozenset({"text", "output_text", "input_text"})
_MEMBERS = {
    "text": "text",
    "output_text": "text",
    "input_text": "text",
    "image_url": "image_url",
    "reference": "reference_ids",
    "refusal": "refusal",
    "reasoning": "text",
    "thinking": "thinking",
    "redacted_thinking": "data",
}
"""The member that a part of each type has, by which an object alone is known as one."""


class UnreadableContentError(ValueError):
    """A content that is neither a text nor parts."""


@dataclass(frozen=True, slots=True)
class Content:
    """The text parts of an answer, joined; the words of a refusal, empty without one."""

    text: str
    refusal: str = ""


def read_content(content: object, *, structured: bool = False) -> Content:
    """Return the text of a message's content; raise UnreadableContentError for another thing.

    Parts of other types are left out: thinking (Mistral), reasoning (Bedrock), references,
    images. An object that is no part is the structured answer itself. Where a `structured` answer
    was asked for, every object alone is: `type` and `text` are names of its members, too.
    """
    match content:
        case None:
            return Content("")
        case str():
            return Content(content)
        case list():
            parts = [_read_part(part) for part in content]
        case dict() if not structured and _is_part(content):
            parts = [_read_part(content)]
        case dict():
            return Content(_dump(content))
        case _:
            raise UnreadableContentError(type(content).__name__)
    return Content("".join(part.text for part in parts), "".join(part.refusal for part in parts))


def _is_part(value: Mapping[str, object]) -> bool:
    """Whether an object alone is a part: by its type, or as a text and nothing else."""
    match value:
        case {"type": str(kind)}:
            return kind in _MEMBERS and _MEMBERS[kind] in value
        case _:
            return value.keys() == {"text"} and isinstance(value["text"], str)


def _read_part(part: object) -> Content:
    match part:
        case str():
            return Content(part)
        case {"type": "refusal", "refusal": str(refusal)}:
            return Content("", refusal)
        case {"type": str(kind)} if kind not in _TEXT_TYPES:
            return Content("")
        case {"text": str(text)} | {"text": {"value": str(text)}}:
            return Content(text)
        case {"citationsContent": {"content": list(cited)}}:  # Bedrock: a text with its sources
            return Content("".join(_cited_text(each) for each in cited))
        case _:
            return Content("")


def _cited_text(value: object) -> str:
    match value:
        case {"text": str(text)}:
            return text
        case _:
            return ""


def _dump(value: Mapping[str, object]) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError as error:
        raise UnreadableContentError("nested too deeply") from error

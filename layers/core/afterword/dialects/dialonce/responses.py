"""Dialonce's responses, as openapi.yaml describes them."""

from typing import Annotated, Literal, TypedDict

from afterword.handlers.json_schema import Schema, Uuid
from afterword.runtime.json_text import JsonText


class TextProcessOutput(TypedDict):
    """The answer to a submission."""

    process_cuid: Uuid
    """The process, which is a generation."""


class MailGenerationAsyncOutput(TypedDict):
    """The state of a reply."""

    status: Literal["started", "completed", "failed"]
    response: str | None
    """The reply; null unless completed."""
    external_ref: Annotated[JsonText, Schema(str | None)]
    """As sent."""
    external_metadata: Annotated[JsonText, Schema(dict[str, object] | None)]
    """As sent, to the letter."""


class DialonceError(TypedDict):
    """The reason of a refusal."""

    statusCode: int
    """The status of the response."""
    message: str
    """A sentence."""
    error: str
    """The status in words."""

"""Dialonce's responses, as openapi.yaml describes them."""

from typing import Annotated, Literal, TypedDict

from afterword.handlers.json_schema import Schema, Uuid
from afterword.runtime.json_text import JsonText


class TextProcessOutput(TypedDict):
    """The answer to a submission."""

    process_cuid: Uuid
    """The process, which is a generation."""


class External(TypedDict):
    """The caller's own data."""

    external_ref: Annotated[JsonText, Schema(str | None)]
    """As sent."""
    external_metadata: Annotated[JsonText, Schema(dict[str, object] | None)]
    """As sent, to the letter."""


class MailGenerationAsyncOutput(External):
    """The state of a reply."""

    status: Literal["started", "completed", "failed"]
    response: str | None
    """The reply; null unless completed."""


class MailClassification(TypedDict):
    """The class of a mail."""

    classification: str
    """The name of one of the flow's classes."""
    confidence: Annotated[float, Schema(minimum=0, maximum=1)]
    """The probability of that class by the model's tokens, else the model's own estimate."""


class MailClassificationAsyncOutput(External):
    """The state of a classification."""

    status: Literal["started", "completed", "failed"]
    result: MailClassification | None
    """The class; null unless completed."""


class DialonceError(TypedDict):
    """The reason of a refusal."""

    statusCode: int
    """The status of the response."""
    message: str
    """A sentence."""
    error: str
    """The status in words."""

"""Responses with generations."""

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from afterword.dialects.native.responses import NextPage
from afterword.generations import FeedbackKind, Reason, SetbackReason, Status
from afterword.handlers.json_schema import Open, Schema, Time, Uuid
from afterword.runtime.json_text import JsonText


class Source(TypedDict):
    """A content whose passages were in the prompt."""

    content: str
    """The content's id."""
    title: str
    folder: str
    """The folder's id."""
    external_id: str | None
    source: str | None
    """The address for readers."""
    used: bool
    """Whether the output cites the content, or draws on it."""


class Used(TypedDict):
    """The tokens of a generation."""

    model: str | None
    tokens_in: int
    tokens_out: int | None
    estimated: bool
    """Whether the model's provider left a number out, which is then counted from the texts."""


class Failure(TypedDict):
    """The reason why a generation failed."""

    reason: Open[Reason]
    """For programs."""
    message: str | None
    """For readers."""


class GivenFeedback(TypedDict):
    """A reader's feedback."""

    kind: Open[FeedbackKind] | None
    """Null for a note alone."""
    note: str | None


class LastError(TypedDict):
    """The reason why the last attempt of an open generation came to no end."""

    reason: Open[SetbackReason]
    code: str | None
    """The word of the model's provider, such as `ThrottlingException`, or its HTTP status."""
    retry_at: Time | None
    """The time of the next try; null while that runs."""


class Links(TypedDict):
    """The actions on a generation, as paths."""

    self: str
    cancel: NotRequired[str]
    """While the generation is open."""
    retry: NotRequired[str]
    """Once the generation has failed or was canceled."""


class Generation(TypedDict):
    """A generation, submitted through any of the APIs."""

    id: Uuid
    status: Open[Status]
    flow: str
    flow_version: int
    dialect: str
    """The API of the submission."""
    created_at: Time
    finished_at: Time | None
    deadline_at: Time
    """A generation that is still open then fails."""
    attempts: int
    external_ref: Annotated[JsonText, Schema(str | None)]
    """As sent."""
    metadata: Annotated[JsonText, Schema(dict[str, Any] | None)]
    """As sent, to the letter."""
    output: Annotated[JsonText, Schema(str | list[Any] | dict[str, Any] | None)]
    """A text, an array or an object, by the flow's last step; null unless succeeded."""
    stop_reason: Open[Literal["stop", "length"]] | None
    """`length` for a text that was cut at its step's `max_tokens`; null unless succeeded."""
    sources: list[Source]
    """The contents in the prompt, the best first."""
    usage: Used | None
    error: Failure | None
    last_error: LastError | None
    """Of an open generation, after an attempt that was throttled, timed out or lost."""
    retry_of: Uuid | None
    """The generation that this one repeats."""
    title: str | None
    rating: int | None
    feedback: GivenFeedback | None
    gone: bool
    """Whether a text of the generation is gone from storage: its output or its metadata, then
    null."""
    links: Links


class GenerationList(NextPage):
    """A page of generations."""

    items: Annotated[JsonText, Schema(list[Generation])]
    """Newest first."""

"""Promptitude's responses, as openapi.yaml describes them."""

from typing import Annotated, Literal, NotRequired, TypedDict

from afterword.dialects.promptitude.content import PAGE
from afterword.handlers.json_schema import Count, Schema, Sentence, Time, Uuid
from afterword.knowledge import MAX_EXTERNAL_ID, MAX_NAME, MAX_SOURCE, MAX_TAGS
from afterword.runtime.json_text import JsonText

_Result = Annotated[JsonText, Schema(str | list[str] | dict[str, object])]
_Rating = Annotated[int, Schema(minimum=0, maximum=3)]
_Positive = Annotated[int, Schema(minimum=1)]


class Ran(TypedDict):
    """The result of a run."""

    result: _Result
    """A text, an array or an object, by the flow's last step."""
    logId: Uuid
    """The run, which is a generation."""


class Running(TypedDict):
    """A run that is not finished, in its log."""

    logId: Uuid
    flowId: str
    userId: str | None
    rating: _Rating
    """0 for none."""


class Logged(Running):
    """A finished run in its log."""

    result: _Result


class RatedLog(TypedDict):
    """A run and its rating, under the service's names."""

    id: Uuid
    rating: _Rating


class Rated(TypedDict):
    """The rating of a run."""

    promptsLogs: RatedLog
    logId: Uuid
    rating: _Rating


class Stopped(TypedDict):
    """A run without a result, or without one yet."""

    logId: Uuid
    flowId: NotRequired[str]
    """In the log alone, like the next two."""
    userId: NotRequired[str | None]
    rating: NotRequired[_Rating]


class _Ok(TypedDict):
    code: Literal[200]
    message: Literal["OK"]
    error: Literal[False]


class RunAnswer(_Ok):
    """The result of a run."""

    results: Ran


class LogAnswer(_Ok):
    """A run that has succeeded."""

    results: Logged


class RunningAnswer(TypedDict):
    """A run that is not finished."""

    code: Literal[202]
    message: str
    error: Literal[False]
    results: Running


class RatedAnswer(_Ok):
    """A stored rating."""

    results: Rated


class PromptitudeError(TypedDict):
    """The reason of a refusal."""

    code: Annotated[int, Schema(minimum=400, maximum=599)]
    """The status of the response."""
    message: Sentence
    """A sentence."""
    error: Literal[True]


class RunError(PromptitudeError):
    """The reason why a run has no result."""

    results: NotRequired[Stopped]
    """The run in the log, if there is one."""


class Label(TypedDict):
    """A folder or a tag."""

    id: Uuid
    name: Sentence


class Content(TypedDict):
    """A document of the knowledge base, without its text."""

    id: Uuid
    name: Annotated[str, Schema(minLength=1, maxLength=MAX_NAME)]
    folder: Label
    tags: Annotated[list[Label], Schema(maxItems=MAX_TAGS)]
    externalId: Annotated[str, Schema(maxLength=MAX_EXTERNAL_ID)] | None
    source: Annotated[str, Schema(maxLength=MAX_SOURCE)] | None
    characters: _Positive
    """The length of the text."""
    passages: _Positive
    """The number of passages of the text."""
    createdAt: Time
    updatedAt: Time


class ContentAnswer(_Ok):
    """A content."""

    results: Content


class Removed(TypedDict):
    """A content that was removed."""

    id: Uuid


class RemovedAnswer(_Ok):
    """A removal."""

    results: Removed


class Contents(TypedDict):
    """A page of a folder's contents."""

    contentsCount: Count
    """The contents of the whole folder."""
    contents: Annotated[list[Content], Schema(maxItems=PAGE)]
    """Oldest first."""


class ContentsAnswer(_Ok):
    """A page of contents."""

    results: Contents


class Folder(TypedDict):
    """A folder."""

    id: Uuid
    name: Sentence
    contentsCount: Count
    type: Literal["manual"]
    """Filled by requests, not by crawling a website."""
    description: Literal[""]


class Folders(TypedDict):
    """All folders."""

    foldersCount: Count
    folders: list[Folder]
    """By name."""


class FoldersAnswer(_Ok):
    """All folders."""

    results: Folders

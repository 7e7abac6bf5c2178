"""Promptitude's flows, logs and contents."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field
from pydantic.experimental.missing_sentinel import MISSING

from afterword.dialects.promptitude import MAX_LABELS, MAX_USER
from afterword.dialects.promptitude.content import PAGE
from afterword.knowledge import MAX_EXTERNAL_ID, MAX_NAME, MAX_SOURCE, MAX_TAGS
from openapi.operations import (
    DEADLINE,
    FORM,
    IDEMPOTENCY_KEY,
    JSON,
    MULTIPART,
    NEXT,
    Answer,
    Body,
    Described,
    Operation,
    Section,
    Strict,
    errors,
    json_body,
    path,
    query,
)

TAG = "Promptitude"
KEYS = ("bearer",)
LOG = path("logId", "The `logId` of an answer.", UUID)

_Value = str | float | bool | None
_Label = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
_Labels = Annotated[list[_Label], Field(max_length=MAX_LABELS)]
_Rating = Annotated[int, Field(ge=0, le=3)]


class Chosen(Strict):
    """Folders or tags, by id or name or both; an empty list takes all."""

    ids: _Labels | None = None
    names: _Labels | None = None


class ChosenContext(Strict):
    """Other folders or tags for a step than it has."""

    folders: Chosen | None = None
    tags: Chosen | None = None


class StepOverride(Described):
    """What is different for a step this time."""

    context: ChosenContext | None = None


class FlowInputs(Described):
    """What the flow is run with."""

    inputs: dict[str, _Value | list[_Value]] | None = None
    """The flow's inputs by name; a list for one that may be sent several times."""


class FlowRequest(Described):
    """A run of a flow."""

    userId: Annotated[str, Field(max_length=MAX_USER)] | None = None
    """Kept and shown in the log, and never told to the model."""
    flow: FlowInputs | None = None
    steps: dict[str, StepOverride] | None = None
    """By the steps' names."""


class Ran(Described):
    """What a run answers."""

    result: str | list[str] | dict[str, object]
    """A text, an array or an object, as the flow's last step says."""
    logId: UUID
    """The run, which is a generation."""


class Running(Described):
    """A run that is not finished, as its log shows it."""

    logId: UUID
    flowId: str
    userId: str | None
    rating: _Rating
    """0 for none."""


class Logged(Running):
    """A run as its log shows it."""

    result: str | list[str] | dict[str, object]


class Rated(Described):
    """What a rating is now."""

    logId: UUID
    rating: _Rating


class Stopped(Described):
    """A run that has no result, or none yet."""

    logId: UUID
    flowId: str | MISSING = MISSING
    """In the log alone, like the next two."""
    userId: str | MISSING | None = MISSING
    rating: _Rating | MISSING = MISSING


class _Ok(Described):
    code: Literal[200]
    message: Literal["OK"]
    error: Literal[False]


class RunAnswer(_Ok):
    """The result of a run."""

    results: Ran


class LogAnswer(_Ok):
    """A run that has succeeded."""

    results: Logged


class RunningAnswer(Described):
    """A run that is not finished."""

    code: Literal[202]
    message: str
    error: Literal[False]
    results: Running


class RatedAnswer(_Ok):
    """A rating that is stored."""

    results: Rated


class PromptitudeError(Described):
    """What is wrong."""

    code: Annotated[int, Field(ge=400, le=599)]
    """The status of the response."""
    message: Annotated[str, Field(min_length=1)]
    """A sentence."""
    error: Literal[True]


class RunError(PromptitudeError):
    """What is wrong with a run."""

    results: Stopped | MISSING = MISSING
    """The run, if there is one: it is in the log."""


class Rating(Described):
    """How good a result is."""

    rating: _Rating
    """1 to 3; 0 takes it away."""


class RatingRequest(Described):
    """A rating."""

    rating: Rating


class _ContentFields(Strict):
    name: Annotated[str, Field(max_length=MAX_NAME)] | None = None
    """A file's own name if it is not sent."""
    text: str | None = None
    """The text itself."""
    fileUrl: str | None = None
    """Where the file is: https, on the public internet, open to everyone."""
    folder: Annotated[str, Field(max_length=MAX_NAME)] | None = None
    """The name of a folder, made if it is missing, or the id of one that is there."""
    externalId: Annotated[str, Field(max_length=MAX_EXTERNAL_ID)] | None = None
    """Your own id."""
    source: Annotated[str, Field(max_length=MAX_SOURCE)] | None = None
    """Where it is to be read; shown with answers. `fileUrl` if it is not sent."""


class ContentForm(_ContentFields):
    """A content, or what is to be changed of it; of `text` and `fileUrl` one is taken."""

    tags: str | None = None
    """Names between commas; empty ones take all away."""


class ContentUpload(ContentForm):
    """A content whose file may be sent along; of `text`, `fileUrl` and `file` one is taken."""

    file: Annotated[str, Field(json_schema_extra={"format": "binary"})] | None = None
    """Text, Markdown, HTML, PDF, DOCX, CSV or JSON, by what the bytes are."""


class ContentDocument(_ContentFields):
    """A content as JSON, with tags that may be a list."""

    tags: str | Annotated[list[str], Field(max_length=MAX_TAGS)] | None = None
    """Names, in a list or between commas; none take all away."""


class Label(Described):
    """A folder or a tag."""

    id: UUID
    name: Annotated[str, Field(min_length=1)]


class Content(Described):
    """A document of the knowledge base, without its text."""

    id: UUID
    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
    folder: Label
    tags: Annotated[list[Label], Field(max_length=MAX_TAGS)]
    externalId: Annotated[str, Field(max_length=MAX_EXTERNAL_ID)] | None
    source: Annotated[str, Field(max_length=MAX_SOURCE)] | None
    characters: Annotated[int, Field(ge=1)]
    """Of its text."""
    passages: Annotated[int, Field(ge=1)]
    """That its text is cut into."""
    createdAt: datetime
    updatedAt: datetime


class ContentAnswer(_Ok):
    """A content."""

    results: Content


class Contents(Described):
    """A page of a folder's contents."""

    contentsCount: Annotated[int, Field(ge=0)]
    """Of the whole folder."""
    contents: Annotated[list[Content], Field(max_length=PAGE)]
    """Oldest first."""


class ContentsAnswer(_Ok):
    """A page of contents."""

    results: Contents


class Folder(Described):
    """A folder."""

    id: UUID
    name: Annotated[str, Field(min_length=1)]
    contentsCount: Annotated[int, Field(ge=0)]
    type: Literal["folder"]
    description: Literal[""]


class Folders(Described):
    """All folders."""

    foldersCount: Annotated[int, Field(ge=0)]
    folders: list[Folder]
    """By name."""


class FoldersAnswer(_Ok):
    """All folders."""

    results: Folders


CONTENT = {200: Answer(description="The content.", model=ContentAnswer)}
CONTENT_BODY = Body(models={JSON: ContentDocument, FORM: ContentForm, MULTIPART: ContentUpload})
_LATER = "It takes longer than can be waited for, or than its deadline. It is in the log."
_FAILED = "The generation failed; the message has the reason."
_ENDED = {
    "s409": "It was canceled.",
    "s502": _FAILED,
}
SECTION = Section(
    TAG,
    "Flows that are waited for, their logs, and the knowledge base, as Promptitude has them. Each"
    " answer is `{code, message, error, results}`, with the HTTP status as `code`.",
    (
        Operation(
            name="generate_flow",
            route="POST /v1/flows/{flowId}/generate",
            tag=TAG,
            summary="Run a flow and wait for its result",
            description="Waits up to 26 seconds. What takes longer goes on, and is in the log; a"
            " client that asks again with the same `Idempotency-Key` waits for the same result.",
            parameters=(path("flowId", "The flow."), IDEMPOTENCY_KEY, DEADLINE),
            body=json_body(FlowRequest),
            answers={200: Answer(description="The result.", model=RunAnswer)}
            | errors(
                RunError,
                *(400, 401, 403, 404, 409, 413, 422, 429, 502, 503, 504),
                s504=_LATER,
                **_ENDED,
            ),
            keys=KEYS,
        ),
        Operation(
            name="get_flow_log",
            route="GET /v1/logs/{logId}",
            tag=TAG,
            summary="Read what came of a run",
            parameters=(LOG,),
            answers={
                200: Answer(description="The result.", model=LogAnswer),
                202: Answer(description="It is not finished.", model=RunningAnswer),
            }
            | errors(
                RunError,
                *(401, 403, 404, 409, 413, 422, 502, 503, 504),
                s422="It failed for a reason that its caller can change.",
                s504="It took longer than its deadline.",
                **_ENDED,
            ),
            keys=KEYS,
        ),
        Operation(
            name="rate_flow_log",
            route="POST /v1/logs/{logId}/rate",
            tag=TAG,
            summary="Rate a result",
            parameters=(LOG,),
            body=json_body(RatingRequest),
            answers={200: Answer(description="The rating.", model=RatedAnswer)}
            | errors(PromptitudeError, 400, 401, 403, 404, 413, 422, 503),
            keys=KEYS,
        ),
        Operation(
            name="create_content",
            route="POST /v1/content",
            tag=TAG,
            summary="Add a content to the knowledge base",
            body=CONTENT_BODY,
            answers=CONTENT | errors(PromptitudeError, 400, 401, 403, 409, 413, 422, 503),
            keys=KEYS,
        ),
        Operation(
            name="update_content",
            route="POST /v1/content/{contentId}",
            tag=TAG,
            summary="Change a content",
            description="Changes what is sent and leaves the rest.",
            parameters=(path("contentId", "The content's id, or its external id."),),
            body=CONTENT_BODY,
            answers=CONTENT | errors(PromptitudeError, 400, 401, 403, 404, 409, 413, 422, 503),
            keys=KEYS,
        ),
        Operation(
            name="list_folders",
            route="GET /v1/content/folders",
            tag=TAG,
            summary="List the folders of the knowledge base",
            answers={200: Answer(description="The folders.", model=FoldersAnswer)}
            | errors(PromptitudeError, 401, 403, 413, 503),
            keys=KEYS,
        ),
        Operation(
            name="list_folder_contents",
            route="GET /v1/content/folders/{folderId}/contents",
            tag=TAG,
            summary="List a folder's contents",
            parameters=(
                path("folderId", "The folder.", UUID),
                query("limit", "How many at most.", Annotated[int, Field(ge=1, le=PAGE)]),
                query("after", "Where the page begins, from the `Link` of the one before."),
            ),
            answers={
                200: Answer(description="A page of contents.", model=ContentsAnswer, headers=NEXT)
            }
            | errors(PromptitudeError, 400, 401, 403, 404, 413, 503),
            keys=KEYS,
        ),
    ),
)

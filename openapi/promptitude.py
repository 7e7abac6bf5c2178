"""Promptitude's flows, logs and contents."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from afterword.dialects.promptitude import MAX_USER
from afterword.dialects.promptitude.content import FOLDERS, PAGE
from afterword.dialects.promptitude.responses import (
    ContentAnswer,
    ContentsAnswer,
    FoldersAnswer,
    LogAnswer,
    PromptitudeError,
    RatedAnswer,
    RemovedAnswer,
    RunAnswer,
    RunError,
    RunningAnswer,
)
from afterword.handlers.context_filters import MAX_LABELS
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
    page_parameters,
    path,
)

TAG = "Promptitude"
KEYS = ("bearer",)
LOG = path("logId", "The `logId` of a run.", UUID)

_ApiKey = Annotated[
    str | None,
    Field(
        deprecated=True,
        description="The API key, without an `Authorization` header. Never stored and never shown."
        " Beside a header it must be the same key.",
    ),
]
_Value = str | float | bool | None
_Label = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
_ContentId = Annotated[str, Field(min_length=1, max_length=MAX_EXTERNAL_ID)]
_Labels = Annotated[list[_Label], Field(max_length=MAX_LABELS)]
_Rating = Annotated[int, Field(ge=0, le=3)]


class Chosen(Strict):
    """Folders or tags, by id or name or both; an empty list takes all."""

    ids: _Labels | None = None
    names: _Labels | None = None


class ChosenContext(Strict):
    """Folders or tags for a step, instead of its own."""

    folders: Chosen | None = None
    tags: Chosen | None = None


class StepOverride(Described):
    """The difference of a step in this run."""

    context: ChosenContext | None = None


class FlowInputs(Described):
    """The inputs of a run."""

    inputs: dict[str, _Value | list[_Value]] | None = None
    """The flow's inputs by name; a list for an input that may be repeated."""


class FlowRequest(Described):
    """A run of a flow."""

    userId: Annotated[str, Field(max_length=MAX_USER)] | None = None
    """Stands in the log, and never in the prompt."""
    flow: FlowInputs | None = None
    steps: dict[str, StepOverride] | None = None
    """By the steps' names."""
    apiKey: _ApiKey = None


class PromptInputs(Described):
    """A prompt and its inputs."""

    promptId: str
    """The prompt, which is a flow."""
    inputs: dict[str, _Value | list[_Value]] | None = None
    """The prompt's inputs by name; a list for an input that may be repeated."""


class PromptRequest(Described):
    """A run of a prompt."""

    prompt: PromptInputs
    endUserId: Annotated[str, Field(max_length=MAX_USER)] | None = None
    """Stands in the log as `userId`, and never in the prompt."""
    context: ChosenContext | None = None
    """Folders or tags for each step with a context."""
    apiKey: _ApiKey = None


class Rating(Described):
    """The quality of a result."""

    rating: _Rating
    """1 to 3; 0 removes the rating."""


class RatingRequest(Described):
    """A rating."""

    rating: Rating
    apiKey: _ApiKey = None


class _ContentFields(Strict):
    name: Annotated[str, Field(max_length=MAX_NAME)] | None = None
    """The name; without this field, the file's own."""
    text: str | None = None
    """The text itself."""
    fileUrl: str | None = None
    """The file's address: https, on the public internet, open to everyone."""
    folder: Annotated[str, Field(max_length=MAX_NAME)] | None = None
    """The name of a folder, which is created if missing, or the id of an existing one."""
    externalId: Annotated[str, Field(max_length=MAX_EXTERNAL_ID)] | None = None
    """Your own id."""
    source: Annotated[str, Field(max_length=MAX_SOURCE)] | None = None
    """The address for readers, shown with answers; without this field, `fileUrl`."""
    apiKey: _ApiKey = None


class ContentForm(_ContentFields):
    """A content, or a change of one, with `text` or `fileUrl`."""

    tags: str | None = None
    """Names between commas; an empty text removes all."""


class ContentUpload(ContentForm):
    """A content, or a change of one, with `text`, `fileUrl` or `file`."""

    file: Annotated[str, Field(json_schema_extra={"format": "binary"})] | None = None
    """Text, Markdown, HTML, PDF, DOCX, XLSX, PPTX, ODT, RTF, EPUB, mails, CSV or JSON."""


class ContentDocument(_ContentFields):
    """A content as JSON, with tags that may be a list."""

    tags: str | Annotated[list[str], Field(max_length=MAX_TAGS)] | None = None
    """Names, in a list or between commas; an empty list removes all."""


CONTENT = {200: Answer(description="The content.", model=ContentAnswer)}
CONTENTS = {200: Answer(description="A page of contents.", model=ContentsAnswer, headers=NEXT)}
CONTENT_BODY = Body(models={JSON: ContentDocument, FORM: ContentForm, MULTIPART: ContentUpload})
_LATER = "The run outlasts the wait, or its deadline. The log has the result."
_FAILED = "The generation failed; the message has the reason."
_ENDED = {
    "s409": "The run was canceled.",
    "s502": _FAILED,
}
RUN = {200: Answer(description="The result.", model=RunAnswer)} | errors(
    RunError,
    *(400, 401, 403, 404, 409, 410, 413, 422, 429, 502, 503, 504),
    s504=_LATER,
    **_ENDED,
)
SECTION = Section(
    TAG,
    "Flows and prompts whose results a client waits for, their logs, and the knowledge base, as"
    " Promptitude has them. Each answer is `{code, message, error, results}`, with the HTTP status"
    " as `code`.",
    (
        Operation(
            name="generate_flow",
            route="POST /v1/flows/{flowId}/generate",
            tag=TAG,
            summary="Run a flow and wait for its result",
            description="Waits up to 26 seconds. A longer run goes on, and its result is in the"
            " log. A repeated request with the same `Idempotency-Key` waits for the same result.",
            parameters=(path("flowId", "The flow."), IDEMPOTENCY_KEY, DEADLINE),
            body=json_body(FlowRequest),
            answers=RUN,
            keys=KEYS,
        ),
        Operation(
            name="generate_prompt",
            route="POST /v1/generate",
            tag=TAG,
            summary="Run a prompt and wait for its result",
            description="A prompt is a flow. Waits up to 26 seconds. A longer run goes on, and its"
            " result is in the log. A repeated request with the same `Idempotency-Key` waits for"
            " the same result.",
            parameters=(IDEMPOTENCY_KEY, DEADLINE),
            body=json_body(PromptRequest),
            answers=RUN,
            keys=KEYS,
        ),
        Operation(
            name="get_flow_log",
            route="GET /v1/logs/{logId}",
            tag=TAG,
            summary="Read the log of a run",
            parameters=(LOG,),
            answers={
                200: Answer(description="The result.", model=LogAnswer),
                202: Answer(description="The run is not finished.", model=RunningAnswer),
            }
            | errors(
                RunError,
                *(401, 403, 404, 409, 410, 413, 422, 502, 503, 504),
                s422="The run failed for a reason that its caller can change.",
                s504="The run took longer than its deadline.",
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
            description="Changes the fields of the request; the others stay.",
            parameters=(path("contentId", "The content's id, or its external id."),),
            body=CONTENT_BODY,
            answers=CONTENT | errors(PromptitudeError, 400, 401, 403, 404, 409, 413, 422, 503),
            keys=KEYS,
        ),
        Operation(
            name="remove_content",
            route="DELETE /v1/content/{contentId}",
            tag=TAG,
            summary="Remove a content and its text",
            parameters=(path("contentId", "The content's id, or its external id.", _ContentId),),
            answers={200: Answer(description="The content is removed.", model=RemovedAnswer)}
            | errors(PromptitudeError, 401, 403, 404, 413, 503),
            keys=KEYS,
        ),
        Operation(
            name="list_folders",
            route="GET /v1/content/folders",
            tag=TAG,
            summary="List the folders of the knowledge base",
            parameters=page_parameters("folders", FOLDERS),
            answers={
                200: Answer(description="A page of folders.", model=FoldersAnswer, headers=NEXT)
            }
            | errors(PromptitudeError, 400, 401, 403, 413, 503),
            keys=KEYS,
        ),
        Operation(
            name="list_folder_contents",
            route="GET /v1/content/folders/{folderId}/contents",
            tag=TAG,
            summary="List a folder's contents",
            parameters=(
                path("folderId", "The folder.", UUID),
                *page_parameters("contents", PAGE),
            ),
            answers=CONTENTS | errors(PromptitudeError, 400, 401, 403, 404, 413, 503),
            keys=KEYS,
        ),
        Operation(
            name="list_named_folder_contents",
            route="GET /v1/content/folders/name/{folderName}/contents",
            tag=TAG,
            summary="List the contents of a folder by its name",
            parameters=(
                path("folderName", "The folder's name; its case does not matter.", _Label),
                *page_parameters("contents", PAGE),
            ),
            answers=CONTENTS | errors(PromptitudeError, 400, 401, 403, 404, 413, 503),
            keys=KEYS,
        ),
    ),
)

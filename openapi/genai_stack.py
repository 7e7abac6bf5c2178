"""GenAI Stack's text generations."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from afterword.dialects.genai_stack import MAX_TITLE, PAGE
from openapi.operations import (
    DEADLINE,
    DELETED,
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
    errors,
    json_body,
    path,
    query,
)

TAG = "GenAI Stack"
KEYS = ("bearer", "token")
ID = path("text_gen_id", "The generation.", UUID)

_Text = str | int | float | bool | None
type PlainForm = dict[str, str]


class Pair(Described):
    """An input of the app."""

    input_key: str
    input_value: _Text | list[_Text]


type JsonForm = dict[str, _Text | list[_Text]] | list[Pair]


class TextGenerationUpdate(Described):
    """What is to be changed of a generation."""

    title: Annotated[str, Field(max_length=MAX_TITLE)] | None = None
    """Null takes it away; nothing changes without it."""


class TextGenerationRead(Described):
    """A generation."""

    id: UUID
    title: str | None
    """Null until it is set."""
    inputs: dict[str, object]
    """As they were sent, with defaults; a file as `{"name", "type", "size"}`."""
    outputs: dict[str, object]
    """`{"text": "…"}` when completed, else `{}`."""
    logs: str
    """What has happened, a line for each event."""
    meta_data: dict[str, object]
    """`flow`, `flow_version`, `attempts`, `created_at`, `finished_at`, `seconds`, `model`, tokens,
    and why it has failed."""
    status: Literal["pending", "processing", "completed", "failed"]


class ChatTurn(Described):
    """What was said in a chat."""

    is_bot: bool
    message: str
    chatKey: str
    """The input that it was sent as."""
    type: Literal["text"]
    intermediate_steps: str
    files: list[dict[str, object]]


class ChatSession(Described):
    """A generation of a chat: a question, and its answer once it is there."""

    id: UUID
    title: str | None
    data: list[ChatTurn]


class StackApp(Described):
    """The flow that the key is bound to."""

    id: UUID
    """Always the same."""
    data: dict[str, object]
    """`{"name", "inputs": […]}`: what it asks for, in order."""
    form_keys_data: dict[str, object]
    """The same inputs by name."""
    stack_type: Literal["chat", "text_generation"]
    chat_sessions: list[ChatSession]
    """Of a chat, newest first."""
    text_generations: list[TextGenerationRead]
    """Of the other, newest first."""


class FastApiProblem(Described):
    """What is wrong with a field."""

    loc: list[str]
    """Where it is."""
    msg: Annotated[str, Field(min_length=1)]
    """A sentence."""
    type: Literal["value_error"]


class FastApiError(Described):
    """What is wrong."""

    detail: (
        Annotated[str, Field(min_length=1)] | Annotated[list[FastApiProblem], Field(min_length=1)]
    )
    """A sentence, or one for each field."""


GENERATION = {200: Answer(description="The generation.", model=TextGenerationRead)}
SECTION = Section(
    TAG,
    "Text generations of an app, as AI Planet's GenAI Stack makes them. An app is the flow that the"
    " key is bound to.",
    (
        Operation(
            name="get_stack_app",
            route="GET /api/v1/apps",
            tag=TAG,
            summary="Read the key's app",
            answers={200: Answer(description="The app.", model=StackApp)}
            | errors(FastApiError, 401, 403, 404, 413, 503),
            keys=KEYS,
        ),
        Operation(
            name="create_text_generation",
            route="POST /api/v1/generations",
            tag=TAG,
            summary="Submit a form to the app",
            description="The fields are the app's `form_keys_data`, sent by their names or as pairs"
            " of `input_key` and `input_value`, repeated in order. Files go into a multipart form;"
            " what a file is, its bytes say and not its name.",
            parameters=(IDEMPOTENCY_KEY, DEADLINE),
            body=Body(models={MULTIPART: PlainForm, FORM: PlainForm, JSON: JsonForm}),
            answers=GENERATION
            | errors(FastApiError, 400, 401, 403, 404, 409, 413, 422, 429, 503, s409=DELETED),
            keys=KEYS,
        ),
        Operation(
            name="list_text_generations",
            route="GET /api/v1/generations",
            tag=TAG,
            summary="List the app's generations",
            description="Newest first, whichever API they came through.",
            parameters=(
                query("limit", "How many at most.", Annotated[int, Field(ge=1, le=PAGE)]),
                query("after", "Where the page begins, from the `Link` of the one before."),
            ),
            answers={
                200: Answer(
                    description="A page of generations.",
                    model=list[TextGenerationRead],
                    headers=NEXT,
                )
            }
            | errors(FastApiError, 400, 401, 403, 404, 413, 503),
            keys=KEYS,
        ),
        Operation(
            name="get_text_generation",
            route="GET /api/v1/generations/{text_gen_id}",
            tag=TAG,
            summary="Read a generation of the app",
            parameters=(ID,),
            answers=GENERATION | errors(FastApiError, 400, 401, 403, 404, 413, 503),
            keys=KEYS,
        ),
        Operation(
            name="update_text_generation",
            route="PATCH /api/v1/generations/{text_gen_id}",
            tag=TAG,
            summary="Give a generation a title",
            parameters=(ID,),
            body=json_body(TextGenerationUpdate),
            answers=GENERATION | errors(FastApiError, 400, 401, 403, 404, 413, 422, 503),
            keys=KEYS,
        ),
    ),
)

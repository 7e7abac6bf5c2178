"""GenAI Stack's text generations and chat sessions."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from afterword.dialects.genai_stack import MAX_TITLE, PAGE, chats
from afterword.dialects.genai_stack.responses import (
    ChatEvents,
    ChatSession,
    FastApiError,
    StackApp,
    TextGenerationRead,
)
from afterword.generations.sessions import PAGE_TURNS
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
    page_parameters,
    path,
)

TAG = "GenAI Stack"
KEYS = ("bearer", "token")
ID = path("text_gen_id", "The generation.", UUID)
SESSION_ID = path("chat_session_id", "The chat session.", UUID)

_Text = str | int | float | bool | None
type PlainForm = dict[str, str]


class Pair(Described):
    """An input of the app."""

    input_key: str
    input_value: _Text | list[_Text]


type JsonForm = dict[str, _Text | list[_Text]] | list[Pair]


class TextGenerationUpdate(Described):
    """A change of a generation."""

    title: Annotated[str, Field(max_length=MAX_TITLE)] | None = None
    """Null removes the title; nothing changes without this field."""


class NewChatSession(Described):
    """A chat session."""

    title: Annotated[str, Field(max_length=MAX_TITLE)] | None = None


class ChatMessage(Described):
    """A message to a chat session."""

    chatKey: str
    """The name of one of the inputs, the primary one."""
    inputs: dict[str, _Text | list[_Text]]
    """The app's inputs by name, as in `form_keys_data`; no files."""


GENERATION = {200: Answer(description="The generation.", model=TextGenerationRead)}
SESSION = {200: Answer(description="The chat session.", model=ChatSession)}
_NO_CHAT = "The app is no chat, or has as many sessions as an app may have."
SECTION = Section(
    TAG,
    "Text generations and chats of an app, as AI Planet's GenAI Stack makes them. An app is the"
    " flow that the key is bound to.",
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
            " a file's bytes decide its type, not its name.",
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
            description="Newest first, from all APIs.",
            parameters=page_parameters("generations", PAGE),
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
        Operation(
            name="create_chat_session",
            route="POST /api/v1/chat_sessions",
            tag=TAG,
            summary="Create a chat session",
            description="The app must be a chat: its flow has the type `chat`.",
            body=json_body(NewChatSession, required=False),
            answers=SESSION
            | errors(FastApiError, 400, 401, 403, 404, 409, 413, 422, 503, s409=_NO_CHAT),
            keys=KEYS,
        ),
        Operation(
            name="list_chat_sessions",
            route="GET /api/v1/chat_sessions",
            tag=TAG,
            summary="List the app's chat sessions",
            description=f"Newest first, each with the turns of its newest {PAGE_TURNS} questions.",
            parameters=page_parameters("sessions", chats.PAGE),
            answers={
                200: Answer(
                    description="A page of chat sessions.",
                    model=list[ChatSession],
                    headers=NEXT,
                )
            }
            | errors(FastApiError, 400, 401, 403, 404, 413, 503),
            keys=KEYS,
        ),
        Operation(
            name="get_chat_session",
            route="GET /api/v1/chat_sessions/{chat_session_id}",
            tag=TAG,
            summary="Read a chat session",
            parameters=(SESSION_ID,),
            answers=SESSION | errors(FastApiError, 400, 401, 403, 404, 413, 503),
            keys=KEYS,
        ),
        Operation(
            name="send_chat_message",
            route="POST /api/v1/chat_sessions/{chat_session_id}/messages",
            tag=TAG,
            summary="Send a message and wait for its answer",
            description="The session's earlier messages are in the prompt. The events of the answer"
            " come together; a message that outlasts the wait of 26 s is answered in the session"
            " later, and its last event says so.",
            parameters=(SESSION_ID, IDEMPOTENCY_KEY, DEADLINE),
            body=json_body(ChatMessage),
            answers={
                200: Answer(
                    description="The events of the answer.",
                    model=ChatEvents,
                    media_types=(chats.EVENTS,),
                )
            }
            | errors(FastApiError, 400, 401, 403, 404, 409, 413, 422, 429, 503, s409=DELETED),
            keys=KEYS,
        ),
    ),
)

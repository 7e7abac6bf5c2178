"""GenAI Stack's responses, as openapi.yaml describes them."""

from typing import Annotated, Literal, TypedDict

from afterword.handlers.json_schema import Open, Schema, Sentence, Uuid
from afterword.runtime.json_text import JsonText


class TextGenerationRead(TypedDict):
    """A generation."""

    id: Uuid
    title: str | None
    """Null until set."""
    inputs: dict[str, object]
    """As sent, with defaults; a file as `{"name", "type", "size"}`."""
    outputs: dict[str, object]
    """`{"text": "…"}` when completed, else `{}`."""
    logs: str
    """A line for each event of the generation."""
    meta_data: dict[str, object]
    """`flow`, `flow_version`, `attempts`, `created_at`, `finished_at`, `seconds`, `model`, tokens,
    `stop_reason` (`length` for a text that was cut), the reason of a failure, and `gone`: whether a
    text of it is gone from storage."""
    status: Open[Literal["pending", "processing", "completed", "failed"]]


class ChatTurn(TypedDict):
    """A message of a chat."""

    is_bot: bool
    message: str
    chatKey: str
    """The input of the question."""
    type: Literal["text"]
    intermediate_steps: str
    files: list[dict[str, object]]


class ChatSession(TypedDict):
    """A chat: questions, each with its answer once completed."""

    id: Uuid
    title: str | None
    """Null until set."""
    data: list[ChatTurn]
    """Oldest first: the newest hundred questions, and as many as fit into a response."""


class ChatEnd(TypedDict):
    """The last event of a message's answer."""

    chat_session_id: Uuid
    text_gen_id: Uuid
    """The generation of the message, also in `GET /api/v1/generations/{text_gen_id}`."""
    status: Literal["pending", "processing", "completed", "failed"]
    """`pending` and `processing`: the answer will be in the session later."""


type ChatEvents = str
"""Server-sent events: `message` with a ChatTurn, or `error` with `{"detail"}`, and then `end` with
a ChatEnd."""


class StackApp(TypedDict):
    """The flow that the key is bound to."""

    id: Uuid
    """The same for ever."""
    data: dict[str, object]
    """`{"name", "inputs": […]}`: the inputs in their order."""
    form_keys_data: dict[str, object]
    """The same inputs by name."""
    stack_type: Literal["chat", "text_generation"]
    chat_sessions: Annotated[JsonText, Schema(list[ChatSession])]
    """Sessions of a chat, newest first, and generations outside of them; empty for other apps."""
    text_generations: Annotated[JsonText, Schema(list[TextGenerationRead])]
    """Generations of another app, newest first; empty for a chat."""


class FastApiProblem(TypedDict):
    """A field that does not fit."""

    loc: list[str]
    """The place of the field."""
    msg: Sentence
    """A sentence."""
    type: Open[Literal["value_error"]]


class FastApiError(TypedDict):
    """The reason of a refusal."""

    detail: Sentence | Annotated[list[FastApiProblem], Schema(minItems=1)]
    """A sentence, or one for each field."""

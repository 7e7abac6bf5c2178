"""Unless' responses, as openapi.yaml describes them."""

from typing import Annotated, Literal, NotRequired, TypedDict

from afterword.handlers.json_schema import Schema, Sentence, Uuid
from afterword.runtime.json_text import JsonText


class AsyncQueryAccepted(TypedDict):
    """The answer to a submission."""

    questionId: Uuid


class AnswerSource(TypedDict):
    """A content whose passages were in the prompt."""

    title: str
    """The content's name."""
    isPublic: bool
    """Whether the source is an `http` or `https` address."""
    isUsedForAnswer: bool
    """Whether the answer cites the content, or draws on it."""
    source: str
    """The content's address, or an empty text."""
    documentId: str
    """The content's id."""
    stableId: Annotated[str, Schema(pattern="^[0-9a-f]{32}$")]
    """Made from the external id; stays when the content is added anew."""
    trainingDataId: str
    """The folder's id."""


class Turn(TypedDict):
    """A message of a conversation."""

    type: Literal["message"]
    timestamp: int
    """In milliseconds since 1970."""
    uuid: Uuid
    """The same for ever."""
    hidden: Literal[False]
    sender: Literal["user", "bot"]
    canGetFeedback: bool
    message: str
    metadata: list[AnswerSource]
    """The contents in the prompt of a bot's answer, the best first."""
    languageCode: Annotated[str, Schema(pattern="^[a-z]{2,3}$")]
    """The detected language; `und` for none."""
    showMetadata: Literal[False]
    feedback: str
    """`positive`, `negative` or `escalated`; empty without feedback."""


class ChatData(TypedDict):
    """A conversation up to an answer."""

    history: Annotated[JsonText, Schema(list[Turn])]
    """Oldest first."""
    metadata: Annotated[JsonText, Schema(dict[str, object])]
    """As sent with the question."""
    toolsetName: None
    personalizationId: Literal[""]
    sessionId: str
    conversationName: Annotated[JsonText, Schema(str | None)]
    conversationId: Annotated[str, Schema(pattern="^async-[0-9a-f-]{36}$")]


class ContinuedChat(TypedDict):
    """A conversation up to an answer, after the turns that were sent."""

    history: Annotated[JsonText, Schema(list[dict[str, object]])]
    """Oldest first: the turns as sent, then those of the question and of its answer."""
    metadata: Annotated[JsonText, Schema(dict[str, object])]
    """As sent with the question."""
    toolsetName: None
    personalizationId: Literal[""]
    sessionId: str
    conversationName: Annotated[JsonText, Schema(str | None)]
    conversationId: Annotated[str, Schema(pattern="^async-[0-9a-f-]{36}$")]


class AsyncAnswer(TypedDict):
    """The state of an answer."""

    questionId: Uuid
    status: Literal["PENDING", "PROCESSING", "DONE", "ERROR"]
    error: NotRequired[Sentence]
    """The reason why there is no answer; with `ERROR` alone."""
    chatData: NotRequired[ChatData]
    """The answer and the conversation before; with `DONE` alone."""


class FeedbackAnswer(TypedDict):
    """The feedback on an answer as it stands."""

    conversationId: Annotated[str, Schema(pattern="^async-[0-9a-f-]{36}$")]
    sender: Literal["bot"]
    message: Sentence
    """A sentence for the reader, in English."""
    type: Literal["message"]
    questionId: Uuid
    feedback: str
    """`positive`, `negative` or `escalated`; empty for none, or a note alone."""


class UnlessError(TypedDict):
    """The reason of a refusal."""

    error: Sentence
    """A sentence."""


class QuestionError(UnlessError):
    """The reason why a question has no answer, or none yet."""

    questionId: NotRequired[Uuid]
    """The question, if there is one."""

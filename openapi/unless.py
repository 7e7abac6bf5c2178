"""Unless' asynchronous AI query and answer."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field
from pydantic.experimental.missing_sentinel import MISSING

from afterword.dialects.unless import MAX_METADATA_BYTES, MAX_NAME, MAX_QUERY
from openapi.operations import (
    DEADLINE,
    DELETED,
    IDEMPOTENCY_KEY,
    Answer,
    Described,
    Operation,
    Section,
    errors,
    header,
    json_body,
    query,
)

TAG = "Unless"
KEYS = ("apiKey", "bearer")
WHOSE = (
    header("x-account-id", "The tenant, if it is sent."),
    header(
        "x-website-id",
        "A flow of the tenant. Without it the key's flow is meant, else the only chat.",
    ),
    header("x-user-email", "An address, if it is sent; neither stored nor logged."),
)

_Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
_Kept = Annotated[str, Field(max_length=MAX_NAME)]


class AsyncQuery(Described):
    """A question. What is not the query is never told to the model."""

    query: Annotated[str, Field(min_length=1, max_length=MAX_QUERY)]
    """The question, not blank."""
    sessionId: _Name
    """The same one goes on with the conversation."""
    visitorId: _Name
    segmentId: _Kept | None = None
    metadata: Annotated[
        dict[str, object] | None,
        Field(description=f"Comes back to the letter; up to {MAX_METADATA_BYTES:,} bytes."),
    ] = None
    conversationName: _Kept | None = None
    """Comes back as it is given."""
    audienceId: _Kept | None = None


class AsyncQueryAccepted(Described):
    """What a submission answers."""

    questionId: UUID


class AnswerSource(Described):
    """A content whose passages were in the prompt."""

    title: str
    """The content's name."""
    isPublic: bool
    """Whether its source is an `http` or `https` address."""
    isUsedForAnswer: bool
    """Whether the answer cites it, or draws on it."""
    source: str
    """Its address, or an empty text."""
    documentId: str
    """The content's id."""
    stableId: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    """Of its external id, so that it stays when the content is added anew."""
    trainingDataId: str
    """Its folder's id."""


class Turn(Described):
    """What was said in a conversation."""

    type: Literal["message"]
    timestamp: int
    """In milliseconds since 1970."""
    uuid: UUID
    """Always the same."""
    hidden: Literal[False]
    sender: Literal["user", "bot"]
    canGetFeedback: bool
    message: str
    metadata: list[AnswerSource]
    """What a bot's answer was given to read, the best first."""
    languageCode: Annotated[str, Field(pattern="^[a-z]{2,3}$")]
    """As it was detected; `und` where nothing tells it."""
    showMetadata: Literal[False]
    feedback: Literal[""]


class ChatData(Described):
    """A conversation up to an answer."""

    history: list[Turn]
    """Oldest first."""
    metadata: dict[str, object]
    """As they were sent with the question."""
    toolsetName: None
    personalizationId: Literal[""]
    sessionId: str
    conversationName: str | None
    conversationId: Annotated[str, Field(pattern="^async-[0-9a-f-]{36}$")]


class AsyncAnswer(Described):
    """How an answer is coming along."""

    questionId: UUID
    status: Literal["PENDING", "PROCESSING", "DONE", "ERROR"]
    error: Annotated[str, Field(min_length=1)] | MISSING = MISSING
    """Why there is no answer; with `ERROR` alone."""
    chatData: ChatData | MISSING = MISSING
    """The answer and what led to it; with `DONE` alone."""


class UnlessError(Described):
    """What is wrong."""

    error: Annotated[str, Field(min_length=1)]
    """A sentence."""


SECTION = Section(
    TAG,
    "Questions of a session, answered from documents, as Unless' asynchronous AI answers them. An"
    " account is a tenant, a website one of its flows, a session a conversation.",
    (
        Operation(
            name="submit_query",
            route="POST /api/v1/ai/async/query",
            tag=TAG,
            summary="Ask a question",
            parameters=(*WHOSE, IDEMPOTENCY_KEY, DEADLINE),
            body=json_body(AsyncQuery),
            answers={200: Answer(description="It is accepted.", model=AsyncQueryAccepted)}
            | errors(
                UnlessError,
                *(400, 401, 403, 409, 413, 422, 429, 503),
                s409=DELETED,
                s422="The `Idempotency-Key` stands for another request.",
            ),
            keys=KEYS,
        ),
        Operation(
            name="get_answer",
            route="GET /api/v1/ai/async/answer",
            tag=TAG,
            summary="Read an answer and its conversation",
            parameters=(
                query("questionId", "What the question has answered.", UUID, required=True),
                *WHOSE,
            ),
            answers={
                200: Answer(description="How it is coming along.", model=AsyncAnswer),
            }
            | errors(UnlessError, 400, 401, 403, 404, 413, 503),
            keys=KEYS,
        ),
    ),
)

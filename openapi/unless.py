"""Unless' AI: queries, asynchronous and realtime, answers and feedback."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from afterword.dialects.unless import MAX_METADATA_BYTES, MAX_NAME, MAX_QUERY
from afterword.dialects.unless.chat_data import MAX_SENT_TURNS
from afterword.dialects.unless.responses import (
    AsyncAnswer,
    AsyncQueryAccepted,
    ContinuedChat,
    FeedbackAnswer,
    QuestionError,
    UnlessError,
)
from afterword.generations.feedback import MAX_NOTE
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
    header("x-account-id", "The tenant; may be left out."),
    header(
        "x-website-id",
        "A flow of the tenant. Without this header the key's flow holds, else the only chat.",
    ),
    header("x-user-email", "An address; may be left out. Neither stored nor logged."),
)

_Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
_Kept = Annotated[str, Field(max_length=MAX_NAME)]


class AsyncQuery(Described):
    """A question. The model reads the query and no other field."""

    query: Annotated[str, Field(min_length=1, max_length=MAX_QUERY)]
    """The question, not blank."""
    sessionId: _Name
    """The same id goes on with the conversation."""
    visitorId: _Name
    segmentId: _Kept | None = None
    metadata: Annotated[
        dict[str, object] | None,
        Field(description=f"Returned to the letter; up to {MAX_METADATA_BYTES:,} bytes."),
    ] = None
    conversationName: _Kept | None = None
    """Returned as sent."""
    audienceId: _Kept | None = None


_ChatData = Annotated[
    str | dict[str, object] | None,
    Field(
        description="The chat data of the last answer, as a text of JSON or an object: a `history`"
        f" of up to {MAX_SENT_TURNS} turns, and a `conversationId`."
    ),
]


class BodyNames(Described):
    """The account and website of a request, and its key, in the body."""

    accountId: _Kept | None = None
    """The tenant; stands for `x-account-id`."""
    apiKey: str | None = None
    """The key, where no header has one; never stored. One in both places must be the same."""
    websiteId: _Kept | None = None
    """A flow of the tenant; stands for `x-website-id`."""


class RealtimeQuery(BodyNames):
    """A question to wait for. The model reads the query and the earlier turns alone."""

    query: Annotated[str, Field(min_length=1, max_length=MAX_QUERY)]
    """The question, not blank."""
    sessionId: _Name
    """The same id goes on with the conversation."""
    visitorId: _Name
    chatDataJson: _ChatData = None
    messageFormat: Literal["md", "html"] | None = None
    """`md` leaves messages as they are; `html` makes paragraphs, bold words and links.
    A model reads sent ones without their tags."""
    skipLanguageDetection: bool | None = None
    """Without effect: each answer has the language that the flow gives it."""
    segmentId: _Kept | None = None
    metadata: Annotated[
        dict[str, object] | str | None,
        Field(
            description="An object, or a text of one. Returned to the letter; up to"
            f" {MAX_METADATA_BYTES:,} bytes."
        ),
    ] = None
    conversationName: _Kept | None = None
    """Returned as sent."""
    audienceId: _Kept | None = None


class FeedbackRequest(BodyNames):
    """A judgment of an answer: that of `questionId`, else that of the chat data."""

    questionId: Annotated[str | None, Field(examples=["019a6f3e-7c00-7000-8000-000000000001"])] = (
        None
    )
    chatDataJson: _ChatData = None
    feedback: Literal["positive", "negative", "escalated", "note", ""] | None
    """An empty text, or null, removes the feedback; `note` leaves the judgment as it is."""
    note: Annotated[str, Field(max_length=MAX_NOTE)] | None = None
    """A note stays unless another is sent; an empty text removes the note."""
    visitorId: object = None
    """Ignored."""
    sendEmail: Literal[False] | None = None
    """No e-mail is sent."""


SECTION = Section(
    TAG,
    "Questions of a session, answered from documents, as Unless' AI answers them. An"
    " account is a tenant, a website one of its flows, a session a conversation.",
    (
        Operation(
            name="submit_query",
            route="POST /api/v1/ai/async/query",
            tag=TAG,
            summary="Ask a question",
            parameters=(*WHOSE, IDEMPOTENCY_KEY, DEADLINE),
            body=json_body(AsyncQuery),
            answers={200: Answer(description="Accepted.", model=AsyncQueryAccepted)}
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
                query("questionId", "The `questionId` of the submission.", UUID, required=True),
                *WHOSE,
            ),
            answers={
                200: Answer(description="The state of the answer.", model=AsyncAnswer),
            }
            | errors(UnlessError, 400, 401, 403, 404, 413, 503),
            keys=KEYS,
        ),
        Operation(
            name="answer_query",
            route="POST /api/v1/ai/query",
            tag=TAG,
            summary="Ask a question and wait for its answer",
            description="Waits up to 26 seconds. A longer question goes on, and its answer is at"
            " `/api/v1/ai/async/answer`. The turns of a `chatDataJson` stand for the session's.",
            parameters=(*WHOSE, IDEMPOTENCY_KEY, DEADLINE),
            body=json_body(RealtimeQuery),
            answers={200: Answer(description="The chat data.", model=ContinuedChat)}
            | errors(
                QuestionError,
                *(400, 401, 403, 409, 410, 413, 422, 429, 502, 503, 504),
                s409="The question was canceled, or its generation deleted.",
                s422="The question failed for a reason that its client can change; or the"
                " `Idempotency-Key` stands for another request.",
                s502="The question failed; the error has the reason.",
                s504="The answer outlasts the wait, or its deadline.",
            ),
            keys=KEYS,
        ),
        Operation(
            name="give_feedback",
            route="POST /api/v1/ai/feedback",
            tag=TAG,
            summary="Judge an answer",
            description="Kept with the generation, and counted in the usage. A later judgment takes"
            " the place of an earlier one.",
            parameters=WHOSE,
            body=json_body(FeedbackRequest),
            answers={200: Answer(description="The feedback.", model=FeedbackAnswer)}
            | errors(
                UnlessError,
                *(400, 401, 403, 404, 409, 413, 503),
                s409="The question has no end yet.",
            ),
            keys=KEYS,
        ),
    ),
)

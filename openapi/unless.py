"""Unless' asynchronous AI query and answer."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from afterword.dialects.unless import MAX_METADATA_BYTES, MAX_NAME, MAX_QUERY
from afterword.dialects.unless.responses import AsyncAnswer, AsyncQueryAccepted, UnlessError
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
    ),
)

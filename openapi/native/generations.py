"""Generations: `/v1/generations`."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field
from pydantic.experimental.missing_sentinel import MISSING

from afterword.dialects.native.generations import (
    MAX_CONVERSATION,
    MAX_LABELS,
    MAX_METADATA_BYTES,
    MAX_PAGE,
    MAX_URL,
    MAX_WAIT,
)
from afterword.generations import MAX_DEADLINE, MAX_REFERENCE, MIN_DEADLINE, Reason, Status
from afterword.knowledge import MAX_NAME
from openapi.operations import (
    DEADLINE,
    DELETED,
    IDEMPOTENCY_KEY,
    NEXT,
    Answer,
    Described,
    Operation,
    Section,
    Strict,
    header,
    json_body,
    path,
    query,
)
from openapi.problem import problems

TAG = "Generations"
KEYS = ("bearer",)
ID = path("id", "The generation.", UUID)

_Value = str | float | bool
_Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
_Names = Annotated[list[_Name], Field(max_length=MAX_LABELS)]


class Labels(Strict):
    """Folders or tags, by id or name or both; an empty list takes all."""

    ids: _Names | None = None
    names: _Names | None = None


class Knowledge(Strict):
    """Other folders or tags for a step than it has."""

    folders: Labels | None = None
    tags: Labels | None = None


class Submission(Strict):
    """What a generation is to be made of."""

    flow: _Name
    """The flow's id."""
    inputs: dict[str, _Value | list[_Value]] | None = None
    """The flow's inputs by name; a list for one that may be sent several times."""
    external_ref: Annotated[str, Field(min_length=1, max_length=MAX_REFERENCE)] | None = None
    """Your own id for it, by which generations can be listed. Never in the prompt."""
    metadata: Annotated[
        dict[str, Any] | None,
        Field(
            description=f"Handed back to the letter, never in the prompt; up to"
            f" {MAX_METADATA_BYTES:,} bytes."
        ),
    ] = None
    deadline_seconds: (
        Annotated[
            int, Field(ge=int(MIN_DEADLINE.total_seconds()), le=int(MAX_DEADLINE.total_seconds()))
        ]
        | None
    ) = None
    """For how long it is of use. Without it the flow's deadline holds, or an hour."""
    webhook_url: Annotated[str, Field(min_length=1, max_length=MAX_URL)] | None = None
    """Is told of the end, if the tenant allows its host."""
    context: dict[str, Knowledge] | None = None
    """Other folders or tags for steps, by the steps' names."""
    conversation: Annotated[str, Field(min_length=1, max_length=MAX_CONVERSATION)] | None = None
    """The same one goes on with the conversation."""


class Source(Described):
    """A content whose passages were in the prompt."""

    content: str
    """Its id."""
    title: str
    folder: str
    """Its folder's id."""
    external_id: str | None
    source: str | None
    """Where it is to be read."""
    used: bool
    """Whether the output cites it, or draws on it."""


class Used(Described):
    """What a generation took."""

    model: str | None
    tokens_in: int
    tokens_out: int | None


class Failure(Described):
    """Why a generation has failed."""

    reason: Reason
    """To decide by."""
    message: str | None
    """To read."""


class Links(Described):
    """What can be done with a generation, as paths."""

    self: str
    cancel: str | MISSING = MISSING
    """While it is open."""
    retry: str | MISSING = MISSING
    """Once it has failed or was canceled."""


class Generation(Described):
    """A generation, whichever API it came through."""

    id: UUID
    status: Status
    flow: str
    flow_version: int
    dialect: str
    """The API that it came through."""
    created_at: datetime
    finished_at: datetime | None
    deadline_at: datetime
    """Unless it has ended by then, it fails."""
    attempts: int
    external_ref: str | None
    """As it was sent."""
    metadata: dict[str, Any] | None
    """As they were sent, to the letter."""
    output: str | list[Any] | dict[str, Any] | None
    """A text, an array or an object, as the flow's last step says; null unless it has succeeded."""
    sources: list[Source]
    """What the output was given to read, the best first."""
    usage: Used | None
    error: Failure | None
    retry_of: UUID | None
    """The generation that this one does again."""
    title: str | None
    rating: int | None
    links: Links


class GenerationList(Described):
    """A page of generations."""

    items: list[Generation]
    """Newest first."""
    next: str | None
    """The path of the next page, as in `Link`."""


RATE_LIMIT = {
    "RateLimit-Policy": "The tenant's limits, if it has some"
    " (draft-ietf-httpapi-ratelimit-headers-10).",
    "RateLimit": "What is left of them.",
}
AGAIN = {"Retry-After": "While it is open: in how many seconds to look again."}
ACCEPTED = {"Location": "Where it is from now on.", **AGAIN, **RATE_LIMIT}
PREFERRED = {"Preference-Applied": "For how long it was waited, if that was preferred."}
READ = Answer(description="The generation.", model=Generation, headers=AGAIN)
SECTION = Section(
    TAG,
    "Submit, read, list, cancel, retry and delete. Errors are problem documents (RFC 9457).",
    (
        Operation(
            name="submit_generation",
            route="POST /v1/generations",
            tag=TAG,
            summary="Submit a generation",
            description="Answers at once, and the text comes later, at `Location`; or, with"
            f" `Prefer: wait=N`, when it has ended or `N` seconds have gone, {MAX_WAIT} at most.",
            parameters=(
                IDEMPOTENCY_KEY,
                header(
                    "Prefer",
                    "`wait=N`: answer only when it has ended, or after `N` seconds (RFC 7240).",
                    Annotated[str, Field(examples=["wait=10"])],
                ),
                DEADLINE,
            ),
            body=json_body(Submission),
            answers={
                202: Answer(
                    description="It is accepted.", model=Generation, headers=ACCEPTED | PREFERRED
                ),
                200: Answer(
                    description="It has ended by now.",
                    model=Generation,
                    headers=ACCEPTED | PREFERRED,
                ),
            }
            | problems(400, 401, 403, 409, 413, 422, 429, 503, s409=DELETED),
            keys=KEYS,
        ),
        Operation(
            name="list_generations",
            route="GET /v1/generations",
            tag=TAG,
            summary="List generations",
            description="Newest first, whichever API they came through. One that was just"
            " submitted may be missing for a moment.",
            parameters=(
                query(
                    "status",
                    "One status, or several separated by commas.",
                    Annotated[
                        str,
                        Field(
                            pattern="^({0})(,({0}))*$".format("|".join(Status)),
                            examples=["failed,canceled"],
                        ),
                    ],
                ),
                query("flow", "Of this flow."),
                query(
                    "external_ref",
                    "With this `external_ref`.",
                    Annotated[str, Field(min_length=1, max_length=MAX_REFERENCE)],
                ),
                query("created_after", "Created then or later.", datetime),
                query("created_before", "Created earlier.", datetime),
                query("limit", "How many at most.", Annotated[int, Field(ge=1, le=MAX_PAGE)]),
                query("cursor", "Where the page begins, from the `Link` of the one before."),
            ),
            answers={
                200: Answer(
                    description="A page of generations.", model=GenerationList, headers=NEXT
                )
            }
            | problems(400, 401, 403, 413, 503),
            keys=KEYS,
        ),
        Operation(
            name="get_generation",
            route="GET /v1/generations/{id}",
            tag=TAG,
            summary="Read a generation",
            parameters=(ID,),
            answers={200: READ} | problems(401, 403, 404, 413, 503),
            keys=KEYS,
        ),
        Operation(
            name="cancel_generation",
            route="POST /v1/generations/{id}/cancel",
            tag=TAG,
            summary="Cancel a generation",
            parameters=(ID,),
            answers={200: READ}
            | problems(401, 403, 404, 409, 413, 503, s409="It has ended otherwise already."),
            keys=KEYS,
        ),
        Operation(
            name="retry_generation",
            route="POST /v1/generations/{id}/retry",
            tag=TAG,
            summary="Submit what has failed once more",
            description="Makes a new generation of the same request; the same one, however often"
            " it is asked.",
            parameters=(ID,),
            answers={
                202: Answer(description="It is accepted.", model=Generation, headers=ACCEPTED),
                200: Answer(description="It has ended by now.", model=Generation, headers=ACCEPTED),
            }
            | problems(
                *(401, 403, 404, 409, 413, 422, 429, 503),
                s409="It has neither failed nor was it canceled, or its retry was deleted.",
            ),
            keys=KEYS,
        ),
        Operation(
            name="delete_generation",
            route="DELETE /v1/generations/{id}",
            tag=TAG,
            summary="Delete a generation and its texts",
            parameters=(ID,),
            answers={204: Answer(description="It is not there any more.")}
            | problems(401, 403, 404, 409, 413, 503, s409="It has not ended: cancel it first."),
            keys=KEYS,
        ),
    ),
)

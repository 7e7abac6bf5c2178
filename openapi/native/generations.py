"""Generations: `/v1/generations`."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from afterword.dialects.native.generations import (
    MAX_CONVERSATION,
    MAX_METADATA_BYTES,
    MAX_PAGE,
    MAX_URL,
    MAX_WAIT,
)
from afterword.dialects.native.responses.generations import Generation, GenerationList
from afterword.generations import MAX_DEADLINE, MAX_REFERENCE, MIN_DEADLINE, Status
from afterword.handlers.context_filters import MAX_LABELS
from afterword.knowledge import MAX_NAME
from openapi.operations import (
    DEADLINE,
    DELETED,
    IDEMPOTENCY_KEY,
    NEXT,
    Answer,
    Operation,
    Section,
    Strict,
    header,
    json_body,
    page_parameters,
    path,
    query,
)
from openapi.problem import problems

TAG = "Generations"
KEYS = ("bearer", "apiKey")
ID = path("id", "The generation.", UUID)

_Value = str | float | bool
_Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
_Names = Annotated[list[_Name], Field(max_length=MAX_LABELS)]


class Labels(Strict):
    """Folders or tags, by id or name or both; an empty list takes all."""

    ids: _Names | None = None
    names: _Names | None = None


class Knowledge(Strict):
    """Folders or tags for a step, instead of its own."""

    folders: Labels | None = None
    tags: Labels | None = None


class Submission(Strict):
    """The request for a generation."""

    flow: _Name
    """The flow's id."""
    inputs: dict[str, _Value | list[_Value]] | None = None
    """The flow's inputs by name; a list for an input that may be repeated."""
    external_ref: Annotated[str, Field(min_length=1, max_length=MAX_REFERENCE)] | None = None
    """Your own id, a filter of lists. Never in the prompt."""
    metadata: Annotated[
        dict[str, Any] | None,
        Field(
            description=f"Returned to the letter, never in the prompt; up to"
            f" {MAX_METADATA_BYTES:,} bytes."
        ),
    ] = None
    deadline_seconds: (
        Annotated[
            int, Field(ge=int(MIN_DEADLINE.total_seconds()), le=int(MAX_DEADLINE.total_seconds()))
        ]
        | None
    ) = None
    """The seconds until the deadline; without this member the flow's, or an hour."""
    webhook_url: Annotated[str, Field(min_length=1, max_length=MAX_URL)] | None = None
    """Receives the end, if the tenant allows the host."""
    context: dict[str, Knowledge] | None = None
    """Folders or tags for steps, by the steps' names."""
    conversation: Annotated[str, Field(min_length=1, max_length=MAX_CONVERSATION)] | None = None
    """The same id goes on with the conversation."""


RATE_LIMIT = {
    "RateLimit-Policy": "The tenant's limits, if there are any"
    " (draft-ietf-httpapi-ratelimit-headers-10).",
    "RateLimit": "The rest of the limits.",
}
AGAIN = {"Retry-After": "While the generation is open: the seconds until the next request."}
ACCEPTED = {"Location": "The path of the generation.", **AGAIN, **RATE_LIMIT}
PREFER = header(
    "Prefer",
    "`wait=N`: wait for the end, up to `N` seconds (RFC 7240).",
    Annotated[str, Field(examples=["wait=10"])],
)
PREFERRED = {
    "Preference-Applied": "The seconds of the wait, if the request preferred one. Absent where the"
    " tenant has too many waits already; then the answer comes at once."
}
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
            description="Answers at once; the text comes later, at `Location`. With"
            f" `Prefer: wait=N` the answer waits for the end, up to `N` seconds and {MAX_WAIT} at"
            " most.",
            parameters=(
                IDEMPOTENCY_KEY,
                PREFER,
                DEADLINE,
            ),
            body=json_body(Submission),
            answers={
                202: Answer(
                    description="The generation is accepted.",
                    model=Generation,
                    headers=ACCEPTED | PREFERRED,
                ),
                200: Answer(
                    description="The generation has ended already.",
                    model=Generation,
                    headers=ACCEPTED | PREFERRED,
                ),
            }
            | problems(400, 401, 403, 409, 410, 413, 422, 429, 503, s409=DELETED),
            keys=KEYS,
        ),
        Operation(
            name="list_generations",
            route="GET /v1/generations",
            tag=TAG,
            summary="List generations",
            description="Newest first, from all APIs. A new generation may be missing for a"
            " moment.",
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
                query("flow", "The flow of the generations."),
                query(
                    "external_ref",
                    "The `external_ref` of the generations.",
                    Annotated[str, Field(min_length=1, max_length=MAX_REFERENCE)],
                ),
                query("created_after", "The generations are created then or later.", datetime),
                query("created_before", "The generations are created earlier.", datetime),
                *page_parameters("generations", MAX_PAGE, "cursor"),
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
            description="Answers at once, or with `Prefer: wait=N` as soon as the generation has"
            f" ended: after `N` seconds, and {MAX_WAIT}, at the latest.",
            parameters=(ID, PREFER),
            answers={
                200: Answer(
                    description="The generation.", model=Generation, headers=AGAIN | PREFERRED
                )
            }
            | problems(401, 403, 404, 410, 413, 503),
            keys=KEYS,
        ),
        Operation(
            name="cancel_generation",
            route="POST /v1/generations/{id}/cancel",
            tag=TAG,
            summary="Cancel a generation",
            parameters=(ID,),
            answers={200: READ}
            | problems(
                401, 403, 404, 409, 413, 503, s409="The generation has another end already."
            ),
            keys=KEYS,
        ),
        Operation(
            name="retry_generation",
            route="POST /v1/generations/{id}/retry",
            tag=TAG,
            summary="Submit a failed generation again",
            description="Makes one new generation of the same request, the same one for all"
            " retries.",
            parameters=(ID,),
            answers={
                202: Answer(
                    description="The generation is accepted.", model=Generation, headers=ACCEPTED
                ),
                200: Answer(
                    description="The generation has ended already.",
                    model=Generation,
                    headers=ACCEPTED,
                ),
            }
            | problems(
                *(401, 403, 404, 409, 410, 413, 422, 429, 503),
                s409="The generation neither failed nor was canceled, or its retry was deleted.",
            ),
            keys=KEYS,
        ),
        Operation(
            name="delete_generation",
            route="DELETE /v1/generations/{id}",
            tag=TAG,
            summary="Delete a generation and its texts",
            parameters=(ID,),
            answers={204: Answer(description="The generation is deleted.")}
            | problems(
                401, 403, 404, 409, 413, 503, s409="The generation has not ended: cancel it first."
            ),
            keys=KEYS,
        ),
    ),
)

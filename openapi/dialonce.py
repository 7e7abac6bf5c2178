"""Dialonce's asynchronous mail generation."""

from typing import Literal
from uuid import UUID

from afterword.dialects.dialonce.parameters import MailGenerationAsyncParameters
from openapi.operations import (
    DEADLINE,
    DELETED,
    IDEMPOTENCY_KEY,
    Answer,
    Described,
    Operation,
    Section,
    errors,
    json_body,
    path,
)

TAG = "Dialonce"
KEYS = ("bearer", "apiKey")
PATH = "/api/companies/{companyCuid}/orchestrators/{orchestratorCuid}/generation-async"
PLACE = (
    path("companyCuid", "The tenant."),
    path("orchestratorCuid", "One of its flows."),
)


class TextProcessOutput(Described):
    """What a submission answers."""

    process_cuid: UUID
    """The process, which is a generation."""


class MailGenerationAsyncOutput(Described):
    """How a reply is coming along."""

    status: Literal["started", "completed", "failed"]
    response: str | None
    """The reply; null unless completed."""
    external_ref: str | None
    """As it was sent."""
    external_metadata: dict[str, object] | None
    """As it was sent, to the letter."""


class DialonceError(Described):
    """What is wrong."""

    statusCode: int
    """The status of the response."""
    message: str
    """A sentence."""
    error: str
    """The status in words."""


SECTION = Section(
    TAG,
    "Replies to mails, as Dialonce's agent assist generates them. A company is a tenant, an"
    " orchestrator one of its flows.",
    (
        Operation(
            name="submit_mail_generation",
            route=f"POST {PATH}",
            tag=TAG,
            summary="Submit a mail to be answered",
            description="A `template` is a reply with placeholders such as `[Nom du Client]`, which"
            " the model fills; everything else in it comes back to the letter.",
            parameters=(*PLACE, IDEMPOTENCY_KEY, DEADLINE),
            body=json_body(MailGenerationAsyncParameters),
            answers={200: Answer(description="It is accepted.", model=TextProcessOutput)}
            | errors(DialonceError, 400, 401, 403, 404, 409, 413, 422, 429, 503, s409=DELETED),
            keys=KEYS,
        ),
        Operation(
            name="get_mail_generation",
            route=f"GET {PATH}/{{processCuid}}",
            tag=TAG,
            summary="Read a mail's reply",
            parameters=(*PLACE, path("processCuid", "What the submission has answered.", UUID)),
            answers={
                200: Answer(description="How it is coming along.", model=MailGenerationAsyncOutput)
            }
            | errors(DialonceError, 401, 403, 404, 413, 503),
            keys=KEYS,
        ),
    ),
)

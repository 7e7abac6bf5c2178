"""Dialonce's asynchronous mail generation."""

from uuid import UUID

from afterword.dialects.dialonce.parameters import MailGenerationAsyncParameters
from afterword.dialects.dialonce.responses import (
    DialonceError,
    MailGenerationAsyncOutput,
    TextProcessOutput,
)
from openapi.operations import (
    DEADLINE,
    DELETED,
    IDEMPOTENCY_KEY,
    Answer,
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
            description="A `template` is a reply with placeholders such as `[Nom du Client]`. The"
            " model fills these; all other text comes back to the letter.",
            parameters=(*PLACE, IDEMPOTENCY_KEY, DEADLINE),
            body=json_body(MailGenerationAsyncParameters),
            answers={200: Answer(description="Accepted.", model=TextProcessOutput)}
            | errors(DialonceError, 400, 401, 403, 404, 409, 413, 422, 429, 503, s409=DELETED),
            keys=KEYS,
        ),
        Operation(
            name="get_mail_generation",
            route=f"GET {PATH}/{{processCuid}}",
            tag=TAG,
            summary="Read a mail's reply",
            parameters=(*PLACE, path("processCuid", "The `process_cuid` of the submission.", UUID)),
            answers={
                200: Answer(description="The state of the reply.", model=MailGenerationAsyncOutput)
            }
            | errors(DialonceError, 401, 403, 404, 413, 503),
            keys=KEYS,
        ),
    ),
)

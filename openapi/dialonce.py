"""Dialonce's asynchronous mail generation and mail classification."""

from uuid import UUID

from pydantic import BaseModel

from afterword.dialects.dialonce.responses import (
    DialonceError,
    MailClassificationAsyncOutput,
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
CLASSIFICATION_PATH = PATH.replace("generation-async", "classification-async")
PLACE = (
    path("companyCuid", "The tenant."),
    path("orchestratorCuid", "One of its flows."),
)


class MailGenerationAsyncParameters(BaseModel):
    """The body of a submission. Unknown fields are ignored."""

    subject: str
    body: str
    metadata: dict[str, object] | None = None
    template: str | None = None
    external_ref: str | None = None
    external_metadata: dict[str, object] | None = None


class Mail(BaseModel):
    """A mail to classify. Unknown fields are ignored."""

    subject: str
    body: str


class MailClassificationAsyncParameters(BaseModel):
    """The body of a submission. Unknown fields are ignored."""

    mail: Mail
    external_ref: str | None = None
    external_metadata: dict[str, object] | None = None


SECTION = Section(
    TAG,
    "Replies to mails, as Dialonce's agent assist generates them, and classes of mails. A company"
    " is a tenant, an orchestrator one of its flows.",
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
        Operation(
            name="submit_mail_classification",
            route=f"POST {CLASSIFICATION_PATH}",
            tag=TAG,
            summary="Submit a mail to be classified",
            description="The classes are those of the last step of the orchestrator's flow. A flow"
            " without classes is 422.",
            parameters=(*PLACE, IDEMPOTENCY_KEY, DEADLINE),
            body=json_body(MailClassificationAsyncParameters),
            answers={200: Answer(description="Accepted.", model=TextProcessOutput)}
            | errors(DialonceError, 400, 401, 403, 404, 409, 413, 422, 429, 503, s409=DELETED),
            keys=KEYS,
        ),
        Operation(
            name="get_mail_classification",
            route=f"GET {CLASSIFICATION_PATH}/{{processCuid}}",
            tag=TAG,
            summary="Read a mail's class",
            parameters=(*PLACE, path("processCuid", "The `process_cuid` of the submission.", UUID)),
            answers={
                200: Answer(
                    description="The state of the classification.",
                    model=MailClassificationAsyncOutput,
                )
            }
            | errors(DialonceError, 401, 403, 404, 413, 503),
            keys=KEYS,
        ),
    ),
)

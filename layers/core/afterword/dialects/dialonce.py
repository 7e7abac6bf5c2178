"""Dialonce's asynchronous mail generation.

Two endpoints under `/api/companies/{companyCuid}/orchestrators/{orchestratorCuid}`:
`POST generation-async` takes MailGenerationAsyncParameters and answers TextProcessOutput,
`GET generation-async/{processCuid}` answers MailGenerationAsyncOutput. A company is a tenant, an
orchestrator a flow. Not public, and so ours: the key in `Authorization: Bearer` or `x-api-key`,
and errors as `{"statusCode", "message", "error"}`.
"""

import json
from collections.abc import Mapping
from http import HTTPStatus

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from afterword import json_body, placeholders
from afterword.errors import AfterwordError, InvalidRequestError, NotFoundError
from afterword.generations import Generation, Status, Submission
from afterword.http import STATUSES, Request, Response, bearer_token

NAME = "dialonce"

_STATUSES: Mapping[Status, str] = {
    Status.QUEUED: "started",
    Status.RUNNING: "started",
    Status.SUCCEEDED: "completed",
    Status.FAILED: "failed",
    Status.CANCELED: "failed",
}
_EXTERNAL = ("external_ref", "external_metadata")
MAX_EXTERNAL_BYTES = 1_000_000
"""What is handed back has to fit into one response of Lambda, 6 MB, beside the text."""


class MailGenerationAsyncParameters(BaseModel):
    """The body of a submission. Fields that are not known are ignored."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    subject: str
    body: str
    metadata: dict[str, object] | None = Field(default=None)
    template: str | None = None
    external_ref: str | None = None
    external_metadata: dict[str, object] | None = None


def api_key(request: Request) -> str | None:
    """Return the key of `Authorization: Bearer`, else of `x-api-key`."""
    return bearer_token(request) or request.headers.get("x-api-key")


def orchestrator(request: Request, tenant: str) -> str:
    """Return the orchestrator of the path; raise NotFoundError unless the company is the tenant."""
    if request.path["companyCuid"] != tenant:
        raise NotFoundError("There is no such company.")
    return request.path["orchestratorCuid"]


def submission(request: Request, flow: str) -> Submission:
    """Parse a MailGenerationAsyncParameters; raise InvalidRequestError naming what is wrong.

    A mail needs a subject or a body that is not blank. `external_ref` and `external_metadata` are
    kept as the text that was sent.
    """
    sent = json_body.parse_object(request.body)
    try:
        mail = MailGenerationAsyncParameters.model_validate(sent.values)
    except ValidationError as error:
        raise InvalidRequestError(_explain(error)) from error
    if not (mail.subject.strip() or mail.body.strip()):
        raise InvalidRequestError("subject, body: the mail is empty; one of them needs a text.")
    if mail.template is not None:
        placeholders.parse(mail.template)
    inputs = {"subject": mail.subject, "body": mail.body}
    if mail.metadata is not None:
        inputs["metadata"] = sent.texts["metadata"]
    external = {name: sent.texts[name] for name in _EXTERNAL if name in sent.texts}
    for name, text in external.items():
        if len(text.encode()) > MAX_EXTERNAL_BYTES:
            raise InvalidRequestError(f"{name}: it has more than {MAX_EXTERNAL_BYTES} bytes.")
    return Submission(
        dialect=NAME,
        flow=flow,
        inputs=inputs,
        template=mail.template if mail.template and mail.template.strip() else None,
        external=external,
    )


def accepted(generation_id: str) -> Response:
    """Return a TextProcessOutput."""
    return Response(status=HTTPStatus.OK, body=json.dumps({"process_cuid": generation_id}))


def output(generation: Generation, flow: str) -> Response:
    """Return a MailGenerationAsyncOutput; raise NotFoundError if it is another orchestrator's."""
    if generation.flow != flow:
        raise NotFoundError("There is no such generation.")
    text = None if generation.completion is None else generation.completion.text
    body = json_body.render_object(
        {
            "status": json.dumps(_STATUSES[generation.status]),
            "response": json.dumps(text),
            "external_ref": generation.external.get("external_ref", "null"),
            "external_metadata": generation.external.get("external_metadata", "null"),
        }
    )
    return Response(status=HTTPStatus.OK, body=body)


def error(error: AfterwordError) -> Response:
    """Return an error as `{"statusCode": 404, "message": "…", "error": "Not Found"}`."""
    status = STATUSES[type(error)]
    body = {"statusCode": status, "message": str(error), "error": status.phrase}
    return Response(status=status, body=json.dumps(body))


def _explain(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_input=False)
    )

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

from afterword.errors import AfterwordError, NotFoundError
from afterword.generations import Generation, Status
from afterword.handlers.http import STATUSES, Request, Response, bearer_token
from afterword.runtime import json_text
from afterword.tenants.keys import ApiKey

NAME = "dialonce"

_STATUSES: Mapping[Status, str] = {
    Status.QUEUED: "started",
    Status.RUNNING: "started",
    Status.SUCCEEDED: "completed",
    Status.FAILED: "failed",
    Status.CANCELED: "failed",
}


def api_key(request: Request) -> str | None:
    """Return the key of `Authorization: Bearer`, else of `x-api-key`."""
    return bearer_token(request) or request.headers.get("x-api-key")


def orchestrator(request: Request, key: ApiKey) -> str:
    """Return the orchestrator of the path.

    Raises NotFoundError unless the company is the key's tenant, and if the key is for another flow.
    """
    if request.path["companyCuid"] != key.tenant:
        raise NotFoundError("There is no such company.")
    flow = request.path["orchestratorCuid"]
    if key.flow not in {None, flow}:
        raise NotFoundError("There is no such flow.")
    return flow


def accepted(generation_id: str) -> Response:
    """Return a TextProcessOutput."""
    return Response(status=HTTPStatus.OK, body=json.dumps({"process_cuid": generation_id}))


def output(generation: Generation, flow: str) -> Response:
    """Return a MailGenerationAsyncOutput; raise NotFoundError if it is another orchestrator's."""
    if generation.flow != flow:
        raise NotFoundError("There is no such generation.")
    text = None if generation.completion is None else generation.completion.text
    body = json_text.render_object(
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

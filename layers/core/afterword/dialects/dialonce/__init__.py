"""Dialonce's asynchronous mail generation and mail classification.

Four endpoints under `/api/companies/{companyCuid}/orchestrators/{orchestratorCuid}`:
`POST generation-async` takes MailGenerationAsyncParameters and answers TextProcessOutput,
`GET generation-async/{processCuid}` answers MailGenerationAsyncOutput. `classification-async` is
the same for MailClassificationAsyncParameters and MailClassificationAsyncOutput. Each GET has the
processes of its own POST, and `generation-async` those of other dialects, too. A company is a
tenant, an orchestrator a flow. The service does not publish where the key stands, nor its errors.
Here the key stands in `Authorization: Bearer` or `x-api-key`; errors are
`{"statusCode", "message", "error"}`.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

from afterword.errors import AfterwordError, NotFoundError
from afterword.flows.classes import read_classification
from afterword.generations import Generation, Status
from afterword.handlers import http
from afterword.handlers.http import STATUSES, KeyPlace, Request, Response
from afterword.runtime.json_text import JsonText, render
from afterword.tenants.keys import ApiKey

if TYPE_CHECKING:
    from afterword.dialects.dialonce.responses import (
        DialonceError,
        External,
        MailClassificationAsyncOutput,
        MailGenerationAsyncOutput,
        TextProcessOutput,
    )

NAME = "dialonce"
PATHS: Sequence[str] = ("/api/companies",)
"""The beginnings of the paths that are this API's."""
KEY_PLACES: Sequence[KeyPlace] = (KeyPlace.BEARER, KeyPlace.X_API_KEY)

_STATUSES: Mapping[Status, Literal["started", "completed", "failed"]] = {
    Status.QUEUED: "started",
    Status.RUNNING: "started",
    Status.SUCCEEDED: "completed",
    Status.FAILED: "failed",
    Status.CANCELED: "failed",
}


def read_api_key(request: Request) -> str | None:
    """Return the key of a header; raise UnauthenticatedError for two that differ."""
    return http.read_header_key(request, KEY_PLACES)


def read_flow_id(request: Request, key: ApiKey) -> str:
    """Return the flow that the path's orchestrator is.

    Raises NotFoundError unless the company is the key's tenant, and if the key is for another flow.
    """
    if request.path["companyCuid"] != key.tenant:
        raise NotFoundError("There is no such company.")
    flow = request.path["orchestratorCuid"]
    http.require_access(flow, key.flow, "flow")
    return flow


def require_access(generation: Generation, flow: str, *, classifies: bool = False) -> None:
    """Raise NotFoundError for a generation of another orchestrator.

    Also for one of the other kind: with `classifies` a class was asked for, else a reply.
    """
    http.require_access(generation.flow, flow)
    if generation.classifies is not classifies:
        raise NotFoundError("There is no such generation.")


def render_accepted(generation_id: str) -> Response:
    """Return a TextProcessOutput."""
    output: TextProcessOutput = {"process_cuid": generation_id}
    return Response(status=HTTPStatus.OK, body=render(output))


def render_generation(generation: Generation) -> Response:
    """Return a MailGenerationAsyncOutput; a lost reply has failed."""
    completion = generation.completion
    status = Status.FAILED if generation.has_lost_result else generation.status
    output: MailGenerationAsyncOutput = {
        "status": _STATUSES[status],
        "response": None if completion is None else completion.text,
        **_build_external(generation),
    }
    return Response(status=HTTPStatus.OK, body=render(output))


def render_classification(generation: Generation) -> Response:
    """Return a MailClassificationAsyncOutput; a result that is lost, or has no class, has failed.

    A worker of another version may have left a result without a class.
    """
    completion = generation.completion
    found = None if completion is None else read_classification(completion.text)
    status = generation.status
    if status is Status.SUCCEEDED and found is None:
        status = Status.FAILED
    output: MailClassificationAsyncOutput = {
        "status": _STATUSES[status],
        "result": None
        if found is None
        else {"classification": found.name, "confidence": found.confidence},
        **_build_external(generation),
    }
    return Response(status=HTTPStatus.OK, body=render(output))


def _build_external(generation: Generation) -> "External":
    return {
        "external_ref": JsonText(generation.external.get("external_ref", "null")),
        "external_metadata": JsonText(generation.external.get("external_metadata", "null")),
    }


def render_error(error: AfterwordError) -> Response:
    """Return an error as `{"statusCode": 404, "message": "…", "error": "Not Found"}`."""
    status = STATUSES[type(error)]
    body: DialonceError = {
        "statusCode": int(status),
        "message": str(error),
        "error": status.phrase,
    }
    return Response(status=status, body=render(body))

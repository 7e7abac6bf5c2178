"""Promptitude's flows: `POST /v1/flows/{flowId}/generate`, which waits for the text.

Each response is `{"code", "message", "error", "results"}`, and its `code` is the HTTP status. The
service publishes neither its codes nor the answer to a rating. `GET /v1/logs/{logId}` is an
addition here: the result of a run that outlasts the wait stands in its log.
"""

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

from afterword.errors import AfterwordError, InvalidRequestError, UnprocessableError
from afterword.flows import inputs
from afterword.generations import (
    GONE,
    Completion,
    Generation,
    Output,
    Submission,
)
from afterword.handlers import context_filters, failures, http
from afterword.handlers.http import STATUSES, Request, Response, read_bearer_token
from afterword.handlers.json_members import read_object, write_scalar
from afterword.knowledge import MAX_NAME
from afterword.knowledge.selection import ContextFilterRequest, Knowledge
from afterword.runtime import json_text
from afterword.runtime.json_text import JsonText, render
from afterword.tenants import StoredFlow
from afterword.tenants.keys import ApiKey

if TYPE_CHECKING:
    from afterword.dialects.promptitude.responses import (
        LogAnswer,
        PromptitudeError,
        RatedAnswer,
        RunAnswer,
        RunError,
        Running,
        RunningAnswer,
        Stopped,
    )

NAME = "promptitude"
USER = "userId"
MAX_USER = 255
RATINGS = range(4)


def read_api_key(request: Request) -> str | None:
    """Return the key of `Authorization: Bearer`."""
    return read_bearer_token(request)


def read_flow_id(request: Request, key: ApiKey) -> str:
    """Return the path's flow; raise NotFoundError if the key is for another."""
    flow = request.path["flowId"]
    http.require_access(flow, key.flow, "flow")
    return flow


def parse_submission(
    request: Request, key: ApiKey, flow: StoredFlow, knowledge: Callable[[], Knowledge]
) -> Submission:
    """Parse a request; raise InvalidRequestError, or UnprocessableError naming the field."""
    sent = json_text.parse_object(request.body)
    form = read_object(sent.values, "flow")
    values, files = inputs.check_inputs(inputs.declared_inputs(flow.document), _parse_inputs(form))
    user = sent.values.get(USER)
    if user is not None and (not isinstance(user, str) or len(user) > MAX_USER):
        raise UnprocessableError(USER, f"must be a string of up to {MAX_USER} characters.")
    filters = _parse_filters(read_object(sent.values, "steps"), flow)
    return Submission(
        dialect=NAME,
        flow=flow.id,
        inputs=values,
        template=None,
        external={} if user is None else {USER: json.dumps(user)},
        files=files,
        deadline=http.read_deadline(request),
        context=knowledge().resolve_filters(key.tenant, filters) if filters else {},
    )


def parse_rating(body: bytes) -> int | None:
    """Return the rating of a request, None for 0, which removes the rating."""
    sent = json_text.parse_object(body).values
    value = read_object(sent, "rating").get("rating")
    if isinstance(value, bool) or not isinstance(value, int) or value not in RATINGS:
        raise UnprocessableError("rating.rating", "must be a whole number from 0 to 3.")
    return value or None


def require_access(generation: Generation, key: ApiKey) -> Generation:
    """Return a generation; raise NotFoundError if the key is for another flow."""
    http.require_access(generation.flow, key.flow)
    return generation


def render_run(generation: Generation) -> Response:
    """Return the result of a generation after the wait; 504 for one that is not finished."""
    log_id = generation.id
    if not generation.status.terminal:
        message = f"The run takes longer: its result will be at /v1/logs/{log_id}."
        return _render_run_error(HTTPStatus.GATEWAY_TIMEOUT, message, {"logId": log_id})
    if generation.completion is None:
        return _render_failure(generation, {"logId": log_id})
    result = _render_result(generation.completion)
    answer: RunAnswer = {
        "code": 200,
        "message": "OK",
        "error": False,
        "results": {"result": result, "logId": log_id},
    }
    return Response(status=HTTPStatus.OK, body=render(answer))


def render_log(generation: Generation) -> Response:
    """Return a generation as its owner sees it: with its user and its rating."""
    run: Running = {
        "logId": generation.id,
        "flowId": generation.flow,
        "userId": json.loads(generation.external.get(USER, "null")),
        "rating": generation.rating or 0,
    }
    if not generation.status.terminal:
        running: RunningAnswer = {
            "code": 202,
            "message": "The run is not finished yet.",
            "error": False,
            "results": run,
        }
        return Response(status=HTTPStatus.ACCEPTED, body=render(running))
    if generation.completion is None:
        return _render_failure(generation, {**run})
    result = _render_result(generation.completion)
    answer: LogAnswer = {
        "code": 200,
        "message": "OK",
        "error": False,
        "results": {"result": result, **run},
    }
    return Response(status=HTTPStatus.OK, body=render(answer))


def render_rating(generation: Generation) -> Response:
    """Return the rating of a generation."""
    answer: RatedAnswer = {
        "code": 200,
        "message": "OK",
        "error": False,
        "results": {"logId": generation.id, "rating": generation.rating or 0},
    }
    return Response(status=HTTPStatus.OK, body=render(answer))


def render_error(error: AfterwordError) -> Response:
    """Return an error as `{"code": 404, "message": "…", "error": true}`."""
    status = STATUSES[type(error)]
    body: PromptitudeError = {"code": int(status), "message": str(error), "error": True}
    return Response(status=status, body=render(body))


def _render_failure(generation: Generation, run: "Stopped") -> Response:
    return _render_run_error(failures.choose_status(generation), _explain(generation), run)


def _render_run_error(status: HTTPStatus, message: str, run: "Stopped") -> Response:
    body: RunError = {"code": int(status), "message": message, "error": True, "results": run}
    return Response(status=status, body=render(body))


def _render_result(completion: Completion) -> JsonText:
    text = completion.text
    return JsonText(render(text if completion.output is Output.STRING else json.loads(text)))


def _explain(generation: Generation) -> str:
    if generation.has_lost_result:
        return f"gone: {GONE}"
    if generation.reason is None:
        return "The run was canceled."
    return f"{generation.reason}: {generation.message}"


def _parse_inputs(form: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return the inputs of `flow.inputs`, a list as the input repeated; null is no input."""
    pairs: list[tuple[str, str]] = []
    for name, value in read_object(form, "inputs", "flow").items():
        for each in value if isinstance(value, list) else [value]:
            text = write_scalar(each)
            if text is not None:
                pairs.append((name, text))
            elif each is not None:
                raise InvalidRequestError(
                    "flow.inputs: must have strings, numbers, true, false, or lists of these."
                )
    return pairs


def _parse_filters(
    overrides: Mapping[str, object], flow: StoredFlow
) -> Mapping[str, ContextFilterRequest]:
    """Return the filters of `steps`; refuse steps that choose no context."""
    steps = context_filters.steps_of(flow)
    filters: dict[str, ContextFilterRequest] = {}
    for name in overrides:
        if name not in steps:
            there = ", ".join(sorted(steps))
            raise UnprocessableError("steps", f'must be of: {there}; not "{name[:MAX_NAME]}".')
        override = read_object(overrides, name, "steps")
        if sent := read_object(override, "context", f"steps.{name}"):
            field = f"steps.{name}.context"
            filters[name] = context_filters.parse_filter(sent, steps[name], field)
    return filters

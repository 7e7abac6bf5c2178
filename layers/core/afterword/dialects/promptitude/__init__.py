"""Promptitude's flows and prompts: `POST /v1/flows/{flowId}/generate` and `POST /v1/generate`.

Both wait for the text. A prompt is a flow here, and its `endUserId` is the `userId` of its log.
Each response is `{"code", "message", "error", "results"}`, and its `code` is the HTTP status. The
service does not publish its codes. `GET /v1/logs/{logId}` is an addition here: the result of a run
that outlasts the wait stands in its log.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from afterword.errors import AfterwordError, InvalidRequestError, UnprocessableError
from afterword.flows import inputs
from afterword.generations import Generation, Submission
from afterword.handlers import context_filters, failures, http
from afterword.handlers.body_keys import API_KEY, check_body_keys, find_body_key
from afterword.handlers.http import STATUSES, KeyPlace, Request, Response
from afterword.handlers.json_members import read_object, write_scalar
from afterword.handlers.outputs import render_output
from afterword.knowledge import MAX_NAME
from afterword.knowledge.selection import ContextFilterRequest, Knowledge
from afterword.records import dataclass
from afterword.runtime import json_text
from afterword.runtime.json_text import render
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
PATHS: Sequence[str] = ("/v1/content", "/v1/flows/{flowId}/generate", "/v1/generate", "/v1/logs")
"""The beginnings of the paths that are this API's."""
KEY_PLACES: Sequence[KeyPlace] = (KeyPlace.BEARER,)
CONTEXT = "context"
"""A prompt's field for its filter."""
USER, END_USER = "userId", "endUserId"
"""A flow's field for its user, under which the user is stored, and a prompt's."""
MAX_USER = 255
RATINGS = range(4)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptRequest:
    """A request to run a prompt; `flow` is the prompt's id, and `context` is not checked yet."""

    flow: str
    inputs: list[tuple[str, str]]
    user: str | None
    context: Mapping[str, object]


def read_api_key(request: Request) -> str | None:
    """Return the key of `Authorization: Bearer`, else of the body's field `apiKey`.

    `check_keys` then checks the body's. A form that cannot be read has no key: its fault is told to
    those who have one.
    """
    return http.read_header_key(request, KEY_PLACES) or _find_body_key(request)


def check_keys(request: Request, sent: Iterable[object]) -> None:
    """Raise UnauthenticatedError unless each `apiKey` of the body itself is the request's key."""
    needed = http.read_header_key(request, KEY_PLACES) is None
    check_body_keys(sent, read_api_key(request), needed=needed)


def check_unused_body(request: Request) -> None:
    """Raise like `check_keys`, and for bad JSON, for a body that has no use but its key."""
    if API_KEY.encode() not in request.body:
        return
    if request.body.lstrip().startswith(b"{"):
        _parse(request)
    else:
        check_keys(request, [_find_body_key(request)])


def read_flow_id(request: Request, key: ApiKey) -> str:
    """Return the path's flow; raise NotFoundError if the key is for another."""
    flow = request.path["flowId"]
    http.require_access(flow, key.flow, "flow")
    return flow


def parse_submission(
    request: Request, key: ApiKey, flow: StoredFlow, knowledge: Callable[[], Knowledge]
) -> Submission:
    """Parse a request; raise InvalidRequestError, or UnprocessableError naming the field."""
    sent = _parse(request)
    pairs = _parse_inputs(read_object(sent, "flow"), "flow")
    submission = _build_submission(request, flow, pairs)
    submission = replace(submission, external=_write_user(_parse_user(sent, USER)))
    filters = _parse_filters(read_object(sent, "steps"), flow)
    if not filters:
        return submission
    return replace(submission, context=knowledge().resolve_filters(key.tenant, filters))


def parse_prompt(request: Request, key: ApiKey) -> PromptRequest:
    """Parse a request that runs a prompt.

    Raises InvalidRequestError, UnprocessableError naming the field, and NotFoundError if the key is
    for another flow.
    """
    sent = _parse(request)
    prompt = read_object(sent, "prompt")
    flow = prompt.get("promptId")
    if not isinstance(flow, str):
        raise UnprocessableError("prompt.promptId", "must be a string.")
    http.require_access(flow, key.flow, "flow")
    return PromptRequest(
        flow=flow,
        inputs=_parse_inputs(prompt, "prompt"),
        user=_parse_user(sent, END_USER),
        context=read_object(sent, CONTEXT),
    )


def build_prompt_submission(
    request: Request,
    key: ApiKey,
    prompt: PromptRequest,
    flow: StoredFlow,
    knowledge: Callable[[], Knowledge],
) -> Submission:
    """Return the submission of a prompt's flow; raise UnprocessableError naming the field."""
    submission = _build_submission(request, flow, prompt.inputs)
    submission = replace(submission, external=_write_user(prompt.user))
    filters = _spread_filter(prompt.context, flow)
    if not filters:
        return submission
    return replace(submission, context=knowledge().resolve_filters(key.tenant, filters, CONTEXT))


def parse_rating(request: Request) -> int | None:
    """Return the rating of a request, None for 0, which removes the rating."""
    sent = _parse(request)
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
    if generation.completion is None:
        later = f"The run takes longer: its result will be at /v1/logs/{log_id}."
        problem = failures.explain(generation, "run") or later
        return _render_run_error(generation, problem, {"logId": log_id})
    result = render_output(generation.completion)
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
    problem = failures.explain(generation, "run")
    if problem is not None:
        return _render_run_error(generation, problem, {**run})
    if generation.completion is None:
        running: RunningAnswer = {
            "code": 202,
            "message": "The run is not finished yet.",
            "error": False,
            "results": run,
        }
        return Response(status=HTTPStatus.ACCEPTED, body=render(running))
    result = render_output(generation.completion)
    answer: LogAnswer = {
        "code": 200,
        "message": "OK",
        "error": False,
        "results": {"result": result, **run},
    }
    return Response(status=HTTPStatus.OK, body=render(answer))


def render_rating(generation: Generation) -> Response:
    """Return the rating of a generation, as the service shows it and with the log's own names."""
    log_id, rating = generation.id, generation.rating or 0
    answer: RatedAnswer = {
        "code": 200,
        "message": "OK",
        "error": False,
        "results": {
            "promptsLogs": {"id": log_id, "rating": rating},
            "logId": log_id,
            "rating": rating,
        },
    }
    return Response(status=HTTPStatus.OK, body=render(answer))


def render_error(error: AfterwordError) -> Response:
    """Return an error as `{"code": 404, "message": "…", "error": true}`."""
    status = STATUSES[type(error)]
    body: PromptitudeError = {"code": int(status), "message": str(error), "error": True}
    return Response(status=status, body=render(body))


def _parse(request: Request) -> Mapping[str, object]:
    """Return the members of a body of JSON; raise like `json_text.parse_object`, `check_keys`."""
    values = json_text.parse_object(request.body).values
    check_keys(request, [values.get(API_KEY)])
    return values


def _find_body_key(request: Request) -> str | None:
    """Return the API key in a body, which may be JSON with any content type, or a form."""
    return find_body_key(request.body) or next(iter(_read_multipart_keys(request)), None)


def _read_multipart_keys(request: Request) -> Sequence[str]:
    """Return the keys in a multipart form, whose reader is bounded; none of what cannot be read."""
    content_type = request.headers.get("content-type", "")
    if API_KEY.encode() not in request.body or not content_type.lower().startswith("multipart/"):
        return ()
    from afterword.handlers import forms  # noqa: PLC0415 - the endpoints of JSON have no forms

    try:
        fields = forms.read(content_type, request.body).fields
    except InvalidRequestError:
        return ()
    return [value for name, value in fields if name == API_KEY and isinstance(value, str) and value]


def _render_run_error(generation: Generation, message: str, run: "Stopped") -> Response:
    status = failures.choose_status(generation)
    body: RunError = {"code": int(status), "message": message, "error": True, "results": run}
    return Response(status=status, body=render(body))


def _build_submission(
    request: Request, flow: StoredFlow, pairs: list[tuple[str, str]]
) -> Submission:
    """Return the submission of a run without its user and its filters."""
    values, files = inputs.check_inputs(inputs.declared_inputs(flow.document), pairs)
    return Submission(
        dialect=NAME,
        flow=flow.id,
        inputs=values,
        template=None,
        external={},
        files=files,
        deadline=http.read_deadline(request),
    )


def _parse_user(sent: Mapping[str, object], name: str) -> str | None:
    user = sent.get(name)
    if user is None or (isinstance(user, str) and len(user) <= MAX_USER):
        return user
    raise UnprocessableError(name, f"must be a string of up to {MAX_USER} characters.")


def _write_user(user: str | None) -> Mapping[str, str]:
    return {} if user is None else {USER: json.dumps(user)}


def _parse_inputs(form: Mapping[str, object], within: str) -> list[tuple[str, str]]:
    """Return the member `inputs`, a list as the input repeated; null is no input."""
    pairs: list[tuple[str, str]] = []
    for name, value in read_object(form, "inputs", within).items():
        for each in value if isinstance(value, list) else [value]:
            text = write_scalar(each)
            if text is not None:
                pairs.append((name, text))
            elif each is not None:
                raise InvalidRequestError(
                    f"{within}.inputs: must have strings, numbers, true, false, or lists of these."
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


def _spread_filter(
    sent: Mapping[str, object], flow: StoredFlow
) -> Mapping[str, ContextFilterRequest]:
    """Return the filter of a prompt for each step with a context, none without a filter.

    Raises UnprocessableError for a filter without such a step.
    """
    if not sent:
        return {}
    steps = context_filters.steps_of(flow)
    filters = {
        name: context_filters.parse_filter(sent, step, CONTEXT)
        for name, step in steps.items()
        if step.get("context") is not None
    }
    if not filters:
        raise UnprocessableError(CONTEXT, "must be left out: this prompt chooses no context.")
    return filters

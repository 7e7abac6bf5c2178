"""Promptitude's flows: `POST /v1/flows/{flowId}/generate`, which waits for the text.

Each response is `{"code", "message", "error", "results"}`, and its `code` is the HTTP status. Not
public, and so ours: the list of codes, what the rating answers, and `GET /v1/logs/{logId}`, where a
result is that took too long to be waited for.
"""

import json
from collections.abc import Callable, Collection, Mapping
from http import HTTPStatus

from afterword.errors import AfterwordError, InvalidRequestError, NotFoundError, UnprocessableError
from afterword.flows import inputs
from afterword.generations import Generation, Output, Reason, Status, Submission
from afterword.handlers import http
from afterword.handlers.http import STATUSES, Request, Response, bearer_token
from afterword.knowledge import MAX_NAME
from afterword.knowledge.selection import ContextFilterLabels, ContextFilterRequest, Knowledge
from afterword.runtime import json_text
from afterword.tenants.keys import ApiKey
from afterword.tenants.registry import StoredFlow

NAME = "promptitude"
USER = "userId"
MAX_USER = 255
MAX_LABELS = 100
"""Folders, or tags, that a request may choose for a step."""
RATINGS = range(4)
_TIMED_OUT = frozenset({Reason.DEADLINE, Reason.TIMED_OUT})
_CALLERS = frozenset(
    {
        Reason.REFUSED_CONTENT,
        Reason.TOO_LONG,
        Reason.UNREADABLE_FILE,
        Reason.IMAGE_NOT_ACCEPTED,
        Reason.KNOWLEDGE_TOO_LARGE,
    }
)
"""Reasons that the caller can do something about."""

type Json = dict[str, object]


def api_key(request: Request) -> str | None:
    """Return the key of `Authorization: Bearer`."""
    return bearer_token(request)


def flow_id(request: Request, key: ApiKey) -> str:
    """Return the path's flow; raise NotFoundError if the key is for another."""
    flow = request.path["flowId"]
    if key.flow not in {None, flow}:
        raise NotFoundError("There is no such flow.")
    return flow


def submission(
    request: Request, key: ApiKey, flow: StoredFlow, knowledge: Callable[[], Knowledge]
) -> Submission:
    """Parse a request; raise InvalidRequestError, or UnprocessableError naming the field."""
    sent = json_text.parse_object(request.body)
    form = _member(sent.values, "flow")
    values, files = inputs.check_inputs(inputs.declared_inputs(flow.document), _pairs(form))
    user = sent.values.get(USER)
    if user is not None and (not isinstance(user, str) or len(user) > MAX_USER):
        raise UnprocessableError(USER, f"it must be a string of up to {MAX_USER} characters.")
    wanted = _wanted(_member(sent.values, "steps"), flow)
    return Submission(
        dialect=NAME,
        flow=flow.id,
        inputs=values,
        template=None,
        external={} if user is None else {USER: json.dumps(user)},
        files=files,
        deadline=http.deadline(request),
        context=knowledge().resolve_filters(key.tenant, wanted) if wanted else {},
    )


def rating(body: bytes) -> int | None:
    """Return the rating of a request, None for 0, which takes it away."""
    sent = json_text.parse_object(body).values
    value = _member(sent, "rating").get("rating")
    if isinstance(value, bool) or not isinstance(value, int) or value not in RATINGS:
        raise UnprocessableError("rating.rating", "it must be a whole number from 0 to 3.")
    return value or None


def owned(generation: Generation, key: ApiKey) -> Generation:
    """Return a generation that the key may see; raise NotFoundError if it is another flow's."""
    if key.flow not in {None, generation.flow}:
        raise NotFoundError("There is no such generation.")
    return generation


def generated(generation: Generation) -> Response:
    """Return what came of a generation that was waited for; 504 if it takes longer."""
    if not generation.status.terminal:
        message = f"It takes longer: the result will be at /v1/logs/{generation.id}."
        return answer(HTTPStatus.GATEWAY_TIMEOUT, message, {"logId": generation.id})
    return _end(generation, {})


def log(generation: Generation) -> Response:
    """Return a generation as its owner sees it: with who asked for it, and the rating."""
    shown: Json = {
        "flowId": generation.flow,
        USER: json.loads(generation.external.get(USER, "null")),
        "rating": generation.rating or 0,
    }
    if not generation.status.terminal:
        results = {"logId": generation.id, **shown}
        return answer(HTTPStatus.ACCEPTED, "It is not finished yet.", results)
    return _end(generation, shown)


def rated(generation: Generation) -> Response:
    """Return what a rating is now."""
    results: Json = {"logId": generation.id, "rating": generation.rating or 0}
    return answer(HTTPStatus.OK, "OK", results)


def answer(status: HTTPStatus, message: str, results: Json | None) -> Response:
    """Return an answer, which is an error from 400 on."""
    body: Json = {"code": status, "message": message, "error": status >= HTTPStatus.BAD_REQUEST}
    if results is not None:
        body["results"] = results
    return Response(status=status, body=json.dumps(body, ensure_ascii=False))


def error(error: AfterwordError) -> Response:
    """Return an error as `{"code": 404, "message": "…", "error": true}`."""
    status = STATUSES[type(error)]
    return answer(status, str(error), None)


def _end(generation: Generation, shown: Json) -> Response:
    results: Json = {"logId": generation.id, **shown}
    completion = generation.completion
    if completion is None:
        return answer(_failed(generation), _why(generation), results)
    text = completion.text
    result = text if completion.output is Output.STRING else json.loads(text)
    return answer(HTTPStatus.OK, "OK", {"result": result, **results})


def _failed(generation: Generation) -> HTTPStatus:
    if generation.status is Status.CANCELED:
        return HTTPStatus.CONFLICT
    if generation.reason in _TIMED_OUT:
        return HTTPStatus.GATEWAY_TIMEOUT
    if generation.reason in _CALLERS:
        return HTTPStatus.UNPROCESSABLE_CONTENT
    return HTTPStatus.BAD_GATEWAY


def _why(generation: Generation) -> str:
    if generation.reason is None:
        return "It was canceled."
    return f"{generation.reason}: {generation.message}"


def _member(values: Mapping[str, object], name: str, within: str = "") -> Mapping[str, object]:
    """Return a member that is an object; an empty one if it is not there."""
    value = values.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UnprocessableError(f"{within}.{name}".lstrip("."), "it must be a JSON object.")
    return value


def _pairs(form: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return the inputs of `flow.inputs`, a list as the input repeated."""
    pairs: list[tuple[str, str]] = []
    for name, value in _member(form, "inputs", "flow").items():
        for each in value if isinstance(value, list) else [value]:
            match each:
                case None:
                    pass
                case str():
                    pairs.append((name, each))
                case bool() | int() | float():
                    pairs.append((name, json.dumps(each)))
                case _:
                    raise InvalidRequestError(
                        "flow.inputs: a value must be a string, a number, true, false, or a list"
                        " of these."
                    )
    return pairs


def _wanted(
    overrides: Mapping[str, object], flow: StoredFlow
) -> Mapping[str, ContextFilterRequest]:
    """Return what `steps` wants of the knowledge base; refuse steps that do not choose from it."""
    steps = {step["name"]: step for step in json.loads(flow.document)["steps"]}
    wanted: dict[str, ContextFilterRequest] = {}
    for name in overrides:
        if name not in steps:
            there = ", ".join(sorted(steps))
            asked = f'there is no step "{name[:MAX_NAME]}"'
            raise UnprocessableError("steps", f"{asked}; the flow has: {there}.")
        context = _member(_member(overrides, name, "steps"), "context", f"steps.{name}")
        if not context:
            continue
        field = f"steps.{name}.context"
        if steps[name].get("context") is None:
            raise UnprocessableError(field, "this step chooses no context.")
        _check_members(field, context, {"folders", "tags"})
        wanted[name] = ContextFilterRequest(
            _named(context, "folders", field),
            _named(context, "tags", field),
        )
    return wanted


def _named(context: Mapping[str, object], kind: str, field: str) -> ContextFilterLabels | None:
    """Return the folders or tags of an override: all for an empty list, None for no list at all."""
    sent = _member(context, kind, field)
    _check_members(f"{field}.{kind}", sent, {"ids", "names"})
    lists = {name: _labels(f"{field}.{kind}.{name}", sent.get(name)) for name in ("ids", "names")}
    if lists["ids"] is None and lists["names"] is None:
        return None
    return ContextFilterLabels(lists["ids"] or (), lists["names"] or ())


def _labels(field: str, sent: object) -> tuple[str, ...] | None:
    if sent is None:
        return None
    if not isinstance(sent, list) or len(sent) > MAX_LABELS:
        raise UnprocessableError(field, f"it must be a list of up to {MAX_LABELS} strings.")
    for each in sent:
        if not isinstance(each, str) or not 1 <= len(each.strip()) <= MAX_NAME:
            raise UnprocessableError(field, f"each must be a string of 1 to {MAX_NAME} characters.")
    return tuple(sent)


def _check_members(field: str, sent: Mapping[str, object], known: Collection[str]) -> None:
    if not sent.keys() <= set(known):
        raise UnprocessableError(field, f"it has {' and '.join(sorted(known))}, and nothing else.")

"""The native API's generations: submissions, lists, and one shape for generations of all dialects.

A submission is the body of `POST /v1/generations`, the detail of a `GenerationRequested` event, or
a line of a batch.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal, NamedTuple

from afterword import clock
from afterword.dialects import native
from afterword.errors import (
    ConflictError,
    ForbiddenError,
    GoneError,
    InvalidRequestError,
    NotFoundError,
    UnprocessableError,
    WrongFields,
)
from afterword.flows import inputs
from afterword.generations import (
    GONE,
    MAX_DEADLINE,
    MAX_REFERENCE,
    MIN_DEADLINE,
    Completion,
    ContextFilter,
    Generation,
    Status,
    Submission,
    Values,
)
from afterword.generations.details import GenerationFilter
from afterword.handlers import context_filters, http, paging
from afterword.handlers.http import Request, Response
from afterword.handlers.json_members import (
    check_members,
    read_object,
    read_text,
    read_whole_number,
    require_text,
    write_scalar,
)
from afterword.handlers.outputs import render_output
from afterword.handlers.paging import Paging
from afterword.knowledge import MAX_NAME
from afterword.knowledge.selection import ContextFilterRequest, Knowledge
from afterword.limits import Allowance
from afterword.models import LENGTH
from afterword.runtime import json_text
from afterword.runtime.json_text import JsonObject, JsonText, render
from afterword.runtime.pages import Page
from afterword.tenants import StoredFlow
from afterword.tenants.keys import ApiKey
from afterword.tenants.registry import Registry

if TYPE_CHECKING:
    from afterword.dialects.native.responses import generations as responses

MEMBERS = frozenset(
    {
        "flow", "inputs", "external_ref", "metadata", "deadline_seconds", "webhook_url", "context",
        "conversation",
    }
)  # fmt: skip
"""The members of a submission."""
MAX_METADATA_BYTES = 16_000
MAX_URL = 2_000
MAX_CONVERSATION = 255
MAX_WAIT = 27
"""Seconds of `Prefer: wait`: API Gateway ends the request after 30, and the function after 29."""
RETRY_AFTER = 1
"""The seconds of `Retry-After` while a generation is open."""
MAX_PAGE = 100
PARAMETERS = frozenset(
    {"status", "flow", "external_ref", "created_after", "created_before", "limit", "cursor"}
)
"""The parameters of a list."""
_PAGING = Paging(size=20, maximum=MAX_PAGE, cursor="cursor", key=paging.GENERATION_KEY)
_PATH = "/v1/generations"
_WAIT = re.compile(r"wait\s*=\s*\"?([0-9]{1,9})\"?\s*(;.*)?", re.IGNORECASE)
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def parse_body(request: Request) -> JsonObject:
    """Return a submission's JSON; raise InvalidRequestError for a body that cannot be read."""
    return json_text.parse_object(request.body)


def require_flow(sent: JsonObject, key: ApiKey, registry: Registry) -> StoredFlow:
    """Return the flow of a submission.

    Raises UnprocessableError for an absent flow, also with the other members that do not fit
    whatever the flow is. Raises ForbiddenError if the key is for another flow.
    """
    wrong = WrongFields()
    flow = wrong.read(partial(_find_flow, sent, key, registry))
    if flow is None:
        _parse_terms(sent, wrong)
        raise wrong.error()
    return flow


def _find_flow(sent: JsonObject, key: ApiKey, registry: Registry) -> StoredFlow:
    named = require_text(sent.values, "flow", MAX_NAME)
    if key.flow not in {None, named}:
        raise ForbiddenError("The API key is for another flow.")
    try:
        return registry.find_flow(key.tenant, named)
    except NotFoundError as error:
        raise UnprocessableError("flow", "must be the id of a flow.") from error


def parse_submission(
    sent: JsonObject,
    tenant: str,
    flow: StoredFlow,
    knowledge: Callable[[], Knowledge],
    deadline: timedelta | None = None,
) -> Submission:
    """Parse a submission; raise UnprocessableError, which names all members that do not fit.

    `deadline` holds for a submission without a deadline of its own. The metadata keep their text,
    except for line ends between its tokens.
    """
    wrong = WrongFields()
    terms = _parse_terms(sent, wrong)
    inputs = wrong.read(partial(_parse_inputs, sent.values, flow)) or {}
    context = wrong.read(partial(_parse_context, sent.values, tenant, flow, knowledge)) or {}
    wrong.refuse()
    return Submission(
        dialect=native.NAME,
        flow=flow.id,
        inputs=inputs,
        template=None,
        external=terms.external,
        deadline=terms.deadline or deadline,
        context=context,
        conversation=terms.conversation,
        webhook_url=terms.webhook_url,
    )


def parse_wait(request: Request) -> int | None:
    """Return the seconds of `Prefer: wait=N` (RFC 7240), at most MAX_WAIT; None without it.

    A malformed preference counts as none.
    """
    for preference in request.headers.get("prefer", "").split(","):
        found = _WAIT.fullmatch(preference.strip())
        if found:
            return min(int(found[1]), MAX_WAIT)
    return None


def require_access(generation: Generation, key: ApiKey) -> Generation:
    """Return a generation; raise NotFoundError if the key is for another flow."""
    http.require_access(generation.flow, key.flow)
    return generation


def render_canceled(generation: Generation) -> Response:
    """Return a canceled generation; raise ConflictError for one with another end."""
    if generation.status is not Status.CANCELED:
        raise ConflictError(f"The generation has {generation.status} already.")
    return render_generation(generation)


def render_deleted() -> Response:
    """Return the empty response of a deletion."""
    return Response(status=HTTPStatus.NO_CONTENT, body="")


def render_accepted(
    generation: Generation, allowances: Sequence[Allowance], waited: int | None = None
) -> Response:
    """Return a submitted generation: 202 while open, and 200 once ended."""
    headers = {
        "location": _write_path(generation),
        **native.render_rate_limit(allowances),
        **_render_wait(waited),
    }
    status = HTTPStatus.OK if generation.status.terminal else HTTPStatus.ACCEPTED
    return _render(status, generation, headers)


def render_generation(generation: Generation, waited: int | None = None) -> Response:
    """Return a generation; `waited` are the seconds of a preference that was applied."""
    return _render(HTTPStatus.OK, generation, _render_wait(waited))


def parse_search(request: Request, key: ApiKey) -> tuple[str | None, GenerationFilter]:
    """Return the flow of a list, None for all flows, and the search.

    Raises InvalidRequestError, and ForbiddenError if the key is for another flow.
    """
    query = request.query
    for name in query:
        if name not in PARAMETERS:
            raise InvalidRequestError(f"query: must be of: {', '.join(sorted(PARAMETERS))}.")
    flow = query.get("flow", key.flow)
    if key.flow not in {None, flow}:
        raise ForbiddenError("The API key is for another flow.")
    limit, after = _PAGING.parse(query)
    return flow, GenerationFilter(
        limit=limit,
        statuses=frozenset(_parse_status(each) for each in query["status"].split(","))
        if "status" in query
        else frozenset(),
        external_ref=_parse_reference(query.get("external_ref")),
        since=_parse_time(query, "created_after"),
        before=_parse_time(query, "created_before"),
        after=after,
    )


def render_page(found: Page[Generation], request: Request) -> Response:
    """Return a page, with a link to the next one if there is one."""
    texts = paging.fit(render(build_generation(each)) for each in found.items)
    whole = len(texts) == len(found.items)
    after = found.after if whole else found.items[len(texts) - 1].order
    body: responses.GenerationList = {
        "items": json_text.render_array(texts),
        **native.build_next_page(_PAGING, _PATH, request.query, after),
    }
    return native.render_page(body)


def build_generation(generation: Generation) -> "responses.Generation":
    """Return a generation of any dialect as the API shows it, without line ends in its JSON."""
    completion = generation.completion
    external = generation.external
    metadata = external.get("metadata", external.get("external_metadata", "null"))
    finished_at = generation.finished_at
    return {
        "id": generation.id,
        "status": generation.status,
        "flow": generation.flow,
        "flow_version": generation.flow_version,
        "dialect": generation.dialect,
        "created_at": clock.to_rfc3339(generation.created_at),
        "finished_at": None if finished_at is None else clock.to_rfc3339(finished_at),
        "deadline_at": clock.to_rfc3339(generation.deadline_at),
        "attempts": generation.attempt,
        "external_ref": JsonText(external.get("external_ref", "null")),
        "metadata": JsonText(_join_lines(metadata)),
        "output": JsonText("null") if completion is None else render_output(completion),
        "stop_reason": _read_stop_reason(completion),
        "sources": [] if completion is None else _build_sources(completion),
        "usage": _build_usage(generation),
        "error": _build_error(generation),
        "last_error": _build_last_error(generation),
        "retry_of": generation.retry_of,
        "title": generation.title,
        "rating": generation.rating,
        "feedback": _build_feedback(generation),
        "gone": generation.gone,
        "links": _build_links(generation),
    }


def _render(status: HTTPStatus, generation: Generation, headers: Mapping[str, str]) -> Response:
    """Return a generation; raise GoneError for one whose text is gone from storage."""
    if generation.has_lost_result:
        raise GoneError(GONE)
    again = {} if generation.status.terminal else {"retry-after": str(RETRY_AFTER)}
    return native.render_response(status, build_generation(generation), {**again, **headers})


def _render_wait(waited: int | None) -> Mapping[str, str]:
    return {} if waited is None else {"preference-applied": f"wait={waited}"}


def _write_path(generation: Generation) -> str:
    return f"{_PATH}/{generation.id}"


def _join_lines(text: str) -> str:
    """Return a JSON text without line ends, which stand only between its tokens."""
    return text.replace("\r", " ").replace("\n", " ")


def _build_links(generation: Generation) -> "responses.Links":
    path = _write_path(generation)
    links: responses.Links = {"self": path}
    if not generation.status.terminal:
        links["cancel"] = f"{path}/cancel"
    if generation.status in {Status.FAILED, Status.CANCELED}:
        links["retry"] = f"{path}/retry"
    return links


def _read_stop_reason(completion: Completion | None) -> Literal["stop", "length"] | None:
    if completion is None:
        return None
    return "length" if completion.stop_reason == LENGTH else "stop"


def _build_sources(completion: Completion) -> "list[responses.Source]":
    return [
        {
            "content": source.content,
            "title": source.title,
            "folder": source.folder,
            "external_id": source.external_id,
            "source": source.source,
            "used": source.used,
        }
        for source in completion.sources
    ]


def _build_usage(generation: Generation) -> "responses.Used | None":
    """Return the tokens, those of a failed generation's answer too."""
    if generation.tokens_in is None:
        return None
    completion = generation.completion
    return {
        "model": None if completion is None else completion.model,
        "tokens_in": generation.tokens_in,
        "tokens_out": generation.tokens_out,
        "estimated": generation.estimated,
    }


def _build_feedback(generation: Generation) -> "responses.GivenFeedback | None":
    given = generation.feedback
    return None if given is None else {"kind": given.kind, "note": given.note}


def _build_error(generation: Generation) -> "responses.Failure | None":
    if generation.reason is None:
        return None
    return {"reason": generation.reason, "message": generation.message}


def _build_last_error(generation: Generation) -> "responses.LastError | None":
    setback, next_at = generation.setback, generation.next_at
    if setback is None:
        return None
    return {
        "reason": setback.reason,
        "code": setback.code,
        "retry_at": None if next_at is None else clock.to_rfc3339(next_at),
    }


def _parse_inputs(values: Mapping[str, object], flow: StoredFlow) -> Values:
    pairs = _pair_inputs(read_object(values, "inputs"))
    try:
        checked, _ = inputs.check_inputs(inputs.declared_inputs(flow.document), pairs)
    except UnprocessableError as error:
        wrong = WrongFields()
        wrong.note((f"inputs.{field}", message) for field, message in error.fields)
        raise wrong.error() from error
    return checked


def _pair_inputs(sent: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return the inputs, a list as the input repeated."""
    pairs: list[tuple[str, str]] = []
    for name, value in sent.items():
        for each in value if isinstance(value, list) else [value]:
            text = write_scalar(each)
            if text is None:
                raise UnprocessableError(
                    "inputs", "must have texts, numbers, true, false, or lists of these."
                )
            pairs.append((name, text))
    return pairs


class _Terms(NamedTuple):
    """The members of a submission that fit or not whatever its flow is."""

    external: Mapping[str, str]
    deadline: timedelta | None
    conversation: str | None
    webhook_url: str | None


def _parse_terms(sent: JsonObject, wrong: WrongFields) -> _Terms:
    """Return the terms, and note those that do not fit, and the unknown members."""
    values = sent.values
    wrong.read(partial(check_members, "", values, MEMBERS))
    reference = wrong.read(partial(read_text, values, "external_ref", MAX_REFERENCE))
    metadata = wrong.read(partial(_parse_metadata, sent))
    external = {
        "external_ref": None if reference is None else render(reference),
        "metadata": metadata,
    }
    return _Terms(
        external={name: text for name, text in external.items() if text is not None},
        deadline=wrong.read(partial(_parse_deadline, values)),
        conversation=wrong.read(partial(read_text, values, "conversation", MAX_CONVERSATION)),
        webhook_url=wrong.read(partial(read_text, values, "webhook_url", MAX_URL)),
    )


def _parse_metadata(sent: JsonObject) -> str | None:
    if sent.values.get("metadata") is None:
        return None
    read_object(sent.values, "metadata")
    text = _join_lines(sent.texts["metadata"])
    if len(text.encode()) > MAX_METADATA_BYTES:
        raise UnprocessableError("metadata", f"must be at most {MAX_METADATA_BYTES} bytes.")
    return text


def _parse_deadline(values: Mapping[str, object]) -> timedelta | None:
    least, most = (int(bound.total_seconds()) for bound in (MIN_DEADLINE, MAX_DEADLINE))
    seconds = read_whole_number(values, "deadline_seconds", least, most)
    return None if seconds is None else timedelta(seconds=seconds)


def _parse_context(
    values: Mapping[str, object],
    tenant: str,
    flow: StoredFlow,
    knowledge: Callable[[], Knowledge],
) -> Mapping[str, ContextFilter]:
    """Return the filters of steps, with ids."""
    filters = _parse_filters(read_object(values, "context"), flow)
    return knowledge().resolve_filters(tenant, filters, "context.{}") if filters else {}


def _parse_filters(
    sent: Mapping[str, object], flow: StoredFlow
) -> Mapping[str, ContextFilterRequest]:
    """Return the filters of steps; refuse steps that choose no context."""
    steps = context_filters.steps_of(flow) if sent else {}
    wrong = WrongFields()
    wrong.read(partial(check_members, "context", sent, steps))
    filters = {
        name: wrong.read(partial(_parse_filter, sent, name, step)) or ContextFilterRequest()
        for name, step in steps.items()
        if name in sent
    }
    wrong.refuse()
    return filters


def _parse_filter(
    sent: Mapping[str, object], name: str, step: context_filters.Step
) -> ContextFilterRequest:
    chosen = read_object(sent, name, "context")
    return context_filters.parse_filter(chosen, step, f"context.{name}")


def _parse_status(text: str) -> Status:
    try:
        return Status(text)
    except ValueError as error:
        raise InvalidRequestError(
            f"status: must be one or several, separated by commas, of: {', '.join(Status)}."
        ) from error


def _parse_reference(text: str | None) -> str | None:
    if text is not None and not 1 <= len(text) <= MAX_REFERENCE:
        raise InvalidRequestError(
            f"external_ref: must be a text of 1 to {MAX_REFERENCE} characters."
        )
    return text


def _parse_time(query: Mapping[str, str], name: str) -> datetime | None:
    text = query.get(name)
    if text is None:
        return None
    if _MOMENT.fullmatch(text):
        try:
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise InvalidRequestError(
        f"{name}: must be a time like 2026-11-10T09:00:00Z; a + must be sent as %2B."
    )

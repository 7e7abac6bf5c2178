"""The native API's generations: submissions, and how a generation is shown.

A submission is the body of `POST /v1/generations`, the detail of a `GenerationRequested` event, or
a line of a batch. A generation is shown in one shape, whichever dialect it came through.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from urllib.parse import urlencode

from afterword.dialects import native
from afterword.errors import (
    ConflictError,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    UnprocessableError,
)
from afterword.flows import inputs
from afterword.generations import (
    MAX_DEADLINE,
    MAX_REFERENCE,
    MIN_DEADLINE,
    Completion,
    Generation,
    Output,
    Status,
    Submission,
    Values,
)
from afterword.generations.details import GenerationFilter
from afterword.handlers import paging
from afterword.handlers.http import Request, Response
from afterword.knowledge import MAX_NAME
from afterword.knowledge.selection import ContextFilterLabels, ContextFilterRequest, Knowledge
from afterword.limits import Allowance
from afterword.runtime import json_text
from afterword.runtime.json_text import JsonObject
from afterword.runtime.pages import Page
from afterword.tenants.keys import ApiKey
from afterword.tenants.registry import Registry, StoredFlow

MEMBERS = frozenset(
    {
        "flow", "inputs", "external_ref", "metadata", "deadline_seconds", "webhook_url", "context",
        "conversation",
    }
)  # fmt: skip
"""What a submission may have."""
MAX_METADATA_BYTES = 16_000
MAX_URL = 2_000
MAX_CONVERSATION = 255
MAX_LABELS = 100
"""Folders, or tags, that a submission may choose for a step."""
MAX_WAIT = 27
"""Seconds of `Prefer: wait`: API Gateway gives up after 30, and the function after 29."""
RETRY_AFTER = 1
"""Seconds after which it is worth to ask again for a generation that is open."""
PAGE, MAX_PAGE = 20, 100
"""Generations of a page, where nobody says, and at most."""
PAGE_BYTES = 5_000_000
"""A page ends before it is longer: a function's response may have 6 MB."""
PARAMETERS = frozenset(
    {"status", "flow", "external_ref", "created_after", "created_before", "limit", "cursor"}
)
"""What the query of a list may have."""
_PATH = "/v1/generations"
_WAIT = re.compile(r"wait\s*=\s*\"?([0-9]{1,9})\"?\s*(;.*)?", re.IGNORECASE)
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def flow(sent: JsonObject, key: ApiKey, registry: Registry) -> StoredFlow:
    """Return the flow that a submission names.

    Raises UnprocessableError if there is none, and ForbiddenError if the key is for another.
    """
    named = native.required_text(sent.values, "flow", MAX_NAME)
    if key.flow not in {None, named}:
        raise ForbiddenError("The API key is for another flow.")
    try:
        return registry.get_flow(key.tenant, named)
    except NotFoundError as error:
        raise UnprocessableError("flow", "there is no such flow.") from error


def submission(
    sent: JsonObject,
    tenant: str,
    flow: StoredFlow,
    knowledge: Callable[[], Knowledge],
    deadline: timedelta | None = None,
) -> Submission:
    """Parse a submission; raise UnprocessableError, which names the member, for one that is none.

    `deadline` holds where it does not say one itself. The metadata are kept as the text that was
    sent, but for line ends between its tokens.
    """
    native.check_members("", sent.values, MEMBERS)
    values = sent.values
    wanted = _wanted(native.member(values, "context"), flow)
    return Submission(
        dialect=native.NAME,
        flow=flow.id,
        inputs=_inputs(values, flow),
        template=None,
        external=_external(sent),
        deadline=_deadline(values) or deadline,
        context=knowledge().resolve_filters(tenant, wanted, "context.{}") if wanted else {},
        conversation=native.text(values, "conversation", MAX_CONVERSATION),
        webhook_url=native.text(values, "webhook_url", MAX_URL),
    )


def wait(request: Request) -> int | None:
    """Return the seconds of `Prefer: wait=N` (RFC 7240), at most MAX_WAIT; None without it.

    What cannot be understood is no preference.
    """
    for preference in request.headers.get("prefer", "").split(","):
        found = _WAIT.fullmatch(preference.strip())
        if found:
            return min(int(found[1]), MAX_WAIT)
    return None


def owned(generation: Generation, key: ApiKey) -> Generation:
    """Return a generation that the key may see; raise NotFoundError if it is another flow's."""
    if key.flow not in {None, generation.flow}:
        raise NotFoundError("There is no such generation.")
    return generation


def canceled(generation: Generation) -> Response:
    """Return what was canceled, now or before; raise ConflictError if it has ended otherwise."""
    if generation.status is not Status.CANCELED:
        raise ConflictError(f"It has {generation.status} already.")
    return read(generation)


def deleted() -> Response:
    """Return that there is nothing any more."""
    return Response(status=HTTPStatus.NO_CONTENT, body="")


def accepted(
    generation: Generation, allowances: Sequence[Allowance], waited: int | None = None
) -> Response:
    """Return what was submitted: 202 while it is open, and 200 once it has ended."""
    headers = {"location": _path(generation), **native.rate_limit(allowances)}
    if waited is not None:
        headers["preference-applied"] = f"wait={waited}"
    status = HTTPStatus.OK if generation.status.terminal else HTTPStatus.ACCEPTED
    return _response(status, generation, headers)


def read(generation: Generation) -> Response:
    """Return a generation as it is."""
    return _response(HTTPStatus.OK, generation, {})


def asked_for(request: Request, key: ApiKey) -> tuple[str | None, GenerationFilter]:
    """Return the one flow that a list is asked for, None for all, and what else of it.

    Raises InvalidRequestError, and ForbiddenError if the key is for another flow.
    """
    query = request.query
    for name in query:
        if name not in PARAMETERS:
            raise InvalidRequestError(
                f"The query has an unknown parameter; there are: {', '.join(sorted(PARAMETERS))}."
            )
    flow = query.get("flow", key.flow)
    if key.flow not in {None, flow}:
        raise ForbiddenError("The API key is for another flow.")
    return flow, GenerationFilter(
        limit=_limit(query.get("limit", str(PAGE))),
        statuses=frozenset(_status(each) for each in query["status"].split(","))
        if "status" in query
        else frozenset(),
        external_ref=_reference(query.get("external_ref")),
        since=_moment(query, "created_after"),
        before=_moment(query, "created_before"),
        after=_after(query),
    )


def page(found: Page[Generation], request: Request) -> Response:
    """Return a page, with a link to the next one if there is one."""
    shown_ones, after = _fitting(found)
    link = None
    headers = {}
    if after is not None:
        query = {**request.query, "cursor": paging.encode(after)}
        link = f"{_PATH}?{urlencode(query)}"
        headers["link"] = f'<{link}>; rel="next"'
    body = json_text.render_object(
        {"items": f"[{', '.join(shown_ones)}]", "next": json.dumps(link)}
    )
    return Response(status=HTTPStatus.OK, body=body, headers=headers)


def shown(generation: Generation) -> str:
    """Return a generation as a JSON text, in one line."""
    path = _path(generation)
    links = {"self": path}
    if not generation.status.terminal:
        links["cancel"] = f"{path}/cancel"
    if generation.status in {Status.FAILED, Status.CANCELED}:
        links["retry"] = f"{path}/retry"
    completion = generation.completion
    external = generation.external
    metadata = external.get("metadata", external.get("external_metadata", "null"))
    finished_at = generation.finished_at
    return json_text.render_object(
        {
            "id": _json(generation.id),
            "status": _json(generation.status),
            "flow": _json(generation.flow),
            "flow_version": _json(generation.flow_version),
            "dialect": _json(generation.dialect),
            "created_at": _json(time(generation.created_at)),
            "finished_at": _json(None if finished_at is None else time(finished_at)),
            "deadline_at": _json(time(generation.deadline_at)),
            "attempts": _json(generation.attempt),
            "external_ref": external.get("external_ref", "null"),
            "metadata": _one_line(metadata),
            "output": "null" if completion is None else _output(completion),
            "sources": _json([] if completion is None else _sources(completion)),
            "usage": _json(_usage(generation)),
            "error": _json(_error(generation)),
            "retry_of": _json(generation.retry_of),
            "title": _json(generation.title),
            "rating": _json(generation.rating),
            "links": _json(links),
        }
    )


def time(moment: datetime) -> str:
    """Return a time as RFC 3339 has it, to the millisecond and in UTC."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _response(status: HTTPStatus, generation: Generation, headers: Mapping[str, str]) -> Response:
    again = {} if generation.status.terminal else {"retry-after": str(RETRY_AFTER)}
    return Response(status=status, body=shown(generation), headers={**again, **headers})


def _path(generation: Generation) -> str:
    return f"{_PATH}/{generation.id}"


def _json(value: object) -> str:
    """Return JSON with its characters as they are: escaped, they may take three times the room."""
    return json.dumps(value, ensure_ascii=False)


def _one_line(text: str) -> str:
    """Return a JSON text without line ends: they can only be between its tokens."""
    return text.replace("\r", " ").replace("\n", " ")


def _output(completion: Completion) -> str:
    """Return the text as a JSON string, or the JSON that it is."""
    if completion.output is Output.STRING:
        return _json(completion.text)
    return _json(json.loads(completion.text))


def _sources(completion: Completion) -> list[native.Json]:
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


def _usage(generation: Generation) -> native.Json | None:
    """Return what it took; of what failed, the answer that was of no use."""
    if generation.tokens_in is None:
        return None
    completion = generation.completion
    return {
        "model": None if completion is None else completion.model,
        "tokens_in": generation.tokens_in,
        "tokens_out": generation.tokens_out,
    }


def _error(generation: Generation) -> native.Json | None:
    if generation.reason is None:
        return None
    return {"reason": generation.reason, "message": generation.message}


def _inputs(values: Mapping[str, object], flow: StoredFlow) -> Values:
    pairs = _pairs(native.member(values, "inputs"))
    try:
        checked, _ = inputs.check_inputs(inputs.declared_inputs(flow.document), pairs)
    except UnprocessableError as error:
        raise UnprocessableError(f"inputs.{error.field}", error.message) from error
    return checked


def _pairs(sent: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return the inputs, a list as the input repeated."""
    pairs: list[tuple[str, str]] = []
    for name, value in sent.items():
        for each in value if isinstance(value, list) else [value]:
            match each:
                case str():
                    pairs.append((name, each))
                case bool() | int() | float():
                    pairs.append((name, json.dumps(each)))
                case _:
                    raise UnprocessableError(
                        "inputs",
                        "each must be a text, a number, true, false, or a list of these.",
                    )
    return pairs


def _external(sent: JsonObject) -> Mapping[str, str]:
    external: dict[str, str] = {}
    reference = native.text(sent.values, "external_ref", MAX_REFERENCE)
    if reference is not None:
        external["external_ref"] = _json(reference)
    if sent.values.get("metadata") is not None:
        native.member(sent.values, "metadata")
        text = _one_line(sent.texts["metadata"])
        if len(text.encode()) > MAX_METADATA_BYTES:
            raise UnprocessableError("metadata", f"it has more than {MAX_METADATA_BYTES} bytes.")
        external["metadata"] = text
    return external


def _deadline(values: Mapping[str, object]) -> timedelta | None:
    least, most = (int(bound.total_seconds()) for bound in (MIN_DEADLINE, MAX_DEADLINE))
    seconds = native.whole_number(values, "deadline_seconds", least, most)
    return None if seconds is None else timedelta(seconds=seconds)


def _wanted(context: Mapping[str, object], flow: StoredFlow) -> Mapping[str, ContextFilterRequest]:
    """Return what is wanted of the knowledge base; refuse steps that do not choose from it."""
    if not context:
        return {}
    steps = {step["name"]: step for step in json.loads(flow.document)["steps"]}
    native.check_members("context", context, steps)
    wanted: dict[str, ContextFilterRequest] = {}
    for name in context:
        field = f"context.{name}"
        if steps[name].get("context") is None:
            raise UnprocessableError(field, "this step chooses no context.")
        chosen = native.member(context, name, "context")
        native.check_members(field, chosen, {"folders", "tags"})
        wanted[name] = ContextFilterRequest(
            _named(chosen, "folders", field), _named(chosen, "tags", field)
        )
    return wanted


def _named(chosen: Mapping[str, object], kind: str, within: str) -> ContextFilterLabels | None:
    """Return the folders or tags of a choice: all for an empty list, None for no list at all."""
    sent = native.member(chosen, kind, within)
    field = f"{within}.{kind}"
    native.check_members(field, sent, {"ids", "names"})
    ids, names = (_labels(f"{field}.{each}", sent.get(each)) for each in ("ids", "names"))
    return None if ids is None and names is None else ContextFilterLabels(ids or (), names or ())


def _labels(field: str, sent: object) -> tuple[str, ...] | None:
    if sent is None:
        return None
    if not isinstance(sent, list) or len(sent) > MAX_LABELS:
        raise UnprocessableError(field, f"it must be a list of up to {MAX_LABELS} texts.")
    for each in sent:
        if not isinstance(each, str) or not 1 <= len(each.strip()) <= MAX_NAME:
            raise UnprocessableError(field, f"each must be a text of 1 to {MAX_NAME} characters.")
    return tuple(sent)


def _limit(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= MAX_PAGE:
        raise InvalidRequestError(f"limit: it is not a whole number from 1 to {MAX_PAGE}.")
    return int(text)


def _status(text: str) -> Status:
    try:
        return Status(text)
    except ValueError as error:
        raise InvalidRequestError(
            f"status: it is not one or several, separated by commas, of: {', '.join(Status)}."
        ) from error


def _reference(text: str | None) -> str | None:
    if text is not None and not 1 <= len(text) <= MAX_REFERENCE:
        raise InvalidRequestError(
            f"external_ref: it is not a text of 1 to {MAX_REFERENCE} characters."
        )
    return text


def _moment(query: Mapping[str, str], name: str) -> datetime | None:
    text = query.get(name)
    if text is None:
        return None
    if _MOMENT.fullmatch(text):
        try:
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise InvalidRequestError(
        f"{name}: it is not a time like 2026-11-10T09:00:00Z; a + has to be sent as %2B."
    )


def _after(query: Mapping[str, str]) -> str | None:
    cursor = query.get("cursor")
    return None if cursor is None else paging.decode(cursor, "cursor", paging.GENERATION)


def _fitting(found: Page[Generation]) -> tuple[list[str], str | None]:
    """Return the first ones that fit into PAGE_BYTES, and what the next page comes after."""
    texts: list[str] = []
    size = 0
    for generation in found.items:
        text = shown(generation)
        size += len(_json(text).encode())  # as the function's response has it, in a JSON string
        if texts and size > PAGE_BYTES:
            return texts, found.items[len(texts) - 1].order
        texts.append(text)
    return texts, found.after

"""Flows in the native API. afterword.flows.drafts defines their documents.

Only the function that saves flows imports afterword.flows.documents, and pydantic with it.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from afterword import clock
from afterword.dialects import native
from afterword.errors import ForbiddenError, UnprocessableError, WrongFields
from afterword.handlers.http import Request, Response
from afterword.handlers.paging import Paging
from afterword.runtime.json_text import parse_object
from afterword.runtime.pages import Page, cut_page
from afterword.tenants import StoredFlow
from afterword.tenants.keys import ApiKey
from afterword.tenants.registry import Registry

if TYPE_CHECKING:
    from afterword.dialects.native.responses import flows as responses

_MAX_DIGITS = 9
MAX_PAGE = 1_000
"""Flows, and versions, of a page; also of one without a limit."""
_FLOWS = Paging(
    size=MAX_PAGE, maximum=MAX_PAGE, cursor="cursor", key=re.compile("[A-Za-z0-9_-]{1,64}")
)
_VERSIONS = Paging(size=MAX_PAGE, maximum=MAX_PAGE, cursor="cursor", key=re.compile("[0-9]{12}"))


def read_flow_id(request: Request, key: ApiKey) -> str:
    """Return the path's flow; raise ForbiddenError if the key is for another."""
    flow = request.path["flowId"]
    if key.flow not in {None, flow}:
        raise ForbiddenError("The API key is for another flow.")
    return flow


def parse_version(request: Request) -> int | None:
    """Return the query's version, None for the newest."""
    text = request.query.get("version")
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and 0 < len(text) <= _MAX_DIGITS):
        raise UnprocessableError("version", "must be a whole number from 1.")
    return int(text)


def parse_flow[T](request: Request, flow: str, parse: Callable[[Mapping[str, object]], T]) -> T:
    """Return the flow that a parser makes of the fields as sent, whose id may be left out."""
    values = parse_object(request.body).values
    wrong = WrongFields()
    if values.get("id", flow) != flow:
        wrong.note([("id", "must be the id in the path, or left out.")])
    parsed = wrong.read(partial(parse, {**values, "id": flow}))
    if parsed is None:
        raise wrong.error()
    wrong.refuse()
    return parsed


def check_fields(problems: Iterable[tuple[str, str]]) -> None:
    """Raise UnprocessableError with the fields of what the tenant, or the stack, does not have."""
    wrong = WrongFields()
    wrong.note(problems)
    wrong.refuse()


def list_flows(request: Request, key: ApiKey, registry: Registry) -> Response:
    """Return a page of the flows that a key may see, in their newest versions, without steps."""
    limit, after = _FLOWS.parse(request.query)
    if key.flow is None:
        page = registry.page_flows(key.tenant, limit, after)
    else:
        page = Page((registry.get_flow(key.tenant, key.flow),), None)
    body: responses.FlowList = {
        "flows": [_build_summary(flow) for flow in page.items],
        **native.build_next_page(_FLOWS, "/v1/flows", {"limit": limit}, page.after),
    }
    return native.render_page(body)


def render_flow(flow: StoredFlow) -> Response:
    """Return a version of a flow, with its document."""
    return native.render_response(HTTPStatus.OK, _build_flow(flow))


def render_saved(flow: StoredFlow, warnings: Iterable[tuple[str, str]]) -> Response:
    """Return a saved flow, with its possible mistakes."""
    body: responses.FlowSaved = {
        **_build_flow(flow),
        "warnings": [{"field": field, "message": message} for field, message in warnings],
    }
    return native.render_response(HTTPStatus.OK, body)


def list_versions(request: Request, key: ApiKey, registry: Registry) -> Response:
    """Return a page of a flow's versions, newest first."""
    flow = read_flow_id(request, key)
    limit, after = _VERSIONS.parse(request.query)
    versions = registry.list_versions(key.tenant, flow)
    page = cut_page(versions, lambda each: f"{10**12 - each.version:012d}", limit, after)
    body: responses.FlowVersions = {
        "id": flow,
        "versions": [
            {"version": each.version, "created_at": clock.to_rfc3339(each.created_at)}
            for each in page.items
        ],
        **native.build_next_page(
            _VERSIONS, f"/v1/flows/{flow}/versions", {"limit": limit}, page.after
        ),
    }
    return native.render_page(body)


def _build_summary(flow: StoredFlow) -> "responses.FlowSummary":
    document = json.loads(flow.document)
    return {
        **_build_head(flow),
        "name": document["name"],
        "type": document.get("type", "text_generation"),
    }


def _build_flow(flow: StoredFlow) -> "responses.FlowShown":
    return {**_build_head(flow), "flow": json.loads(flow.document)}


def _build_head(flow: StoredFlow) -> "responses.FlowHead":
    return {
        "id": flow.id,
        "version": flow.version,
        "created_at": clock.to_rfc3339(flow.created_at),
    }

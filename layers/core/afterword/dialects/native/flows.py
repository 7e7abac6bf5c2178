"""Flows in the native API. afterword.flows.flow defines their documents.

Only the function that saves flows imports afterword.flows.documents, and pydantic with it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING

from afterword import clock
from afterword.dialects import native
from afterword.errors import ForbiddenError, UnprocessableError
from afterword.handlers.http import Request, Response
from afterword.runtime.json_text import parse_object
from afterword.tenants import FlowVersion, StoredFlow
from afterword.tenants.keys import ApiKey

if TYPE_CHECKING:
    from afterword.dialects.native.responses import flows as responses

_MAX_DIGITS = 9


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


def parse_flow(request: Request, flow: str) -> Mapping[str, object]:
    """Return the fields of a flow as sent, with its id, which may be left out."""
    values = parse_object(request.body).values
    if values.get("id", flow) != flow:
        raise UnprocessableError("id", "must be the id in the path, or left out.")
    return {**values, "id": flow}


def check_models(problems: Iterable[tuple[str, str]]) -> None:
    """Raise UnprocessableError with the fields of models that the tenant may not use."""
    found = [*problems]
    if found:
        (field, message), *more = found
        raise UnprocessableError(field, message, *more)


def render_flows(flows: Iterable[StoredFlow], key: ApiKey) -> Response:
    """Return the flows that a key may see, in their newest versions, without their steps."""
    summaries: list[responses.FlowSummary] = [
        {
            **_build_head(flow),
            "name": document["name"],
            "type": document.get("type", "text_generation"),
        }
        for flow in flows
        if key.flow in {None, flow.id}
        for document in (json.loads(flow.document),)
    ]
    body: responses.FlowList = {"flows": summaries}
    return native.render_response(HTTPStatus.OK, body)


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


def render_versions(flow: str, versions: Sequence[FlowVersion]) -> Response:
    """Return a flow's versions, newest first."""
    body: responses.FlowVersions = {
        "id": flow,
        "versions": [
            {"version": each.version, "created_at": clock.to_rfc3339(each.created_at)}
            for each in versions
        ],
    }
    return native.render_response(HTTPStatus.OK, body)


def _build_flow(flow: StoredFlow) -> "responses.FlowShown":
    return {**_build_head(flow), "flow": json.loads(flow.document)}


def _build_head(flow: StoredFlow) -> "responses.FlowHead":
    return {
        "id": flow.id,
        "version": flow.version,
        "created_at": clock.to_rfc3339(flow.created_at),
    }

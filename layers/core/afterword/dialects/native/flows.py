"""Flows, as the native API takes and shows them. Their documents are afterword.flows.flow' own.

afterword.flows.documents, which reads them, is with the one function that saves them: it takes
pydantic.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus

from afterword.dialects import native
from afterword.errors import ForbiddenError, UnprocessableError
from afterword.handlers.http import Request, Response
from afterword.runtime.json_text import parse_object
from afterword.tenants.keys import ApiKey
from afterword.tenants.registry import FlowVersion, StoredFlow

_MAX_DIGITS = 9


def flow_id(request: Request, key: ApiKey) -> str:
    """Return the path's flow; raise ForbiddenError if the key is for another, there or not."""
    flow = request.path["flowId"]
    if key.flow not in {None, flow}:
        raise ForbiddenError("The API key is for another flow.")
    return flow


def version(request: Request) -> int | None:
    """Return the version that is asked for, None for the newest."""
    text = request.query.get("version")
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and 0 < len(text) <= _MAX_DIGITS):
        raise UnprocessableError("version", "it must be a whole number from 1.")
    return int(text)


def sent(request: Request, flow: str) -> Mapping[str, object]:
    """Return a flow's fields as they are sent, with its id, which may be left out."""
    values = parse_object(request.body).values
    if values.get("id", flow) != flow:
        raise UnprocessableError("id", "it must be that of the path, or left out.")
    return {**values, "id": flow}


def listed(flows: Iterable[StoredFlow], key: ApiKey) -> Response:
    """Return the flows that a key may see, in their newest versions, without their steps."""
    shown = [
        {**_head(flow), "name": document["name"], "type": document.get("type", "text_generation")}
        for flow in flows
        if key.flow in {None, flow.id}
        for document in (json.loads(flow.document),)
    ]
    return native.answer(HTTPStatus.OK, {"flows": shown})


def shown(flow: StoredFlow) -> Response:
    """Return a version of a flow, with the document that was saved."""
    return native.answer(HTTPStatus.OK, {**_head(flow), "flow": json.loads(flow.document)})


def saved(flow: StoredFlow, warnings: Iterable[tuple[str, str]]) -> Response:
    """Return a flow that was saved, and what may be a mistake in it."""
    told = [{"field": field, "message": message} for field, message in warnings]
    body = {**_head(flow), "flow": json.loads(flow.document), "warnings": told}
    return native.answer(HTTPStatus.OK, body)


def versions(flow: str, found: Sequence[FlowVersion]) -> Response:
    """Return a flow's versions, newest first."""
    shown = [{"version": each.version, "created_at": each.created_at.isoformat()} for each in found]
    return native.answer(HTTPStatus.OK, {"id": flow, "versions": shown})


def _head(flow: StoredFlow) -> native.Json:
    return {"id": flow.id, "version": flow.version, "created_at": flow.created_at.isoformat()}

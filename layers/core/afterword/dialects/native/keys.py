"""API keys in the native API. A key's string is shown once."""

import re
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from afterword import clock
from afterword.dialects import native
from afterword.errors import NotFoundError, UnprocessableError, WrongFields
from afterword.handlers.http import Request, Response
from afterword.handlers.json_members import parse_choices, read_text
from afterword.handlers.paging import Paging
from afterword.runtime.pages import cut_page
from afterword.tenants.keys import ApiKey, Scope, is_key_id
from afterword.tenants.registry import Registry

if TYPE_CHECKING:
    from afterword.dialects.native.responses import keys as responses

MAX_LABEL = 200
MAX_PAGE = 2_000
"""Keys of a page; also of one without a limit."""
_PAGING = Paging(
    size=MAX_PAGE, maximum=MAX_PAGE, cursor="cursor", key=re.compile("[0-9]{13}#[A-Za-z0-9]{12}")
)
_MEMBERS = ("scopes", "label", "flow")
_DEFAULT = (Scope.SUBMIT, Scope.READ)


def create(request: Request, key: ApiKey, registry: Registry) -> Response:
    """Create a key; without scopes in the request, to submit and read."""
    wrong = WrongFields()
    values = native.parse_members(request, _MEMBERS, wrong).values
    sent = values.get("scopes", list(_DEFAULT))
    scopes = wrong.read(partial(parse_choices, "scopes", sent, list(Scope))) or ()
    label = wrong.read(partial(read_text, values, "label", MAX_LABEL))
    flow = wrong.read(partial(read_text, values, "flow", MAX_LABEL))
    wrong.refuse()
    try:
        created, key_string = registry.create_key(key.tenant, scopes, label or "", flow)
    except NotFoundError as error:
        raise UnprocessableError("flow", "must be the id of a flow.") from error
    body: responses.CreatedKey = {**_build_key(created), "key": key_string}
    return native.render_response(HTTPStatus.CREATED, body)


def list_keys(request: Request, key: ApiKey, registry: Registry) -> Response:
    """Return a page of keys, live and revoked, without their secrets."""
    limit, after = _PAGING.parse(request.query)
    page = cut_page(registry.list_keys(key.tenant), _sort_key, limit, after)
    body: responses.KeyList = {
        "keys": [_build_key(each) for each in page.items],
        **native.build_next_page(_PAGING, "/v1/keys", {"limit": limit}, page.after),
    }
    return native.render_page(body)


def _sort_key(key: ApiKey) -> str:
    return f"{clock.to_millis(key.created_at):013d}#{key.id}"


def revoke(request: Request, key: ApiKey, registry: Registry) -> Response:
    """Revoke the path's key, again or not; raise NotFoundError for an absent key."""
    key_id = request.path["keyId"]
    missing = "There is no such key."
    if not is_key_id(key_id):
        raise NotFoundError(missing)
    try:
        registry.revoke_key(key.tenant, key_id)
    except NotFoundError as error:
        raise NotFoundError(missing) from error
    return Response(status=HTTPStatus.NO_CONTENT, body="")


def _build_key(key: ApiKey) -> "responses.Key":
    return {
        "id": key.id,
        "label": key.label,
        "scopes": [scope for scope in Scope if scope in key.scopes],
        "flow": key.flow,
        "created_at": clock.to_rfc3339(key.created_at),
        "revoked_at": None if key.revoked_at is None else clock.to_rfc3339(key.revoked_at),
    }

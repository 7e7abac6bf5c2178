"""API keys, as the native API creates and shows them. A key's string is shown once."""

from collections.abc import Iterable
from http import HTTPStatus

from afterword.dialects import native
from afterword.errors import NotFoundError, UnprocessableError
from afterword.handlers.http import Request, Response
from afterword.tenants.keys import ApiKey, Scope, is_key_id
from afterword.tenants.registry import Registry

MAX_LABEL = 200
_MEMBERS = ("scopes", "label", "flow")
_DEFAULT = (Scope.SUBMIT, Scope.READ)


def create(request: Request, key: ApiKey, registry: Registry) -> Response:
    """Create the key that is asked for: to submit and read, unless it says otherwise."""
    values = native.sent(request, _MEMBERS).values
    scopes = _scopes(values.get("scopes", list(_DEFAULT)))
    label = native.text(values, "label", MAX_LABEL) or ""
    flow = native.text(values, "flow", MAX_LABEL)
    try:
        created, key_string = registry.create_key(key.tenant, scopes, label, flow)
    except NotFoundError as error:
        raise UnprocessableError("flow", "there is no such flow.") from error
    return native.answer(HTTPStatus.CREATED, {**_shown(created), "key": key_string})


def listed(keys: Iterable[ApiKey]) -> Response:
    """Return keys, live and revoked, without their secrets."""
    return native.answer(HTTPStatus.OK, {"keys": [_shown(key) for key in keys]})


def revoke(request: Request, key: ApiKey, registry: Registry) -> Response:
    """Revoke the path's key, or leave it revoked; raise NotFoundError if the tenant has none."""
    key_id = request.path["keyId"]
    missing = "There is no such key."
    if not is_key_id(key_id):
        raise NotFoundError(missing)
    try:
        registry.revoke_key(key.tenant, key_id)
    except NotFoundError as error:
        raise NotFoundError(missing) from error
    return Response(status=HTTPStatus.NO_CONTENT, body="")


def _scopes(value: object) -> set[Scope]:
    """Return the scopes of a request."""
    there = [scope.value for scope in Scope]
    if (
        not isinstance(value, list)
        or not value
        or not all(isinstance(scope, str) and scope in there for scope in value)
    ):
        raise UnprocessableError(
            "scopes", f"it must be a list of one or more of: {', '.join(there)}."
        )
    return {Scope(scope) for scope in value}


def _shown(key: ApiKey) -> native.Json:
    return {
        "id": key.id,
        "label": key.label,
        "scopes": [scope for scope in Scope if scope in key.scopes],
        "flow": key.flow,
        "created_at": key.created_at.isoformat(),
        "revoked_at": None if key.revoked_at is None else key.revoked_at.isoformat(),
    }

"""The knowledge base's contents in the native API."""

from http import HTTPStatus

from afterword.handlers import http
from afterword.handlers.http import Request, Response
from afterword.tenants.keys import ApiKey


def require_tenant(key: ApiKey) -> str:
    """Return the tenant of a key; raise ForbiddenError for a key that is bound to a flow."""
    http.require_whole_tenant(key)
    return key.tenant


def read_content_id(request: Request) -> str:
    """Return the path's content: its id, or its owner's own id."""
    return request.path["contentId"]


def render_deleted() -> Response:
    """Return the empty response of a deletion."""
    return Response(status=HTTPStatus.NO_CONTENT, body="")

"""`DELETE /v1/contents/{contentId}`: deletes a content, given by its id or its external id."""

from afterword.dialects import native
from afterword.dialects.native import contents
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.ADMIN)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Delete a content with its text and its passages."""
    store, tenant = services().contents, contents.require_tenant(key)
    store.remove(tenant, store.get(tenant, contents.read_content_id(request)).id)
    return contents.render_deleted()

"""`GET /v1/content/folders/{folderId}/contents`: a folder's contents, a page at a time."""

from afterword.dialects import promptitude
from afterword.dialects.promptitude import content
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(promptitude, Scope.READ)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """List a page of the folder's contents; the Link header leads to the next."""
    promptitude.check_unused_body(request)
    content.require_access(key)
    limit, after = content.parse_page(request)
    folder = request.path["folderId"]
    page = services().contents.list_contents(key.tenant, folder, limit, after)
    return content.render_contents(request, page, limit)

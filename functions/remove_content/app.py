"""`DELETE /v1/content/{contentId}`: removes a content, given by its id or its external id."""

from afterword.dialects import promptitude
from afterword.dialects.promptitude import content
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(promptitude, Scope.ADMIN)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Remove a content with its text and its passages."""
    promptitude.check_unused_body(request)
    content.require_access(key)
    contents = services().contents
    found = contents.get(key.tenant, request.path["contentId"])
    contents.remove(key.tenant, found.id)
    return content.render_removed(found)

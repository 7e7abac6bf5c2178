"""`GET /v1/content/folders`: the folders of the knowledge base."""

from afterword.dialects import promptitude
from afterword.dialects.promptitude import content
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(promptitude, Scope.READ)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """List a page of the tenant's folders, and how many contents each has."""
    promptitude.check_unused_body(request)
    content.require_access(key)
    return content.render_folders(request, services().contents.list_folders(key.tenant))

"""`GET /v1/content/folders`: the folders of the knowledge base."""

from afterword.dialects import promptitude
from afterword.dialects.promptitude import content
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(promptitude, Scope.READ)
def handler(request: http.Request, key: ApiKey) -> http.Response:  # noqa: ARG001 - nothing is asked
    """List the tenant's folders, and how many contents each has."""
    content.check_key(key)
    return content.folders(services().contents.list_folders(key.tenant))

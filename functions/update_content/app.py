"""`POST /v1/content/{contentId}`: changes a content, given by its id or its external id."""

from afterword.dialects import promptitude
from afterword.dialects.promptitude import content, content_form
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(promptitude, Scope.ADMIN)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Change the fields that the request has; the others stay."""
    content.require_access(key)
    contents = services().contents
    found = contents.get(key.tenant, request.path["contentId"])
    change = content_form.parse_change(
        request, lambda: services().fetcher, lambda: contents.list_folders(key.tenant)
    )
    return content.render_content(contents.update(key.tenant, found.id, change))

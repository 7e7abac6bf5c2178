"""`POST /v1/content/{contentId}`: changes a content, given by its id or its external id."""

from afterword import http, services
from afterword.dialects import promptitude
from afterword.dialects.promptitude import content, content_form
from afterword.keys import ApiKey, Scope


@http.endpoint(promptitude, Scope.ADMIN)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Change the fields that the request has; the others stay."""
    content.require_access(key)
    contents = services.contents()
    found = contents.get(key.tenant, request.path["contentId"])
    change = content_form.parse_change(
        request, services.fetcher, lambda: contents.folders(key.tenant)
    )
    return content.render_content(contents.update(key.tenant, found.id, change))

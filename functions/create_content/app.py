"""`POST /v1/content`: a text, a file or an address becomes a content."""

from afterword.dialects import promptitude
from afterword.dialects.promptitude import content, content_form
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(promptitude, Scope.ADMIN)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Add a content to the knowledge base."""
    content.require_access(key)
    contents = services().contents
    draft = content_form.parse_draft(
        request, lambda: services().fetcher, lambda: contents.list_folders(key.tenant)
    )
    return content.render_content(contents.create(key.tenant, draft))

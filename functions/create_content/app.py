"""`POST /v1/content`: a text, a file or an address becomes a content."""

from afterword import http, services
from afterword.dialects import promptitude
from afterword.dialects.promptitude import content, content_form
from afterword.keys import ApiKey, Scope


@http.endpoint(promptitude, Scope.ADMIN)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Add a content to the knowledge base."""
    content.require_access(key)
    contents = services.contents()
    draft = content_form.parse_draft(
        request, services.fetcher, lambda: contents.folders(key.tenant)
    )
    return content.render_content(contents.create(key.tenant, draft))

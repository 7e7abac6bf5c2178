"""`GET /api/v1/generations`: the app's generations, newest first, a page at a time."""

from afterword.dialects import genai_stack
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(genai_stack, Scope.READ)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """List a page of generations; the Link header leads to the next."""
    limit, after = genai_stack.parse_page(request)
    page = services().listings.read_page(key.tenant, genai_stack.require_app(key), limit, after)
    return genai_stack.render_text_generations(page, limit)

"""`GET /api/v1/apps`: the app that the API key is bound to."""

from afterword import http, services
from afterword.dialects import genai_stack
from afterword.keys import ApiKey, Scope


@http.endpoint(genai_stack, Scope.READ)
def handler(_request: http.Request, key: ApiKey) -> http.Response:
    """Return the app's form and its last generations."""
    flow = services.registry().flow(key.tenant, genai_stack.require_app(key))
    page = services.listings().page(key.tenant, flow.id, genai_stack.PAGE)
    return genai_stack.render_app(key, flow, page.items)

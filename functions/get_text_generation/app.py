"""`GET /api/v1/generations/{text_gen_id}`."""

from afterword.dialects import genai_stack
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(genai_stack, Scope.READ)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Return a generation of the app."""
    generation_id, flow = genai_stack.parse_text_gen_id(request), genai_stack.require_app(key)
    listed = services().store.get_detail(key.tenant, generation_id)
    return genai_stack.render_text_generation(genai_stack.require_access(listed, flow))

"""`PATCH /api/v1/generations/{text_gen_id}`: a generation's title."""

from afterword.dialects import genai_stack
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(genai_stack, Scope.SUBMIT, Scope.READ)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Give a generation of the app another title, or none."""
    generation_id, flow = genai_stack.parse_text_gen_id(request), genai_stack.require_app(key)
    update = genai_stack.parse_update(request.body)
    if update is None:
        listed = services().store.get_detail(key.tenant, generation_id)
        return genai_stack.render_text_generation(genai_stack.require_access(listed, flow))
    listed = services().store.set_title(key.tenant, generation_id, flow, update.title)
    return genai_stack.render_text_generation(listed)

"""`GET /api/v1/apps`: the app that the API key is bound to."""

from afterword.dialects import genai_stack
from afterword.dialects.genai_stack import chats
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(genai_stack, Scope.READ)
def handler(_request: http.Request, key: ApiKey) -> http.Response:
    """Return the app's form, its last generations, and a chat's last sessions."""
    flow = services().registry.get_flow(key.tenant, genai_stack.require_app(key))
    page = services().listings.read_page(key.tenant, flow.id, genai_stack.PAGE)
    if not genai_stack.is_chat(flow):
        return genai_stack.render_app(key, flow, page.items)
    sessions = services().chat_sessions.read_page(key.tenant, flow.id, chats.PAGE)
    return genai_stack.render_app(key, flow, page.items, sessions.items)

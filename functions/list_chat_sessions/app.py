"""`GET /api/v1/chat_sessions`: the app's chat sessions, newest first, a page at a time."""

from afterword.dialects import genai_stack
from afterword.dialects.genai_stack import chats
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(genai_stack, Scope.READ)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """List a page of chat sessions with their turns; the Link header leads to the next."""
    limit, after = chats.parse_page(request)
    flow = genai_stack.require_app(key)
    page = services().chat_sessions.read_page(key.tenant, flow, limit, after)
    return chats.render_sessions(page, limit)

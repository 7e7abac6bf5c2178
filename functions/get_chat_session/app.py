"""`GET /api/v1/chat_sessions/{chat_session_id}`: a chat session with its turns."""

from afterword.dialects import genai_stack
from afterword.dialects.genai_stack import chats
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(genai_stack, Scope.READ)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Return a chat session of the app."""
    session_id, flow = chats.parse_chat_session_id(request), genai_stack.require_app(key)
    return chats.render_session(services().chat_sessions.get(key.tenant, flow, session_id))

"""`POST /api/v1/chat_sessions`: a chat session of the app, without messages."""

from afterword.dialects import genai_stack
from afterword.dialects.genai_stack import chats
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(genai_stack, Scope.SUBMIT, counts_key=True)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Create a chat session of a chat app."""
    flow = services().registry.get_flow(key.tenant, genai_stack.require_app(key))
    chats.require_chat(flow)
    services().request_meter.count_flow(key.tenant, flow.id, flow.requests_per_minute)
    session = services().chat_sessions.create(key.tenant, flow.id, chats.parse_title(request))
    return chats.render_session(session)

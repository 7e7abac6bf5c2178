"""`POST /api/v1/chat_sessions/{chat_session_id}/messages`: a message, answered in the response."""

from afterword.dialects import genai_stack
from afterword.dialects.genai_stack import chats
from afterword.dialects.genai_stack.submission import parse_message
from afterword.engine import waiting
from afterword.engine.submission import check_submission
from afterword.handlers import http
from afterword.runtime.deadline import Deadline
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(genai_stack, Scope.SUBMIT, Scope.READ, submits=True)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Submit a message and wait; an answer that outlasts the wait is in the session later."""
    deadline = Deadline.after(waiting.WAIT_SECONDS)
    session_id, app = chats.parse_chat_session_id(request), genai_stack.require_app(key)
    flow = services().registry.find_flow(key.tenant, app)
    message = parse_message(request, flow, session_id)
    idempotency_key = http.read_idempotency_key(request)
    check_submission(message, flow)  # before the renewal: a refused message changes nothing
    services().chat_sessions.renew(key.tenant, flow.id, session_id)
    generation_id = services().submitter.submit(key.tenant, message, idempotency_key, flow)
    generation, _ = services().waiter.wait(key.tenant, generation_id, deadline)
    return chats.render_answer(session_id, next(iter(message.inputs)), generation)

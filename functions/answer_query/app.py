"""`POST /api/v1/ai/query`: a question of a session, and its answer after a wait."""

from afterword.dialects import unless
from afterword.dialects.unless import realtime
from afterword.engine import waiting
from afterword.handlers import http
from afterword.runtime.deadline import Deadline
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(unless, Scope.SUBMIT, Scope.READ, submits=True)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Ask and wait; a question that outlasts the wait goes on, and its answer comes later."""
    deadline = Deadline.after(waiting.WAIT_SECONDS)
    query = realtime.parse_query(request, key, services().registry)
    question_id = services().submitter.submit(
        key.tenant, query.submission, http.read_idempotency_key(request), query.flow
    )
    generation, _ = services().waiter.wait(key.tenant, question_id, deadline)
    if generation.completion is None:
        return realtime.render_unanswered(generation)
    question = realtime.build_question(query, generation)
    earlier = realtime.read_earlier(query, question, services().listings)
    return realtime.render_answered(query, question, earlier)

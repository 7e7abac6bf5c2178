"""`GET /api/v1/ai/async/answer?questionId=`: the answer, with the conversation up to it."""

from afterword.dialects import unless
from afterword.generations.details import GenerationDetail
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(unless, Scope.READ)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Return the state of an answer, and the conversation once completed."""
    flow = unless.require_website(request, key, services().registry)
    listed = services().store.get_detail(key.tenant, unless.parse_question_id(request))
    question = unless.require_access(listed, flow)
    if question.generation.completion is None:
        return unless.render_unanswered(question.generation)
    session, earlier = question.conversation, list[GenerationDetail]()
    if session is not None:
        flow = question.generation.flow
        earlier = services().listings.read_conversation(
            key.tenant, flow, session, until=question.order
        )
    return unless.render_answered(question, earlier)

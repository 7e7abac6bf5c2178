"""`GET /api/v1/ai/async/answer?questionId=`: the answer, with the conversation up to it."""

from afterword.dialects import unless
from afterword.dialects.unless.languages import languages
from afterword.generations.details import GenerationDetail
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(unless, Scope.READ)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Tell how an answer is coming along, and the conversation once it is there."""
    flow = unless.website(request, key, services().registry)
    asked = unless.owned(services().store.get_detail(key.tenant, unless.question_id(request)), flow)
    if asked.generation.completion is None:
        return unless.unanswered(asked.generation)
    session, earlier = asked.conversation, list[GenerationDetail]()
    if session is not None:
        flow = asked.generation.flow
        earlier = services().listings.read_conversation(
            key.tenant, flow, session, until=asked.order
        )
    return unless.answered(asked, earlier, languages())

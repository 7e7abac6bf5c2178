"""`POST /api/v1/ai/feedback`: a reader's judgment of an answer."""

from afterword.dialects import unless
from afterword.dialects.unless import feedback
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(unless, Scope.SUBMIT, Scope.READ)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Keep the feedback with the generation, change it, or remove it."""
    given = feedback.parse_feedback(request, key, services().registry)
    question = feedback.find_question(given, key.tenant, services().listings)
    kept = services().feedback.give(key.tenant, question, given.flow, given.change)
    return feedback.render_kept(question, kept)

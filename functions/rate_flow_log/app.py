"""`POST /v1/logs/{logId}/rate`: a user's rating of a result."""

from afterword.dialects import promptitude
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(promptitude, Scope.SUBMIT, Scope.READ)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Rate an invocation from 1 to 3, or take the rating away with 0."""
    rating = promptitude.parse_rating(request)
    log_id = request.path["logId"]
    return promptitude.render_rating(services().store.rate(key.tenant, log_id, key.flow, rating))

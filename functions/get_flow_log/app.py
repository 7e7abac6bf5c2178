"""`GET /v1/logs/{logId}`: the log of a run."""

from afterword.dialects import promptitude
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(promptitude, Scope.READ)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Return a run: its result, its user and its rating."""
    promptitude.check_unused_body(request)
    generation = services().store.get(key.tenant, request.path["logId"])
    return promptitude.render_log(promptitude.require_access(generation, key))

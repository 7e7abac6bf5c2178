"""`GET /v1/logs/{logId}`: what came of a flow's invocation."""

from afterword.dialects import promptitude
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(promptitude, Scope.READ)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Show an invocation: its result, who it was for, and its rating."""
    generation = services().store.get(key.tenant, request.path["logId"])
    return promptitude.log(promptitude.owned(generation, key))

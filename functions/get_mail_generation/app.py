"""`GET …/orchestrators/{orchestratorCuid}/generation-async/{processCuid}`, of a company."""

from afterword.dialects import dialonce
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(dialonce, Scope.READ)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Tell how a mail's reply is coming along, and the reply once it is there."""
    flow = dialonce.orchestrator(request, key)
    generation = services().store.get(key.tenant, request.path["processCuid"])
    return dialonce.output(generation, flow)

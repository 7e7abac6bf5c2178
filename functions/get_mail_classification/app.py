"""`GET …/orchestrators/{orchestratorCuid}/classification-async/{processCuid}`, of a company."""

from afterword.dialects import dialonce
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(dialonce, Scope.READ)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Return the state of a mail's classification, and the class once completed."""
    flow = dialonce.read_flow_id(request, key)
    generation = services().store.get(key.tenant, request.path["processCuid"])
    dialonce.require_access(generation, flow, classifies=True)
    return dialonce.render_classification(generation)

"""`GET /v1/flows/{flowId}`: a flow."""

from afterword.dialects import native
from afterword.dialects.native import flows
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.READ)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Return a flow in the query's version, the newest by default."""
    flow, version = flows.read_flow_id(request, key), flows.parse_version(request)
    return flows.render_flow(services().registry.get_flow(key.tenant, flow, version))

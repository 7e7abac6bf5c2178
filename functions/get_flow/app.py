"""`GET /v1/flows/{flowId}`: a flow."""

from afterword.dialects import native
from afterword.dialects.native import flows
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.READ)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Show a flow in the version that is asked for, the newest by default."""
    flow, version = flows.flow_id(request, key), flows.version(request)
    return flows.shown(services().registry.get_flow(key.tenant, flow, version))

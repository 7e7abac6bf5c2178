"""`GET /v1/flows/{flowId}/versions`: a flow's versions."""

from afterword.dialects import native
from afterword.dialects.native import flows
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.READ)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """List the versions of a flow, newest first."""
    flow = flows.read_flow_id(request, key)
    return flows.render_versions(flow, services().registry.list_versions(key.tenant, flow))

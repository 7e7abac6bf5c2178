"""`GET /v1/flows/{flowId}/versions`: a flow's versions."""

from afterword.dialects import native
from afterword.dialects.native import flows
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.READ)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """List a page of the versions of a flow, newest first."""
    return flows.list_versions(request, key, services().registry)

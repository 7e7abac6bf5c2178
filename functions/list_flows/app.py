"""`GET /v1/flows`: the tenant's flows."""

from afterword.dialects import native
from afterword.dialects.native import flows
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.READ)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """List a page of the flows that the key may see, in their newest versions."""
    return flows.list_flows(request, key, services().registry)

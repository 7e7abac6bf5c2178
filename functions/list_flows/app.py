"""`GET /v1/flows`: the tenant's flows."""

from afterword import http, services
from afterword.dialects import native
from afterword.dialects.native import flows
from afterword.keys import ApiKey, Scope


@http.endpoint(native, Scope.READ)
def handler(request: http.Request, key: ApiKey) -> http.Response:  # noqa: ARG001 - no parameters
    """List the flows that the key may see, in their newest versions."""
    return flows.render_flows(services.registry().flows(key.tenant), key)

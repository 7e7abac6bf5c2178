"""`POST /v1/webhooks`: a new webhook endpoint."""

from afterword.dialects import native
from afterword.dialects.native import webhooks
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.ADMIN)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Create an endpoint, and return its secret this once."""
    return webhooks.create(request, key, services().webhook_endpoints)

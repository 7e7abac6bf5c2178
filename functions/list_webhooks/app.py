"""`GET /v1/webhooks`: the webhook endpoints of a tenant."""

from afterword.dialects import native
from afterword.dialects.native import webhooks
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.ADMIN)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """List a page of the endpoints, oldest first."""
    endpoints = services().webhook_store.read_endpoints(webhooks.require_tenant(key))
    return webhooks.render_webhooks(request, endpoints)

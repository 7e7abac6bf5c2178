"""`DELETE /v1/webhooks/{webhookId}`: an end of a webhook endpoint."""

from afterword.dialects import native
from afterword.dialects.native import webhooks
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.ADMIN)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Remove an endpoint and its secrets."""
    tenant = webhooks.require_tenant(key)
    services().webhook_endpoints.remove(tenant, request.path["webhookId"])
    return webhooks.render_removed()

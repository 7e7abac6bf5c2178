"""`GET /v1/webhooks/{webhookId}`: a webhook endpoint."""

from afterword.dialects import native
from afterword.dialects.native import webhooks
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.ADMIN)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Return an endpoint, with the failure of its tries if they fail."""
    tenant = webhooks.require_tenant(key)
    return webhooks.render_webhook(
        services().webhook_store.get_endpoint(tenant, request.path["webhookId"])
    )

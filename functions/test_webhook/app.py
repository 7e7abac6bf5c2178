"""`POST /v1/webhooks/{webhookId}/test`: a webhook about nothing."""

from afterword.dialects import native
from afterword.dialects.native import webhooks
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.ADMIN)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Send an endpoint a test, like any delivery."""
    tenant = webhooks.require_tenant(key)
    return webhooks.render_begun(
        services().webhook_deliveries.start_test(tenant, request.path["webhookId"])
    )

"""`POST /v1/webhooks/{webhookId}/deliveries/{deliveryId}/replay`: a delivery once more."""

from afterword.dialects import native
from afterword.dialects.native import webhooks
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.ADMIN)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Send a delivery again, with the same id and the same bytes."""
    tenant, path = webhooks.require_tenant(key), request.path
    deliveries = services().webhook_deliveries
    return webhooks.render_begun(deliveries.restart(tenant, path["webhookId"], path["deliveryId"]))

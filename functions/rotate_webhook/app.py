"""`POST /v1/webhooks/{webhookId}/rotate`: a new secret of a webhook endpoint."""

from afterword.dialects import native
from afterword.dialects.native import webhooks
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.ADMIN)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Give an endpoint a new secret; the old one signs beside it for a day."""
    tenant = webhooks.require_tenant(key)
    return webhooks.render_rotated(
        *services().webhook_endpoints.rotate(tenant, request.path["webhookId"])
    )

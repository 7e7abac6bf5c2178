"""`PATCH /v1/webhooks/{webhookId}`: a change of a webhook endpoint."""

from afterword.dialects import native
from afterword.dialects.native import webhooks
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.ADMIN)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Change an endpoint; an enabled one begins anew."""
    tenant, change = webhooks.require_tenant(key), webhooks.parse_change(request)
    endpoint_id = request.path["webhookId"]
    return webhooks.render_webhook(services().webhook_endpoints.change(tenant, endpoint_id, change))

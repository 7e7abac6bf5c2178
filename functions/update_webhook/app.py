"""`PATCH /v1/webhooks/{webhookId}`: what its owner changes of a webhook endpoint."""

from afterword.dialects import native
from afterword.dialects.native import webhooks
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.ADMIN)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Change an endpoint; enabling it lets it begin anew."""
    tenant, change = webhooks.tenant(key), webhooks.change(request)
    endpoint_id = request.path["webhookId"]
    return webhooks.shown(services().webhook_endpoints.change(tenant, endpoint_id, change))

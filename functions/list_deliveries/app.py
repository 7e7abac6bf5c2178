"""`GET /v1/webhooks/{webhookId}/deliveries`: the log of a webhook endpoint."""

from afterword.dialects import native
from afterword.dialects.native import webhooks
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.ADMIN)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Show a page of what was sent, newest first."""
    tenant, endpoint_id = webhooks.tenant(key), request.path["webhookId"]
    limit, after = webhooks.page_asked_for(request)
    store = services().webhook_store
    store.get_endpoint(tenant, endpoint_id)
    page = store.list_deliveries(tenant, endpoint_id, limit, after)
    return webhooks.deliveries(endpoint_id, page, limit)

"""`GET /v1/webhooks/{webhookId}/deliveries`: the log of a webhook endpoint."""

from afterword.dialects import native
from afterword.dialects.native import webhooks
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.ADMIN)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Return a page of deliveries, newest first."""
    tenant, endpoint_id = webhooks.require_tenant(key), request.path["webhookId"]
    limit, after = webhooks.parse_page(request)
    store = services().webhook_store
    store.get_endpoint(tenant, endpoint_id)
    page = store.list_deliveries(tenant, endpoint_id, limit, after)
    return webhooks.render_deliveries(endpoint_id, page, limit)

"""`GET /v1/webhooks/{webhookId}/deliveries`: the log of a webhook endpoint."""

from afterword import http, services
from afterword.dialects import native
from afterword.dialects.native import webhooks
from afterword.keys import ApiKey, Scope


@http.endpoint(native, Scope.ADMIN)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Return a page of deliveries, newest first."""
    tenant, endpoint_id = webhooks.require_tenant(key), request.path["webhookId"]
    limit, after = webhooks.parse_page(request)
    store = services.webhook_store()
    store.endpoint(tenant, endpoint_id)
    page = store.deliveries(tenant, endpoint_id, limit, after)
    return webhooks.render_deliveries(endpoint_id, page, limit)

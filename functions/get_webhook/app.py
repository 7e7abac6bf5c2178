"""`GET /v1/webhooks/{webhookId}`: a webhook endpoint."""

from afterword.dialects import native
from afterword.dialects.native import webhooks
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.ADMIN)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Return an endpoint, with the failure of its tries if they fail."""
    tenant, store = webhooks.require_tenant(key), services().webhook_store
    endpoint = store.get_endpoint(tenant, request.path["webhookId"])
    return webhooks.render_webhook(store.with_circuits(endpoint))

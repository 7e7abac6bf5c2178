"""`POST /v1/webhooks/{webhookId}/replay`: the failed deliveries since a time once more."""

from afterword.dialects import native
from afterword.dialects.native import webhooks
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.ADMIN)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Send the failed deliveries of a page of the log again, at a bounded pace."""
    return webhooks.replay(request, key, services().webhook_replays)

"""`GET /v1/keys`: the tenant's keys."""

from afterword.dialects import native
from afterword.dialects.native import keys
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.ADMIN)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """List a page of the keys, live and revoked, oldest first."""
    http.require_whole_tenant(key)
    return keys.list_keys(request, key, services().registry)

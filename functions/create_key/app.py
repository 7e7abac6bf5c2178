"""`POST /v1/keys`: creates a key."""

from afterword.dialects import native
from afterword.dialects.native import keys
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.ADMIN)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Create a key, shown this once."""
    http.require_whole_tenant(key)
    return keys.create(request, key, services().registry)

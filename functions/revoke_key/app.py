"""`DELETE /v1/keys/{keyId}`: revokes a key."""

from afterword.dialects import native
from afterword.dialects.native import keys
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.ADMIN)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Revoke a key for good; the key may still work for up to 60 seconds."""
    http.require_whole_tenant(key)
    return keys.revoke(request, key, services().registry)

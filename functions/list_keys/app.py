"""`GET /v1/keys`: the tenant's keys."""

from afterword.dialects import native
from afterword.dialects.native import keys
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.ADMIN)
def handler(request: http.Request, key: ApiKey) -> http.Response:  # noqa: ARG001 - no parameters
    """List the keys, live and revoked, oldest first."""
    http.require_whole_tenant(key)
    return keys.render_keys(services().registry.list_keys(key.tenant))

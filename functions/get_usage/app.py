"""`GET /v1/usage`: the tenant's usage."""

from afterword.dialects import native
from afterword.dialects.native import usage
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.READ)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Return generations, tokens and their cost, by day, flow and model."""
    return usage.render_usage(request, key, services().statistics)

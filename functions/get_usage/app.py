"""`GET /v1/usage`: what the tenant has used."""

from afterword.dialects import native
from afterword.dialects.native import usage
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.READ)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Show generations, tokens and what they cost, by day, flow and model."""
    return usage.report(request, key, services().statistics)

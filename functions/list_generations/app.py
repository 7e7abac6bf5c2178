"""`GET /v1/generations`: a tenant's generations, newest first, a page at a time."""

from afterword.dialects import native
from afterword.dialects.native import generations
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.READ)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """List a page of generations; the Link header leads to the next."""
    flow, search = generations.parse_search(request, key)
    found = services().listings.search(
        key.tenant, flow, search, lambda: services().registry.list_flow_ids(key.tenant)
    )
    return generations.render_page(found, request)

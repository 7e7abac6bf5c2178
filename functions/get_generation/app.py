"""`GET /v1/generations/{id}`: a generation, whichever dialect it came through."""

from afterword.dialects import native
from afterword.dialects.native import generations
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.READ)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Show a generation: where it stands, and what it came to."""
    generation = services().store.get(key.tenant, request.path["id"])
    return generations.read(generations.owned(generation, key))

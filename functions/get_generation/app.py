"""`GET /v1/generations/{id}`: a generation of any dialect."""

from afterword.dialects import native
from afterword.dialects.native import generations
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.READ)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Return a generation: its status and its output."""
    generation = services().store.get(key.tenant, request.path["id"])
    return generations.render_generation(generations.require_access(generation, key))

"""`POST /v1/generations/{id}/cancel`: ends a generation that is open."""

from afterword.dialects import native
from afterword.dialects.native import generations
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.SUBMIT, Scope.READ)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Cancel a generation; a canceled one stays canceled."""
    store = services().store
    generation = generations.require_access(store.get(key.tenant, request.path["id"]), key)
    if not generation.status.terminal:
        services().outbox.cancel(key.tenant, generation.id)
        generation = store.get(key.tenant, generation.id)
    return generations.render_canceled(generation)

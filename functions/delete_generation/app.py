"""`DELETE /v1/generations/{id}`: deletes a generation that has ended, and its texts."""

from afterword.dialects import native
from afterword.dialects.native import generations
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.SUBMIT, Scope.READ)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Delete a generation and its texts."""
    services().store.delete(key.tenant, request.path["id"], key.flow)
    return generations.render_deleted()

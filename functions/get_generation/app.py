"""`GET /v1/generations/{id}`: a generation; waits for its end if that is preferred."""

from afterword.dialects import native
from afterword.dialects.native import generations
from afterword.handlers import http
from afterword.runtime.deadline import Deadline
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.READ)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Return a generation: its status and its output."""
    wait = generations.parse_wait(request)
    deadline = Deadline.after(wait or 0)
    read = services().store.get(key.tenant, request.path["id"])
    generation = generations.require_access(read, key)
    if not wait or generation.status.terminal:
        return generations.render_generation(generation, wait)
    generation, whole = services().waiter.wait(key.tenant, generation.id, deadline)
    return generations.render_generation(generation, wait if whole else None)

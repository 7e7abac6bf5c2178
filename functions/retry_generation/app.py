"""`POST /v1/generations/{id}/retry`: submits a failed or canceled generation again."""

from afterword.dialects import native
from afterword.dialects.native import generations
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.SUBMIT, Scope.READ, submits=True)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Accept a new generation of the same submission, one and the same for all retries."""
    store = services().store
    failed = generations.require_access(store.get(key.tenant, request.path["id"]), key)
    accepted = services().submitter.retry(key.tenant, failed.id)
    return generations.render_accepted(store.read_put(accepted.put), accepted.allowances)

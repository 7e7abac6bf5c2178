"""`POST /v1/generations/{id}/retry`: submits what failed or was canceled once more."""

from afterword.dialects import native
from afterword.dialects.native import generations
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.SUBMIT)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Accept a new generation of the same submission, the same one however often it is asked."""
    store = services().store
    failed = generations.owned(store.get(key.tenant, request.path["id"]), key)
    accepted = services().submitter.retry(key.tenant, failed.id)
    return generations.accepted(store.get(key.tenant, accepted.id), accepted.allowances)

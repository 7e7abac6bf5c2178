"""`POST /v1/batches`: accepts a file of submissions, one a line."""

from afterword.dialects import native
from afterword.dialects.native import batches
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.SUBMIT)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Accept a batch with its file, or say where to put the file."""
    content = batches.content(request)
    batch = services().batch_requests.accept(
        key.tenant, key.flow, content, http.idempotency_key(request)
    )
    return batches.accepted(batch, content, services().batch_files.upload_url)

"""`POST /v1/batches`: accepts a file of submissions, one a line."""

from afterword.dialects import native
from afterword.dialects.native import batches
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.SUBMIT)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Accept a batch with its file, or return the URL for the file."""
    file = batches.parse_file(request)
    batch = services().batch_requests.accept(
        key.tenant, key.flow, file, http.read_idempotency_key(request)
    )
    return batches.render_accepted(batch, file, services().batch_files.upload_url)

"""`GET /v1/batches/{batchId}`: how a batch is coming along."""

from afterword.dialects import native
from afterword.dialects.native import batches
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.READ)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Return a batch, with a URL for the results of a finished one."""
    batch = services().batches.get(key.tenant, batches.read_batch_id(request))
    return batches.render_batch(
        batches.require_access(batch, key), services().batch_files.download_url
    )

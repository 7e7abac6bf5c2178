"""`GET /v1/batches/{batchId}`: how a batch is coming along."""

from afterword.dialects import native
from afterword.dialects.native import batches
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.READ)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Return a batch, with a URL for its results once it is finished."""
    batch = services().batches.get(key.tenant, batches.batch_id(request))
    return batches.found(batches.owned(batch, key), services().batch_files.download_url)

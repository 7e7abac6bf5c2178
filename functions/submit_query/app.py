"""`POST /api/v1/ai/async/query`: a question of a session."""

from afterword.dialects import unless
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(unless, Scope.SUBMIT, submits=True)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Accept a question; its answer is fetched with the question id that comes back."""
    flow = unless.require_flow(request, key, services().registry)
    generation_id = services().submitter.submit(
        key.tenant, unless.parse_submission(request, flow), http.read_idempotency_key(request), flow
    )
    return unless.render_accepted(generation_id)

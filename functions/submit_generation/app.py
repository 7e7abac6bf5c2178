"""`POST /v1/generations`: submits, and waits for the end if that is preferred."""

from afterword import http, services, waiting
from afterword.dialects import native
from afterword.dialects.native import generations
from afterword.keys import ApiKey, Scope


@http.endpoint(native, Scope.SUBMIT)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Accept a submission; the Location of the response has its generation."""
    started = waiting.now()
    sent = native.parse_members(request, generations.MEMBERS)
    flow = generations.require_flow(sent, key, services.registry())
    submission = generations.parse_submission(
        sent, key.tenant, flow, services.knowledge, http.deadline(request)
    )
    wait = generations.parse_wait(request)
    accepted = services.submitter().accept(
        key.tenant, submission, http.idempotency_key(request), flow
    )
    generation = waiting.until_ended(services.store(), key.tenant, accepted.id, started, wait or 0)
    return generations.render_accepted(generation, accepted.allowances, wait)

"""`POST /v1/generations`: submits, and waits for the end if that is preferred."""

from afterword.dialects import native
from afterword.dialects.native import generations
from afterword.generations import waiting
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.SUBMIT)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Accept a submission; what it comes to is fetched from the Location that comes back."""
    started = waiting.now()
    sent = native.sent(request, generations.MEMBERS)
    flow = generations.flow(sent, key, services().registry)
    submission = generations.submission(
        sent, key.tenant, flow, lambda: services().knowledge, http.deadline(request)
    )
    wait = generations.wait(request)
    accepted = services().submitter.accept(
        key.tenant, submission, http.idempotency_key(request), flow
    )
    generation = waiting.wait_for_end(services().store, key.tenant, accepted.id, started, wait or 0)
    return generations.accepted(generation, accepted.allowances, wait)

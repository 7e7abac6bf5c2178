"""`POST /v1/generations`: submits, and waits for the end if that is preferred."""

from afterword.dialects import native
from afterword.dialects.native import generations
from afterword.handlers import http
from afterword.runtime.deadline import Deadline
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.SUBMIT, submits=True)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Accept a submission; the Location of the response has its generation."""
    wait = generations.parse_wait(request)
    deadline = Deadline.after(wait or 0)
    sent = generations.parse_body(request)
    flow = generations.require_flow(sent, key, services().registry)
    submission = generations.parse_submission(
        sent, key.tenant, flow, lambda: services().knowledge, http.read_deadline(request)
    )
    accepted = services().submitter.accept(
        key.tenant, submission, http.read_idempotency_key(request), flow
    )
    generation, whole = services().store.read_put(accepted.put), True
    if wait and not generation.status.terminal:
        generation, whole = services().waiter.wait(key.tenant, accepted.id, deadline)
    return generations.render_accepted(generation, accepted.allowances, wait if whole else None)

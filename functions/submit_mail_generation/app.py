"""`POST /api/companies/{companyCuid}/orchestrators/{orchestratorCuid}/generation-async`."""

from afterword import http, services
from afterword.dialects import dialonce
from afterword.dialects.dialonce import parameters
from afterword.keys import Scope


@http.endpoint(dialonce, Scope.SUBMIT)
def handler(request: http.Request, tenant: str) -> http.Response:
    """Accept a mail to be answered; the reply is fetched with the process id that comes back."""
    flow = dialonce.orchestrator(request, tenant)
    submission = parameters.submission(request.body, flow)
    generation_id = services.submitter().submit(tenant, submission, http.idempotency_key(request))
    return dialonce.accepted(generation_id)

"""`POST /api/companies/{companyCuid}/orchestrators/{orchestratorCuid}/classification-async`."""

from afterword.dialects import dialonce
from afterword.dialects.dialonce import parameters
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(dialonce, Scope.SUBMIT, submits=True)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Accept a mail to be classified; the class is fetched with the process id."""
    flow = dialonce.read_flow_id(request, key)
    submission = parameters.parse_classification(request.body, flow, http.read_deadline(request))
    generation_id = services().submitter.submit(
        key.tenant, submission, http.read_idempotency_key(request)
    )
    return dialonce.render_accepted(generation_id)

"""`POST /v1/flows/{flowId}/generate`: submits, and waits for the text."""

from afterword import http, services, waiting
from afterword.dialects import promptitude
from afterword.keys import ApiKey, Scope


@http.endpoint(promptitude, Scope.SUBMIT)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Run a flow and wait; a run that outlasts the wait goes on, and its result is in the log."""
    started = waiting.now()
    flow = services.registry().flow(key.tenant, promptitude.read_flow_id(request, key))
    submission = promptitude.parse_submission(request, key, flow, services.knowledge)
    generation_id = services.submitter().submit(
        key.tenant, submission, http.idempotency_key(request), flow
    )
    return promptitude.render_run(
        waiting.until_ended(services.store(), key.tenant, generation_id, started)
    )

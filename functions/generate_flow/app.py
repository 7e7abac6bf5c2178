"""`POST /v1/flows/{flowId}/generate`: submits, and waits for the text."""

from afterword.dialects import promptitude
from afterword.engine import waiting
from afterword.handlers import http
from afterword.runtime.deadline import Deadline
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(promptitude, Scope.SUBMIT, submits=True)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Run a flow and wait; a run that outlasts the wait goes on, and its result is in the log."""
    deadline = Deadline.after(waiting.WAIT_SECONDS)
    flow = services().registry.find_flow(key.tenant, promptitude.read_flow_id(request, key))
    submission = promptitude.parse_submission(request, key, flow, lambda: services().knowledge)
    generation_id = services().submitter.submit(
        key.tenant, submission, http.read_idempotency_key(request), flow
    )
    generation, _ = services().waiter.wait(key.tenant, generation_id, deadline)
    return promptitude.render_run(generation)

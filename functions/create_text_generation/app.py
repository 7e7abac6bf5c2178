"""`POST /api/v1/generations`: a form with texts and files for the app."""

from afterword.dialects import genai_stack
from afterword.dialects.genai_stack.submission import parse_submission
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(genai_stack, Scope.SUBMIT, submits=True)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Accept the form's submission, and return its generation."""
    flow = services().registry.find_flow(key.tenant, genai_stack.require_app(key))
    accepted = services().submitter.accept(
        key.tenant, parse_submission(request, flow), http.read_idempotency_key(request), flow
    )
    return genai_stack.render_text_generation(services().store.read_put_detail(accepted.put))

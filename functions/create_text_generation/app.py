"""`POST /api/v1/generations`: a form with texts and files for the app."""

from afterword.dialects import genai_stack
from afterword.dialects.genai_stack.submission import submission
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(genai_stack, Scope.SUBMIT)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Accept what the form asks for, and show the generation that it has become."""
    flow = services().registry.get_flow(key.tenant, genai_stack.app_flow(key))
    generation_id = services().submitter.submit(
        key.tenant, submission(request, flow), http.idempotency_key(request), flow
    )
    return genai_stack.text_generation(services().store.get_detail(key.tenant, generation_id))

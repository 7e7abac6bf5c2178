"""The form of a text generation. Only the submission imports this module, which parses forms."""

from afterword.dialects import genai_stack
from afterword.dialects.genai_stack import form
from afterword.flows import inputs
from afterword.generations import Submission
from afterword.handlers import http
from afterword.tenants import StoredFlow


def parse_submission(request: http.Request, flow: StoredFlow) -> Submission:
    """Parse a request; raise InvalidRequestError, or UnprocessableError naming an input."""
    sent = form.parse(request.headers.get("content-type", ""), request.body)
    values, files = inputs.check_inputs(inputs.declared_inputs(flow.document), sent)
    return Submission(
        dialect=genai_stack.NAME,
        flow=flow.id,
        inputs=values,
        template=None,
        external={},
        files=files,
        deadline=http.read_deadline(request),
    )

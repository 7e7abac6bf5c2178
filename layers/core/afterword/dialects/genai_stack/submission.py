"""Submissions: forms and messages. Only they import this module, which parses forms."""

from afterword.dialects import genai_stack
from afterword.dialects.genai_stack import form
from afterword.errors import InvalidRequestError, UnprocessableError
from afterword.flows import inputs
from afterword.generations import Submission
from afterword.handlers import form_fields, forms, http
from afterword.runtime import json_text
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


def parse_message(request: http.Request, flow: StoredFlow, session_id: str) -> Submission:
    """Parse a message to a chat session, `{"chatKey", "inputs"}`.

    The input of the chat key comes first; the service calls that one primary. Raises like
    `parse_submission`.
    """
    sent = json_text.parse_texts(request.body)
    if not isinstance(sent, dict):
        raise InvalidRequestError("The body must be a JSON object.")
    named = sent.get("inputs")
    if not isinstance(named, dict):
        raise UnprocessableError("inputs", "must be a JSON object.")
    form_fields.check_count(len(named))
    texts: list[tuple[str, str]] = []
    for number, (name, value) in enumerate(named.items(), 1):
        form_fields.check_name(name, f"Member {number} of inputs")
        texts += [
            (name, text) for text in forms.json_texts(value, f"inputs.{name}") if text is not None
        ]
    form_fields.check_count(len(texts))
    values, _ = inputs.check_inputs(inputs.declared_inputs(flow.document), texts)
    key = sent.get("chatKey")
    if not isinstance(key, str) or key not in values:
        raise UnprocessableError("chatKey", "must be the name of one of the inputs.")
    return Submission(
        dialect=genai_stack.NAME,
        flow=flow.id,
        inputs={key: values[key], **values},
        template=None,
        external={},
        deadline=http.read_deadline(request),
        conversation=session_id,
    )

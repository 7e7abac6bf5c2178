"""MailGenerationAsyncParameters and MailClassificationAsyncParameters, the bodies of submissions.

Only the submissions import this module: pydantic is a fifth of a cold start.
"""

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from afterword.dialects import dialonce
from afterword.errors import InvalidRequestError
from afterword.flows import placeholders
from afterword.generations import Submission
from afterword.runtime import json_text

if TYPE_CHECKING:
    from datetime import timedelta

_EXTERNAL = ("external_ref", "external_metadata")
MAX_EXTERNAL_BYTES = 1_000_000
"""External data stand beside the text in one response of Lambda, 6 MB."""
_MESSAGES = {
    "missing": "must be present.",
    "string_type": "must be a string.",
    "dict_type": "must be a JSON object.",
    "model_type": "must be a JSON object.",
}
"""pydantic's error types, in words of JSON instead of Python."""


class MailGenerationAsyncParameters(BaseModel):
    """The body of a submission. Unknown fields are ignored."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    subject: str
    body: str
    metadata: dict[str, object] | None = None
    template: str | None = None
    external_ref: str | None = None
    external_metadata: dict[str, object] | None = None


class Mail(BaseModel):
    """A mail to classify. Unknown fields are ignored."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    subject: str
    body: str


class MailClassificationAsyncParameters(BaseModel):
    """The body of a submission. Unknown fields are ignored."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    mail: Mail
    external_ref: str | None = None
    external_metadata: dict[str, object] | None = None


def parse_submission(body: bytes, flow: str, deadline: "timedelta | None" = None) -> Submission:
    """Parse a MailGenerationAsyncParameters; raise InvalidRequestError naming the field.

    A mail needs a subject or a body that is not blank. `external_ref` and `external_metadata` keep
    their text to the letter.
    """
    sent = json_text.parse_object(body)
    mail = _validate(MailGenerationAsyncParameters, sent)
    if not (mail.subject.strip() or mail.body.strip()):
        raise InvalidRequestError("subject, body: one of them must be a text that is not blank.")
    if mail.template is not None:
        placeholders.parse_template(mail.template)
    inputs = {"subject": mail.subject, "body": mail.body}
    if mail.metadata is not None:
        inputs["metadata"] = sent.texts["metadata"]
    return Submission(
        dialect=dialonce.NAME,
        flow=flow,
        inputs=inputs,
        template=mail.template if mail.template and mail.template.strip() else None,
        external=_read_external(sent),
        deadline=deadline,
    )


def parse_classification(body: bytes, flow: str, deadline: "timedelta | None" = None) -> Submission:
    """Parse a MailClassificationAsyncParameters like `parse_submission`."""
    sent = json_text.parse_object(body)
    mail = _validate(MailClassificationAsyncParameters, sent).mail
    if not (mail.subject.strip() or mail.body.strip()):
        raise InvalidRequestError(
            "mail.subject, mail.body: one of them must be a text that is not blank."
        )
    return Submission(
        dialect=dialonce.NAME,
        flow=flow,
        inputs={"subject": mail.subject, "body": mail.body},
        template=None,
        external=_read_external(sent),
        deadline=deadline,
        classifies=True,
    )


def _validate[M: BaseModel](model: type[M], sent: json_text.JsonObject) -> M:
    try:
        return model.model_validate(sent.values)
    except ValidationError as error:
        raise InvalidRequestError(_explain(error)) from error


def _read_external(sent: json_text.JsonObject) -> dict[str, str]:
    external = {name: sent.texts[name] for name in _EXTERNAL if name in sent.texts}
    for name, text in external.items():
        if len(text.encode()) > MAX_EXTERNAL_BYTES:
            raise InvalidRequestError(f"{name}: must be at most {MAX_EXTERNAL_BYTES} bytes.")
    return external


def _explain(error: ValidationError) -> str:
    return " ".join(
        f"{'.'.join(map(str, problem['loc']))}: {_MESSAGES.get(problem['type'], problem['msg'])}"
        for problem in error.errors(include_url=False, include_input=False)
    )

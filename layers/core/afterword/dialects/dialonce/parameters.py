"""MailGenerationAsyncParameters and MailClassificationAsyncParameters, the bodies of submissions.

Their members are checked by hand, since pydantic is a third of a cold start
(docs/decisions/0084-imports.md). openapi/dialonce.py describes them. Unknown members are ignored.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, cast

from afterword.dialects import dialonce
from afterword.errors import InvalidRequestError
from afterword.flows import placeholders
from afterword.generations import Submission
from afterword.runtime import json_text

if TYPE_CHECKING:
    from datetime import timedelta

MAX_EXTERNAL_BYTES = 1_000_000
"""External data stand beside the text in one response of Lambda, 6 MB."""
_MAIL = {"subject": str, "body": str}
_GENERATION = {"metadata": dict, "template": str}
_EXTERNAL = {"external_ref": str, "external_metadata": dict}
_MESSAGES: Mapping[type, str] = {str: "must be a string.", dict: "must be a JSON object."}


def parse_submission(body: bytes, flow: str, deadline: "timedelta | None" = None) -> Submission:
    """Parse a MailGenerationAsyncParameters; raise InvalidRequestError naming the field.

    A mail needs a subject or a body that is not blank. `external_ref` and `external_metadata` keep
    their text to the letter.
    """
    sent = json_text.parse_object(body)
    _refuse([*_list_problems(sent.values, _MAIL, _GENERATION | _EXTERNAL)])
    inputs = _read_mail(sent.values)
    if not _has_text(inputs):
        raise InvalidRequestError("subject, body: one of them must be a text that is not blank.")
    template = cast("str | None", sent.values.get("template"))
    if template is not None:
        placeholders.parse_template(template)
    if sent.values.get("metadata") is not None:
        inputs["metadata"] = sent.texts["metadata"]
    return Submission(
        dialect=dialonce.NAME,
        flow=flow,
        inputs=inputs,
        template=template if template and template.strip() else None,
        external=_read_external(sent),
        deadline=deadline,
    )


def parse_classification(body: bytes, flow: str, deadline: "timedelta | None" = None) -> Submission:
    """Parse a MailClassificationAsyncParameters like `parse_submission`."""
    sent = json_text.parse_object(body)
    mail = sent.values.get("mail")
    problems = _list_problems(mail, _MAIL, {}, "mail.") if isinstance(mail, dict) else ()
    _refuse(
        [
            *_list_problems(sent.values, {"mail": dict}, {}),
            *problems,
            *_list_problems(sent.values, {}, _EXTERNAL),
        ]
    )
    inputs = _read_mail(cast("Mapping[str, object]", mail))
    if not _has_text(inputs):
        raise InvalidRequestError(
            "mail.subject, mail.body: one of them must be a text that is not blank."
        )
    return Submission(
        dialect=dialonce.NAME,
        flow=flow,
        inputs=inputs,
        template=None,
        external=_read_external(sent),
        deadline=deadline,
        classifies=True,
    )


def _list_problems(
    values: Mapping[str, object],
    required: Mapping[str, type],
    optional: Mapping[str, type],
    within: str = "",
) -> Iterator[str]:
    """Yield a sentence for each member that does not fit; null stands for an optional one."""
    for name, kind in required.items():
        if name not in values:
            yield f"{within}{name}: must be present."
        elif not isinstance(values[name], kind):
            yield f"{within}{name}: {_MESSAGES[kind]}"
    for name, kind in optional.items():
        if not isinstance(values.get(name), kind | None):
            yield f"{within}{name}: {_MESSAGES[kind]}"


def _refuse(problems: list[str]) -> None:
    if problems:
        raise InvalidRequestError(" ".join(problems))


def _read_mail(values: Mapping[str, object]) -> dict[str, str]:
    return {name: cast("str", values[name]) for name in _MAIL}


def _has_text(mail: Mapping[str, str]) -> bool:
    return any(text.strip() for text in mail.values())


def _read_external(sent: json_text.JsonObject) -> dict[str, str]:
    external = {name: sent.texts[name] for name in _EXTERNAL if name in sent.texts}
    for name, text in external.items():
        if len(text.encode()) > MAX_EXTERNAL_BYTES:
            raise InvalidRequestError(f"{name}: must be at most {MAX_EXTERNAL_BYTES} bytes.")
    return external

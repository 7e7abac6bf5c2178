"""The failure of a call, from a provider's error."""

from http import HTTPStatus
from typing import TYPE_CHECKING

from afterword.generations import Reason
from afterword.models import ModelRefusedError, ModelUnavailableError
from afterword.models.reasons import Cause, find_cause, show_error, telling_code

if TYPE_CHECKING:
    from collections.abc import Mapping

    from afterword.generations import Completion
    from afterword.models.error_detail import ErrorDetail

TOO_LONG = "The text is too long for this model: shorten it, or lower max_tokens."
_FINAL: "Mapping[Cause, tuple[Reason, str]]" = {
    Cause.TOO_LONG: (Reason.TOO_LONG, TOO_LONG),
    Cause.REFUSED_CONTENT: (Reason.REFUSED_CONTENT, "The content was refused."),
    Cause.QUOTA_EXCEEDED: (
        Reason.MODEL_QUOTA_EXCEEDED,
        "The quota of the model's account is used up: raise it, or pay for more.",
    ),
    Cause.ACCESS_DENIED: (Reason.MODEL_ACCESS_DENIED, "Check the model's API key."),
    Cause.MODEL_NOT_FOUND: (Reason.MODEL_NOT_FOUND, "Check the model's name and base URL."),
    Cause.INVALID_REQUEST: (Reason.INVALID_REQUEST, ""),
}
"""The causes that no other try changes, each with its advice."""


def build_failure(
    answered: str,
    detail: "ErrorDetail",
    retry_after: float | None = None,
    spent: "Completion | None" = None,
) -> ModelUnavailableError | ModelRefusedError:
    """Return the failure of an error; `answered` is the clause before its status.

    Its message has the telling code and the parameter, and never the error's words. A status that
    is no error's stands for an answer that says nothing. `spent` is an answer that was paid for.
    """
    shown = show_error(detail)
    is_error = detail.status >= HTTPStatus.MULTIPLE_CHOICES
    status = str(detail.status) if is_error else f"{detail.status} without a completion"
    message = f"{answered} {status}" + (f" ({shown})." if shown else ".")
    cause = find_cause(detail)
    if cause in _FINAL:
        reason, advice = _FINAL[cause]
        return ModelRefusedError(reason, f"{message} {advice}".strip(), spent)
    return ModelUnavailableError(
        message,
        retry_after,
        code=telling_code(detail) or (str(detail.status) if is_error else None),
        throttled=cause is Cause.THROTTLED,
        spent=spent,
    )

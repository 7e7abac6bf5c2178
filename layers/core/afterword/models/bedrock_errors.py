"""The errors of Bedrock: their causes, and the parts of a request that a model refuses.

The words of an error decide where its code does not. No message shows them, since words may repeat
the prompt (docs/decisions/0069-models-answers.md).
"""

import re
from collections.abc import Collection, Iterator, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

from afterword.generations import Reason
from afterword.models import (
    ModelError,
    ModelRefusedError,
    ModelTimedOutError,
    ModelUnavailableError,
)
from afterword.models.adaptations import Adaptation
from afterword.models.error_detail import ErrorDetail
from afterword.models.failures import TOO_LONG
from afterword.models.parameters import SYSTEM, refused_parameters, states_range
from afterword.models.reasons import Cause, find_cause
from afterword.models.words import Words

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

    from afterword.models import Prompt

_UNAVAILABLE = frozenset(
    {
        "InternalServerException",
        "ModelErrorException",
        "ModelNotReadyException",
        "ServiceUnavailableException",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_THROTTLED = frozenset({"ThrottlingException", "TooManyRequestsException"})
_ACCESS_DENIED = "AccessDeniedException"
_CREDENTIALS = frozenset(
    {"ExpiredTokenException", "InvalidSignatureException", "UnrecognizedClientException"}
)
_QUOTA = frozenset({"ServiceQuotaExceededException"})
_DAILY_WORDS = Words(r"tokens per (?:day|month)\b")
_PROFILE_WORDS = Words(
    r"on[- ]demand throughput is(?:n[\N{RIGHT SINGLE QUOTATION MARK}']t| not) supported",
    r"inference profile that contains\b",
)
_TOO_LONG_WORDS = Words(
    r"input is too long\b",
    r"input length and `?max_tokens`? exceed\b",
    r"expected maxlength\b",
    r"max input tokens\b",
    r"too many input tokens\b",
    r"number of (?:input )?tokens…exceed",
    r"member must have length less than or equal to\b",
)
_LIMIT_WORDS = Words(
    r"maximum tokens you requested exceeds\b",
    r"max_?tokens…\bexceeds\b",
    r"maximum allowed number of output tokens\b",
)
_USE_CASE_WORDS = Words(r"use case details have not been submitted\b", r"operation not allowed\b")
_NO_ACCESS_WORDS = Words(
    r"access to the model\b",
    r"model access is denied\b",
    r"use case details\b",
    r"marketplace\b",
    r"operation not allowed\b",
)
_NOT_AUTHORIZED_WORDS = Words(r"not authorized to perform\b")
_RETIRED_WORDS = Words(r"end of (?:its )?life\b", r"marked by provider as legacy\b")
_CHOICE_WORDS = Words(r"tool_?choice\b")
_FORCED_WORDS = Words(r"tool_?choice\.tool\b")
_TOOL_WORDS = Words(
    r"tool ?use\b",
    r"tool_?config\b",
    r"tool_?spec\b",
    r"input_?schema\b",
    r"(?:tools|functions?)\b",
)
_SCHEMA_WORDS = Words(r"tool_?spec\b", r"input_?schema\b")
_OTHER_CAUSES = frozenset({Cause.TOO_LONG, Cause.REFUSED_CONTENT, Cause.QUOTA_EXCEEDED})
_PREFIXES: Mapping[str, str] = {
    "us-gov": "us-gov",
    "us": "us",
    "ca": "us",
    "eu": "eu",
    "ap": "apac",
}
"""The prefixes of inference profiles by the beginning of a region's name."""
_CHECK_ID = "Check the model's id, and whether the region has the model."
_NAME_ANOTHER = "The model is retired: name another one."
_EXPLAINED: Mapping[Cause, tuple[Reason, str]] = {
    Cause.TOO_LONG: (Reason.TOO_LONG, TOO_LONG),
    Cause.REFUSED_CONTENT: (Reason.REFUSED_CONTENT, "The content was refused."),
    Cause.MODEL_NOT_FOUND: (Reason.MODEL_NOT_FOUND, _CHECK_ID),
}


class Setting(NamedTuple):
    """The stack's parameter of the rights to a model, and the places that name the model."""

    rights: str
    names: str


TEXT_MODEL = Setting("BedrockModelArns", "the flow's step or the stack's parameter ModelId")
EMBEDDING_MODEL = Setting("EmbeddingModel", "the stack's parameter EmbeddingModel")
_SHOWN_CODE = re.compile(r"[A-Za-z0-9_]{1,64}")
_MODEL_ID = re.compile(r"[A-Za-z0-9._:-]{1,120}")


def read_detail(error: "ClientError") -> ErrorDetail:
    """Return the code, the status and the words of an error."""
    said = error.response.get("Error", {})
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", HTTPStatus.OK)
    return ErrorDetail(
        status=int(status),
        codes=(str(said.get("Code", "Unknown")),),
        words=str(said.get("Message", ""))[:4_000],
    )


def find_adaptation(
    detail: ErrorDetail, prompt: "Prompt", adapted: Collection[Adaptation]
) -> Adaptation | None:
    """Return the adaptation of the next request; None where an error is about another thing."""
    if detail.codes != ("ValidationException",) or _cause(detail) in _OTHER_CAUSES:
        return None
    if _PROFILE_WORDS.are_in(detail.words) or _LIMIT_WORDS.are_in(detail.words):
        return None
    return next((each for each in _list_refused(detail, prompt) if each not in adapted), None)


def _list_refused(detail: ErrorDetail, prompt: "Prompt") -> Iterator[Adaptation]:
    """Yield the adaptations that an error asks for, the smallest change first."""
    if prompt.schema is not None and _CHOICE_WORDS.are_in(detail.words):
        if _FORCED_WORDS.are_in(detail.words):
            yield Adaptation.ANY_TOOL
        yield Adaptation.TOOL_BY_CHOICE
        yield Adaptation.NO_TOOL
    elif prompt.schema is not None and _TOOL_WORDS.are_in(detail.words):
        yield Adaptation.NO_TOOL
    sent = ["inferenceConfig", "maxTokens"]
    if prompt.temperature is not None:
        sent.append("temperature")
    if prompt.system:
        sent.append(SYSTEM)
    refused = refused_parameters(detail, sent)
    if SYSTEM in refused:
        yield Adaptation.NO_SYSTEM
    if "temperature" in refused:
        yield Adaptation.NO_TEMPERATURE
    if {"inferenceConfig", "maxTokens"} & {*refused}:
        yield Adaptation.NO_INFERENCE


def is_lasting(detail: ErrorDetail) -> bool:
    """Whether the next prompts need an adaptation too.

    A schema or a value that is refused says nothing of another one.
    """
    return not (_SCHEMA_WORDS.are_in(detail.words) or states_range(detail))


def build_failure(
    detail: ErrorDetail, model: str, region: str, setting: Setting = TEXT_MODEL
) -> ModelError:
    """Return the failure of an error, with what to do about it."""
    (code,) = detail.codes
    shown = code if _SHOWN_CODE.fullmatch(code) else "an unknown code"
    answered = f"Bedrock answered {detail.status} ({shown})."
    if code == "ModelTimeoutException":
        return ModelTimedOutError(answered, code)
    if code in _QUOTA or (code in _THROTTLED and _DAILY_WORDS.are_in(detail.words)):
        return ModelRefusedError(
            Reason.MODEL_QUOTA_EXCEEDED,
            f"{answered} The account's quota for the model is used up: ask AWS for a higher one.",
        )
    if (
        code in _UNAVAILABLE
        or detail.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        or detail.status == HTTPStatus.TOO_MANY_REQUESTS
    ):
        return ModelUnavailableError(answered, code=shown, throttled=code in _THROTTLED)
    reason, advice = _explain(detail, model, region, setting)
    return ModelRefusedError(reason, f"{answered} {advice}".strip())


def _explain(detail: ErrorDetail, model: str, region: str, setting: Setting) -> tuple[Reason, str]:
    """Return the reason of a refusal, and what to do about it."""
    (code,) = detail.codes
    if code in _CREDENTIALS:
        return Reason.MODEL_ACCESS_DENIED, "The AWS credentials are not valid, or have expired."
    if code == _ACCESS_DENIED or _USE_CASE_WORDS.are_in(detail.words):
        return Reason.MODEL_ACCESS_DENIED, _advise_access(detail, setting.rights)
    if code == "ResourceNotFoundException":
        retired = _RETIRED_WORDS.are_in(detail.words)
        return Reason.MODEL_NOT_FOUND, _NAME_ANOTHER if retired else _CHECK_ID
    if _PROFILE_WORDS.are_in(detail.words):
        return Reason.INVALID_REQUEST, _advise_profile(model, region, setting.names)
    if _LIMIT_WORDS.are_in(detail.words):
        return Reason.INVALID_REQUEST, "max_tokens is above the model's limit: lower it."
    return _EXPLAINED.get(_cause(detail), (Reason.INVALID_REQUEST, ""))


def _cause(detail: ErrorDetail) -> Cause:
    return Cause.TOO_LONG if _TOO_LONG_WORDS.are_in(detail.words) else find_cause(detail)


def _advise_access(detail: ErrorDetail, parameter: str) -> str:
    if _NOT_AUTHORIZED_WORDS.are_in(detail.words):
        return (
            f"Name the model in the stack's parameter {parameter}, and beside an inference"
            " profile the models that it stands for."
        )
    if _NO_ACCESS_WORDS.are_in(detail.words):
        return (
            "The account has no access to the model: ask for it in the Bedrock console, under"
            " Model access, in the stack's region."
        )
    return f"Check the account's access to the model, and the stack's parameter {parameter}."


def _advise_profile(model: str, region: str, places: str) -> str:
    """Return the id of the inference profile that stands for a model in a region."""
    name = model.rpartition("/")[2]
    if not _MODEL_ID.fullmatch(name):
        return "The model is called by an inference profile alone: name the profile's id."
    prefix = next((_PREFIXES[each] for each in _PREFIXES if region.startswith(f"{each}-")), None)
    ids = [f"{each}.{name}" for each in (prefix, "global") if each is not None]
    return (
        f"The model is called by an inference profile alone: name {' or '.join(ids)} in place of"
        f" {name}, by {places}."
    )

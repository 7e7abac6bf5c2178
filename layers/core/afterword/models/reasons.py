"""The cause of a provider's error, by its code, its words and its status.

Providers agree on neither: the same cause is a code here, a type there, and elsewhere a sentence.
Words decide where no code does (docs/decisions/0069-models-answers.md). No message shows them,
since they may repeat the prompt.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from enum import Enum, auto
from http import HTTPStatus
from typing import TYPE_CHECKING

from afterword.models.words import Words

if TYPE_CHECKING:
    from afterword.models.error_detail import ErrorDetail


class Cause(Enum):
    """The cause of an error, as far as it decides what to do."""

    TOO_LONG = auto()
    REFUSED_CONTENT = auto()
    QUOTA_EXCEEDED = auto()
    ACCESS_DENIED = auto()
    MODEL_NOT_FOUND = auto()
    THROTTLED = auto()
    UNAVAILABLE = auto()
    INVALID_REQUEST = auto()


_TOO_LONG_CODES = frozenset(
    {
        "context_length_exceeded",
        "context_window_exceeded",
        "exceed_context_size_error",
        "input_too_long",
        "max_tokens_exceeded",
        "max_tokens_per_request",
        "model_context_window_exceeded",
        "prompt_too_long",
        "request_too_large",
        "string_above_max_length",
        "tokens_limit_reached",
    }
)
_CONTENT_CODES = frozenset(
    {
        "1301",  # Zhipu
        "blocklist",
        "content_filter",
        "content_filter_error",
        "content_filtered",
        "content_moderation",
        "content_policy_violation",
        "cyber_policy_violation",
        "data_inspection_failed",  # DashScope
        "datainspectionfailed",
        "guardrail_intervened",
        "moderation_blocked",
        "prohibited_content",
        "responsibleaipolicyviolation",
        "safety",
        "unsafe_content",
    }
)
_QUOTA_CODES = frozenset(
    {
        "1113",  # Zhipu
        "arrearage",  # DashScope
        "billing_hard_limit_reached",
        "billing_not_active",
        "budget_exceeded",  # LiteLLM
        "exceeded_current_quota_error",  # Moonshot
        "insufficient_balance",
        "insufficient_credits",
        "insufficient_quota",
        "payment_required",
        "quota_exceeded",
        "servicequotaexceededexception",
    }
)
_ACCESS_CODES = frozenset(
    {
        "accessdeniedexception",
        "api_key_invalid",  # Gemini
        "authentication_error",
        "deploymentnotenabled",
        "invalid_api_key",
        "permission_denied",
        "permission_error",
        "unauthenticated",
        "unauthorized",
        "unrecognizedclientexception",
    }
)
_NOT_FOUND_CODES = frozenset(
    {
        "deploymentnotfound",
        "model_not_available",
        "model_not_found",
        "model_not_supported",
        "not_found_error",
        "resourcenotfoundexception",
        "unknown_model",
    }
)
_THROTTLED_CODES = frozenset(
    {
        "rate_limit_error",
        "rate_limit_exceeded",
        "rate_limit_reached_error",
        "resource_exhausted",
        "throttlingexception",
        "too_many_requests",
        "toomanyrequestsexception",
    }
)
_UNAVAILABLE_CODES = frozenset(
    {
        "engine_overloaded_error",
        "internal_error",
        "internal_server_error",
        "modelnotreadyexception",
        "overloaded",
        "overloaded_error",
        "service_unavailable",
        "serviceunavailableexception",
        "timeout",
        "unavailable",
        "unavailable_error",
    }
)
_TOO_LONG_WORDS = Words(
    r"(?:max(?:imum)?|model'?s|available|its) (?:context|prompt|model|sequence|input)"
    r" (?:length|size|window)\b",  # OpenAI, Azure, vLLM, Mistral, xAI, llama.cpp
    r"(?:exceed\w*|overflow\w*|(?:longer|larger|greater|more) than|too (?:long|large|big) for)…"
    r"\b(?:context|prompt|model|token|input|sequence|max)[ _]"
    r"(?:length|size|window|limit|model_len)",
    r"context[ _](?:length|size|window|limit)\b…\b(?:exceeded|overflow|is only|is full)",
    r"(?:prompt|inputs?|messages?|conversation) (?:is |are |was )?too (?:long|large)\b",
    r"too many (?:total text bytes|(?:total |input |prompt )tokens|tokens(?: in|:))",
    r"request (?:body )?too large for\b",  # Groq, GitHub Models, OpenAI's 429
    r"token count\b…\b(?:exceeds|only supports)\b",  # Gemini, Vertex AI
    r"(?:total|input|prompt) tokens\b…\bexceed",
    r"exceed(?:s|ed)? (?:your |the )?(?:model token limit|max_model_len)",  # Moonshot
    r"(?:reduce|shorten) (?:the length of |your |the )+(?:input|prompt|messages?)\b",
    r"(?:input|output)(?: or output)? tokens must be reduced\b",
    r"max_new_tokens`? must be <=",  # Together, Text Generation Inference
    r"must have less than \d+ tokens\b",
    r"inputs? \(\d+ tokens\) is too (?:long|large)\b",  # llama.cpp, of embeddings
    r"range of input length should be\b",  # DashScope
    r"prompt exceeds max length\b",  # Zhipu
    r"max_tokens must be at least 1, got -?\d",  # vLLM, where the prompt leaves no room
)
_TOO_LONG_FOR_A_MINUTE = Words(
    r"request (?:body )?too large for\b",
    r"tokens must be reduced\b",
)
"""Words of a limit for each minute that one text alone exceeds: waiting does not help it."""
_CONTENT_WORDS = Words(
    r"content (?:management policy|filter|policy|exists risk|moderation)",  # Azure, DeepSeek
    r"(?:usage|safety) (?:polic(?:y|ies)|guidelines|system)\b",  # OpenAI, xAI
    r"(?:was|been|is|were) flagged\b",
    r"(?:requires moderation|moderation…\b(?:failed|blocked|rejected|flagged))\b",  # OpenRouter
    r"(?:inappropriate|sensitive|unsafe|harmful|prohibited) content\b",  # DashScope
    r"considered high risk\b",  # Moonshot
    r"(?:blocked|rejected|filtered|refused)…\b(?:guardrail|safety|moderation|harmful)",
    r"blocked by…\b(?:policy|filter)",
    r"violat(?:es?|ed|ing|ions?)…\b(?:polic(?:y|ies)|guidelines)\b",
)
_OF_ACCOUNT_WORDS = Words(
    r"(?:account|organi[sz]ation|project|key|ip(?: address)?)\b(?: \S{0,40}[\d_-]\S{0,40})?"
    r" (?:(?:is|was|has been)(?: \w{1,20}ly)?"
    r" (?:flagged|disabled|deactivated|suspended|banned|blocked|revoked|restricted|violating)"
    r"|(?:has )?violate[sd])\b",
    r"(?:network|firewall)(?: \w{1,20})? (?:policy|rules?)\b",
)
"""Words of a refusal that is about the caller, which may have an id, and not about the content."""
_QUOTA_WORDS = Words(
    r"exceeded (?:your|the) (?:current |monthly |account |free )?quota\b",  # OpenAI, Moonshot
    r"(?:monthly quota|quota\b…\b(?:billing|plan))\b",
    r"(?:reached|exceeded|hit) (?:your|the) (?:\w+ )?usage limit",
    r"budget has been exceeded\b",  # LiteLLM
    r"insufficient[ _](?:quota|(?:account )?balance|credits?|funds)\b",  # DeepSeek
    r"(?:balance|credits?)…\b(?:too low|exhausted|depleted|used up|insufficient|not enough)",
    r"(?:more|out of|no|not enough|insufficient|purchase) credits?\b",  # OpenRouter, Anthropic
    r"billing (?:hard limit|is not active|not active)\b",
    r"(?:monthly|spending|spend|usage|budget) (?:spending |usage )?limit…\b(?:reached|exceeded)",
    r"(?:reached|exceeded|hit) (?:your|the)…\b(?:monthly|spend(?:ing)?|billing|budget)\b",
    r"payment required\b",
)
_SOON_WORDS = Words(
    r"(?:retry|try again) (?:in|after)\b",
    r"retryDelay\b",
    r"\w*per[ _-]?(?:min|second|hour|day)",
    r"[tr]p[md]\b",  # tokens or requests in a minute or a day
)
"""Words of a limit that passes by itself. Gemini's rate limits speak of a quota, too."""
_THROTTLED_WORDS = Words(r"rate[ -]?limit", r"too many requests\b", r"throttl")
_NOT_FOUND_WORDS = Words(
    r"model\b…\b(?:not found|not exist|is not available)\b",
    r"(?:unknown|invalid|no such) model\b",
    r"is not a valid model\b",  # OpenRouter
    r"model identifier is invalid\b",  # Bedrock
)
_BY_CODE: tuple[tuple[frozenset[str], Cause], ...] = (
    (_TOO_LONG_CODES, Cause.TOO_LONG),
    (_CONTENT_CODES, Cause.REFUSED_CONTENT),
    (_QUOTA_CODES, Cause.QUOTA_EXCEEDED),
)
_BY_VAGUER_CODE: tuple[tuple[frozenset[str], Cause], ...] = (
    (_ACCESS_CODES, Cause.ACCESS_DENIED),
    (_NOT_FOUND_CODES, Cause.MODEL_NOT_FOUND),
    (_THROTTLED_CODES, Cause.THROTTLED),
    (_UNAVAILABLE_CODES, Cause.UNAVAILABLE),
)
_BY_STATUS: Mapping[int, Cause] = {
    HTTPStatus.UNAUTHORIZED: Cause.ACCESS_DENIED,
    HTTPStatus.PAYMENT_REQUIRED: Cause.QUOTA_EXCEEDED,
    HTTPStatus.FORBIDDEN: Cause.ACCESS_DENIED,
    HTTPStatus.NOT_FOUND: Cause.MODEL_NOT_FOUND,
    HTTPStatus.REQUEST_TIMEOUT: Cause.UNAVAILABLE,
    HTTPStatus.CONFLICT: Cause.UNAVAILABLE,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: Cause.TOO_LONG,
    HTTPStatus.TOO_EARLY: Cause.UNAVAILABLE,
    HTTPStatus.TOO_MANY_REQUESTS: Cause.THROTTLED,
}


def find_cause(detail: "ErrorDetail") -> Cause:
    """Return the cause of an error.

    A telling code decides before words, and both before the status: context length comes with 400,
    413, 429 and 500, moderation with 400 and 403. The words of a quota that passes by itself are
    those of throttling, and so are a minute's tokens, but for a text that exceeds them alone. An
    error in a 200 that says nothing may pass, too.
    """
    return (
        _find(detail.known_codes, _BY_CODE)
        or _cause_by_words(detail)
        or _cause_by_status(detail.status)
        or _find(detail.known_codes, _BY_VAGUER_CODE)
        or _vague_cause(detail)
    )


def _find(codes: Collection[str], known: Iterable[tuple[frozenset[str], Cause]]) -> Cause | None:
    return next((cause for each, cause in known if not each.isdisjoint(codes)), None)


def _cause_by_words(detail: "ErrorDetail") -> Cause | None:
    words = detail.words
    if _is_too_long(detail):
        return Cause.TOO_LONG
    if _CONTENT_WORDS.are_in(words) and not _is_about_caller(detail):
        return Cause.REFUSED_CONTENT
    passes = _SOON_WORDS.are_in(words) or "resource_exhausted" in detail.known_codes
    if _QUOTA_WORDS.are_in(words) and not passes:
        return Cause.QUOTA_EXCEEDED
    return None


def _is_too_long(detail: "ErrorDetail") -> bool:
    if detail.status == HTTPStatus.SERVICE_UNAVAILABLE:  # its limits are those of a busy server
        return False
    throttles = detail.status == HTTPStatus.TOO_MANY_REQUESTS or not detail.known_codes.isdisjoint(
        _THROTTLED_CODES
    )
    passes = throttles and _SOON_WORDS.are_in(detail.words)
    return (_TOO_LONG_FOR_A_MINUTE if passes else _TOO_LONG_WORDS).are_in(detail.words)


def _is_about_caller(detail: "ErrorDetail") -> bool:
    return detail.status == HTTPStatus.UNAUTHORIZED or _OF_ACCOUNT_WORDS.are_in(detail.words)


def _cause_by_status(status: int) -> Cause | None:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Cause.UNAVAILABLE
    return _BY_STATUS.get(status)


def _vague_cause(detail: "ErrorDetail") -> Cause:
    if _NOT_FOUND_WORDS.are_in(detail.words):
        return Cause.MODEL_NOT_FOUND
    if _THROTTLED_WORDS.are_in(detail.words):
        return Cause.THROTTLED
    if detail.status < HTTPStatus.MULTIPLE_CHOICES and not detail.known_codes & _INVALID_CODES:
        return Cause.UNAVAILABLE
    return Cause.INVALID_REQUEST


REFUSES_CODES = frozenset(
    {
        "extra_forbidden",
        "not_supported_error",
        "unknown_parameter",
        "unrecognized_keys",
        "unsupported_parameter",
        "unsupported_value",
    }
)
"""Codes of a parameter that is refused (afterword.models.parameters)."""
_INVALID_CODES = frozenset(
    {
        "api_error",
        "bad_request",
        "badrequest",
        "badrequesterror",
        "extra_forbidden",
        "invalid_argument",
        "invalid_request",
        "invalid_request_body",
        "invalid_request_error",
        "invalid_type",
        "invalid_value",
        "missing_required_parameter",
        "not_supported_error",
        "unknown_parameter",
        "unsupported_parameter",
        "unsupported_value",
        "validationexception",
        "value_error",
    }
)
_VAGUE_CODES = frozenset(
    {
        "api_error",
        "bad_request",
        "badrequest",
        "badrequesterror",
        "error",
        "invalid_argument",
        "invalid_request",
        "invalid_request_body",
        "invalid_request_error",
        "server_error",
        "unknown_error",
        "validationexception",
    }
)
"""Codes that say less than any other beside them."""
_SHOWN_CODE = re.compile(r"[a-z]+(?:_[a-z]+)+|(?:[A-Z][a-z]+)+(?:Error|Exception|Violation)")
"""The form of codes that messages may name: another text may repeat the prompt, or a key."""
_SHOWN_PARAM = re.compile(
    r"(?:messages|model|temperature|max_tokens|max_completion_tokens|response_format|logprobs"
    r"|input_tokens|input|prompt)(?:\.?\[\d+\]|\.\w+)*"
)
"""The form of parameters that messages may name."""
_MAX_SHOWN = 64
"""Characters of a code or a parameter that messages name."""
_ALL_BY_CODE = (*_BY_CODE, *_BY_VAGUER_CODE)
_KNOWN_CODES = (
    frozenset[str]().union(*(known for known, _ in _ALL_BY_CODE)) | _INVALID_CODES | _VAGUE_CODES
)


def show_error(detail: "ErrorDetail") -> str:
    """Return the telling code of an error and its parameter, for a message; empty without both."""
    param = detail.param
    shown = [telling_code(detail) or ""]
    if param is not None and len(param) <= _MAX_SHOWN and _SHOWN_PARAM.fullmatch(param):
        shown.append(f"param {param}")
    return ", ".join(each for each in shown if each)


def telling_code(detail: "ErrorDetail") -> str | None:
    """Return the code of an error that says most, of those that may be shown; None without one."""
    codes = [
        code
        for code in detail.codes
        if len(code) <= _MAX_SHOWN and (code.lower() in _KNOWN_CODES or _SHOWN_CODE.fullmatch(code))
    ]
    return min(codes, key=_vagueness, default=None)


def _vagueness(code: str) -> int:
    """Return 0 for the codes of a cause, 1 for those of no known meaning, 2 for vague ones."""
    lower = code.lower()
    if lower in REFUSES_CODES or any(lower in known for known, _ in _ALL_BY_CODE):
        return 0
    return 2 if lower in _VAGUE_CODES else 1

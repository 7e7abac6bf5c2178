"""The parameters of a request that an error refuses, so that it can be sent without them."""

import re
from typing import TYPE_CHECKING

from afterword.models.reasons import REFUSES_CODES
from afterword.models.words import Words

if TYPE_CHECKING:
    from collections.abc import Collection

    from afterword.models.error_detail import ErrorDetail

SYSTEM = "system"
"""The name of a system message among the parameters."""
RESPONSE_FORMAT = "response_format"
MAX_TOKENS = "max_tokens"
_REFUSES_WORDS = Words(
    r"(?:unsupported|not supported|no longer supported)",
    r"(?:not|\w+n't) (?:support|accept|allow|permit|recogni[sz]e)",
    r"support(?:s|ed)?…\bonly\b",
    r"only…\b(?:supported|allowed|default)\b",
    r"may only be\b",  # Anthropic
    r"must be (?:set to )?(?:1(?:\.0)?+|the default|omitted|null)\b(?! or)",
    r"can(?:not|'t) be (?:used|set|specified|changed)\b",
    r"(?:unknown|unrecogni[sz]ed|unexpected|extra|additional)\b",
    r"(?:not|isn't|aren't) (?:permitted|allowed|available|accepted|enabled|implemented)\b",
    r"(?:not|isn't|aren't) (?:compatible|one of)\b",
    r"(?:unavailable|deprecated|disabled)\b",
)
_RANGE_WORDS = Words(
    r"(?:between|(?:in|with)in the range|in range|range of)\b",
    r"(?:at (?:most|least)|no (?:more|less) than|(?:less|greater|more|larger|smaller) than)\b",
    r"or (?:less|more|greater|lower|higher|below|above|equal)\b",
)
"""Words of bounds: an error with them is about a value, and not about its parameter."""
_SYSTEM_WORDS = Words(
    r"system (?:role|message|prompt|instruction)s?\b…"
    r"\b(?:not|isn't|aren't) (?:be )?(?:support|allow|enabled|accept|permit)",  # Gemma's template
    r"(?:not|\w+n't) (?:support|accept|allow)…\bsystem\b",  # Bedrock, OpenAI's o1-mini
    r"(?:unsupported|invalid role|unexpected role|unknown role)…\bsystem\b",
    r"(?:role\b…\b)?system\b…\bnot one of\b",
    r"developer instructions? (?:is|are) not enabled\b",  # Gemini
    r"roles must alternate\b",  # Mistral's first templates
    r"only user\b…\broles?\b",
)
_SCHEMA_WORDS = Words(
    r"response[ _]format",
    r"json[ _](?:schema|object|mode)\b",
    r"structured outputs?\b",
    r"(?:grammar\b|guided[ _]|guided\b)",
    r"to generate json\b",  # Groq, whose model wrote none
)
_SCHEMA_CODES = frozenset({"json_validate_failed", "invalid_json_schema"})
_ANY_WORDS = Words(r"handle the requested parameters\b")  # OpenRouter
_THIS_SCHEMA = Words(
    r"invalid (?:json )?schema",
    r"grammar\b",
    r"schema…\b(?:keyword|features?|conversion|unimplemented|not valid|is invalid)",
    r"to generate json\b",
    r"must contain the word\b",  # "json", for json_object
)
_RENAMED_WORDS = Words(r"(?:use|using|requires?|expected)…\bmax_completion_tokens\b")
_ROLE = re.compile(r"messages\S{0,20}\brole")
_SENTENCE = re.compile(r"[.;](?=\s)|\n")


def refused_parameters(detail: "ErrorDetail", sent: "Collection[str]") -> tuple[str, ...]:
    """Return the parameters, of those that were sent, that an error refuses.

    `sent` may name SYSTEM for a system message, and RESPONSE_FORMAT for a schema, which has several
    words. Empty where the error is about another thing, such as a value out of bounds.
    """
    found = tuple(name for name in sent if _is_refused(detail, name))
    named = tuple(name for name in found if _names(detail.param, name))
    return named or found


def refuses_any(detail: "ErrorDetail") -> bool:
    """Whether an error refuses a parameter without naming one: for want of a provider."""
    return _ANY_WORDS.are_in(detail.words)


def states_range(detail: "ErrorDetail") -> bool:
    """Whether an error states the bounds of a value."""
    return _RANGE_WORDS.are_in(detail.words)


def is_about_schema(detail: "ErrorDetail") -> bool:
    """Whether an error is about this schema, or this answer, and not about schemas as such."""
    return bool(detail.known_codes & _SCHEMA_CODES) or _THIS_SCHEMA.are_in(detail.words)


def _is_refused(detail: "ErrorDetail", name: str) -> bool:
    by_code = bool(detail.known_codes & REFUSES_CODES)
    if name == SYSTEM:
        of_role = detail.param is not None and bool(_ROLE.fullmatch(detail.param))
        return of_role or _SYSTEM_WORDS.are_in(detail.words)
    if name == RESPONSE_FORMAT:  # also for a schema with a part that the server cannot enforce
        return (
            bool(detail.known_codes & _SCHEMA_CODES)
            or _names(detail.param, name)
            or _SCHEMA_WORDS.are_in(detail.words)
        )
    if name == MAX_TOKENS and _RENAMED_WORDS.are_in(detail.words):
        return True
    if _names(detail.param, name):
        return by_code or any(map(_refuses, _SENTENCE.split(detail.words)))
    word = re.compile(rf"\b{re.escape(name)}\b", re.IGNORECASE)
    sentences = [each for each in _SENTENCE.split(detail.words) if word.search(each)]
    return bool(sentences) and (by_code or any(map(_refuses, sentences)))


def _refuses(sentence: str) -> bool:
    return _REFUSES_WORDS.are_in(sentence) and not _RANGE_WORDS.are_in(sentence)


def _names(param: str | None, name: str) -> bool:
    return param is not None and (param == name or param.startswith((f"{name}.", f"{name}[")))

"""The tokens of an answer: as its provider counts them, or estimated where it does not.

An estimate is above the real number in most languages, so that a limit in tokens still holds.
"""

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from afterword.records import dataclass

if TYPE_CHECKING:
    from afterword.models import Prompt

BYTES_PER_TOKEN = 3
"""Of UTF-8: an English token has about four characters of one byte, a Chinese one of three."""
TOKENS_PER_FILE = 1_600
"""Of a file that goes to the model as it is: those of a large image in most models."""
_MAX_TOKENS = 10**9
"""A count above it is no count."""
_IN = ("prompt_tokens", "input_tokens", "inputTokens", "promptTokenCount", "prompt_eval_count")
_OUT = (
    "completion_tokens",
    "output_tokens",
    "outputTokens",
    "candidatesTokenCount",
    "generated_tokens",
    "eval_count",
)
_TOTAL = ("total_tokens", "totalTokens", "totalTokenCount")
_CACHED = ("cacheReadInputTokens", "cacheWriteInputTokens")
"""Bedrock's tokens of the prompt that it counts beside the others; its total has them."""
_DETAILS = ("completion_tokens_details", "output_tokens_details")


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens of one answer; `estimated` says that one of the numbers is an estimate."""

    tokens_in: int
    tokens_out: int
    estimated: bool = False


def read_usage(usage: object, prompt: "Prompt", written: Iterable[str]) -> Usage:
    """Return the tokens of an answer, whatever its `usage` is.

    `written` is what the model has written, its reasoning too. A number that is absent, null,
    negative or no number is estimated; so is a zero for a text.
    """
    counts = usage if isinstance(usage, Mapping) else {}
    asked, answered = _read_counts(counts)
    attached = TOKENS_PER_FILE * len(prompt.attachments)
    tokens_in, guessed_in = _or_estimate(asked, estimate_tokens(_texts(prompt)) + attached)
    tokens_out, guessed_out = _or_estimate(answered, estimate_tokens(written))
    return Usage(tokens_in, tokens_out, estimated=guessed_in or guessed_out)


def has_counts(usage: object) -> bool:
    """Whether a `usage` has a number of tokens, other than zero."""
    return isinstance(usage, Mapping) and any(_read_counts(usage))


def _or_estimate(count: int | None, estimate: int) -> tuple[int, bool]:
    """Return the count, or the estimate, and whether it is the latter."""
    if count:
        return count, False
    return estimate, count is None or estimate > 0


def estimate_tokens(texts: Iterable[str]) -> int:
    """Return the estimated tokens of texts."""
    octets = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    return math.ceil(octets / BYTES_PER_TOKEN)


def _read_counts(counts: Mapping[str, object]) -> tuple[int | None, int | None]:
    """Return the tokens of the prompt, and of the answer with its reasoning; None where unknown.

    Some providers count the reasoning beside the answer: only their total has it.
    """
    asked, answered, total = (_first(counts, names) for names in (_IN, _OUT, _TOTAL))
    cached = sum(_count(counts.get(name)) or 0 for name in _CACHED)
    if asked is not None and (total is None or total >= asked + cached):
        asked += cached
    if total is not None and asked is not None and total >= asked:
        return asked, max(answered or 0, total - asked)
    reasoned = _reasoning(counts)
    if answered is not None and reasoned > answered:
        answered += reasoned
    if total is not None and asked is None and answered is not None and total >= answered:
        asked = total - answered
    return asked, answered


def _reasoning(counts: Mapping[str, object]) -> int:
    for name in _DETAILS:
        details = counts.get(name)
        if isinstance(details, Mapping):
            return _count(details.get("reasoning_tokens")) or 0
    return _count(counts.get("reasoning_tokens")) or 0


def _first(counts: Mapping[str, object], names: Iterable[str]) -> int | None:
    """Return the first of these numbers that is one."""
    return next((count for name in names if (count := _count(counts.get(name))) is not None), None)


def _count(value: object) -> int | None:
    """Return a number of tokens, rounded up; None for another value."""
    match value:
        case bool():
            return None
        case int() if 0 <= value <= _MAX_TOKENS:
            return value
        case float() if 0 <= value <= _MAX_TOKENS:  # not of NaN
            return math.ceil(value)
        case str() if value.isascii() and value.isdigit() and len(value) < 10:  # noqa: PLR2004
            return int(value)
        case _:
            return None


def _texts(prompt: "Prompt") -> Iterable[str]:
    yield prompt.system
    yield prompt.user
    for turn in prompt.turns:
        yield turn.question
        yield turn.answer

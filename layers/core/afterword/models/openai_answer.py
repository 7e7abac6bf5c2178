"""The answer to a chat completion: its text, or the error that it is.

Nothing that an endpoint sends raises another error than those of afterword.models.
"""

import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from afterword.generations import AnswerToken, Completion, Reason
from afterword.models import LENGTH, STOP, ModelRefusedError, ModelUnavailableError
from afterword.models.content import UnreadableContentError, read_content
from afterword.models.error_detail import ErrorDetail, error_status, read_error
from afterword.models.failures import build_failure
from afterword.models.reasoning import ReadAnswer, find_order, separate_reasoning
from afterword.models.stops import Stop, read_stop
from afterword.models.text import replace_surrogates
from afterword.models.usage import has_counts, read_usage

if TYPE_CHECKING:
    from afterword.models import Prompt

ANSWERED = "The model endpoint answered"
_MAX_OCTET = 255
_MAX_LOGPROB = 1e9
_SHOWN_STOP = re.compile(r"[A-Za-z_]{1,40}")


def parse_body(body: bytes) -> object:
    """Return the JSON of a body, or its text where it is none; the text of a page is empty."""
    text = body.decode("utf-8-sig", "replace")
    try:
        value: object = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return "" if text.lstrip().startswith("<") else text
    return value


def find_error(body: object, status: int) -> ErrorDetail | None:
    """Return the error that an answer is; None for one with a completion.

    A good status with a text that is no JSON says nothing: half of a completion may be in it.
    """
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return read_error(body, status)
    if _choices(body) and not _member(body, "error"):
        return None
    return read_error(None if isinstance(body, str) else body, error_status(body, status))


def read_spent(body: object, prompt: "Prompt") -> Completion | None:
    """Return the tokens of an answer that is an error, as a completion; None where none are told.

    An answer that failed was paid for where the server counts its tokens.
    """
    counted = _member(body, "usage")
    if not has_counts(counted):
        return None
    usage = read_usage(counted, prompt, ())
    return Completion(
        text="",
        model=prompt.model,
        stop_reason=STOP,
        tokens_in=usage.tokens_in,
        tokens_out=usage.tokens_out,
        estimated=usage.estimated,
    )


def read_answer(body: object, prompt: "Prompt", *, reasons_first: bool = False) -> ReadAnswer:
    """Return the completion of an answer without an error, and the order of its reasoning.

    With `reasons_first` the model's text begins with its reasoning, without an opening tag: a text
    that was cut before the closing tag is nothing else. Raises ModelRefusedError for refused
    content, and for an answer that cannot be read; ModelUnavailableError where the server gave up.
    """
    choice = _choices(body)[0]
    if not isinstance(choice, dict):
        raise _invalid("has an unknown form")
    if choice.get("error"):
        error = choice["error"]
        detail = read_error(error, error_status(error, HTTPStatus.OK))
        raise build_failure(ANSWERED, detail, spent=read_spent(body, prompt))
    reason = choice.get("finish_reason")
    stop = read_stop(reason)
    if stop is Stop.FAILED:
        raise ModelUnavailableError(
            "The model endpoint gave its answer up.", spent=read_spent(body, prompt)
        )
    try:
        written, refusal, aside = _read_message(choice, structured=prompt.schema is not None)
    except UnreadableContentError as error:
        raise _invalid("has no text in a known form") from error
    separated = separate_reasoning(written)
    cut = stop is Stop.TRUNCATED
    usage = read_usage(_member(body, "usage"), prompt, (written, *aside))
    completion = Completion(
        text="" if cut and reasons_first and not separated.reasoned else separated.text,
        model=prompt.model,
        stop_reason=LENGTH if cut else STOP,
        tokens_in=usage.tokens_in,
        tokens_out=usage.tokens_out,
        tokens=_read_tokens(choice.get("logprobs")) if prompt.logprobs else (),
        estimated=usage.estimated,
    )
    if refusal or stop is Stop.REFUSED:
        raise ModelRefusedError(
            Reason.REFUSED_CONTENT, "The model refused the content.", completion
        )
    if stop is Stop.UNKNOWN:
        shown = f" ({reason})" if _SHOWN_STOP.fullmatch(str(reason)) else ""
        raise _invalid(f"ended for an unknown reason{shown}", completion)
    free = not cut and prompt.schema is None
    return ReadAnswer(completion, find_order(separated, free=free))


def _choices(body: object) -> list[object]:
    """Return the choices of an answer; empty for any other value."""
    choices = _member(body, "choices")
    return choices if isinstance(choices, list) else []


def _member(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None


def _read_message(choice: object, *, structured: bool) -> tuple[str, str, tuple[str, ...]]:
    """Return the text of a choice, its refusal, and what the model has written beside it."""
    message = _member(choice, "message")
    if message is None:  # a completion of the older API, or an answer without any text
        message = {"content": _member(choice, "text")}
    if not isinstance(message, dict):
        raise UnreadableContentError(type(message).__name__)
    content = read_content(message.get("content"), structured=structured)
    refusal = message.get("refusal")
    aside = (message.get("reasoning_content"), message.get("reasoning"))
    return (
        replace_surrogates(content.text),
        content.refusal or (refusal if isinstance(refusal, str) else ""),
        tuple(text for text in aside if isinstance(text, str))[:1],
    )


def _invalid(why: str, spent: Completion | None = None) -> ModelRefusedError:
    return ModelRefusedError(Reason.INVALID_RESPONSE, f"The model endpoint's answer {why}.", spent)


def _read_tokens(logprobs: object) -> tuple[AnswerToken, ...]:
    """Return the tokens of an answer; none where their log probabilities cannot be read."""
    content = _member(logprobs, "content")
    if not isinstance(content, list):
        return ()
    tokens = [_read_token(each) for each in content]
    return tuple(token for token in tokens if token is not None) if all(tokens) else ()


def _read_token(value: object) -> AnswerToken | None:
    match value:
        case {"logprob": bool()}:
            return None
        case {"token": str(token), "logprob": int() | float() as logprob, **more} if (
            -_MAX_LOGPROB <= logprob <= _MAX_LOGPROB  # not NaN
        ):
            octets = more.get("bytes")
        case _:
            return None
    if octets is None:
        return AnswerToken(replace_surrogates(token).encode(), logprob)
    if isinstance(octets, list) and all(map(_is_octet, octets)):
        return AnswerToken(bytes(octets), logprob)
    return None


def _is_octet(value: object) -> bool:
    return type(value) is int and 0 <= value <= _MAX_OCTET

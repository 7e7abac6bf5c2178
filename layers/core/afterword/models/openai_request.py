"""The request of a chat completion, and what is changed in it when a model refuses a part."""

import base64
from http import HTTPStatus
from typing import TYPE_CHECKING

from afterword.models.adaptations import Adaptation
from afterword.models.parameters import (
    RESPONSE_FORMAT,
    SYSTEM,
    is_about_schema,
    refused_parameters,
    refuses_any,
    states_range,
)
from afterword.models.reasons import Cause, find_cause
from afterword.models.words import Words

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from afterword.models import Prompt
    from afterword.models.error_detail import ErrorDetail

_MAY_REFUSE = frozenset(
    {
        HTTPStatus.OK,  # with an error in it
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.FORBIDDEN,  # OpenAI, for log probabilities
        HTTPStatus.NOT_FOUND,  # OpenRouter, without a provider that takes all parameters
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.INTERNAL_SERVER_ERROR,  # llama.cpp, for what a template raises
        HTTPStatus.NOT_IMPLEMENTED,
    }
)
"""The statuses of answers to a parameter that a server does not take."""
_REFUSE_UNNAMED = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY})
"""Those that may refuse a parameter without naming one."""
_OTHER_SUBJECTS = Words(
    r"(?:images?|image_url|vision|multi-?modal)\b",
    r"api[ _-]?key\b",
    r"(?:credentials?|auth(?:entication|orization))\b",
    r"content\b",
)
"""Words of errors that name no parameter, and are about none."""
_OTHER_CAUSES = frozenset(
    {Cause.TOO_LONG, Cause.REFUSED_CONTENT, Cause.QUOTA_EXCEEDED, Cause.THROTTLED}
)
"""Causes that leaving a parameter out does not change."""


def build_request(prompt: "Prompt", adapted: "Collection[Adaptation]") -> dict[str, object]:
    """Return the request of a prompt, with the adaptations to its model."""
    renamed = Adaptation.RENAMED_LIMIT in adapted
    request: dict[str, object] = {
        "model": prompt.model,
        "messages": _messages(prompt, merged=Adaptation.NO_SYSTEM in adapted),
        "max_completion_tokens" if renamed else "max_tokens": prompt.max_tokens,
    }
    if prompt.temperature is not None and Adaptation.NO_TEMPERATURE not in adapted:
        request["temperature"] = prompt.temperature
    if prompt.schema is not None and Adaptation.JSON_BY_PROMPT not in adapted:
        request[RESPONSE_FORMAT] = _response_format(
            prompt.schema, named=Adaptation.JSON_OBJECT in adapted
        )
    if prompt.logprobs and Adaptation.NO_LOGPROBS not in adapted:
        request["logprobs"] = True
    return request


def _response_format(schema: "Mapping[str, object]", *, named: bool) -> dict[str, object]:
    if named:
        return {"type": "json_object"}
    # Not `strict`: OpenAI's strict mode refuses `minLength`, which keeps other models from empty
    # values. The answer is checked in any case.
    return {"type": "json_schema", "json_schema": {"name": "reply", "schema": dict(schema)}}


def _messages(prompt: "Prompt", *, merged: bool) -> list[dict[str, object]]:
    messages: list[dict[str, object]] = []
    for turn in prompt.turns:
        messages.append({"role": "user", "content": turn.question})
        messages.append({"role": "assistant", "content": turn.answer})
    messages.append({"role": "user", "content": _content(prompt)})
    if not prompt.system:
        return messages
    if not merged:
        return [{"role": "system", "content": prompt.system}, *messages]
    first = messages[0]["content"]
    if isinstance(first, str):
        messages[0]["content"] = f"{prompt.system}\n\n{first}"
    elif isinstance(first, list):
        messages[0]["content"] = [{"type": "text", "text": prompt.system}, *first]
    return messages


def _content(prompt: "Prompt") -> str | list[dict[str, object]]:
    """Return the text, with images as data URLs."""
    if not prompt.attachments:
        return prompt.user
    parts: list[dict[str, object]] = [{"type": "text", "text": prompt.user}]
    for attachment in prompt.attachments:
        encoded = base64.b64encode(attachment.content).decode()
        url = f"data:{attachment.media_type};base64,{encoded}"
        parts.append({"type": "image_url", "image_url": {"url": url}})
    return parts


def find_adaptations(
    detail: "ErrorDetail", prompt: "Prompt", adapted: "Collection[Adaptation]"
) -> frozenset[Adaptation]:
    """Return the changes of a request whose parameters an error names; empty where none help."""
    if not _may_refuse(detail):
        return frozenset()
    possible = _possible(prompt, adapted)
    return frozenset(possible[name] for name in refused_parameters(detail, possible))


def guess_adaptation(
    detail: "ErrorDetail", prompt: "Prompt", adapted: "Collection[Adaptation]"
) -> frozenset[Adaptation]:
    """Return the likely change of a request that was refused; empty where none would help.

    Of an error that names no parameter, log probabilities are the likely cause, then the response
    format: few servers know them.
    """
    if not (_may_refuse(detail) and (refuses_any(detail) or _is_vague(detail))):
        return frozenset()
    possible = _possible(prompt, adapted)
    likely = (possible[name] for name in ("logprobs", RESPONSE_FORMAT) if name in possible)
    return frozenset(list(likely)[:1])


def _may_refuse(detail: "ErrorDetail") -> bool:
    return detail.status in _MAY_REFUSE and find_cause(detail) not in _OTHER_CAUSES


def _is_vague(detail: "ErrorDetail") -> bool:
    """Whether an error refuses a request, and may be about any part of it."""
    if detail.param is not None or _OTHER_SUBJECTS.are_in(detail.words):
        return False
    refuses = find_cause(detail) is Cause.INVALID_REQUEST and detail.status in _REFUSE_UNNAMED
    not_known = detail.status == HTTPStatus.NOT_IMPLEMENTED
    return refuses or not_known


def lasting(detail: "ErrorDetail", found: "Collection[Adaptation]") -> frozenset[Adaptation]:
    """Return those adaptations that also the next prompts need.

    A schema with a part that a server cannot enforce says nothing about another schema, and a
    value out of bounds nothing about another value.
    """
    passing: set[Adaptation] = set()
    if is_about_schema(detail):
        passing |= {Adaptation.JSON_OBJECT, Adaptation.JSON_BY_PROMPT}
    if states_range(detail):
        passing |= {Adaptation.NO_TEMPERATURE}
    return frozenset(found) - passing


def _possible(prompt: "Prompt", adapted: "Collection[Adaptation]") -> dict[str, Adaptation]:
    """Return the parameters of a request that can be changed, each with its next change."""
    request = build_request(prompt, adapted)
    possible: dict[str, Adaptation] = {}
    if "max_tokens" in request:
        # OpenAI's reasoning models renamed it; elsewhere the new name is unknown.
        possible["max_tokens"] = Adaptation.RENAMED_LIMIT
    if "temperature" in request:
        possible["temperature"] = Adaptation.NO_TEMPERATURE
    if "logprobs" in request:
        possible["logprobs"] = Adaptation.NO_LOGPROBS
    if RESPONSE_FORMAT in request:
        weaker = Adaptation.JSON_OBJECT in adapted
        possible[RESPONSE_FORMAT] = Adaptation.JSON_BY_PROMPT if weaker else Adaptation.JSON_OBJECT
    if prompt.system and Adaptation.NO_SYSTEM not in adapted:
        possible[SYSTEM] = Adaptation.NO_SYSTEM
    return possible

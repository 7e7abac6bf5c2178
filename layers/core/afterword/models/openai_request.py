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
)
from afterword.models.reasons import Cause, find_cause

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
_REFUSE_UNNAMED = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.NOT_IMPLEMENTED}
)
"""Those that may refuse a parameter without naming one."""


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
    """Return the changes of a request that was refused; empty where none would help.

    Parameters that the error names go first. Of an error that names none, log probabilities are the
    likely cause, then the response format: few servers know them.
    """
    if detail.status not in _MAY_REFUSE or find_cause(detail) in _OTHER_CAUSES:
        return frozenset()
    possible = _possible(prompt, adapted)
    refused = refused_parameters(detail, possible)
    if refused:
        return frozenset(possible[name] for name in refused)
    if detail.param is None and (detail.status in _REFUSE_UNNAMED or refuses_any(detail)):
        likely = (possible[name] for name in ("logprobs", RESPONSE_FORMAT) if name in possible)
        return frozenset(list(likely)[:1])
    return frozenset()


def lasting(detail: "ErrorDetail", found: "Collection[Adaptation]") -> frozenset[Adaptation]:
    """Return those adaptations that also the next prompts need.

    A schema with a part that a server cannot enforce says nothing about another schema.
    """
    if is_about_schema(detail):
        return frozenset(found) - {Adaptation.JSON_OBJECT, Adaptation.JSON_BY_PROMPT}
    return frozenset(found)


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

"""Any endpoint that speaks OpenAI's chat completions API: OpenAI, vLLM, Ollama, llama.cpp.

The client is urllib3, which botocore needs anyway; OpenAI's own SDK would double the
worker's cold start (docs/decisions/0003-openai-client.md).
"""

import base64
import json
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

import urllib3
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ReadTimeoutError,
)

from afterword.generations import AnswerToken, Completion, Reason
from afterword.models import (
    LENGTH,
    STOP,
    ModelRefusedError,
    ModelTimedOutError,
    ModelUnavailableError,
    Prompt,
)
from afterword.runtime.retry_after import parse_retry_after

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_CONNECT_SECONDS = 5.0
_RESPONSE_BYTES = 8 * 1024 * 1024
_WORTH_A_RETRY = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.CONFLICT,
        HTTPStatus.TOO_EARLY,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)
_REFUSES_OPTION = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.NOT_IMPLEMENTED}
)
"""Answers to an option that a server does not know."""
_TOO_LONG_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error"})
_CONTENT_CODES = frozenset({"content_filter", "content_policy_violation"})
_LOGGABLE_CODES = (
    _TOO_LONG_CODES
    | _CONTENT_CODES
    | {
        "authentication_error",
        "insufficient_quota",
        "invalid_api_key",
        "invalid_request_error",
        "invalid_type",
        "invalid_value",
        "missing_required_parameter",
        "model_not_found",
        "not_found_error",
        "not_supported_error",
        "overloaded_error",
        "permission_error",
        "rate_limit_exceeded",
        "server_error",
        "unavailable_error",
        "unknown_parameter",
        "unsupported_parameter",
        "unsupported_value",
    }
)
"""Codes that messages may name; other texts of an endpoint may repeat the prompt, or the key."""


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None
    logprobs: object = None
    """Read by `_read_tokens`, since another form of it leaves the answer as good."""


class _Token(BaseModel):
    token: str
    logprob: Annotated[float, Field(allow_inf_nan=False)]
    octets: Annotated[
        tuple[Annotated[int, Field(ge=0, le=255)], ...] | None, Field(alias="bytes")
    ] = None


class _Logprobs(BaseModel):
    content: tuple[_Token, ...]


class _Usage(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _ChatCompletion(BaseModel):
    """The used part of OpenAI's `CreateChatCompletionResponse`."""

    model_config = ConfigDict(hide_input_in_errors=True)

    choices: tuple[_Choice, ...]
    usage: _Usage | None = None


class _ErrorDetail(BaseModel):
    code: str | int | None = None
    type: str | None = None
    param: str | None = None


class _Error(BaseModel):
    error: _ErrorDetail


class OpenAIModel:
    """A model behind an OpenAI-compatible endpoint.

    - `base_url` includes the version (`https://…/v1`).
    - `api_key` returns the key before each call, None for an endpoint without keys.
    - No documents, since only OpenAI's own endpoint takes them: their text goes into the prompt.
    - An option that a model refuses is left out from then on, for the life of this object.
    """

    documents: tuple[str, ...] = ()

    def __init__(self, base_url: str, api_key: "Callable[[], str | None]", pool_size: int) -> None:
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        self._api_key = api_key
        self._pool = urllib3.PoolManager(maxsize=pool_size, block=False, retries=False)
        self._renamed_limit: set[str] = set()
        self._without_logprobs: set[str] = set()

    def generate(self, prompt: Prompt, timeout: float) -> Completion:
        """Return the completion; see Model.generate."""
        deadline = time.monotonic() + timeout
        request = self._request(prompt)
        status, headers, body = self._post(request, deadline)
        while self._adapt(request, prompt.model, status, body):
            request = self._request(prompt)
            status, headers, body = self._post(request, deadline)
        if status != HTTPStatus.OK:
            if prompt.logprobs:
                self._without_logprobs.discard(prompt.model)  # the cause is another one
            raise _error(status, headers, body)
        return _completion(prompt, body)

    def _adapt(self, request: "Mapping[str, object]", model: str, status: int, body: bytes) -> bool:
        """Note an option that a model refuses; return whether its next request is another one."""
        if (
            status == HTTPStatus.BAD_REQUEST
            and "max_tokens" in request
            and _requires_renamed_limit(body)
        ):
            # OpenAI's reasoning models renamed `max_tokens`; elsewhere the new name is unknown.
            self._renamed_limit.add(model)
            return True
        if (
            status in _REFUSES_OPTION
            and "logprobs" in request
            and not _error_codes(body) & (_TOO_LONG_CODES | _CONTENT_CODES)
        ):
            self._without_logprobs.add(model)
            return True
        return False

    def _post(
        self, request: "Mapping[str, object]", deadline: float
    ) -> tuple[int, dict[str, str], bytes]:
        seconds = deadline - time.monotonic()
        if seconds <= 0:
            raise ModelTimedOutError("There was no time left to ask the model.")
        try:
            response = self._pool.request(
                "POST",
                self._url,
                body=json.dumps(request).encode(),
                headers=self._headers(),
                timeout=urllib3.Timeout(connect=min(_CONNECT_SECONDS, seconds), total=seconds),
                redirect=False,
                preload_content=False,
            )
            try:
                return response.status, dict(response.headers), _read(response, deadline)
            finally:
                response.close()  # a response read to its end is back in the pool already
        except ReadTimeoutError as error:
            raise ModelTimedOutError("The model endpoint did not answer in time.") from error
        except (ConnectTimeoutError, NewConnectionError) as error:
            raise ModelUnavailableError("The model endpoint cannot be reached.") from error
        except HTTPError as error:
            raise ModelUnavailableError(
                f"The connection to the model endpoint failed ({type(error).__name__})."
            ) from error

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        api_key = self._api_key()
        if api_key is not None:
            headers["Authorization"] = f"Bearer {api_key}"
        return headers

    def _request(self, prompt: Prompt) -> dict[str, object]:
        limit = "max_completion_tokens" if prompt.model in self._renamed_limit else "max_tokens"
        request: dict[str, object] = {
            "model": prompt.model,
            "messages": _messages(prompt),
            limit: prompt.max_tokens,
        }
        if prompt.temperature is not None:
            request["temperature"] = prompt.temperature
        if prompt.schema is not None:
            # Not `strict`: OpenAI's strict mode refuses `minLength`, which keeps other models from
            # empty values. The answer is checked in any case.
            request["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "reply", "schema": dict(prompt.schema)},
            }
        if prompt.logprobs and prompt.model not in self._without_logprobs:
            request["logprobs"] = True
        return request


def _messages(prompt: Prompt) -> list[dict[str, object]]:
    messages: list[dict[str, object]] = []
    if prompt.system:
        messages.append({"role": "system", "content": prompt.system})
    for turn in prompt.turns:
        messages.append({"role": "user", "content": turn.question})
        messages.append({"role": "assistant", "content": turn.answer})
    return [*messages, {"role": "user", "content": _content(prompt)}]


def _content(prompt: Prompt) -> str | list[dict[str, object]]:
    """Return the text, with images as data URLs."""
    if not prompt.attachments:
        return prompt.user
    parts: list[dict[str, object]] = [{"type": "text", "text": prompt.user}]
    for attachment in prompt.attachments:
        encoded = base64.b64encode(attachment.content).decode()
        url = f"data:{attachment.media_type};base64,{encoded}"
        parts.append({"type": "image_url", "image_url": {"url": url}})
    return parts


def _read(response: urllib3.BaseHTTPResponse, deadline: float) -> bytes:
    """Read the body within the deadline, since urllib3's own timeout is for each read."""
    body = bytearray()
    while chunk := response.read1(64 * 1024):  # the available part; `stream` would wait for all
        body += chunk
        if time.monotonic() > deadline:
            raise ModelTimedOutError("The model endpoint did not finish its answer in time.")
        if len(body) > _RESPONSE_BYTES:
            raise ModelRefusedError(
                Reason.INVALID_RESPONSE,
                f"The model endpoint's answer is larger than {_RESPONSE_BYTES} bytes.",
            )
    return bytes(body)


def _completion(prompt: Prompt, body: bytes) -> Completion:
    try:
        answer = _ChatCompletion.model_validate_json(body)
        choice = answer.choices[0]
    except (ValidationError, IndexError) as error:
        raise ModelRefusedError(
            Reason.INVALID_RESPONSE, "The model endpoint's answer is no chat completion."
        ) from error
    if choice.message.refusal or choice.finish_reason == "content_filter":
        raise ModelRefusedError(Reason.REFUSED_CONTENT, "The model refused the content.")
    usage = answer.usage or _Usage()
    return Completion(
        text=choice.message.content or "",
        model=prompt.model,
        stop_reason=LENGTH if choice.finish_reason == "length" else STOP,
        tokens_in=usage.prompt_tokens,
        tokens_out=usage.completion_tokens,
        tokens=_read_tokens(choice) if prompt.logprobs else (),
    )


def _read_tokens(choice: _Choice) -> tuple[AnswerToken, ...]:
    """Return the tokens of an answer; none where their log probabilities cannot be read."""
    try:
        tokens = _Logprobs.model_validate(choice.logprobs).content
    except ValidationError:
        return ()
    return tuple(
        AnswerToken(
            each.token.encode() if each.octets is None else bytes(each.octets), each.logprob
        )
        for each in tokens
    )


def _error(
    status: int, headers: dict[str, str], body: bytes
) -> ModelUnavailableError | ModelRefusedError:
    codes = _error_codes(body)
    named = min(codes & _LOGGABLE_CODES, default=None)
    answered = f"The model endpoint answered {status}" + (f" ({named})." if named else ".")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _WORTH_A_RETRY:
        throttled = status == HTTPStatus.TOO_MANY_REQUESTS
        return ModelUnavailableError(
            answered, _retry_after(headers), code=named or str(status), throttled=throttled
        )
    if codes & _TOO_LONG_CODES or status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return ModelRefusedError(
            Reason.TOO_LONG, f"{answered} The text is too long for this model."
        )
    if codes & _CONTENT_CODES:
        return ModelRefusedError(Reason.REFUSED_CONTENT, f"{answered} The content was refused.")
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return ModelRefusedError(
            Reason.MODEL_ACCESS_DENIED, f"{answered} Check the model's API key."
        )
    if status == HTTPStatus.NOT_FOUND:
        return ModelRefusedError(
            Reason.MODEL_NOT_FOUND, f"{answered} Check the model's name and base URL."
        )
    return ModelRefusedError(Reason.INVALID_REQUEST, answered)


def _error_codes(body: bytes) -> frozenset[str]:
    """Return the `code` and `type` of an OpenAI error body; empty for another body."""
    try:
        detail = _Error.model_validate_json(body).error
    except ValidationError:
        return frozenset()
    return frozenset(str(code) for code in (detail.code, detail.type) if code is not None)


def _requires_renamed_limit(body: bytes) -> bool:
    try:
        detail = _Error.model_validate_json(body).error
    except ValidationError:
        return False
    return detail.code == "unsupported_parameter" and detail.param == "max_tokens"


def _retry_after(headers: dict[str, str]) -> float | None:
    """Return the seconds of a Retry-After header, None without one."""
    value = next((text for name, text in headers.items() if name.lower() == "retry-after"), "")
    return parse_retry_after(value)

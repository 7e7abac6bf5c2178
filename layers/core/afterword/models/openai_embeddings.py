"""Embeddings of any endpoint that speaks OpenAI's API: OpenAI, vLLM, Ollama, llama.cpp.

https://platform.openai.com/docs/api-reference/embeddings
"""

import json
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ReadTimeoutError

from afterword.generations import Reason
from afterword.models import (
    ModelError,
    ModelRefusedError,
    ModelTimedOutError,
    ModelUnavailableError,
)
from afterword.models.embeddings import is_usable
from afterword.runtime.retry_after import parse_retry_after

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from afterword.models.embeddings import Purpose, Vector

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
_REASONS = {
    HTTPStatus.UNAUTHORIZED: Reason.MODEL_ACCESS_DENIED,
    HTTPStatus.FORBIDDEN: Reason.MODEL_ACCESS_DENIED,
    HTTPStatus.NOT_FOUND: Reason.MODEL_NOT_FOUND,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: Reason.TOO_LONG,
}


class OpenAIEmbeddings:
    """The embedding model of an OpenAI-compatible endpoint.

    `base_url` includes the version (`https://…/v1`), and `api_key` returns the key before each
    call, None for an endpoint without keys.
    """

    batch = 16

    def __init__(
        self,
        model: str,
        base_url: str,
        api_key: "Callable[[], str | None]",
        pool_size: int,
        floor: float,
    ) -> None:
        self.name = model
        self.floor = floor
        self._url = f"{base_url.rstrip('/')}/embeddings"
        self._api_key = api_key
        self._pool = urllib3.PoolManager(maxsize=pool_size, block=False, retries=False)

    def embed(
        self,
        texts: "Sequence[str]",
        purpose: "Purpose",  # noqa: ARG002 - such an endpoint embeds all texts alike
        timeout: float,
    ) -> "list[Vector]":
        """Return a vector for each text; see EmbeddingModel.embed."""
        request = {"model": self.name, "input": [*texts], "encoding_format": "float"}
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        api_key = self._api_key()
        if api_key is not None:
            headers["Authorization"] = f"Bearer {api_key}"
        deadline = time.monotonic() + timeout
        try:
            response = self._pool.request(
                "POST",
                self._url,
                body=json.dumps(request).encode(),
                headers=headers,
                timeout=urllib3.Timeout(connect=min(_CONNECT_SECONDS, timeout), total=timeout),
                redirect=False,
                preload_content=False,
            )
            try:
                body = _read(response, deadline)
            finally:
                response.close()  # a response read to its end is back in the pool already
        except ReadTimeoutError as error:
            raise ModelTimedOutError("The embedding endpoint did not answer in time.") from error
        except (ConnectTimeoutError, NewConnectionError) as error:
            raise ModelUnavailableError("The embedding endpoint cannot be reached.") from error
        except HTTPError as error:
            raise ModelUnavailableError(
                f"The connection to the embedding endpoint failed ({type(error).__name__})."
            ) from error
        if response.status != HTTPStatus.OK:
            raise _error(response.status, response.headers.get("Retry-After", ""))
        return _vectors(body, len(texts))


def _read(response: urllib3.BaseHTTPResponse, deadline: float) -> bytes:
    """Read the body within the deadline, since urllib3's own timeout is for each read."""
    body = bytearray()
    while chunk := response.read1(64 * 1024):
        body += chunk
        if time.monotonic() > deadline:
            raise ModelTimedOutError("The embedding endpoint did not finish its answer in time.")
        if len(body) > _RESPONSE_BYTES:
            raise _unreadable()
    return bytes(body)


def _vectors(body: bytes, count: int) -> "list[Vector]":
    try:
        listed = sorted(json.loads(body)["data"], key=lambda each: each["index"])
        vectors = [each["embedding"] for each in listed]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _unreadable() from error
    if len(vectors) != count or not all(map(is_usable, vectors)):
        raise _unreadable()
    if len({len(each) for each in vectors}) > 1:
        raise _unreadable()
    return vectors


def _unreadable() -> ModelRefusedError:
    return ModelRefusedError(
        Reason.INVALID_RESPONSE, "The embedding endpoint's answer is no list of embeddings."
    )


def _error(status: int, retry_after: str) -> ModelError:
    answered = f"The embedding endpoint answered {status}."
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _WORTH_A_RETRY:
        throttled = status == HTTPStatus.TOO_MANY_REQUESTS
        return ModelUnavailableError(
            answered, parse_retry_after(retry_after), code=str(status), throttled=throttled
        )
    if status in _REASONS:
        if _REASONS[HTTPStatus(status)] is Reason.MODEL_ACCESS_DENIED:
            answered += " Check the embedding model's API key."
        if _REASONS[HTTPStatus(status)] is Reason.MODEL_NOT_FOUND:
            answered += " Check the embedding model's name and base URL."
        return ModelRefusedError(_REASONS[HTTPStatus(status)], answered)
    return ModelRefusedError(Reason.INVALID_REQUEST, answered)

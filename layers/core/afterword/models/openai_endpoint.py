"""The HTTP of an OpenAI-compatible endpoint: one request in JSON, and its answer within a deadline.

The client is urllib3, which botocore needs anyway; OpenAI's own SDK would double the
worker's cold start (docs/decisions/0003-openai-client.md).
"""

import json
import time
from typing import TYPE_CHECKING, NamedTuple

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ReadTimeoutError,
)

from afterword.generations import Reason
from afterword.models import ModelRefusedError, ModelTimedOutError, ModelUnavailableError
from afterword.models.text import replace_surrogates

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_CONNECT_SECONDS = 5.0
_RESPONSE_BYTES = 8 * 1024 * 1024


class HttpAnswer(NamedTuple):
    """An endpoint's answer, of any status."""

    status: int
    headers: "Mapping[str, str]"
    body: bytes


class OpenAIEndpoint:
    """One path of an endpoint; `name` is its name in messages, such as `model endpoint`.

    `base_url` includes the version (`https://…/v1`), and `api_key` returns the key before each
    call, None for an endpoint without keys.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        path: str,
        api_key: "Callable[[], str | None]",
        pool_size: int,
    ) -> None:
        self._name = name
        self._url = f"{base_url.rstrip('/')}/{path}"
        self._api_key = api_key
        self._pool = urllib3.PoolManager(maxsize=pool_size, block=False, retries=False)

    def post(self, request: "Mapping[str, object]", deadline: float) -> HttpAnswer:
        """Return the answer, by a deadline of the monotonic clock.

        Raises ModelTimedOutError, ModelUnavailableError, and ModelRefusedError for an answer that
        is too large.
        """
        seconds = deadline - time.monotonic()
        if seconds <= 0:
            raise ModelTimedOutError("There was no time left to ask the model.")
        try:
            response = self._pool.request(
                "POST",
                self._url,
                body=replace_surrogates(json.dumps(request, ensure_ascii=False)).encode(),
                headers=self._headers(),
                timeout=urllib3.Timeout(connect=min(_CONNECT_SECONDS, seconds), total=seconds),
                redirect=False,
                preload_content=False,
            )
            try:
                body = self._read(response, deadline)
            finally:
                response.close()  # a response read to its end is back in the pool already
        except ReadTimeoutError as error:
            raise ModelTimedOutError(f"The {self._name} did not answer in time.") from error
        except (ConnectTimeoutError, NewConnectionError) as error:
            raise ModelUnavailableError(f"The {self._name} cannot be reached.") from error
        except (HTTPError, OverflowError) as error:  # http.client's, of a chunk's negative size
            raise ModelUnavailableError(
                f"The connection to the {self._name} failed ({type(error).__name__})."
            ) from error
        return HttpAnswer(response.status, dict(response.headers), body)

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        api_key = self._api_key()
        if api_key is not None:
            headers["Authorization"] = f"Bearer {api_key}"
        return headers

    def _read(self, response: urllib3.BaseHTTPResponse, deadline: float) -> bytes:
        """Read the body within the deadline, since urllib3's own timeout is for each read."""
        body = bytearray()
        while chunk := response.read1(64 * 1024):  # the available part; `stream` would wait for all
            body += chunk
            if time.monotonic() > deadline:
                raise ModelTimedOutError(f"The {self._name} did not finish its answer in time.")
            if len(body) > _RESPONSE_BYTES:
                raise ModelRefusedError(
                    Reason.INVALID_RESPONSE,
                    f"The {self._name}'s answer is larger than {_RESPONSE_BYTES} bytes.",
                )
        return bytes(body)

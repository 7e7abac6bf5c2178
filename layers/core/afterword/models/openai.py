"""Any endpoint that speaks OpenAI's chat completions API: OpenAI, vLLM, Ollama, llama.cpp.

The client is urllib3, which botocore needs anyway; OpenAI's own SDK would double the
worker's cold start (docs/decisions/0003-openai-client.md).
"""

import json
import time
from typing import TYPE_CHECKING

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ReadTimeoutError,
)

from afterword.generations import Completion, Reason
from afterword.models import (
    ModelRefusedError,
    ModelTimedOutError,
    ModelUnavailableError,
    Prompt,
)
from afterword.models.adaptations import Adaptation, Adaptations
from afterword.models.failures import build_failure
from afterword.models.openai_answer import (
    ANSWERED,
    begins_with_reasoning,
    find_error,
    parse_body,
    read_answer,
)
from afterword.models.openai_request import build_request, find_adaptations, lasting
from afterword.models.prompts import ready_prompt
from afterword.models.text import replace_surrogates
from afterword.runtime.retry_after import read_retry_after

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_CONNECT_SECONDS = 5.0
_RESPONSE_BYTES = 8 * 1024 * 1024
MAX_REQUESTS = 7
"""The most requests of one call: the first, and one after each part that a model can refuse."""


class OpenAIModel:
    """A model behind an OpenAI-compatible endpoint.

    - `base_url` includes the version (`https://…/v1`).
    - `api_key` returns the key before each call, None for an endpoint without keys.
    - No documents, since only OpenAI's own endpoint takes them: their text goes into the prompt.
    - A part of requests that a model refuses is left out from then on, for the life of this object.
    """

    documents: tuple[str, ...] = ()

    def __init__(self, base_url: str, api_key: "Callable[[], str | None]", pool_size: int) -> None:
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        self._api_key = api_key
        self._pool = urllib3.PoolManager(maxsize=pool_size, block=False, retries=False)
        self._adaptations = Adaptations()

    def generate(self, prompt: Prompt, timeout: float) -> Completion:
        """Return the completion; see Model.generate.

        A request with a part that the model refuses is sent again without it, within the same time.
        With an answer, the model's refusals are remembered.
        """
        deadline = time.monotonic() + timeout
        prompt = ready_prompt(prompt)
        adapted = self._adaptations.of(prompt.model)
        learned: frozenset[Adaptation] = frozenset()
        while True:  # each request leaves another part out: MAX_REQUESTS at most
            status, headers, content = self._post(build_request(prompt, adapted), deadline)
            body = parse_body(content)
            detail = find_error(body, status)
            if detail is None:
                break
            found = find_adaptations(detail, prompt, adapted)
            if not found:
                raise build_failure(ANSWERED, detail, read_retry_after(headers))
            adapted |= found
            learned |= lasting(detail, found)
        if begins_with_reasoning(body):
            learned |= {Adaptation.REASONS_FIRST}
        self._adaptations.learn(prompt.model, learned)
        return read_answer(body, prompt, reasons_first=Adaptation.REASONS_FIRST in adapted)

    def describe_adaptations(self, model: str) -> "Sequence[str]":
        """Return the adaptations to a model; see Model.describe_adaptations."""
        return self._adaptations.describe(model)

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
                body=replace_surrogates(json.dumps(request, ensure_ascii=False)).encode(),
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
        except (HTTPError, OverflowError) as error:  # http.client's, of a chunk's negative size
            raise ModelUnavailableError(
                f"The connection to the model endpoint failed ({type(error).__name__})."
            ) from error

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        api_key = self._api_key()
        if api_key is not None:
            headers["Authorization"] = f"Bearer {api_key}"
        return headers


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

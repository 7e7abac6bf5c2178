"""Embeddings of any endpoint that speaks OpenAI's API: OpenAI, vLLM, Ollama, llama.cpp.

https://platform.openai.com/docs/api-reference/embeddings
"""

import json
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from afterword.generations import Reason
from afterword.models import ModelRefusedError
from afterword.models.embeddings import is_usable
from afterword.models.error_detail import read_error
from afterword.models.failures import build_failure
from afterword.models.openai_answer import parse_body
from afterword.models.openai_endpoint import OpenAIEndpoint
from afterword.runtime.retry_after import read_retry_after

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from afterword.models.embeddings import Purpose, Vector


class OpenAIEmbeddings:
    """The embedding model of an OpenAI-compatible endpoint (OpenAIEndpoint)."""

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
        self._endpoint = OpenAIEndpoint(
            "embedding endpoint", base_url, "embeddings", api_key, pool_size
        )

    def embed(
        self,
        texts: "Sequence[str]",
        purpose: "Purpose",  # noqa: ARG002 - such an endpoint embeds all texts alike
        timeout: float,
    ) -> "list[Vector]":
        """Return a vector for each text; see EmbeddingModel.embed."""
        request = {"model": self.name, "input": [*texts], "encoding_format": "float"}
        status, headers, body = self._endpoint.post(request, time.monotonic() + timeout)
        if status != HTTPStatus.OK:
            detail = read_error(parse_body(body), status)
            answered = "The embedding endpoint answered"
            raise build_failure(answered, detail, read_retry_after(headers))
        return _vectors(body, len(texts))


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

"""Embedding models of Amazon Bedrock: Amazon Titan Text Embeddings V2, and Cohere Embed.

https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html
"""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from afterword.generations import Reason
from afterword.models import ModelError, ModelRefusedError, ModelTimedOutError
from afterword.models.bedrock_calls import BedrockClients, reported_errors
from afterword.models.bedrock_errors import EMBEDDING_MODEL, build_failure, read_detail
from afterword.models.embeddings import Purpose, is_of_the_text, is_usable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient

    from afterword.models.embeddings import Vector

TITAN_DIMENSIONS = 512
"""Of 256, 512 and 1,024: half the memory and the reads of the largest."""
COHERE_DIMENSIONS = 512
"""Of a model of version 4, which has 256 to 1,536; those of version 3 have 1,024 alone."""
_PARALLEL = 8
_COHERE_TYPES = {Purpose.PASSAGE: "search_document", Purpose.QUESTION: "search_query"}


class _BedrockEmbeddings:
    """`client` returns a client with the given read timeout."""

    def __init__(
        self, model: str, client: "Callable[[int], BedrockRuntimeClient]", floor: float
    ) -> None:
        self.floor = floor
        self._model = model
        self._clients = BedrockClients(client)

    def _invoke(self, request: dict[str, object], timeout: float) -> object:
        """Return the answer of the model, or raise one of the errors of EmbeddingModel.embed."""
        client = self._clients.get(timeout)
        try:
            with reported_errors():
                response = client.invoke_model(
                    modelId=self._model,
                    body=json.dumps(request),
                    contentType="application/json",
                    accept="application/json",
                )
                body = response["body"].read()
        except ClientError as error:
            region = client.meta.region_name
            # Not the error as its cause: its message may repeat the text.
            raise build_failure(read_detail(error), self._model, region, EMBEDDING_MODEL) from None
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise _unreadable() from error


class TitanEmbeddings(_BedrockEmbeddings):
    """Amazon Titan Text Embeddings V2, which takes one text a call: calls are made in parallel."""

    batch = 4 * _PARALLEL

    def __init__(
        self, model: str, client: "Callable[[int], BedrockRuntimeClient]", floor: float
    ) -> None:
        super().__init__(model, client, floor)
        self.name = f"{model}/{TITAN_DIMENSIONS}"

    def embed(
        self,
        texts: "Sequence[str]",
        purpose: Purpose,  # noqa: ARG002 - Titan embeds all texts alike
        timeout: float,
    ) -> "list[Vector | ModelError]":
        """Return a vector for each text, or its error; see EmbeddingModel.embed.

        After an error that no text is the cause of, no further call begins, nor after the timeout.
        """
        if len(texts) == 1:
            return [self._embed_one(timeout, texts[0])]
        end = time.monotonic() + timeout
        failures: list[ModelError] = []

        def try_one(text: str) -> "Vector | ModelError":
            if failures:
                return failures[0]
            try:
                return self._embed_one(end - time.monotonic(), text)
            except ModelError as error:
                if not is_of_the_text(error):
                    failures.append(error)
                return error

        with ThreadPoolExecutor(_PARALLEL) as executor:
            return list(executor.map(try_one, texts))

    def _embed_one(self, timeout: float, text: str) -> "Vector":
        if timeout <= 0:
            raise ModelTimedOutError("There was no time left to ask the model.")
        request = {
            "inputText": text,
            "dimensions": TITAN_DIMENSIONS,
            "normalize": True,
        }
        match self._invoke(request, timeout):
            case {"embedding": list(vector)} if is_usable(vector):
                return vector
        raise _unreadable()


class CohereEmbeddings(_BedrockEmbeddings):
    """Cohere Embed, version 3 or 4."""

    batch = 96

    def __init__(
        self, model: str, client: "Callable[[int], BedrockRuntimeClient]", floor: float
    ) -> None:
        super().__init__(model, client, floor)
        self._chooses_dimensions = "embed-v4" in model
        self.name = f"{model}/{COHERE_DIMENSIONS}" if self._chooses_dimensions else model

    def embed(self, texts: "Sequence[str]", purpose: Purpose, timeout: float) -> "list[Vector]":
        """Return a vector for each text; see EmbeddingModel.embed."""
        request: dict[str, object] = {
            "texts": [*texts],
            "input_type": _COHERE_TYPES[purpose],
            "embedding_types": ["float"],
        }
        if self._chooses_dimensions:
            request["output_dimension"] = COHERE_DIMENSIONS
        else:
            request["truncate"] = "END"  # version 4 has room for any passage
        match self._invoke(request, timeout):
            case {"embeddings": {"float": list(vectors)}} if len(vectors) == len(texts):
                if all(map(is_usable, vectors)):
                    return vectors
        raise _unreadable()


def _unreadable() -> ModelRefusedError:
    return ModelRefusedError(
        Reason.INVALID_RESPONSE, "The embedding model's answer is no list of embeddings."
    )

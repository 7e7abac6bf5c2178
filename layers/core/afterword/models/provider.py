"""The deployment's model, by its settings."""

import time
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from afterword.generations import Reason
from afterword.models import ModelRefusedError, ModelUnavailableError
from afterword.runtime.clients import POOL_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_secretsmanager import SecretsManagerClient

    from afterword.models import Model
    from afterword.models.embeddings import EmbeddingModel
    from afterword.runtime.clients import Clients
    from afterword.runtime.settings import Settings

API_KEY_SECONDS = 300.0
"""The model's API key stays in the cache for this long, also after a rotation."""


class UnknownProviderError(RuntimeError):
    """An unknown provider in AFTERWORD_MODEL_PROVIDER."""


class SecretApiKey:
    """The model's API key in Secrets Manager; no key without an ARN.

    `secrets_manager` returns the client, which is built for the first read of a key.
    """

    def __init__(
        self, secrets_manager: "Callable[[], SecretsManagerClient]", secret_arn: str | None
    ) -> None:
        self._secrets_manager = secrets_manager
        self._secret_arn = secret_arn
        self._value: str | None = None
        self._read_until = 0.0

    def __call__(self) -> str | None:
        """Return the key, without the blanks around it.

        Raises ModelUnavailableError after a failed read, and ModelRefusedError for a secret that
        cannot be a key.
        """
        if self._secret_arn is not None and time.monotonic() >= self._read_until:
            try:
                secret = self._secrets_manager().get_secret_value(SecretId=self._secret_arn)
            except (BotoCoreError, ClientError) as error:
                raise ModelUnavailableError("The model's API key cannot be read.") from error
            self._value = read_api_key(secret.get("SecretString", ""))
            self._read_until = time.monotonic() + API_KEY_SECONDS
        return self._value


def read_api_key(text: str) -> str:
    """Return the key of a text as it was saved, often with a line end.

    Raises ModelRefusedError for one that no header can have, whose error would show the key.
    """
    key = text.strip()
    if not key or not (key.isascii() and key.isprintable()):
        raise ModelRefusedError(
            Reason.MODEL_ACCESS_DENIED, "The model's API key is no text that can be a key."
        )
    return key


def build_model(settings: "Settings", clients: "Clients") -> "Model":
    """Return the deployment's model; raise UnknownProviderError for an unknown provider."""
    match settings.model_provider:
        case "bedrock":
            from afterword.models.bedrock import BedrockModel

            return BedrockModel(clients.bedrock_runtime)
        case "openai":
            from afterword.models.openai import OpenAIModel

            secret_arn = settings.model_api_key_secret_arn
            api_key = SecretApiKey(lambda: clients.secrets_manager, secret_arn)
            return OpenAIModel(settings.model_url, api_key, POOL_SIZE)
        case other:
            raise UnknownProviderError(
                f"AFTERWORD_MODEL_PROVIDER: must be 'bedrock' or 'openai', not {other!r}"
            )


FLOORS = {"all-minilm-l6-v2": 0.30}
"""The least similarity of a question and its answers, where it was measured, by model."""
FLOOR = 0.30
"""The same for other models (docs/decisions/0078-meaning.md)."""


def build_embedding_model(settings: "Settings", clients: "Clients") -> "EmbeddingModel":
    """Return the deployment's embedding model; raise UnknownProviderError for an unknown one."""
    model = settings.embedding_model
    floor = settings.embedding_floor
    if floor is None:
        floor = FLOORS.get(model, FLOOR)
    match settings.embedding_provider:
        case "bedrock" if "titan-embed-text-v2" in model:
            from afterword.models.bedrock_embeddings import TitanEmbeddings

            return TitanEmbeddings(model, clients.bedrock_runtime, floor)
        case "bedrock" if "cohere.embed" in model:
            from afterword.models.bedrock_embeddings import CohereEmbeddings

            return CohereEmbeddings(model, clients.bedrock_runtime, floor)
        case "openai":
            from afterword.models.openai_embeddings import OpenAIEmbeddings

            secret_arn = settings.embedding_api_key_secret_arn
            api_key = SecretApiKey(lambda: clients.secrets_manager, secret_arn)
            return OpenAIEmbeddings(model, settings.embedding_url, api_key, POOL_SIZE, floor)
        case other:
            raise UnknownProviderError(
                "AFTERWORD_EMBEDDING_PROVIDER: must be 'openai', or 'bedrock' with Titan Text"
                f" Embeddings V2 or Cohere Embed, not {other!r} with {model!r}"
            )

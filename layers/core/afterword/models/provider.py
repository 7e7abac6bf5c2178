"""The model that this deployment was set up with."""

import time
from functools import cache

from botocore.exceptions import BotoCoreError, ClientError

from afterword.models import Model, ModelUnavailableError
from afterword.models.bedrock import BedrockModel
from afterword.models.openai import OpenAIModel
from afterword.runtime import clients
from afterword.runtime.settings import settings

API_KEY_SECONDS = 300.0
"""How long the model's API key is remembered, and so how long a rotated one may be missed."""


class UnknownProviderError(RuntimeError):
    """AFTERWORD_MODEL_PROVIDER names no provider that there is."""


class SecretApiKey:
    """The model's API key, kept in Secrets Manager; with no ARN there is none."""

    def __init__(self, secret_arn: str | None) -> None:
        self._secret_arn = secret_arn
        self._value: str | None = None
        self._read_until = 0.0

    def __call__(self) -> str | None:
        """Return the key; raise ModelUnavailableError when it cannot be read now."""
        if self._secret_arn is not None and time.monotonic() >= self._read_until:
            try:
                secret = clients.secrets_manager().get_secret_value(SecretId=self._secret_arn)
            except (BotoCoreError, ClientError) as error:
                raise ModelUnavailableError("The model's API key cannot be read.") from error
            self._value = secret["SecretString"]
            self._read_until = time.monotonic() + API_KEY_SECONDS
        return self._value


@cache
def model() -> Model:
    """Return the deployment's model; raise UnknownProviderError if its setting is wrong."""
    match settings().model_provider:
        case "bedrock":
            return BedrockModel(clients.bedrock_runtime)
        case "openai":
            api_key = SecretApiKey(settings().model_api_key_secret_arn)
            return OpenAIModel(settings().model_url, api_key, clients.POOL_SIZE)
        case other:
            raise UnknownProviderError(
                f"AFTERWORD_MODEL_PROVIDER is {other!r}: it must be 'bedrock' or 'openai'"
            )

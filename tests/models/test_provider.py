"""The deployment's model: which one it is, and how its API key is read."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from afterword.generations import Reason
from afterword.models import ModelRefusedError, ModelUnavailableError, provider
from afterword.models.bedrock import BedrockModel
from afterword.models.openai import OpenAIModel
from afterword.models.provider import API_KEY_SECONDS, SecretApiKey, UnknownProviderError
from afterword.runtime.clients import clients
from afterword.services import services
from tests.conftest import Call


@dataclass
class Monotonic:
    """The process's clock, in seconds, standing still until it is set."""

    seconds: float = 0.0

    def __call__(self) -> float:
        """Return the seconds."""
        return self.seconds


@pytest.fixture
def monotonic(monkeypatch: pytest.MonkeyPatch) -> Monotonic:
    """Set the clock that a key is remembered by, to the first moment of a process."""
    monotonic = Monotonic()
    monkeypatch.setattr(provider, "time", SimpleNamespace(monotonic=monotonic))
    return monotonic


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize(("name", "kind"), [("bedrock", BedrockModel), ("openai", OpenAIModel)])
def test_the_setting_names_the_provider(
    monkeypatch: pytest.MonkeyPatch, name: str, kind: type
) -> None:
    """Each provider has its model."""
    monkeypatch.setenv("AFTERWORD_MODEL_PROVIDER", name)
    assert type(services().model) is kind


@pytest.mark.parametrize(("name", "other"), [("bedrock", "openai"), ("openai", "bedrock")])
def test_a_provider_imports_no_other(name: str, other: str) -> None:
    """A process that asks one provider does not pay for the modules of the other."""
    code = (
        "import sys; from types import SimpleNamespace as Any;"
        "from afterword.models.provider import build_model;"
        f"build_model(Any(model_provider={name!r}, model_url='http://m',"
        " model_api_key_secret_arn=None), Any(bedrock_runtime=None));"
        f"sys.exit('afterword.models.{other}' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603 - our own code


@pytest.mark.usefixtures("aws")
def test_an_unknown_provider_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong setting says what it is and what it may be."""
    monkeypatch.setenv("AFTERWORD_MODEL_PROVIDER", "magic")
    with pytest.raises(UnknownProviderError) as unknown:
        assert services().model
    assert str(unknown.value) == (
        "AFTERWORD_MODEL_PROVIDER: must be 'bedrock' or 'openai', not 'magic'"
    )


def test_without_a_secret_there_is_no_key(calls: list[Call]) -> None:
    """An endpoint without a key needs no call of Secrets Manager."""
    assert SecretApiKey(lambda: clients().secrets_manager, None)() is None
    assert calls == []


def test_a_key_is_remembered_for_five_minutes(calls: list[Call], monotonic: Monotonic) -> None:
    """A key is read once in five minutes, so that a rotated one is taken up."""
    secrets = clients().secrets_manager
    arn = secrets.create_secret(Name="model-key", SecretString="first")["ARN"]
    api_key = SecretApiKey(lambda: clients().secrets_manager, arn)
    assert api_key() == "first"
    secrets.put_secret_value(SecretId=arn, SecretString="second")
    calls.clear()
    monotonic.seconds = API_KEY_SECONDS - 1
    assert (api_key(), calls) == ("first", [])
    monotonic.seconds = API_KEY_SECONDS
    assert api_key() == "second"
    assert [call.operation for call in calls] == ["secrets-manager.GetSecretValue"]


@pytest.mark.usefixtures("aws")
def test_a_key_loses_the_line_end_of_its_file() -> None:
    """A secret that was saved with blanks around the key is the key."""
    arn = clients().secrets_manager.create_secret(Name="k", SecretString=" sk-key\n")["ARN"]
    assert SecretApiKey(lambda: clients().secrets_manager, arn)() == "sk-key"


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize(
    "secret",
    [{"SecretBinary": b"sk-key"}, {"SecretString": " \n"}, {"SecretString": "sk\nkey"},
     {"SecretString": "clé"}],
)  # fmt: skip
def test_a_secret_that_is_no_key_refuses_access(secret: dict[str, Any]) -> None:
    """A secret that no header can carry fails with a reason to act on, and is not quoted."""
    arn = clients().secrets_manager.create_secret(Name="k", **secret)["ARN"]
    with pytest.raises(ModelRefusedError) as refused:
        SecretApiKey(lambda: clients().secrets_manager, arn)()
    assert refused.value.reason is Reason.MODEL_ACCESS_DENIED
    assert "key\n" not in str(refused.value)


@pytest.mark.usefixtures("monotonic")
def test_a_key_that_cannot_be_read_is_tried_again(cut_off: Callable[[str], None]) -> None:
    """When Secrets Manager is out of reach, the model counts as unavailable."""
    arn = clients().secrets_manager.create_secret(Name="k", SecretString="s")["ARN"]
    cut_off("secrets-manager.GetSecretValue")
    with pytest.raises(ModelUnavailableError) as unavailable:
        SecretApiKey(lambda: clients().secrets_manager, arn)()
    assert str(unavailable.value) == "The model's API key cannot be read."

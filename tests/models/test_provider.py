"""The deployment's model: which one it is, and how its API key is read."""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

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


@pytest.mark.usefixtures("monotonic")
def test_a_key_that_cannot_be_read_is_tried_again(cut_off: Callable[[str], None]) -> None:
    """When Secrets Manager is out of reach, the model counts as unavailable."""
    arn = clients().secrets_manager.create_secret(Name="k", SecretString="s")["ARN"]
    cut_off("secrets-manager.GetSecretValue")
    with pytest.raises(ModelUnavailableError) as unavailable:
        SecretApiKey(lambda: clients().secrets_manager, arn)()
    assert str(unavailable.value) == "The model's API key cannot be read."


@pytest.mark.usefixtures("aws", "monotonic")
@pytest.mark.parametrize(
    ("stored", "key"), [("sk-1\n", "sk-1"), (" sk-1\r\n", "sk-1"), (" \n", None)]
)
def test_blanks_around_a_key_are_no_part_of_it(stored: str, key: str | None) -> None:
    """A secret that was stored with a line end is the key without it; a blank one is no key."""
    arn = clients().secrets_manager.create_secret(Name="k", SecretString=stored)["ARN"]
    assert SecretApiKey(lambda: clients().secrets_manager, arn)() == key


@pytest.mark.usefixtures("aws", "monotonic")
@pytest.mark.parametrize("stored", ["sk-1\nsk-2", "sk-1\r\nX-Other: 1", "sk-é€"])
def test_a_key_that_no_header_can_have_is_refused_unseen(stored: str) -> None:
    """A secret that cannot be sent fails with a reason, and its text is in no message."""
    arn = clients().secrets_manager.create_secret(Name="k", SecretString=stored)["ARN"]
    with pytest.raises(ModelRefusedError) as refused:
        SecretApiKey(lambda: clients().secrets_manager, arn)()
    assert refused.value.reason is Reason.MODEL_ACCESS_DENIED
    assert "sk-" not in str(refused.value)

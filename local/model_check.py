"""The lines that say what the stack's model can."""

from typing import TYPE_CHECKING

import botocore.session

from afterword.models.bedrock import BedrockModel
from afterword.models.openai import OpenAIModel
from afterword.runtime.clients import Clients
from cli.model_checks import check_model, describe
from local.terminal import say

if TYPE_CHECKING:
    from afterword.models import Model
    from local.models import Choice

QUESTION_SECONDS, TOTAL_SECONDS = 20.0, 60.0


def show_model(choice: "Choice") -> None:
    """Say what a model can, as `afterword model check` does; a model that cannot is no error."""
    say(f"checking the model {choice.model}")
    for finding in check_model(_model(choice), choice.model, QUESTION_SECONDS, TOTAL_SECONDS):
        for line in describe(finding).splitlines():
            say(f"  {line}")


def _model(choice: "Choice") -> "Model":
    """Return the model as this process can ask it: Amazon Bedrock without the stack's relay."""
    if choice.kind != "bedrock":
        return OpenAIModel(choice.url, lambda: choice.api_key, 1)
    session = botocore.session.get_session()
    clients = Clients(lambda service, config: session.create_client(service, config=config))
    return BedrockModel(clients.bedrock_runtime)

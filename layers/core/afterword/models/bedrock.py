"""Amazon Bedrock, through the Converse API.

Errors: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#API_runtime_Converse_Errors
"""

import time
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from afterword.generations import Completion
from afterword.models import ModelTimedOutError, Prompt
from afterword.models.adaptations import Adaptation, Adaptations
from afterword.models.bedrock_answer import read_answer
from afterword.models.bedrock_calls import BedrockClients, reported_errors
from afterword.models.bedrock_errors import build_failure, find_adaptation, is_lasting, read_detail
from afterword.models.bedrock_request import DOCUMENTS, build_request
from afterword.models.prompts import ready_prompt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient

_LEAST_SECONDS = 1.0


class BedrockModel:
    """A model of Amazon Bedrock; `client` returns a client with the given read timeout.

    A part of requests that a model refuses is left out from then on, for the life of this object.
    """

    documents = DOCUMENTS.keys()

    def __init__(self, client: "Callable[[int], BedrockRuntimeClient]") -> None:
        self._clients = BedrockClients(client)
        self._adaptations = Adaptations()

    def generate(self, prompt: Prompt, timeout: float) -> Completion:
        """Return the completion; see Model.generate.

        A request with a part that the model refuses is sent again without it, within the same time.
        With an answer, the model's refusals are remembered.
        """
        deadline, seconds = time.monotonic() + timeout, timeout
        prompt = ready_prompt(prompt)
        adapted = self._adaptations.of(prompt.model)
        learned: set[Adaptation] = set()
        while True:  # each refusal adds an adaptation, of which there are few
            client = self._clients.get(seconds)
            request = build_request(prompt, adapted)
            try:
                with reported_errors():
                    answer = {**client.converse(**request)}
                break
            except ClientError as error:
                detail = read_detail(error)
                found = find_adaptation(detail, prompt, adapted)
                if found is None:
                    region = client.meta.region_name
                    # Not the error as its cause: its message may repeat the prompt.
                    raise build_failure(detail, prompt.model, region) from None
                adapted |= {found}
                if is_lasting(detail):
                    learned.add(found)
            seconds = deadline - time.monotonic()
            if seconds < _LEAST_SECONDS:
                raise ModelTimedOutError("There was no time left to ask the model.")
        self._adaptations.learn(prompt.model, learned)
        read = read_answer(
            answer,
            prompt,
            offered=Adaptation.NO_TOOL not in adapted,
            reasons_first=Adaptation.REASONS_FIRST in adapted,
        )
        self._adaptations.learn_order(prompt.model, reasons_first=read.reasons_first)
        return read.completion

    def describe_adaptations(self, model: str) -> "Sequence[str]":
        """Return the adaptations of a model; see Model.describe_adaptations."""
        return self._adaptations.describe(model)

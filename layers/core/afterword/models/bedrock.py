"""Amazon Bedrock, through the Converse API.

Errors: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#API_runtime_Converse_Errors
"""

import threading
import time
from typing import TYPE_CHECKING

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError

from afterword.generations import Completion, Reason
from afterword.models import (
    ModelRefusedError,
    ModelTimedOutError,
    ModelUnavailableError,
    Prompt,
)
from afterword.models.adaptations import Adaptation, Adaptations
from afterword.models.bedrock_answer import read_answer
from afterword.models.bedrock_errors import build_failure, find_adaptation, is_lasting, read_detail
from afterword.models.bedrock_request import DOCUMENTS, build_request
from afterword.models.prompts import ready_prompt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient

_TIMEOUT_STEP = 10  # one client serves all calls whose timeouts differ by less than these seconds
_LEAST_SECONDS = 1.0
_UNREADABLE = (
    AttributeError,
    OverflowError,
    RecursionError,
    ResponseParserError,
    TypeError,
    ValueError,
)
"""Errors of botocore's parser for a body that is no answer of the Converse API."""


class BedrockModel:
    """A model of Amazon Bedrock; `client` returns a client with the given read timeout.

    A part of requests that a model refuses is left out from then on, for the life of this object.
    """

    documents = DOCUMENTS.keys()

    def __init__(self, client: "Callable[[int], BedrockRuntimeClient]") -> None:
        self._client = client
        self._creating = threading.Lock()
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
            client = self._get_client(seconds)
            try:
                answer = _converse(client, prompt, adapted)
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
        return read_answer(answer, prompt, offered=Adaptation.NO_TOOL not in adapted)

    def describe_adaptations(self, model: str) -> "Sequence[str]":
        """Return the adaptations of a model; see Model.describe_adaptations."""
        return self._adaptations.describe(model)

    def _get_client(self, seconds: float) -> "BedrockRuntimeClient":
        """Return a client whose read timeout is at most the seconds, and a second at least."""
        rounded = int(seconds) // _TIMEOUT_STEP * _TIMEOUT_STEP or int(seconds)
        with self._creating:
            return self._client(max(1, rounded))


def _converse(
    client: "BedrockRuntimeClient", prompt: Prompt, adapted: frozenset[Adaptation]
) -> "Mapping[str, object]":
    """Return Bedrock's answer; raise ClientError for an error that it answers."""
    request = build_request(prompt, adapted)
    try:
        return {**client.converse(**request)}
    except ReadTimeoutError as error:
        raise ModelTimedOutError("Bedrock did not answer in time.") from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise ModelRefusedError(
            Reason.MODEL_ACCESS_DENIED, "There are no AWS credentials for Bedrock."
        ) from error
    except ParamValidationError:  # its message may repeat the prompt
        raise ModelRefusedError(
            Reason.INVALID_REQUEST,
            "The request is none that Bedrock's Converse API takes: check the model's id and the"
            " flow's settings.",
        ) from None
    except BotoCoreError as error:
        raise ModelUnavailableError(
            f"Bedrock cannot be reached ({type(error).__name__})."
        ) from error
    except _UNREADABLE as error:
        raise ModelUnavailableError(
            f"Bedrock's answer cannot be read ({type(error).__name__})."
        ) from None

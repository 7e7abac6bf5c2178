"""Calls of Bedrock: a client for each read timeout, and botocore's errors as those of a model."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

from afterword.generations import Reason
from afterword.models import ModelRefusedError, ModelTimedOutError, ModelUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient

_TIMEOUT_STEP = 10  # one client serves all calls whose timeouts differ by less than these seconds
_UNREADABLE = (
    AttributeError,
    OverflowError,
    RecursionError,
    ResponseParserError,
    TypeError,
    ValueError,
)
"""Errors of botocore's parser for a body that is no answer of the called API."""


class BedrockClients:
    """The clients of a process; `build` returns one, and is not safe in two threads at once."""

    def __init__(self, build: "Callable[[int], BedrockRuntimeClient]") -> None:
        self._build = build
        self._building = threading.Lock()

    def get(self, seconds: float) -> "BedrockRuntimeClient":
        """Return a client whose read timeout is at most the seconds, and a second at least."""
        rounded = int(seconds) // _TIMEOUT_STEP * _TIMEOUT_STEP or int(seconds)
        with self._building:
            return self._build(max(1, rounded))


@contextmanager
def reported_errors() -> Iterator[None]:
    """Raise the errors of a call as those of a model, but a ClientError as it is.

    A ClientError is what Bedrock has answered (afterword.models.bedrock_errors).
    """
    try:
        yield
    except ClientError:
        raise
    except ReadTimeoutError as error:
        raise ModelTimedOutError("Bedrock did not answer in time.") from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise ModelRefusedError(
            Reason.MODEL_ACCESS_DENIED, "There are no AWS credentials for Bedrock."
        ) from error
    except ParamValidationError:  # its message may repeat the prompt
        raise ModelRefusedError(
            Reason.INVALID_REQUEST,
            "The request is none that Bedrock's API takes: check the model's id and the flow's"
            " settings.",
        ) from None
    except BotoCoreError as error:
        raise ModelUnavailableError(
            f"Bedrock cannot be reached ({type(error).__name__})."
        ) from error
    except _UNREADABLE as error:
        raise ModelUnavailableError(
            f"Bedrock's answer cannot be read ({type(error).__name__})."
        ) from None

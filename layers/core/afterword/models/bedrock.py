"""Amazon Bedrock, through the Converse API.

Errors: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#API_runtime_Converse_Errors
"""

import json
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ReadTimeoutError,
)

from afterword.generations import Completion, Reason
from afterword.models import (
    LENGTH,
    STOP,
    ModelError,
    ModelRefusedError,
    ModelTimedOutError,
    ModelUnavailableError,
    Prompt,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient
    from mypy_boto3_bedrock_runtime.literals import DocumentFormatType, ImageFormatType
    from mypy_boto3_bedrock_runtime.type_defs import (
        ContentBlockTypeDef,
        ConverseRequestTypeDef,
        ConverseResponseTypeDef,
        DocumentBlockTypeDef,
        MessageTypeDef,
    )

_TOOL = "reply"
_TIMEOUT_STEP = 10  # one client serves all calls whose timeouts differ by less than these seconds

_UNAVAILABLE = frozenset(
    {
        "InternalServerException",
        "ModelErrorException",
        "ModelNotReadyException",
        "ServiceUnavailableException",
        "ThrottlingException",
    }
)
_THROTTLED = frozenset({"ThrottlingException", "TooManyRequestsException"})
_REASONS = {
    "AccessDeniedException": Reason.MODEL_ACCESS_DENIED,
    "ExpiredTokenException": Reason.MODEL_ACCESS_DENIED,
    "ResourceNotFoundException": Reason.MODEL_NOT_FOUND,
    "UnrecognizedClientException": Reason.MODEL_ACCESS_DENIED,
    "ValidationException": Reason.INVALID_REQUEST,
}
_STOP_REASONS = {
    "end_turn": STOP,
    "stop_sequence": STOP,
    "tool_use": STOP,
    "max_tokens": LENGTH,
    "model_context_window_exceeded": LENGTH,
}
DOCUMENTS: "Mapping[str, DocumentFormatType]" = {
    "application/pdf": "pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "text/csv": "csv",
    "text/html": "html",
    "text/markdown": "md",
    "text/plain": "txt",
    "application/json": "txt",
}
"""https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_DocumentBlock.html"""
IMAGES: "Mapping[str, ImageFormatType]" = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/gif": "gif",
    "image/webp": "webp",
}
_REFUSALS = frozenset({"content_filtered", "guardrail_intervened"})


class BedrockModel:
    """A model of Amazon Bedrock; `client` returns a client with the given read timeout."""

    documents = DOCUMENTS.keys()

    def __init__(self, client: "Callable[[int], BedrockRuntimeClient]") -> None:
        self._client = client
        self._creating = threading.Lock()

    def generate(self, prompt: Prompt, timeout: float) -> Completion:
        """Return the completion; see Model.generate."""
        read_timeout = max(1, int(timeout) // _TIMEOUT_STEP * _TIMEOUT_STEP or int(timeout))
        with self._creating:
            client = self._client(read_timeout)
        try:
            response = client.converse(**_request(prompt))
        except ClientError as error:
            raise read_error(error) from None  # the error's message may repeat the prompt
        except ReadTimeoutError as error:
            raise ModelTimedOutError("Bedrock did not answer in time.") from error
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise ModelRefusedError(
                Reason.MODEL_ACCESS_DENIED, "There are no AWS credentials for Bedrock."
            ) from error
        except BotoCoreError as error:
            raise ModelUnavailableError(
                f"Bedrock cannot be reached ({type(error).__name__})."
            ) from error
        return _completion(prompt, response)


def _request(prompt: Prompt) -> "ConverseRequestTypeDef":
    request: ConverseRequestTypeDef = {
        "modelId": prompt.model,
        "messages": [
            *_turns(prompt),
            {"role": "user", "content": [{"text": prompt.user}, *_attached(prompt)]},
        ],
        "inferenceConfig": {"maxTokens": prompt.max_tokens},
    }
    if prompt.system:
        request["system"] = [{"text": prompt.system}]
    if prompt.temperature is not None:
        request["inferenceConfig"]["temperature"] = prompt.temperature
    if prompt.schema is not None:
        request["toolConfig"] = {
            "tools": [
                {"toolSpec": {"name": _TOOL, "inputSchema": {"json": dict(prompt.schema)}}},
            ],
            "toolChoice": {"tool": {"name": _TOOL}},
        }
    return request


def _turns(prompt: Prompt) -> "Iterator[MessageTypeDef]":
    for turn in prompt.turns:
        yield {"role": "user", "content": [{"text": turn.question}]}
        yield {"role": "assistant", "content": [{"text": turn.answer}]}


def _attached(prompt: Prompt) -> "list[ContentBlockTypeDef]":
    """Return the attachments as blocks.

    A document needs a name, which the model reads; a neutral one replaces the caller's.
    """
    blocks: list[ContentBlockTypeDef] = []
    for number, attachment in enumerate(prompt.attachments, 1):
        if attachment.media_type in IMAGES:
            image = IMAGES[attachment.media_type]
            blocks.append({"image": {"format": image, "source": {"bytes": attachment.content}}})
        else:
            kind = DOCUMENTS[attachment.media_type]
            document: DocumentBlockTypeDef = {
                "format": kind,
                "name": f"document {number}",
                "source": {"bytes": attachment.content},
            }
            blocks.append({"document": document})
    return blocks


def _completion(prompt: Prompt, response: "ConverseResponseTypeDef") -> Completion:
    stopped = response["stopReason"]
    if stopped in _REFUSALS:
        raise ModelRefusedError(Reason.REFUSED_CONTENT, f"Bedrock refused the content ({stopped}).")
    blocks = response["output"].get("message", {"content": []})["content"]
    if prompt.schema is None:
        text = "".join(block["text"] for block in blocks if "text" in block)
    else:
        text = next(
            (json.dumps(block["toolUse"]["input"]) for block in blocks if "toolUse" in block), ""
        )
    return Completion(
        text=text,
        model=prompt.model,
        stop_reason=_STOP_REASONS.get(stopped, STOP),
        tokens_in=response["usage"]["inputTokens"],
        tokens_out=response["usage"]["outputTokens"],
    )


def read_error(error: ClientError, parameter: str = "BedrockModelArns") -> ModelError:
    """Return the error of a call that Bedrock refused; `parameter` is the stack's of its rights."""
    code = error.response["Error"]["Code"]
    status = error.response["ResponseMetadata"].get("HTTPStatusCode", HTTPStatus.OK)
    answered = f"Bedrock answered {status} ({code})."
    if code == "ModelTimeoutException":
        return ModelTimedOutError(answered, code)
    if code == "AccessDeniedException":
        answered += (
            f" Check the account's access to the model, and the stack's parameter {parameter}."
        )
    if code in _REASONS:
        return ModelRefusedError(_REASONS[code], answered)
    if (
        code in _UNAVAILABLE
        or status >= HTTPStatus.INTERNAL_SERVER_ERROR
        or status == HTTPStatus.TOO_MANY_REQUESTS
    ):
        return ModelUnavailableError(answered, code=code, throttled=code in _THROTTLED)
    return ModelRefusedError(Reason.INVALID_REQUEST, answered)

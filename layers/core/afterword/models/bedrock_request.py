"""A prompt as a request of the Converse API, without the parts that its model refuses."""

from typing import TYPE_CHECKING

from afterword.models import SEE_FILES
from afterword.models.adaptations import Adaptation

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from mypy_boto3_bedrock_runtime.literals import DocumentFormatType, ImageFormatType
    from mypy_boto3_bedrock_runtime.type_defs import (
        ContentBlockTypeDef,
        ConverseRequestTypeDef,
        DocumentBlockTypeDef,
        InferenceConfigurationTypeDef,
        MessageTypeDef,
        ToolChoiceTypeDef,
    )

    from afterword.models import Prompt

_TOOL = "reply"
DOCUMENTS: "Mapping[str, DocumentFormatType]" = {
    "application/pdf": "pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
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


def build_request(prompt: "Prompt", adapted: "Collection[Adaptation]") -> "ConverseRequestTypeDef":
    """Return the request; its schema, if any, is that of a tool that the model has to use."""
    merged = Adaptation.NO_SYSTEM in adapted
    request: ConverseRequestTypeDef = {
        "modelId": prompt.model,
        "messages": [*_messages(prompt, prompt.system if merged else "")],
    }
    inference = _inference(prompt, adapted)
    if inference:
        request["inferenceConfig"] = inference
    if prompt.system and not merged:
        request["system"] = [{"text": prompt.system}]
    if prompt.schema is not None and Adaptation.NO_TOOL not in adapted:
        request["toolConfig"] = {
            "tools": [
                {"toolSpec": {"name": _TOOL, "inputSchema": {"json": dict(prompt.schema)}}},
            ],
        }
        choice = _tool_choice(adapted)
        if choice is not None:
            request["toolConfig"]["toolChoice"] = choice
    return request


def _inference(
    prompt: "Prompt", adapted: "Collection[Adaptation]"
) -> "InferenceConfigurationTypeDef":
    if Adaptation.NO_INFERENCE in adapted:
        return {}
    if prompt.temperature is None or Adaptation.NO_TEMPERATURE in adapted:
        return {"maxTokens": prompt.max_tokens}
    return {"maxTokens": prompt.max_tokens, "temperature": prompt.temperature}


def _tool_choice(adapted: "Collection[Adaptation]") -> "ToolChoiceTypeDef | None":
    if Adaptation.TOOL_BY_CHOICE in adapted:
        return None
    if Adaptation.ANY_TOOL in adapted:
        return {"any": {}}
    return {"tool": {"name": _TOOL}}


def _messages(prompt: "Prompt", instructions: str) -> "Iterator[MessageTypeDef]":
    """Yield the turns and the question, with the instructions before the first of them."""
    before: list[ContentBlockTypeDef] = [{"text": instructions}] if instructions else []
    for turn in prompt.turns:
        yield {"role": "user", "content": [*before, {"text": turn.question}]}
        yield {"role": "assistant", "content": [{"text": turn.answer}]}
        before = []
    user = prompt.user if prompt.user.strip() else SEE_FILES  # Bedrock refuses a blank text
    yield {"role": "user", "content": [*before, {"text": user}, *_attached(prompt)]}


def _attached(prompt: "Prompt") -> "list[ContentBlockTypeDef]":
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

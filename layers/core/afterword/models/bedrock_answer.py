"""The completion of a Converse answer.

No answer raises another error than those of afterword.models.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from afterword.generations import Completion, Reason
from afterword.models import LENGTH, STOP, ModelRefusedError
from afterword.models.content import read_content
from afterword.models.reasoning import separate_reasoning
from afterword.models.text import replace_surrogates
from afterword.models.usage import read_usage

if TYPE_CHECKING:
    from afterword.models import Prompt

_FINISHED = frozenset({"end_turn", "stop_sequence"})
_REFUSED = frozenset({"content_filtered", "guardrail_intervened"})
_MALFORMED = frozenset({"malformed_model_output", "malformed_tool_use"})
_SHOWN = re.compile(r"[a-z_]{1,40}")


def read_answer(answer: Mapping[str, object], prompt: "Prompt", *, offered: bool) -> Completion:
    """Return the completion of an answer.

    - Only known stop reasons succeed. `offered` says that the model was offered the schema's tool.
    - The input of the tool is the text, also where the model has written words beside it.
    - A tool's input that was cut, or is malformed, is no text: the half of it may be valid.

    Raises ModelRefusedError, with the tokens that the answer has cost.
    """
    blocks = _blocks(answer)
    stopped = str(answer.get("stopReason"))
    written = replace_surrogates(read_content([*_texts(blocks)]).text)
    tools = [*_tool_inputs(blocks)] if prompt.schema is not None and offered else []
    thoughts = [*_thoughts(blocks)]
    usage = read_usage(answer.get("usage"), prompt, (written, *tools, *thoughts))
    cut = stopped == "max_tokens"
    unusable = stopped in _MALFORMED or (cut and bool(tools))
    text = "\n".join(tools) if tools else separate_reasoning(written).text
    completion = Completion(
        text="" if unusable else text,
        model=prompt.model,
        stop_reason=LENGTH if cut else STOP,
        tokens_in=usage.tokens_in,
        tokens_out=usage.tokens_out,
        estimated=usage.estimated,
    )
    if stopped in _REFUSED:
        raise ModelRefusedError(
            Reason.REFUSED_CONTENT, f"Bedrock refused the content ({stopped}).", completion
        )
    if stopped == "model_context_window_exceeded":
        raise ModelRefusedError(
            Reason.TOO_LONG,
            f"The text is too long for this model: shorten it, or lower max_tokens ({stopped}).",
            completion,
        )
    of_tool = stopped == "tool_use" and bool(tools)
    of_schema = stopped in _MALFORMED and prompt.schema is not None  # a repair question may help
    if not (stopped in _FINISHED or cut or of_tool or of_schema):
        shown = f" ({stopped})" if _SHOWN.fullmatch(stopped) else ""
        raise ModelRefusedError(
            Reason.INVALID_RESPONSE, f"Bedrock's answer has no good end{shown}.", completion
        )
    return completion


def _blocks(answer: Mapping[str, object]) -> Sequence[Mapping[str, object]]:
    match answer.get("output"):
        case {"message": {"content": list(blocks)}}:
            return [block for block in blocks if isinstance(block, dict)]
        case _:
            return ()


def _texts(blocks: Sequence[Mapping[str, object]]) -> Iterator[Mapping[str, object]]:
    """Yield the blocks with a text: an answer's, or one with its sources."""
    for block in blocks:
        if "text" in block or "citationsContent" in block:
            yield {name: block[name] for name in ("text", "citationsContent") if name in block}


def _tool_inputs(blocks: Sequence[Mapping[str, object]]) -> Iterator[str]:
    """Yield the different inputs of tools as JSON; some models write it as a text themselves."""
    inputs: dict[str, None] = {}
    for block in blocks:
        match block.get("toolUse"):
            case {"input": str(text)}:
                inputs[replace_surrogates(text)] = None
            case {"input": value}:
                inputs[_write(value)] = None
    yield from inputs


def _write(value: object) -> str:
    """Return the JSON of a tool's input; empty where there is none."""
    try:
        return replace_surrogates(json.dumps(value, ensure_ascii=False))
    except (RecursionError, TypeError, ValueError):
        return ""


def _thoughts(blocks: Sequence[Mapping[str, object]]) -> Iterator[str]:
    """Yield the texts of the model's reasoning, which cost tokens and are shown to nobody."""
    for block in blocks:
        match block.get("reasoningContent"):
            case {"reasoningText": {"text": str(text)}}:
                yield text

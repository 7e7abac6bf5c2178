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
from afterword.models.reasoning import ReadAnswer, find_order, separate_reasoning
from afterword.models.stops import Stop, read_stop
from afterword.models.text import replace_surrogates
from afterword.models.usage import read_usage

if TYPE_CHECKING:
    from afterword.models import Prompt

_TOOL_USE = "tool_use"
_MALFORMED = frozenset({"malformed_model_output", "malformed_tool_use"})
_SHOWN = re.compile(r"[a-z_]{1,40}")


def read_answer(
    answer: Mapping[str, object], prompt: "Prompt", *, offered: bool, reasons_first: bool = False
) -> ReadAnswer:
    """Return the completion of an answer, and the order of its reasoning.

    - Only known stop reasons succeed. `offered` says that the model was offered the schema's tool.
    - `reasons_first` is as for afterword.models.openai_answer.
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
    stop = read_stop(stopped) if stopped else Stop.UNKNOWN
    cut = stop is Stop.TRUNCATED
    unusable = stopped in _MALFORMED or (cut and bool(tools))
    separated = separate_reasoning(written)
    unusable |= cut and reasons_first and not separated.reasoned
    text = "\n".join(tools) if tools else separated.text
    completion = Completion(
        text="" if unusable else text,
        model=prompt.model,
        stop_reason=LENGTH if cut else STOP,
        tokens_in=usage.tokens_in,
        tokens_out=usage.tokens_out,
        estimated=usage.estimated,
    )
    shown = f" ({stopped})" if _SHOWN.fullmatch(stopped) else ""
    if stop is Stop.REFUSED:
        raise ModelRefusedError(
            Reason.REFUSED_CONTENT, f"Bedrock refused the content{shown}.", completion
        )
    of_tool = stopped == _TOOL_USE and bool(tools)
    of_schema = stopped in _MALFORMED and prompt.schema is not None  # a repair question may help
    if not (stop is Stop.FINISHED or cut or of_tool or of_schema):
        raise ModelRefusedError(
            Reason.INVALID_RESPONSE, f"Bedrock's answer has no good end{shown}.", completion
        )
    free = stop is Stop.FINISHED and prompt.schema is None
    return ReadAnswer(completion, find_order(separated, free=free))


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

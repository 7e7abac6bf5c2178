"""Flows: saved configurations of one or more steps, with inputs and a result type.

A flow was validated when it was saved (afterword.flows.drafts), where its fields are described. So
the worker reads its document by hand, without pydantic.
"""

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from afterword.flows import inputs, templates
from afterword.flows.inputs import Input
from afterword.generations import Output
from afterword.knowledge.ranking import RankingKind
from afterword.records import dataclass
from afterword.runtime.stored import read_fields

CONTEXT = "context"
"""The name of a step's passages in its prompt."""
MAIL_INPUTS = ("subject", "body", "metadata")
"""The inputs of Dialonce's mails, which no flow declares."""
_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "accepts_images": bool,
    "classes": list,
    "context": dict,
    "deadline_seconds": int,
    "description": str,
    "folders": list,
    "history_tokens": int,
    "id": str,
    "inputs": list,
    "instructions": str,
    "max_tokens": int,
    "model": str,
    "name": str,
    "otherwise": str,
    "output": str,
    "output_schema": dict,
    "passages": int,
    "prompt": str,
    "question": str,
    "ranking": str,
    "requests_per_minute": int,
    "required": bool,
    "steps": list,
    "tags": list,
    "temperature": (int, float),
    "type": str,
}
"""The types of fields in a document; another version may have others."""


class FlowType(StrEnum):
    """The form in which a client shows a flow."""

    TEXT_GENERATION = "text_generation"
    CHAT = "chat"


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """A step's selection of the knowledge base."""

    folders: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    passages: int = 5
    question: str | None = None
    ranking: RankingKind = RankingKind.LEXICAL
    required: bool = True
    otherwise: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Class:
    """One of the classes that a step chooses from."""

    name: str
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One call of a model."""

    name: str
    instructions: str | None = None
    prompt: str | None = None
    output: Output = Output.STRING
    output_schema: Mapping[str, Any] | None = None
    classes: tuple[Class, ...] = ()
    context: Context | None = None
    model: str | None = None
    max_tokens: int = 1_000
    temperature: float | None = None
    accepts_images: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A flow: steps in order, each of which may use the earlier results."""

    id: str
    name: str
    deadline_seconds: int | None = None
    requests_per_minute: int | None = None
    type: FlowType = FlowType.TEXT_GENERATION
    history_tokens: int = 2_000
    inputs: tuple[Input, ...] = ()
    steps: tuple[Step, ...]


def read_stored_flow(document: str) -> Flow:
    """Return the flow of a stored document, without fields that only another version knows.

    Raises ValueError for a document that this version cannot run.
    """
    try:
        flow = _read_flow(json.loads(document))
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"The document is none of this version: {error}") from error
    check_names(flow.inputs, flow.steps)
    return flow


def read_step(spec: Mapping[str, object]) -> Step:
    """Return a step of a stored document; raise ValueError like `read_stored_flow`."""
    known = _known(spec)
    if "output" in known:
        known["output"] = Output(known["output"])
    if "context" in known:
        known["context"] = read_context(known["context"])
    if "temperature" in known:
        known["temperature"] = float(known["temperature"])
    known["classes"] = tuple(read_fields(Class, _known(each)) for each in known.get("classes", ()))
    step = read_fields(Step, known)
    check_step(step)
    return step


def read_context(spec: Mapping[str, object]) -> Context:
    """Return a step's context of a stored document; raise ValueError like `read_stored_flow`."""
    known = _known(spec)
    for labels in ("folders", "tags"):
        known[labels] = tuple(known.get(labels, ()))
    if "ranking" in known:
        known["ranking"] = RankingKind(known["ranking"])
    return read_fields(Context, known)


def _read_flow(spec: Mapping[str, object]) -> Flow:
    known = _known(spec)
    if "type" in known:
        known["type"] = FlowType(known["type"])
    known["inputs"] = tuple(map(inputs.read_input, known.get("inputs", ())))
    known["steps"] = tuple(map(read_step, known["steps"]))
    if not known["steps"]:
        raise ValueError("The document has no steps.")
    return read_fields(Flow, known)


def _known(spec: Mapping[str, object]) -> dict[str, Any]:
    """Return the fields that have a value; raise ValueError for one of another version's type."""
    given = {name: value for name, value in spec.items() if value is not None}
    for name, value in given.items():
        if name in _TYPES and not isinstance(value, _TYPES[name]):
            raise ValueError(f"{name}: must be of another type, not {type(value).__name__}.")
    return given


def check_step(step: Step) -> None:
    """Raise ValueError for a step without a question, or with an output that has no form."""
    if step.instructions is None and step.prompt is None and not step.classes:
        raise ValueError("must have instructions or a prompt")
    if step.classes and (step.output is not Output.STRING or step.output_schema is not None):
        raise ValueError("must have no output and no output_schema beside classes")
    if (step.output is Output.JSON) != (step.output_schema is not None):
        raise ValueError("must have an output_schema for the output json, and for no other")
    is_text = step.output is Output.STRING and not step.classes
    if not is_text and step.context and step.context.otherwise:
        raise ValueError("must have no context.otherwise unless the output is string")


def check_names(declared: Sequence[Input], steps: Sequence[Step]) -> None:
    """Raise ValueError unless prompts name inputs and earlier steps alone, and names are unique."""
    known = {each.name for each in declared} or {inputs.ANY_TEXT.name, *MAIL_INPUTS}
    if CONTEXT in known and any(step.context is not None for step in steps):
        raise ValueError(f"inputs: must have no input {CONTEXT}, which stands for passages")
    for number, step in enumerate(steps):
        own = set() if step.context is None else {CONTEXT}
        _check_template(f"steps[{number}].prompt", step.prompt, known | own)
        if step.context is not None:
            _check_template(f"steps[{number}].context.question", step.context.question, known)
        if step.name in known | own:
            raise ValueError(f"steps[{number}].name: must be unique, and {step.name} is taken")
        known.add(step.name)


def _check_template(field: str, template: str | None, known: set[str]) -> None:
    for name in templates.list_names(template or ""):
        if name not in known:
            raise ValueError(f"{field}: must name inputs and earlier steps alone, not {name}")

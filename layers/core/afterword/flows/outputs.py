"""The schema of a step's answer, and the finished text of an answer."""

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from afterword.flows import schemas
from afterword.flows.classes import classes_schema, finish_choice
from afterword.flows.placeholders import UnfilledError
from afterword.generations import FailedError, Output, Reason
from afterword.models import LENGTH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from afterword.flows.flow import Step
    from afterword.flows.placeholders import Template
    from afterword.generations import Completion

MAX_ANSWER = 2_000_000
"""Characters of an answer that is read as JSON, which may take thirty times the memory."""
_ARRAY: "Mapping[str, object]" = {
    "type": "object",
    "properties": {"items": {"type": "array", "items": {"type": "string"}}},
    "required": ["items"],
    "additionalProperties": False,
}
"""The schema of an array, as a member: a model's structured output is an object."""


def answer_schema(step: "Step", template: "Template | None") -> "Mapping[str, object] | None":
    """Return the JSON schema of the answer; None for any text."""
    if template is not None:
        return template.schema()
    if step.classes:
        return classes_schema(step.classes)
    match step.output:
        case Output.ARRAY:
            return _ARRAY
        case Output.JSON:
            return step.output_schema
        case _:
            return None


def finish_answer(answer: "Completion", step: "Step", template: "Template | None") -> "Completion":
    """Return the finished text; raise FailedError for an unusable answer."""
    if template is not None:
        return _fill(answer, step, template)
    if step.classes:
        return _choose(answer, step)
    if step.output is not Output.STRING:
        text = json.dumps(_value(answer, step), ensure_ascii=False)
        return replace(answer, text=text, output=step.output)
    if not answer.text.strip():
        raise FailedError(Reason.EMPTY_OUTPUT, "The model answered with no text.")
    return answer


def _fill(answer: "Completion", step: "Step", template: "Template") -> "Completion":
    try:
        return replace(answer, text=template.fill(answer.text))
    except UnfilledError as error:
        if answer.stop_reason != LENGTH:
            raise
        raise _truncated(step, "the template was filled") from error


def _choose(answer: "Completion", step: "Step") -> "Completion":
    choice = finish_choice(_parse(answer, step), answer, step.classes)
    if choice is None:
        raise _invalid(step)
    text = json.dumps(choice, ensure_ascii=False)
    return replace(answer, text=text, output=Output.JSON, tokens=())


def _value(answer: "Completion", step: "Step") -> object:
    """Return the answer's JSON value, checked by the step's schema."""
    value = _parse(answer, step)
    if step.output is Output.ARRAY:
        match value:
            case {"items": list(items), **more} if not more and _are_texts(items):
                return items
        raise _invalid(step)
    if not _fits(value, step):
        raise _invalid(step)
    return value


def _parse(answer: "Completion", step: "Step") -> object:
    """Return the answer's JSON value, which can be stored."""
    if len(answer.text) > MAX_ANSWER:
        raise _invalid(step)
    try:
        value: object = json.loads(answer.text, parse_constant=_refuse)
        if not schemas.is_shallow(value):
            raise _invalid(step)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        if answer.stop_reason == LENGTH:
            raise _truncated(step, "it was complete") from error
        raise _invalid(step) from None  # the error's message may repeat the output
    return value


def _fits(value: object, step: "Step") -> bool:
    """Whether a value fits the step's schema; raise FailedError where that cannot be told."""
    field = f"output_schema of the flow's step {step.name}"
    try:
        return schemas.read_schema(step.output_schema or {}).accepts(value)
    except (schemas.TooComplexError, RecursionError) as error:
        raise FailedError(
            Reason.INVALID_OUTPUT,
            f"The model's output takes too long to check by the {field}: save the flow with fewer"
            " combinations, references, and repetitions in patterns, or bound the output by"
            " maxLength and maxItems.",
        ) from error
    except ValueError as error:
        raise FailedError(
            Reason.INVALID_OUTPUT,
            f"The {field} {error}: save the flow anew with such a schema.",
        ) from error


def _are_texts(items: list[object]) -> bool:
    return all(isinstance(each, str) for each in items)


def _invalid(step: "Step") -> FailedError:
    kind = "classification" if step.classes else step.output
    return FailedError(
        Reason.INVALID_OUTPUT,
        f"The model's output is not the {kind} of the flow's step {step.name}.",
    )


def _refuse(name: str) -> None:
    raise ValueError(name)


def _truncated(step: "Step", before: str) -> FailedError:
    return FailedError(
        Reason.OUTPUT_TRUNCATED,
        f"The model's output ended before {before}: raise max_tokens, {step.max_tokens} now, in the"
        f" flow's step {step.name}.",
    )

"""The schema of a step's answer, and the finished text of an answer."""

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from afterword.flows import json_values, schemas
from afterword.flows.classes import classes_schema, finish_choice
from afterword.flows.json_values import NoValueError, UnusableError
from afterword.generations import FailedError, Output, Reason
from afterword.models import LENGTH

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
    """Return the finished text; raise FailedError for an unusable answer.

    The error is an UnusableError where another answer of the model may do.
    """
    try:
        if template is not None:
            return replace(answer, text=template.fill(_read(answer, step, template, _adopt_object)))
        if step.classes:
            return _choose(answer, step)
        if step.output is not Output.STRING:
            text = json.dumps(_value(answer, step), ensure_ascii=False)
            return replace(answer, text=text, output=step.output)
    except UnusableError as error:
        if answer.stop_reason != LENGTH:
            raise
        raise _truncated(step, template) from error
    if answer.text.strip():
        return answer
    if answer.stop_reason == LENGTH:
        raise _truncated(step, None)
    raise FailedError(Reason.EMPTY_OUTPUT, "The model answered with no text.")


def _choose(answer: "Completion", step: "Step") -> "Completion":
    value = _read(answer, step, None, _adopt_object)
    choice = finish_choice(value, answer, step.classes)
    if choice is None:
        fault = schemas.read_schema(classes_schema(step.classes)).find_fault(value)
        raise _invalid(step, fault or "The answer is no choice of a class.")
    text = json.dumps(choice, ensure_ascii=False)
    return replace(answer, text=text, output=Output.JSON, tokens=())


def _value(answer: "Completion", step: "Step") -> object:
    """Return the answer's JSON value, checked by the step's schema."""
    if step.output is Output.ARRAY:
        value = _read(answer, step, None, _adopt_texts)
        match _fit(value, _ARRAY, "schema of an array", step):
            case {"items": items}:
                return items
    schema = step.output_schema or {}
    name = json_values.name_of_array(schema)

    def adopt(value: object) -> object | None:
        return {name: value} if isinstance(value, list) and name else _adopt_object(value)

    value = _read(answer, step, None, adopt)
    return _fit(value, schema, f"output_schema of the flow's step {step.name}", step)


def _read(
    answer: "Completion",
    step: "Step",
    template: "Template | None",
    adopt: "Callable[[object], object | None]",
) -> object:
    """Return the answer's JSON value, which can be stored."""
    if len(answer.text) > MAX_ANSWER:
        complaint = f"The answer has more than {MAX_ANSWER:,} characters."
        raise _unreadable(step, template, complaint)
    try:
        value = json_values.read_value(answer.text, adopt, whole=answer.stop_reason == LENGTH)
        return json_values.make_storable(value)
    except NoValueError as error:
        raise _unreadable(step, template, str(error)) from error


def _adopt_object(value: object) -> object | None:
    return value if isinstance(value, dict) else None


def _adopt_texts(value: object) -> object | None:
    """Return an object, also for a bare array of texts."""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return {"items": value}
    return _adopt_object(value)


def _fit(value: object, document: "Mapping[str, object]", field: str, step: "Step") -> object:
    """Return a value that fits the schema, unfolded if it has to be.

    Raises UnusableError for any other value, and FailedError where that cannot be told.
    """
    try:
        schema = schemas.read_schema(document)
        fault = schema.find_fault(value)
        if fault is None:
            return value
        unfolded = json_values.make_storable(json_values.unfold(value, document, schema.follow))
        fault_unfolded = schema.find_fault(unfolded)
    except (schemas.TooComplexError, RecursionError) as error:
        raise FailedError(
            Reason.INVALID_OUTPUT,
            f"The model's output takes too long to check by the {field}: save the flow with fewer"
            " combinations, references, and repetitions in patterns, or bound the output by"
            " maxLength and maxItems.",
        ) from error
    except NoValueError as error:  # of the value, once it is unfolded
        raise _invalid(step, str(error)) from error
    except ValueError as error:
        raise FailedError(
            Reason.INVALID_OUTPUT,
            f"The {field} {error}: save the flow anew with such a schema.",
        ) from error
    if fault_unfolded is None:
        return unfolded
    raise _invalid(step, fault)


def _invalid(step: "Step", complaint: str) -> UnusableError:
    kind = "classification" if step.classes else step.output
    return UnusableError(
        Reason.INVALID_OUTPUT,
        f"The model's output is not the {kind} of the flow's step {step.name}.",
        complaint,
    )


def _unreadable(step: "Step", template: "Template | None", complaint: str) -> UnusableError:
    if template is None:
        return _invalid(step, complaint)
    message = "The model's output for the template is not JSON."
    return UnusableError(Reason.INVALID_RESPONSE, message, complaint)


def _truncated(step: "Step", template: "Template | None") -> FailedError:
    before = "it was complete" if template is None else "the template was filled"
    return FailedError(
        Reason.OUTPUT_TRUNCATED,
        f"The model's output ended before {before}: raise max_tokens, {step.max_tokens} now, in the"
        f" flow's step {step.name}.",
    )

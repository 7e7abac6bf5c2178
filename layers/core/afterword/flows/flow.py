"""Flows: saved configurations of one or more steps, with inputs and a result type."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, model_validator

from afterword.errors import UnprocessableError
from afterword.flows import inputs, schemas, templates
from afterword.flows.inputs import Kind
from afterword.generations import MAX_DEADLINE, MIN_DEADLINE, Output
from afterword.knowledge import MAX_NAME as MAX_LABEL
from afterword.knowledge.ranking import RankingKind
from afterword.tenants import NAME_RULE

MAX_STEPS = 20
MAX_REQUESTS = 1_000_000
"""The highest limit of a flow's submissions in a minute."""
MAX_PASSAGES = 20
"""Passages of a prompt: some 5,000 tokens."""
CONTEXT = "context"
"""The name of a step's passages in its prompt."""
_Label = Annotated[str, Field(min_length=1, max_length=MAX_LABEL)]
STORED: Mapping[str, bool] = {"stored": True}
"""The validation context of a flow's stored document."""
_NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
MIN_CLASSES, MAX_CLASSES = 2, 100
MAX_CLASS_NAME, MAX_CLASS_DESCRIPTION = 100, 1_000
"""Characters of a class's name and description."""


class Context(BaseModel):
    """A step's selection of the knowledge base: the passages that rank best for a question.

    - `folders` and `tags` bound the selection, by name or id; none stand for all.
    - `question` is a template, with `{{name}}` as in a prompt; without it, all texts of the caller.
    - With `required` the model is told to admit when the passages give no answer.
    - `otherwise` is the step's result without any fitting passage; no model is called then.
    - `ranking` is by the words of question and passages, by their meaning, or by both; the last two
      need a deployment with an embedding model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    folders: Annotated[tuple[_Label, ...], Field(max_length=100)] = ()
    tags: Annotated[tuple[_Label, ...], Field(max_length=100)] = ()
    passages: Annotated[int, Field(ge=1, le=MAX_PASSAGES)] = 5
    question: Annotated[str, Field(min_length=1, max_length=10_000)] | None = None
    ranking: RankingKind = RankingKind.LEXICAL
    required: bool = True
    otherwise: Annotated[str, Field(min_length=1, max_length=10_000)] | None = None

    @model_validator(mode="after")
    def _check_otherwise(self) -> Self:
        if self.otherwise is not None and not self.required:
            raise ValueError("must have no otherwise unless passages are required")
        return self


def _check_label(name: str) -> str:
    if name != name.strip() or not name.isprintable():
        raise ValueError("must be printable characters, without blanks at the ends")
    return name


class Class(BaseModel):
    """One of the classes that a step chooses from; the model sees name and description."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Annotated[
        str, Field(min_length=1, max_length=MAX_CLASS_NAME), AfterValidator(_check_label)
    ]
    description: Annotated[str, Field(min_length=1, max_length=MAX_CLASS_DESCRIPTION)] | None = None


def _check_classes(classes: tuple[Class, ...]) -> tuple[Class, ...]:
    if classes and not MIN_CLASSES <= len(classes) <= MAX_CLASSES:
        raise ValueError(f"must have {MIN_CLASSES} to {MAX_CLASSES} classes, not {len(classes)}")
    names = [each.name for each in classes]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"must have each class once, not {twice} twice")
    return classes


class Step(BaseModel):
    """One call of a model.

    - `prompt` is the question, with `{{name}}` for an input or an earlier step's result; without
      it the inputs go as data under the `instructions`.
    - Passages of the `context` replace `{{context}}` in the prompt, else go before it.
    - `output` is the answer's type: a text, an array of texts, or JSON after `output_schema`, the
      schema of an object.
    - With `classes` the answer is JSON: the name of one of them as `classification`, `confidence`
      from 0 to 1, and `confidence_source`; `output` and `output_schema` are left out.
    - `accepts_images` is true for a model that takes images, which no API tells.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Annotated[str, Field(pattern=_NAME, description=NAME_RULE)]
    instructions: Annotated[str, Field(min_length=1, max_length=20_000)] | None = None
    prompt: Annotated[str, Field(min_length=1, max_length=100_000)] | None = None
    output: Output = Output.STRING
    output_schema: dict[str, Any] | None = None
    classes: Annotated[tuple[Class, ...], AfterValidator(_check_classes)] = ()
    context: Context | None = None
    model: Annotated[str, Field(min_length=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=100_000)] = 1_000
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    accepts_images: bool = False

    @model_validator(mode="after")
    def _check_prompt_and_schema(self, info: ValidationInfo) -> Self:
        """Check for a question, and for a schema with JSON alone.

        A stored schema was checked when it was saved, and bounds may be newer than the flow.
        """
        if self.instructions is None and self.prompt is None and not self.classes:
            raise ValueError("must have instructions or a prompt")
        if self.classes and (self.output is not Output.STRING or self.output_schema is not None):
            raise ValueError("must have no output and no output_schema beside classes")
        if (self.output is Output.JSON) != (self.output_schema is not None):
            raise ValueError("must have an output_schema for the output json, and for no other")
        is_text = self.output is Output.STRING and not self.classes
        if not is_text and self.context and self.context.otherwise:
            raise ValueError("must have no context.otherwise unless the output is string")
        if self.output_schema is not None and info.context is not STORED:
            try:
                schemas.check_document(self.output_schema)
            except ValueError as error:
                raise ValueError(f"output_schema: {error}") from error
        return self


class FlowType(StrEnum):
    """The form in which a client shows a flow."""

    TEXT_GENERATION = "text_generation"
    CHAT = "chat"


class Input(BaseModel):
    """One input of a flow; afterword.flows.inputs describes the fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Annotated[str, Field(pattern=inputs.NAME_PATTERN)]
    label: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    kind: Kind = Kind.TEXT
    required: bool = True
    multiple: bool = False
    default: str | None = None
    max_length: Annotated[int, Field(ge=1, le=inputs.MAX_LONG_TEXT)] | None = None
    least: Annotated[float, Field(allow_inf_nan=False)] | None = None
    most: Annotated[float, Field(allow_inf_nan=False)] | None = None
    options: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(max_length=100)] = ()
    max_bytes: Annotated[int, Field(ge=1, le=inputs.MAX_FILE_BYTES)] | None = None

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        """Check limits and default by the kind."""
        kinds = {
            "max_length": {Kind.TEXT, Kind.LONG_TEXT},
            "least": {Kind.NUMBER},
            "most": {Kind.NUMBER},
            "options": {Kind.CHOICE},
            "max_bytes": {Kind.FILE},
            "default": set(Kind) - {Kind.FILE},
        }
        for name, owners in kinds.items():
            if getattr(self, name) not in {None, ()} and self.kind not in owners:
                raise ValueError(f"must have no {name} with the kind {self.kind}")
        if self.kind is Kind.CHOICE and not self.options:
            raise ValueError("must have options with the kind choice")
        if self.least is not None and self.most is not None and self.least > self.most:
            raise ValueError("must have no least above most")
        if self.default is not None and not self.default.strip():
            raise ValueError("must have no blank default: leave it out, and set required to false")
        if self.default is not None:
            try:
                inputs.check_inputs((self.declared(),), ((self.name, self.default),))
            except UnprocessableError as error:
                raise ValueError(f"default: {error}") from error
        return self

    def declared(self) -> inputs.Input:
        """Return the input as a submission reads it."""
        return inputs.read_input(self.model_dump(mode="json"))


def _check_distinct(declared: tuple[Input, ...]) -> tuple[Input, ...]:
    names = [each.name for each in declared]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"must have each input once, not {twice} twice")
    return declared


def _check_count(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    if not 1 <= len(steps) <= MAX_STEPS:
        raise ValueError(f"must have 1 to {MAX_STEPS} steps, not {len(steps)}")
    return steps


MAIL_INPUTS = ("subject", "body", "metadata")
"""The inputs of Dialonce's mails, which no flow declares."""


class Flow(BaseModel):
    """A flow as its owner writes it: steps in order, each of which may use the earlier results.

    - The result and the output type of the last step are those of the flow.
    - `inputs` are the callers' values, in dialects without fields of their own; `text` by default.
    - `type` is the form in which a client shows the flow, a form or a conversation.
    - `deadline_seconds` bounds generations whose request has no deadline; an hour by default.
    - `requests_per_minute` bounds the submissions to the flow in a minute; none by default.
    - `history_tokens` bounds the part of a conversation that goes with a question.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    id: Annotated[str, Field(pattern=_NAME, description=NAME_RULE)]
    name: Annotated[str, Field(min_length=1, max_length=200)]
    deadline_seconds: (
        Annotated[
            int,
            Field(ge=int(MIN_DEADLINE.total_seconds()), le=int(MAX_DEADLINE.total_seconds())),
        ]
        | None
    ) = None
    requests_per_minute: Annotated[int, Field(ge=1, le=MAX_REQUESTS)] | None = None
    type: FlowType = FlowType.TEXT_GENERATION
    history_tokens: Annotated[int, Field(ge=0, le=100_000)] = 2_000
    inputs: Annotated[tuple[Input, ...], Field(max_length=50), AfterValidator(_check_distinct)] = ()
    steps: Annotated[tuple[Step, ...], AfterValidator(_check_count)]

    @model_validator(mode="after")
    def _check_all_names(self) -> Self:
        """Check that prompts name inputs and earlier steps alone, and that names are unique."""
        known = {each.name for each in self.inputs} or {inputs.ANY_TEXT.name, *MAIL_INPUTS}
        if CONTEXT in known and any(step.context is not None for step in self.steps):
            raise ValueError(f"inputs: must have no input {CONTEXT}, which stands for passages")
        for number, step in enumerate(self.steps):
            own = set() if step.context is None else {CONTEXT}
            _check_names(f"steps[{number}].prompt", step.prompt, known | own)
            if step.context is not None:
                _check_names(f"steps[{number}].context.question", step.context.question, known)
            if step.name in known | own:
                raise ValueError(f"steps[{number}].name: must be unique, and {step.name} is taken")
            known.add(step.name)
        return self


def _check_names(field: str, template: str | None, known: set[str]) -> None:
    for name in templates.list_names(template or ""):
        if name not in known:
            raise ValueError(f"{field}: must name inputs and earlier steps alone, not {name}")


def read_stored_flow(document: str) -> Flow:
    """Return the flow of a stored document, without fields that only another version knows.

    Raises ValueError for a document that this version cannot run.
    """
    return Flow.model_validate_json(document, extra="ignore", context=STORED)

"""Flows as their owners write them: validated by pydantic when they are saved.

The saving alone, and tools on the owner's machine, import this module. Stored documents are read
by afterword.flows.flow.
"""

from typing import Annotated, Any, Self, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from afterword.errors import UnprocessableError
from afterword.flows import flow as flows
from afterword.flows import inputs, schemas
from afterword.flows.flow import FlowType
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
_Label = Annotated[str, Field(min_length=1, max_length=MAX_LABEL)]
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
    def _check_prompt_and_schema(self) -> Self:
        """Check for a question, and for a schema with JSON alone."""
        flows.check_step(cast("flows.Step", self))  # the fields are the same
        if self.output_schema is not None:
            try:
                schemas.check_document(self.output_schema)
            except ValueError as error:
                raise ValueError(f"output_schema: {error}") from error
        return self


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
        flows.check_names(
            cast("tuple[inputs.Input, ...]", self.inputs),  # the fields are the same
            cast("tuple[flows.Step, ...]", self.steps),
        )
        return self

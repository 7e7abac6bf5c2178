"""Flows: saved configurations of how a text is generated, and the prompts that they make."""

from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from afterword.errors import UnprocessableError
from afterword.flows import inputs, outputs, templates
from afterword.flows.inputs import Kind
from afterword.generations import MAX_DEADLINE, MIN_DEADLINE, Output
from afterword.knowledge import MAX_NAME as MAX_LABEL
from afterword.tenants.registry import NAME_RULE

MAX_STEPS = 20
MAX_PASSAGES = 20
"""Passages that a prompt can have: some 5,000 tokens."""
CONTEXT = "context"
"""The name that stands for a step's passages in its prompt."""
_Label = Annotated[str, Field(min_length=1, max_length=MAX_LABEL)]
_NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"


class Context(BaseModel):
    """What a step chooses of the knowledge base: passages that say most about a question.

    Of the `folders` and `tags`, by name or id; none stand for all. `question` is a template, with
    `{{name}}` as in a prompt; without it, all texts that the caller has sent. Where they are
    `required` the model is to say so if they do not answer; `otherwise` is then the step's result
    where no passage has to do with the question, and no model is asked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    folders: Annotated[tuple[_Label, ...], Field(max_length=100)] = ()
    tags: Annotated[tuple[_Label, ...], Field(max_length=100)] = ()
    passages: Annotated[int, Field(ge=1, le=MAX_PASSAGES)] = 5
    question: Annotated[str, Field(min_length=1, max_length=10_000)] | None = None
    required: bool = True
    otherwise: Annotated[str, Field(min_length=1, max_length=10_000)] | None = None

    @model_validator(mode="after")
    def _says_what_is_missing(self) -> Self:
        if self.otherwise is not None and not self.required:
            raise ValueError("otherwise is for passages that are required")
        return self


class Step(BaseModel):
    """One call of a model: who it is, which model, and how it is asked.

    `prompt` is the question, with `{{name}}` for an input or an earlier step's result; without it
    the inputs go as data under the `instructions`. Passages of the `context` stand where the prompt
    has `{{context}}`, else before it. `output` is what the answer is: a text, an array
    of texts, or JSON after `output_schema`, the schema of an object. `accepts_images` says that the
    model can look at images; nobody can ask it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Annotated[str, Field(pattern=_NAME, description=NAME_RULE)]
    instructions: Annotated[str, Field(min_length=1, max_length=20_000)] | None = None
    prompt: Annotated[str, Field(min_length=1, max_length=100_000)] | None = None
    output: Output = Output.STRING
    output_schema: dict[str, Any] | None = None
    context: Context | None = None
    model: Annotated[str, Field(min_length=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=100_000)] = 1_000
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    accepts_images: bool = False

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        """Check that there is something to ask, and a schema just where one is needed."""
        if self.instructions is None and self.prompt is None:
            raise ValueError("a step needs instructions or a prompt")
        if (self.output is Output.JSON) != (self.output_schema is not None):
            raise ValueError("output_schema goes with the output json, and with no other")
        if self.output is not Output.STRING and self.context and self.context.otherwise:
            raise ValueError("context.otherwise is a text, and goes with the output string alone")
        if self.output_schema is not None:
            try:
                outputs.check_schema(self.output_schema)
            except ValueError as error:
                raise ValueError(f"output_schema: {error}") from error
        return self


class FlowType(StrEnum):
    """How a client shows a flow."""

    TEXT_GENERATION = "text_generation"
    CHAT = "chat"


class Input(BaseModel):
    """One input that a flow asks for (afterword.flows.inputs says what the fields mean)."""

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
    def _fits_its_kind(self) -> Self:
        """Check that limits and default are such as the kind has."""
        kinds = {
            "max_length": {Kind.TEXT, Kind.LONG_TEXT},
            "least": {Kind.NUMBER},
            "most": {Kind.NUMBER},
            "options": {Kind.CHOICE},
            "max_bytes": {Kind.FILE},
            "default": set(Kind) - {Kind.FILE},
        }
        for name, those in kinds.items():
            if getattr(self, name) not in {None, ()} and self.kind not in those:
                raise ValueError(f"{name} is nothing that a {self.kind} has")
        if self.kind is Kind.CHOICE and not self.options:
            raise ValueError("a choice needs options")
        if self.least is not None and self.most is not None and self.least > self.most:
            raise ValueError("least is above most")
        if self.default is not None and not self.default.strip():
            raise ValueError("default is blank: leave it out, and say that it is not required")
        if self.default is not None:
            try:
                inputs.check_inputs((self.declared(),), ((self.name, self.default),))
            except UnprocessableError as error:
                raise ValueError(f"default: {error}") from error
        return self

    def declared(self) -> inputs.Input:
        """Return it as a submission reads it."""
        return inputs.read_input(self.model_dump(mode="json"))


def _distinct(declared: tuple[Input, ...]) -> tuple[Input, ...]:
    names = [each.name for each in declared]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"the input {twice} is there twice")
    return declared


def _some(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    if not 1 <= len(steps) <= MAX_STEPS:
        raise ValueError(f"a flow has 1 to {MAX_STEPS} steps, not {len(steps)}")
    return steps


MAIL_INPUTS = ("subject", "body", "metadata")
"""What Dialonce's mails have, whatever a flow declares."""


class Flow(BaseModel):
    """A flow as its owner writes it: steps in order, each of which may use the earlier results.

    The result of the last step is the flow's, and what it is the flow's result type.
    `inputs` are what its callers send, in the dialects that have no fields of their own; without
    any there is one, `text`. `type` says whether a client shows it as a form or as a conversation.
    `deadline_seconds` is how long its generations may take, where the request does not say: an hour
    by default. `history_tokens` bounds what a question is told of its conversation.
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
    type: FlowType = FlowType.TEXT_GENERATION
    history_tokens: Annotated[int, Field(ge=0, le=100_000)] = 2_000
    inputs: Annotated[tuple[Input, ...], Field(max_length=50), AfterValidator(_distinct)] = ()
    steps: Annotated[tuple[Step, ...], AfterValidator(_some)]

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        """Check that prompts name only inputs and earlier steps, and that no two are the same."""
        known = {each.name for each in self.inputs} or {inputs.ANY_TEXT.name, *MAIL_INPUTS}
        if CONTEXT in known and any(step.context is not None for step in self.steps):
            raise ValueError(f"inputs: {CONTEXT} stands for passages, and not for an input")
        for number, step in enumerate(self.steps):
            own = set() if step.context is None else {CONTEXT}
            _check_names(f"steps[{number}].prompt", step.prompt, known | own)
            if step.context is not None:
                _check_names(f"steps[{number}].context.question", step.context.question, known)
            if step.name in known | own:
                raise ValueError(f"steps[{number}].name: {step.name} is there twice")
            known.add(step.name)
        return self


def _check_names(field: str, template: str | None, known: set[str]) -> None:
    for name in templates.placeholder_names(template or ""):
        if name not in known:
            raise ValueError(f"{field}: there is no input or earlier step {name}")

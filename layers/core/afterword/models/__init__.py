"""The worker's view of a model, independent of its provider."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from afterword.errors import AfterwordError
from afterword.generations import Completion, FailedError, Reason, Setback, SetbackReason
from afterword.records import dataclass

STOP = "stop"
"""Stop reason: the model ended its answer."""
LENGTH = "length"
"""Stop reason: the model reached the prompt's `max_tokens`, or its own limit."""
SEE_FILES = "The files are attached."
"""The words of a question that consists of files alone, where a blank one is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file that goes to the model unchanged: an image, or a document if the model takes it."""

    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatTurn:
    """An earlier question of a conversation and its answer; neither is empty."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One question to a model.

    - `system` is empty for a bare question.
    - `turns` are the earlier ones, oldest first.
    - With a `schema` (JSON Schema of an object) the completion's text is a JSON object after it.
    - `max_tokens` bounds the output.
    - A `temperature` of None leaves it to the model.
    - With `logprobs` the completion has its `tokens`, where the model gives them.
    """

    system: str
    user: str
    schema: Mapping[str, object] | None
    model: str
    max_tokens: int
    temperature: float | None
    attachments: tuple[Attachment, ...] = ()
    turns: tuple[ChatTurn, ...] = ()
    logprobs: bool = False


class Model(Protocol):
    """A model that turns a prompt into text; safe to use from several threads at once."""

    @property
    def documents(self) -> Collection[str]:
        """The media types of attachments that the model takes, apart from images."""
        ...

    def generate(self, prompt: Prompt, timeout: float) -> Completion:
        """Return the model's completion, within `timeout` seconds; one try, no retries.

        Raises ModelUnavailableError, ModelRefusedError or ModelTimedOutError, and no other error
        for any failure of the model or the network, whatever its answer is.
        """
        ...

    def describe_adaptations(self, model: str) -> Sequence[str]:
        """Return a sentence for each part of requests that this process has learned to leave out.

        The refusals that `generate` has met teach it (afterword.models.adaptations).
        """
        ...


class ModelError(AfterwordError):
    """A call without a completion; the message is its cause, without the prompt or the output."""


class ModelUnavailableError(ModelError):
    """A model throttled, overloaded, starting or out of reach: a retry may succeed.

    `retry_after` are the seconds that the model requested; None without them. `code` is the
    provider's word for the cause, or its HTTP status. `spent` is as for ModelRefusedError.
    """

    def __init__(
        self,
        message: str,
        retry_after: float | None = None,
        *,
        code: str | None = None,
        throttled: bool = False,
        spent: Completion | None = None,
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.spent = spent
        reason = SetbackReason.THROTTLED if throttled else SetbackReason.UNAVAILABLE
        self.setback: Setback | None = Setback(reason, code)


class ModelRefusedError(ModelError, FailedError):
    """A final refusal: an invalid request, or refused content.

    `spent` is an answer that cannot be used, for its tokens alone; None where none came.
    """

    def __init__(self, reason: Reason, message: str, spent: Completion | None = None) -> None:
        super().__init__(reason, message)
        self.spent = spent


class ModelTimedOutError(ModelError):
    """A call that took longer than its timeout; `code` is as for ModelUnavailableError."""

    retry_after: float | None = None

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.setback: Setback | None = Setback(SetbackReason.TIMED_OUT, code)

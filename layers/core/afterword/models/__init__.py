"""What the worker needs of a model, whoever runs it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from afterword.errors import AfterwordError
from afterword.generations import Completion, FailedError

STOP = "stop"
"""Stop reason: the model was done."""
LENGTH = "length"
"""Stop reason: the model reached the prompt's `max_tokens`, or its own limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file that goes to the model as it is: an image, or a document if the model takes these."""

    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatTurn:
    """An earlier question of a conversation and what was answered; neither is empty."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One question to a model, with nothing in `system` if there is only the question.

    `turns` are those before it, the oldest first.

    With a `schema` (JSON Schema of an object) the completion's text is a JSON object made after
    it. `max_tokens` bounds the output. A `temperature` of None leaves it to the model.
    """

    system: str
    user: str
    schema: Mapping[str, object] | None
    model: str
    max_tokens: int
    temperature: float | None
    attachments: tuple[Attachment, ...] = ()
    turns: tuple[ChatTurn, ...] = ()


class Model(Protocol):
    """Somebody who turns a prompt into text. Safe to use from several threads at once."""

    @property
    def documents(self) -> Collection[str]:
        """The media types of the attachments that it takes, apart from images."""
        ...

    def generate(self, prompt: Prompt, timeout: float) -> Completion:
        """Return the model's completion, within `timeout` seconds; one try, no retries.

        Raises ModelUnavailableError, ModelRefusedError or ModelTimedOutError, and nothing else
        for whatever the model or the way to it may do.
        """
        ...


class ModelError(AfterwordError):
    """A model gave no completion; the message says why, without the prompt or the output."""


class ModelUnavailableError(ModelError):
    """The model is throttled, overloaded, starting or out of reach: the same may succeed later.

    `retry_after` is the number of seconds that it asked for, if it did.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ModelRefusedError(ModelError, FailedError):
    """The model will never answer this: the request is invalid, or its content is refused."""


class ModelTimedOutError(ModelError):
    """The model took longer than there was time."""

"""The generation: one request for text, with its status, attempts and result. No AWS in here."""

import hashlib
import json
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from afterword import clock
from afterword.errors import AfterwordError
from afterword.records import dataclass

if TYPE_CHECKING:
    from afterword.files import SubmittedFile

type Values = Mapping[str, str | list[str]]
"""Inputs by name; a list for an input that may have several values."""


class Status(StrEnum):
    """The state of a generation."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def terminal(self) -> bool:
        """Whether the generation will never change again."""
        return not TRANSITIONS[self]

    @classmethod
    def stored(cls, word: str) -> "Status":
        """Return the status that was stored as this word; RUNNING for one of another version.

        That is a status for readers alone: each write depends on the word itself.
        """
        return cls(word) if word in cls else cls.RUNNING


TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.RUNNING, Status.FAILED, Status.CANCELED}),
    Status.RUNNING: frozenset(
        {Status.SUCCEEDED, Status.FAILED, Status.CANCELED, Status.QUEUED, Status.RUNNING}
    ),
    Status.SUCCEEDED: frozenset(),
    Status.FAILED: frozenset(),
    Status.CANCELED: frozenset(),
}
"""The next statuses of each. `running → queued` is a requeue, `running → running` a new attempt
after a lease ran out. `queued → failed` is a deadline or a dead letter."""

DEADLINE = timedelta(hours=1)
"""The time from submission within which a generation has to end, where neither flow nor request
sets one."""
MIN_DEADLINE, MAX_DEADLINE = timedelta(seconds=10), timedelta(hours=6)
"""Bounds of a flow's or a request's deadline. The queue outlasts the longest: maxReceiveCount."""


class Reason(StrEnum):
    """The cause of a failed generation; stored with it, and safe to show to its owner."""

    DEADLINE = "deadline"
    DEAD_LETTER = "dead_letter"
    WORKER_LOST = "worker_lost"
    FLOW_MISSING = "flow_missing"
    INPUT_MISSING = "input_missing"
    TIMED_OUT = "timed_out"
    REFUSED_CONTENT = "refused_content"
    TOO_LONG = "too_long"
    BLANK_PROMPT = "blank_prompt"
    INVALID_REQUEST = "invalid_request"
    INVALID_RESPONSE = "invalid_response"
    MODEL_NOT_FOUND = "model_not_found"
    MODEL_ACCESS_DENIED = "model_access_denied"
    MODEL_QUOTA_EXCEEDED = "model_quota_exceeded"
    OUTPUT_TRUNCATED = "output_truncated"
    EMPTY_OUTPUT = "empty_output"
    EMPTY_PLACEHOLDER = "empty_placeholder"
    INVALID_OUTPUT = "invalid_output"
    UNREADABLE_FILE = "unreadable_file"
    IMAGE_NOT_ACCEPTED = "image_not_accepted"
    KNOWLEDGE_TOO_LARGE = "knowledge_too_large"
    KNOWLEDGE_UNAVAILABLE = "knowledge_unavailable"


class SetbackReason(StrEnum):
    """The cause of a setback, after which a generation waits for its next try."""

    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    TIMED_OUT = "timed_out"
    WORKER_LOST = "worker_lost"


@dataclass(frozen=True, slots=True)
class Setback:
    """The cause why an attempt came to no end, without any text of the prompt or the model.

    `code` is the word or the HTTP status of the model's provider; None where none came.
    """

    reason: SetbackReason
    code: str | None = None


class FailedError(AfterwordError):
    """A generation fails for good, with a reason that is stored."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def explain_deadline(setback: Setback | None) -> str:
    """Return the message of a generation past its deadline, with the cause that held it up."""
    late = "It was not finished before its deadline."
    if setback is None:
        return late
    code = f" ({setback.code})" if setback.code else ""
    return f"{late} {_HELD_UP.get(setback.reason, 'Its last attempt failed')}{code}."


_HELD_UP: Mapping[SetbackReason, str] = {
    SetbackReason.THROTTLED: "The model throttled the last attempt",
    SetbackReason.UNAVAILABLE: "The model was unavailable at the last attempt",
    SetbackReason.TIMED_OUT: "The model did not answer the last attempt in time",
    SetbackReason.WORKER_LOST: "The worker of the last attempt was lost",
}
GONE = "Its text is gone from storage: submit the request again."
"""The explanation of a result that is lost, to its owner."""
MAX_REFERENCE = 255
"""The longest `external_ref` that lists can filter by, in characters."""
_IDEMPOTENCY = uuid.UUID("0b3c7d0e-58d5-4b8c-9c0e-4f8a9d6d2f51")


@dataclass(frozen=True, slots=True)
class ContextFilter:
    """A request's selection of the knowledge base for one step, by ids.

    None leaves the selection to the step; an empty one stands for all folders, or all tags.
    """

    folders: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class EarlierTurn:
    """A question that came before, and its answer, in a client's words."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A request after its dialect has parsed it.

    `inputs` are the caller's data by name, as text, which reach the prompt as data, like the
    `files`. `template` is a reply whose bracketed placeholders the model fills. `external` are the
    caller's JSON texts by name, which return unchanged with the result and never reach a model.
    `deadline` is the longest time to its end, None for the flow's. `context` are selections of the
    knowledge base by step. `conversation` names the earlier questions to the same flow that this
    one follows on. `earlier` are turns that the client has sent in place of those, oldest first;
    None without. `webhook_url` receives its end, beside the tenant's webhook endpoints. With
    `classifies` a class is asked for, of a flow whose last step has classes.
    """

    dialect: str
    flow: str
    inputs: "Values"
    template: str | None
    external: Mapping[str, str]
    files: "tuple[SubmittedFile, ...]" = ()
    deadline: timedelta | None = None
    context: Mapping[str, ContextFilter] = field(default_factory=dict)
    conversation: str | None = None
    webhook_url: str | None = None
    classifies: bool = False
    earlier: tuple[EarlierTurn, ...] | None = None

    def fingerprint(self) -> str:
        """Return a digest that only equal submissions share."""
        parts: list[object] = [self.dialect, self.flow, dict(self.inputs), self.template]
        parts.append(dict(self.external))
        parts += [
            [file.input, file.name, hashlib.sha256(file.content).hexdigest()] for file in self.files
        ]
        if self.deadline is not None:
            parts.append(self.deadline.total_seconds())
        if self.context:
            parts.append({step: [each.folders, each.tags] for step, each in self.context.items()})
        if self.conversation is not None:
            parts.append([self.conversation])
        if self.webhook_url is not None:
            parts.append({"webhook_url": self.webhook_url})
        if self.classifies:
            parts.append({"classifies": True})
        if self.earlier is not None:
            parts.append({"earlier": [[each.question, each.answer] for each in self.earlier]})
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionOptions:
    """The terms of an accepted submission, which its request does not have.

    `retry_of` is the generation that this one repeats. `slot` is its slot under the tenant's limits
    (afterword.limits.quotas), and `notify` says that its end has receivers.
    """

    flow_version: int
    retention: timedelta
    deadline: timedelta = DEADLINE
    retry_of: str | None = None
    slot: str | None = None
    notify: bool = False


class Output(StrEnum):
    """The type of a text: any, a JSON array of strings, or JSON by the flow's schema."""

    STRING = "string"
    ARRAY = "array"
    JSON = "json"

    @classmethod
    def stored(cls, word: str) -> "Output":
        """Return the type that was stored as this word; STRING for one of another version."""
        return cls(word) if word in cls else cls.STRING


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A content with passages in the prompt; `used` says whether the answer draws on them.

    `folder` is the id of its folder, `external_id` its owner's own id, `source` its address.
    """

    content: str
    title: str
    folder: str
    external_id: str | None
    source: str | None
    used: bool


@dataclass(frozen=True, slots=True)
class AnswerToken:
    """A token of a model's answer: its bytes, which may be part of a character."""

    text: bytes
    logprob: float
    """The natural logarithm of its probability."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A finished text with its tokens. `model` is None where no model was called.

    `estimated` says that the model's provider did not count all of the tokens.
    `sources` are the contents with passages in the prompt, the best first, each once. `tokens` are
    those of an answer whose prompt asked for log probabilities, and are never stored. `answers` is
    the number of the model's answers that its tokens are of: two after a repair question.
    """

    text: str
    model: str | None
    stop_reason: str
    tokens_in: int
    tokens_out: int
    output: Output = Output.STRING
    sources: tuple[Source, ...] = ()
    tokens: tuple[AnswerToken, ...] = ()
    estimated: bool = False
    answers: int = 1


class FeedbackKind(StrEnum):
    """A reader's judgment of an end; an escalated one is left to a person."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    ESCALATED = "escalated"


@dataclass(frozen=True, slots=True)
class Feedback:
    """A reader's feedback on an end: a kind, a note, or both."""

    kind: FeedbackKind | None
    note: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One request for text, as its owner reads it.

    A succeeded one has a `completion`, a failed one a `reason` and a `message`. `rating` is its
    reader's, from 1 to 3, `feedback` its reader's too, and `title` its owner's. `tokens_in` and
    `tokens_out` are None while it is open, and where no model has answered; `estimated` says that
    a provider has not counted all of them. `gone` says that one of
    its texts, which was too big for its item, is gone from the bucket; a result that is gone leaves
    no completion. `classifies` says that a class was asked for. While it is open, `setback` is the
    last one, and `next_at` the time of the next try that it waits for.
    """

    tenant: str
    id: str
    dialect: str
    flow: str
    flow_version: int
    status: Status
    attempt: int
    created_at: datetime
    deadline_at: datetime
    finished_at: datetime | None
    external: Mapping[str, str]
    completion: Completion | None
    reason: Reason | None
    message: str | None
    retry_of: str | None
    rating: int | None = None
    title: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    estimated: bool = False
    gone: bool = False
    classifies: bool = False
    feedback: Feedback | None = None
    setback: Setback | None = None
    next_at: datetime | None = None

    @property
    def has_lost_result(self) -> bool:
        """Whether the generation has succeeded, and its text is gone from storage."""
        return self.status is Status.SUCCEEDED and self.completion is None

    @property
    def order(self) -> str:
        """The generation's place in lists: the newest has the greatest."""
        return list_order(self.created_at, self.id)


def new_id() -> str:
    """Return a new generation id: a version 7 UUID (RFC 9562, section 5.7), ordered by time."""
    bits = clock.to_millis(clock.now()) << 80 | secrets.randbits(80)
    bits = bits & ~(0xF << 76) | 0x7 << 76  # version
    bits = bits & ~(0x3 << 62) | 0x2 << 62  # variant
    return str(uuid.UUID(int=bits))


def new_writer() -> str:
    """Return the name of one write of payloads, which no other write has."""
    return f"{secrets.randbits(64):016x}"


def id_for_key(tenant: str, idempotency_key: str) -> str:
    """Return the one id of all submissions of a tenant with this key: a version 5 UUID."""
    return str(uuid.uuid5(_IDEMPOTENCY, f"{tenant}#{idempotency_key}"))


def id_for_retry(tenant: str, generation_id: str) -> str:
    """Return the one id of all retries of a generation. No key has a space, so none makes it."""
    return id_for_key(tenant, f"retry of {generation_id}")


def list_order(created_at: datetime, generation_id: str) -> str:
    """Return a generation's place in lists: the newest has the greatest."""
    return f"{clock.to_millis(created_at):013d}#{generation_id}"


def is_id(text: str) -> bool:
    """Return whether a text is an id in its stored form: a lower-case UUID with hyphens."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False

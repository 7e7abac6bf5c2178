"""The generation: one request for text and what became of it. No AWS in here."""

import hashlib
import json
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from afterword import clock
from afterword.errors import AfterwordError

if TYPE_CHECKING:
    from afterword.files import SubmittedFile

type Values = Mapping[str, str | list[str]]
"""Inputs by name; a list where an input may be there several times."""


class Status(StrEnum):
    """Where a generation stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def terminal(self) -> bool:
        """Whether the generation will never change again."""
        return not TRANSITIONS[self]


TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.RUNNING, Status.FAILED, Status.CANCELED}),
    Status.RUNNING: frozenset(
        {Status.SUCCEEDED, Status.FAILED, Status.CANCELED, Status.QUEUED, Status.RUNNING}
    ),
    Status.SUCCEEDED: frozenset(),
    Status.FAILED: frozenset(),
    Status.CANCELED: frozenset(),
}
"""What each status may become. `running → queued` is a hand-back, `running → running` a new
attempt after a lease ran out. `queued → failed` is a deadline or a dead letter."""

DEADLINE = timedelta(hours=1)
"""How long after its submission a generation may still be finished, where nobody says otherwise."""
MIN_DEADLINE, MAX_DEADLINE = timedelta(seconds=10), timedelta(hours=6)
"""What a flow or a request may say. The queue outlasts the longest: see maxReceiveCount."""


class Reason(StrEnum):
    """Why a generation failed; stored with it, and safe to show to its owner."""

    DEADLINE = "deadline"
    DEAD_LETTER = "dead_letter"
    WORKER_LOST = "worker_lost"
    FLOW_MISSING = "flow_missing"
    TIMED_OUT = "timed_out"
    REFUSED_CONTENT = "refused_content"
    TOO_LONG = "too_long"
    INVALID_REQUEST = "invalid_request"
    INVALID_RESPONSE = "invalid_response"
    MODEL_NOT_FOUND = "model_not_found"
    MODEL_ACCESS_DENIED = "model_access_denied"
    OUTPUT_TRUNCATED = "output_truncated"
    EMPTY_OUTPUT = "empty_output"
    EMPTY_PLACEHOLDER = "empty_placeholder"
    INVALID_OUTPUT = "invalid_output"
    UNREADABLE_FILE = "unreadable_file"
    IMAGE_NOT_ACCEPTED = "image_not_accepted"
    KNOWLEDGE_TOO_LARGE = "knowledge_too_large"
    KNOWLEDGE_UNAVAILABLE = "knowledge_unavailable"


class FailedError(AfterwordError):
    """A generation has failed for good, for a reason that stays with it."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


MAX_REFERENCE = 255
"""Characters of an `external_ref` by which a generation can be found."""
_IDEMPOTENCY = uuid.UUID("0b3c7d0e-58d5-4b8c-9c0e-4f8a9d6d2f51")


@dataclass(frozen=True, slots=True)
class ContextFilter:
    """What a request chooses of the knowledge base for one step, by ids.

    None leaves it to the step, and an empty one takes all folders, or all tags.
    """

    folders: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What a dialect makes of a request.

    `inputs` are the caller's data by name, as text; they reach the prompt as data, and so do the
    `files`. `template` is a reply whose bracketed placeholders the model fills. `external` is what
    the caller wants back with the result: JSON texts by name, returned to the letter and never
    shown to a model. `deadline` is how long it may take, None for what the flow says. `context` is
    what it chooses of the knowledge base, by the names of steps. `conversation` names the earlier
    questions to the same flow that this one follows on. `webhook_url` is told of its end, beside
    the tenant's webhook endpoints.
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

    def fingerprint(self) -> str:
        """Return a digest that two submissions share only if they ask for the same."""
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
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionOptions:
    """What a submission is accepted under, beside what was asked for.

    `retry_of` is the generation that this one repeats. `slot` is what it has under its tenant's
    limits (afterword.limits.quotas), and `notify` says that somebody is to hear of its end.
    """

    flow_version: int
    retention: timedelta
    deadline: timedelta = DEADLINE
    retry_of: str | None = None
    slot: str | None = None
    notify: bool = False


class Output(StrEnum):
    """What a text is: any, a JSON array of strings, or JSON after a schema of the flow's."""

    STRING = "string"
    ARRAY = "array"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A content with passages in the prompt, and whether the answer has anything from them.

    `folder` is the id of its folder, `external_id` its owner's own id, `source` its address.
    """

    content: str
    title: str
    folder: str
    external_id: str | None
    source: str | None
    used: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A finished text and what it took. `model` is None when no model was needed.

    `sources` are the contents that it was to be made from, the best first, each once.
    """

    text: str
    model: str | None
    stop_reason: str
    tokens_in: int
    tokens_out: int
    output: Output = Output.STRING
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One request for text, as its owner reads it.

    `completion` is there when it succeeded, `reason` and `message` when it failed. `rating` is what
    its reader thinks of it, from 1 to 3, and `title` what its owner calls it. `tokens_in` and
    `tokens_out` are None while it is open, and where no model has answered.
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

    @property
    def order(self) -> str:
        """Its slot in every list that it is in: the newest is the greatest."""
        return list_order(self.created_at, self.id)


def new_id() -> str:
    """Return a new generation id: a version 7 UUID (RFC 9562, section 5.7), ordered by time."""
    bits = clock.to_millis(clock.now()) << 80 | secrets.randbits(80)
    bits = bits & ~(0xF << 76) | 0x7 << 76  # version
    bits = bits & ~(0x3 << 62) | 0x2 << 62  # variant
    return str(uuid.UUID(int=bits))


def id_for_key(tenant: str, idempotency_key: str) -> str:
    """Return the one id of all submissions of a tenant with this key: a version 5 UUID."""
    return str(uuid.uuid5(_IDEMPOTENCY, f"{tenant}#{idempotency_key}"))


def id_for_retry(tenant: str, generation_id: str) -> str:
    """Return the one id of all retries of a generation. No key can have a space, so none has it."""
    return id_for_key(tenant, f"retry of {generation_id}")


def list_order(created_at: datetime, generation_id: str) -> str:
    """Return a generation's slot in every list that it is in: the newest is the greatest."""
    return f"{clock.to_millis(created_at):013d}#{generation_id}"


def is_id(text: str) -> bool:
    """Whether the text is an id in its one stored form: a lower-case UUID with hyphens."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False

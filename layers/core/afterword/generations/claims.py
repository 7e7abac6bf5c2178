"""The claim that a worker holds on a generation, and the calls of models under a claim."""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import TYPE_CHECKING

from afterword.errors import AfterwordError
from afterword.generations import Completion, ContextFilter, EarlierTurn, Setback
from afterword.records import dataclass

if TYPE_CHECKING:
    from afterword.files import StoredFile
    from afterword.generations import Values


class NotDueError(AfterwordError):
    """A generation waits for its next try, which is not due before `next_at`."""

    def __init__(self, next_at: datetime) -> None:
        super().__init__(f"The next try is not due before {next_at}.")
        self.next_at = next_at


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """The tokens of one step's answers of a model: one, and two after a repair question."""

    model: str
    tokens_in: int
    tokens_out: int
    answers: int = 1


@dataclass(slots=True)
class ModelCall:
    """One call of a model by an attempt: its start, its end, and the tokens of its answer.

    `until` is None while the attempt waits. `answer` is None without an answer. `repairs` says that
    it was a repair question.
    """

    model: str
    since: datetime
    until: datetime | None = None
    answer: TokenUsage | None = None
    repairs: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A generation that one worker holds until its lease ends.

    `attempt` is the fence: a write of this claim counts only while the item still has it.
    `failures` are the attempts that ended in a timeout or a lost worker; throttling adds none.
    `results` are those of the flow's first steps, which earlier attempts have finished. `order` is
    its place among the questions of its conversation. `calls` are this attempt's calls of models so
    far. `earlier` are the turns that its client has sent, None for those of its conversation.
    `spent` are the tokens, in and out, of answers that failed in attempts before this one.
    `gone` says that its inputs, or the results of steps, are gone from the bucket, and none of them
    are here. `setback` is that of the attempt before; None without. `due_at` is the time from which
    the sweeper looks at it, as it was claimed. `claimed_at` is the time of the generation's first
    claim.
    """

    tenant: str
    id: str
    attempt: int
    failures: int
    flow: str
    flow_version: int
    created_at: datetime
    deadline_at: datetime
    inputs: "Values"
    template: str | None
    files: "tuple[StoredFile, ...]" = ()
    results: tuple[Completion, ...] = ()
    context: Mapping[str, ContextFilter] = field(default_factory=dict)
    conversation: str | None = None
    order: str = ""
    slot: str | None = None
    notify: bool = False
    gone: bool = False
    earlier: tuple[EarlierTurn, ...] | None = None
    setback: Setback | None = None
    spent: tuple[int, int] = (0, 0)
    due_at: datetime | None = field(default=None, compare=False)
    claimed_at: datetime | None = field(default=None, compare=False)
    calls: list[ModelCall] = field(default_factory=list, compare=False)

    @property
    def has_outbox(self) -> bool:
        """Whether its end enters the outbox (afterword.engine.outbox)."""
        return self.slot is not None or self.notify

"""The promises of afterword, checked at each write that takes effect and at the end of a run."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from afterword import clock
from afterword.engine.attempts import MAX_FAILURES
from afterword.generations import TRANSITIONS, Status
from afterword.usage import statistics
from afterword.usage.statistics import Tally
from tests.simulation.scheduler import Debt, Process, Thread

MILLISECOND = 0.001

type Attributes = Mapping[str, Any]
"""An item as DynamoDB has it."""


class Promise(StrEnum):
    """A promise that holds whatever happens."""

    ONE_END = "each accepted generation comes to an end"
    ANSWERS_STAND = "what was answered to a client is there"
    ENDS_STAY = "an end never changes"
    OWN_TEXT = "a text is the answer to its own request, by the attempt that wrote it"
    ONE_KEY = "one idempotency key is one generation"
    TRANSITIONS = "a status changes only along TRANSITIONS, and an attempt only upwards"
    FENCE = "only the current attempt writes"
    OWN_WRITES = "a writer goes on after its own write, though the answer was lost"
    MODEL_CALLS = "an attempt asks the model once, and none does after MAX_FAILURES"
    WAITS = "no model is asked before its next try"
    LEASE = "a claim whose invocation still runs is not taken over"
    CANCELED = "what was canceled stays canceled"
    DEAD_LETTER = "nobody gives up what a running invocation holds"
    PUBLISHED = "each end is made known"
    PUBLISHED_TRUE = "what is made known is the end that is stored"
    SLOTS = "a tenant has no more open than its limit"
    PLACES_BACK = "each slot is given back, or to be had when it is needed"
    TOKENS = "the tokens of each generation are counted once"
    COUNTED = "each generation that ended is counted once, with the tokens of its answers"
    NOT_DUE = "nothing is due when all is done"


class BrokenError(Exception):
    """A promise was broken."""

    def __init__(self, promise: Promise, message: str) -> None:
        super().__init__(f"{promise.name} ({promise}): {message}")
        self.promise = promise


@dataclass(frozen=True)
class ModelCall:
    """A request to the model, and the attempt that made it."""

    pk: str
    attempt: int
    marker: str


END = (
    "status", "attempt", "failures", "finished_at", "reason", "message", "text", "text_key",
    "model", "stop_reason", "tokens_in", "tokens_out", "request", "request_key", "external",
    "ended_in", "answers", "estimated",
)  # fmt: skip
"""Attributes that never change after the end."""


@dataclass
class Promises:
    """Sees what happens, and raises BrokenError when it may not.

    `cap` is how many generations the tenant `limited` may have open. `skew` is how many seconds a
    clock is wrong at most. `writers` are the last writers of generations.
    """

    limited: str
    cap: int
    now: Callable[[], float]
    label: Callable[[str], str]
    skew: float
    accepted: dict[str, Attributes] = field(default_factory=dict)
    answered: dict[str, str] = field(default_factory=dict)
    keys: dict[tuple[str, str], str] = field(default_factory=dict)
    calls: dict[str, ModelCall] = field(default_factory=dict)
    throttled_until: dict[str, tuple[int, float]] = field(default_factory=dict)
    writers: dict[str, Thread] = field(default_factory=dict)
    holders: dict[str, Process] = field(default_factory=dict)
    canceled: dict[str, None] = field(default_factory=dict)
    published: Counter[str] = field(default_factory=Counter)
    ends: dict[str, Attributes] = field(default_factory=dict)

    def broken(self, promise: Promise, pk: str, message: str) -> None:
        """Say that a promise to a generation was broken."""
        raise BrokenError(promise, f"{self.label(pk)}: {message}")

    # --- at each step

    def generation_written(
        self, thread: Thread, pk: str, before: Attributes | None, after: Attributes
    ) -> None:
        """See a write of a generation that took effect."""
        self._note_debt(thread, pk, before, after)
        if before is None:
            self.accepted[pk] = after
            if (status(after), attempt(after)) != (Status.QUEUED, 0):
                self.broken(Promise.TRANSITIONS, pk, f"it began as {status(after)}")
            return
        if thread.process.kind == "submit":
            self.broken(Promise.ONE_KEY, pk, "it was accepted again")
        if status(before).terminal:
            changed = [name for name in END if before.get(name) != after.get(name)]
            if changed:
                self.broken(Promise.ENDS_STAY, pk, f"{changed} changed by {thread.name}")
            return
        self._check_step(thread, pk, before, after)
        if status(after).terminal:
            self.ends[pk] = after
            self._check_text(pk, after, thread)

    def _note_debt(
        self, thread: Thread, pk: str, before: Attributes | None, after: Attributes
    ) -> None:
        """Note what a thread has to do after its write, if it knows of it."""
        debt: Debt | None = None
        due_at, lease_until, next_at = (
            int(after[name]["N"]) if name in after else 0
            for name in ("due_at", "lease_until", "next_at")
        )
        if before is None:
            debt = Debt.MESSAGE
        elif attempt(after) > attempt(before):
            debt = Debt.ATTEMPT
        elif status(after) is status(before) and after.get("look_id") == before.get("look_id"):
            debt = None  # a repair that failed, or a dispatch that is done
        elif status(after).terminal:
            debt = Debt.DISPATCH if due_at else None
        else:
            debt = Debt.MESSAGE if due_at > max(lease_until + 1, next_at) else None
        if debt is None:
            thread.debts.pop(pk, None)
        else:
            thread.debts[pk] = debt
        self.writers[pk] = thread

    def thread_ended(self, thread: Thread) -> None:
        """See that a thread has done everything, unless it was killed or an error has ended it.

        Nothing is left to do for a generation that another has written since.
        """
        if thread.future.exception() is None:
            for pk, debt in thread.debts.items():
                if self.writers[pk] is thread:
                    self.broken(Promise.OWN_WRITES, pk, f"{thread.name} does not {debt}")

    def _check_step(self, thread: Thread, pk: str, before: Attributes, after: Attributes) -> None:
        process = thread.process
        old, new = status(before), status(after)
        if new is Status.QUEUED:
            self.throttled_until[pk] = attempt(before), thread.throttled_until
        claimed = attempt(after) == attempt(before) + 1
        if old is new and attempt(before) == attempt(after):
            return  # its due time was moved on
        if new not in TRANSITIONS[old] or claimed != (new is Status.RUNNING):
            step = f"{old}#{attempt(before)} → {new}#{attempt(after)}"
            self.broken(Promise.TRANSITIONS, pk, f"{step} by {process.name}")
        if claimed:
            if old is Status.RUNNING:
                self._check_not_held(Promise.LEASE, pk, process)
            elif "next_at" in before and int(before["next_at"]["N"]) > clock.to_millis(clock.now()):
                self.broken(Promise.WAITS, pk, f"{process.name} does not wait")
            process.attempts.setdefault(pk, []).append(attempt(after))
            self.holders[pk] = process
        elif process.kind == "generate":
            if attempt(before) not in process.attempts.get(pk, ()):
                self.broken(
                    Promise.FENCE, pk, f"{process.name} ended attempt {attempt(before)} of another"
                )
        elif old is Status.RUNNING and new is Status.FAILED:
            self._check_not_held(Promise.DEAD_LETTER, pk, process)

    def _check_not_held(self, promise: Promise, pk: str, process: Process) -> None:
        holder = self.holders[pk]
        if self.now() <= holder.ends:
            self.broken(
                promise, pk, f"{process.name} took it, and {holder.name} runs until {holder.ends}"
            )

    def _check_text(self, pk: str, end: Attributes, thread: Thread) -> None:
        if status(end) is not Status.SUCCEEDED or "text" not in end:
            return
        self.text_read(pk, end["text"]["S"], attempt(end))
        if attempt(end) not in thread.process.attempts.get(pk, ()):
            self.broken(Promise.OWN_TEXT, pk, f"{thread.name} is not of attempt {attempt(end)}")

    def text_read(self, pk: str, text: str, by: int) -> None:
        """See the text that is stored for a generation, and by which attempt."""
        call = self.calls.get(text.partition(" ")[0])
        external = json.loads(self.accepted[pk]["external"]["S"])
        wanted = ModelCall(pk, by, json.loads(external["external_ref"]))
        if call is None or call != wanted:
            self.broken(Promise.OWN_TEXT, pk, f"the text of {call} is stored for {wanted}")

    def model_asked(self, thread: Thread, marker: str) -> str:
        """See that a thread asks the model; return the name of this call."""
        pk = thread.pk
        assert pk is not None
        thread.debts.pop(pk, None)
        if pk not in thread.process.attempts:
            self.broken(Promise.FENCE, pk, f"{thread.name} asks without a claim of its own")
        call = ModelCall(pk, thread.process.attempts[pk][-1], marker)
        throttled, until = self.throttled_until.get(pk, (0, 0.0))
        early = until - self.now()
        if call.attempt > throttled and early > 2 * self.skew + MILLISECOND:
            self.broken(Promise.WAITS, pk, f"asked {early:.3f} s before the model has time")
        if call in self.calls.values():
            self.broken(Promise.MODEL_CALLS, pk, f"attempt {call.attempt} asks again")
        if thread.failures >= MAX_FAILURES:
            self.broken(Promise.MODEL_CALLS, pk, f"asked after {thread.failures} failures")
        name = f"answer-{len(self.calls) + 1}"
        self.calls[name] = call
        return name

    def model_throttled(self, thread: Thread, seconds: float) -> None:
        """See that a thread learns that the model has no time for so many seconds."""
        thread.throttled_until = self.now() + seconds

    def answered_to_client(self, tenant: str, generation_id: str, key: str | None) -> None:
        """See the id that a client got."""
        pk = f"{tenant}#{generation_id}"
        if pk not in self.accepted:
            self.broken(Promise.ANSWERS_STAND, pk, "answered, and not there")
        if key is not None and self.keys.setdefault((tenant, key), pk) != pk:
            self.broken(Promise.ONE_KEY, pk, f"another generation of the key {key}")

    def cancel_answered(self, pk: str, answer: Status, item: Attributes) -> None:
        """See what a cancel answered, and the item as it is then."""
        if answer is Status.CANCELED:
            self.canceled[pk] = None
        if status(item) is not answer:
            self.broken(Promise.CANCELED, pk, f"answered {answer}, and it is {status(item)}")

    def event_published(self, detail: Mapping[str, Any], item: Attributes | None) -> None:
        """See an event on the bus, and the item that it is about."""
        pk = f"{detail['tenant']}#{detail['id']}"
        reason = None if item is None or "reason" not in item else item["reason"]["S"]
        if (
            item is None
            or not status(item).terminal
            or (detail["status"], detail["reason"]) != (status(item), reason)
        ):
            self.broken(Promise.PUBLISHED_TRUE, pk, f"{detail['status']} was made known")
        self.published[pk] += 1

    def usage_written(self, tenant: str, held: int) -> None:
        """See how many slots a tenant with limits has taken."""
        if held > self.cap:
            self.broken(Promise.SLOTS, tenant, f"{held} slots are taken")

    def opened(self, items: Mapping[str, Attributes]) -> None:
        """See the generations after one was accepted."""
        running = [
            pk
            for pk, item in items.items()
            if item["tenant"]["S"] == self.limited and not status(item).terminal
        ]
        if len(running) > self.cap:
            self.broken(Promise.SLOTS, running[-1], f"{len(running)} are open")

    # --- when all is done

    def all_done(self, items: Mapping[str, Attributes]) -> None:
        """Check the items after a calm time that was long enough."""
        if list(items) != list(self.accepted):
            raise BrokenError(Promise.ONE_END, "not all that was accepted is there")
        for pk, item in items.items():
            if not status(item).terminal:
                self.broken(Promise.ONE_END, pk, f"it is {status(item)}")
        for pk, item in items.items():
            if pk in self.canceled and status(item) is not Status.CANCELED:
                self.broken(Promise.CANCELED, pk, f"it is {status(item)}")
            if any(self.ends[pk].get(name) != item.get(name) for name in END):
                self.broken(Promise.ENDS_STAY, pk, "it is not what it was")
            if not self.published[pk]:
                self.broken(Promise.PUBLISHED, pk, "nobody has heard of its end")
            if "due_at" in item or "due_shard" in item:
                self.broken(Promise.NOT_DUE, pk, "it is still on the index")
            asked = sum(call.pk == pk for call in self.calls.values())
            if asked > attempt(item):
                self.broken(Promise.MODEL_CALLS, pk, f"{asked} calls for {attempt(item)} attempts")

    def usage_is(
        self, tenant: str, running: int, tokens: int, items: Mapping[str, Attributes]
    ) -> None:
        """Check what a tenant with limits uses when nothing of it is open."""
        if running:
            raise BrokenError(Promise.PLACES_BACK, f"{running} slots are still held")
        stored = sum(
            int(item[name]["N"])
            for item in items.values()
            for name in ("tokens_in", "tokens_out")
            if item["tenant"]["S"] == tenant and name in item
        )
        if tokens != stored:
            raise BrokenError(Promise.TOKENS, f"{tokens} are counted, and {stored} are stored")

    def counted(self, tenant: str, used: Iterable[Tally]) -> None:
        """Check what the statistics say of a tenant, when nothing of it is open."""
        ended = [item for item in self.ends.values() if item["tenant"]["S"] == tenant]
        came_to = Counter(
            item["reason"]["S"] if "reason" in item else status(item) for item in ended
        )
        tokens = sum(
            int(item[name]["N"])
            for item in ended
            for name in ("tokens_in", "tokens_out")
            if name in item
        )
        found = statistics.merge_tallies(used)
        counted = Counter[str](found.failures)
        counted += Counter({Status.SUCCEEDED: found.succeeded, Status.CANCELED: found.canceled})
        if (+counted, found.tokens_in + found.tokens_out) != (came_to, tokens):
            told = f"counted {dict(+counted)}, and {dict(came_to)} ended"
            raise BrokenError(Promise.COUNTED, f"{tenant}: {told}; {found}, {tokens} tokens")


def status(item: Attributes) -> Status:
    """Return an item's status."""
    return Status(item["status"]["S"])


def attempt(item: Attributes) -> int:
    """Return an item's attempt."""
    return int(item["attempt"]["N"])

"""The sweeper: repairs generations that have stalled, before their end or before its dispatch."""

from collections import Counter
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from afterword import clock
from afterword.generations import Reason, Status
from afterword.generations.ends import STALLED_AFTER
from afterword.runtime import telemetry

if TYPE_CHECKING:
    from datetime import datetime

    from afterword.engine.outbox import Outbox
    from afterword.generations.ends import End, Stalled
    from afterword.generations.store import GenerationStore
    from afterword.runtime.deadline import Deadline
    from afterword.runtime.queue import Queue

MAX_PER_RUN = 1_000
"""Repairs of one run; further stalled generations wait for the next run, a minute later."""
STOP_SECONDS = 10.0
"""A run begins no repair in the last seconds of its invocation."""


class Repair(StrEnum):
    """The outcome of one look at a stalled generation, as a name of the run's counts."""

    SENT = "sent"
    """Its message was sent again."""
    RESUMED = "resumed"
    """Its wait in the table was over, and its message was sent."""
    UNSENT = "unsent"
    """The queue was out of reach; the generation will stall again."""
    FAILED = "failed"
    """Its deadline had passed."""
    WAITING = "waiting"
    """A worker has a live lease on it."""
    DISPATCHED = "dispatched"
    """Its end was dispatched again."""
    UNDISPATCHED = "undispatched"
    """AWS was out of reach for the dispatch; the end will stall again."""
    CHANGED = "changed"
    """Another process changed it after the read."""


class Sweeper:
    """Repairs stalled generations. Two sweepers at once do no harm."""

    def __init__(self, store: "GenerationStore", queue: "Queue", outbox: "Outbox") -> None:
        self._store = store
        self._queue = queue
        self._outbox = outbox

    def sweep(self, deadline: "Deadline") -> Counter[str]:
        """Repair stalled generations, oldest first; return counts by `Repair`."""
        stop = deadline.earlier(STOP_SECONDS)
        repairs: Counter[str] = Counter()
        for stalled in self._store.list_stalled(MAX_PER_RUN):
            if stop.passed:
                break
            repairs[self._repair(stalled)] += 1
        telemetry.logger().info("swept", extra=dict(repairs))
        return repairs

    def _repair(self, stalled: "Stalled") -> Repair:
        now = clock.now()
        if stalled.ended is not None:
            return self._dispatch_again(stalled, stalled.ended, now)
        if stalled.lease_until is not None and stalled.lease_until >= now:
            later = stalled.lease_until + timedelta(milliseconds=1)
            return Repair.WAITING if self._store.postpone(stalled, later) else Repair.CHANGED
        if now >= stalled.deadline_at:
            message = "It was not finished before its deadline."
            status = self._outbox.fail_unclaimed(
                stalled.tenant, stalled.id, Reason.DEADLINE, message
            )
            return Repair.FAILED if status is Status.FAILED else Repair.CHANGED
        return self._send_again(stalled, now)

    def _dispatch_again(self, stalled: "Stalled", ended: "End", now: "datetime") -> Repair:
        """Dispatch an end whose process died, or whose notifications have failed.

        The next look is as far away as the end, so that a missing event bus costs little.
        """
        if not self._store.postpone(stalled, now + max(STALLED_AFTER, now - ended.finished_at)):
            return Repair.CHANGED
        log = telemetry.logger()
        try:
            self._outbox.dispatch(ended)
        except (BotoCoreError, ClientError) as error:
            log.warning("could not dispatch again", extra={**_facts(stalled), "why": str(error)})
            return Repair.UNDISPATCHED
        log.warning("dispatched again", extra=_facts(stalled))
        return Repair.DISPATCHED

    def _send_again(self, stalled: "Stalled", now: "datetime") -> Repair:
        """Send the worker's message again; where the first one is only late, that does no harm.

        The next look is as far away as the submission, or the next try of a requeued generation, so
        that a long queue gets few messages more.
        """
        since = stalled.next_at or stalled.created_at
        later = min(now + max(STALLED_AFTER, now - since), stalled.deadline_at)
        if not self._store.postpone(stalled, later):
            return Repair.CHANGED
        log = telemetry.logger()
        facts = _facts(stalled)
        try:
            self._queue.send(stalled.tenant, stalled.id)
        except (BotoCoreError, ClientError) as error:
            log.warning("could not send again", extra={**facts, "why": str(error)})
            return Repair.UNSENT
        if stalled.waited:
            log.info("sent after its wait", extra=facts)
            return Repair.RESUMED
        log.warning(
            "sent again: its worker was lost"
            if stalled.status is Status.RUNNING
            else "sent again: its message was lost or is late",
            extra=facts,
        )
        return Repair.SENT


def _facts(stalled: "Stalled") -> dict[str, object]:
    """Return the members of a log line about a stalled generation."""
    return {
        "generation_id": stalled.id,
        "tenant": stalled.tenant,
        "status": stalled.status,
        "attempt": stalled.attempt,
    }

"""The sweeper: repairs what was accepted and has not come to its end, or settled it, in time."""

import time
from collections import Counter
from datetime import timedelta
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
    from afterword.runtime.queue import Queue

MAX_PER_RUN = 1_000
"""More wait for the next run, a minute later."""
STOP_SECONDS = 10.0
"""A run begins nothing in the last seconds of its invocation."""


class Sweeper:
    """Walks the generations that are overdue. Two sweepers at once do no harm."""

    def __init__(self, store: "GenerationStore", queue: "Queue", outbox: "Outbox") -> None:
        self._store = store
        self._queue = queue
        self._outbox = outbox

    def sweep(self, seconds: float) -> Counter[str]:
        """Repair what is overdue, oldest first; return how many came to which end.

        `seconds` is what is left of the invocation. The ends: `sent` again, `failed` past the
        deadline, `waiting` for a live lease, `settled` what had ended, `changed` by somebody else
        meanwhile, and `unsent` and `unsettled`, which will be overdue again.
        """
        stop = time.monotonic() + seconds - STOP_SECONDS
        ends: Counter[str] = Counter()
        for overdue in self._store.list_stalled(MAX_PER_RUN):
            if time.monotonic() > stop:
                break
            ends[self._repair(overdue)] += 1
        telemetry.logger().info("swept", extra=dict(ends))
        return ends

    def _repair(self, overdue: "Stalled") -> str:
        now = clock.now()
        if overdue.ended is not None:
            return self._settle(overdue, overdue.ended, now)
        if overdue.lease_until is not None and overdue.lease_until >= now:
            later = overdue.lease_until + timedelta(milliseconds=1)
            return "waiting" if self._store.postpone(overdue, later) else "changed"
        if now >= overdue.deadline_at:
            message = "It was not finished before its deadline."
            status = self._outbox.fail_unclaimed(
                overdue.tenant, overdue.id, Reason.DEADLINE, message
            )
            return "failed" if status is Status.FAILED else "changed"
        return self._send_again(overdue, now)

    def _settle(self, overdue: "Stalled", ended: "End", now: "datetime") -> str:
        """Settle what a process that died did not, or make known again what nobody has noted.

        The next look is as far away as the end, so that an event bus that is gone costs little.
        """
        if not self._store.postpone(overdue, now + max(STALLED_AFTER, now - ended.finished_at)):
            return "changed"
        log = telemetry.logger()
        try:
            self._outbox.dispatch(ended)
        except (BotoCoreError, ClientError) as error:
            log.warning("not settled", extra={**_facts(overdue), "why": str(error)})
            return "unsettled"
        log.warning("settled again", extra=_facts(overdue))
        return "settled"

    def _send_again(self, overdue: "Stalled", now: "datetime") -> str:
        """Nudge the worker again, because the message may be lost; or only late, which is no harm.

        The next look is as far away as the submission, so that a long queue gets few messages more.
        """
        later = min(now + max(STALLED_AFTER, now - overdue.created_at), overdue.deadline_at)
        if not self._store.postpone(overdue, later):
            return "changed"
        log = telemetry.logger()
        facts = _facts(overdue)
        try:
            self._queue.send(overdue.tenant, overdue.id)
        except (BotoCoreError, ClientError) as error:
            log.warning("its message could not be sent", extra={**facts, "why": str(error)})
            return "unsent"
        log.warning(
            "sent again: its worker was lost"
            if overdue.status is Status.RUNNING
            else "sent again: its message was lost or is late",
            extra=facts,
        )
        return "sent"


def _facts(overdue: "Stalled") -> dict[str, object]:
    """Return what the log says of what is overdue."""
    return {
        "generation_id": overdue.id,
        "tenant": overdue.tenant,
        "status": overdue.status,
        "attempt": overdue.attempt,
    }

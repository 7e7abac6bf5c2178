"""The sweeper: repairs generations that have stalled, before their end or before its dispatch.

An item cannot tell whether its message is lost or waits in a long queue. So beyond a tenant's share
the sweeper sends no more messages than the depth of the queues says are missing.
"""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta
from enum import StrEnum
from functools import partial
from itertools import batched
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from afterword import clock
from afterword.engine.agenda import Agenda
from afterword.generations import Reason, Status, explain_deadline
from afterword.generations.ends import DUE_SHARDS, STALLED_AFTER
from afterword.runtime import telemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future
    from datetime import datetime

    from afterword.engine.metrics import Metrics
    from afterword.engine.outbox import Outbox
    from afterword.generations.ends import DueKey, Stalled
    from afterword.generations.store import GenerationStore
    from afterword.runtime.deadline import Deadline
    from afterword.runtime.queue import Queue

AT_ONCE = 10
"""Calls of AWS at the same time: the connections of a client."""
MAX_KEYS = 200_000
"""Due keys that a run reads, about: beyond them it sees the oldest and the newest of each shard."""
MAX_LOOKS = 10_000
"""Generations that a run reads, and so the most that it repairs."""
STRETCH = 4_000
"""Looks of a run at backlogs in which it expects nothing to repair."""
BATCH = 100
"""Generations that one call reads."""
ROUND = AT_ONCE * BATCH
"""Generations that a run reads before it repairs those that need it."""
FRESH = timedelta(seconds=130)
"""The time from a due time within which every run looks at a generation: two runs, and a margin."""
SHARE = 10
"""Messages of a run for each tenant's generations that may only be late."""
SHARES = 1_000
"""Messages of a run for all tenants' shares, beyond the first message of each."""
SET_ASIDE = timedelta(minutes=15)
"""The time until the next look at a generation that could not be read."""
STOP_SECONDS = 10.0
"""A run begins no repair in the last seconds of its invocation."""
GRACE_SECONDS = 2.0
"""The last seconds of the invocation, in which a run waits for no call any more."""

type _Repair = Callable[[Stalled, datetime], Repair]


class Repair(StrEnum):
    """The outcome of one look at a stalled generation, as a name of the run's counts."""

    SENT = "sent"
    """Its message was sent again."""
    UNSENT = "unsent"
    """The queue was out of reach; the generation will stall again."""
    RESUMED = "resumed"
    """Its wait in the table was over, and its message was sent."""
    LATE = "late"
    """The queues have enough messages for it; the run left it unchanged."""
    FAILED = "failed"
    """Its deadline had passed."""
    WAITING = "waiting"
    """A worker has a live lease on it, or its next attempt may not begin yet."""
    DISPATCHED = "dispatched"
    """Its end was dispatched again."""
    UNDISPATCHED = "undispatched"
    """AWS was out of reach for the dispatch; the end will stall again."""
    CHANGED = "changed"
    """Another process changed it after the read."""
    UNREAD = "unread"
    """Storage had no time for its read; the next run looks again."""
    UNREADABLE = "unreadable"
    """Another version has written the item; the run set it aside."""
    UNREPAIRED = "unrepaired"
    """Storage refused its repair; the generation will stall again."""


_LEFT = {Repair.UNREAD, Repair.UNREPAIRED}
"""The outcomes that a run could not help."""
_OPEN = _LEFT | {Repair.LATE, Repair.UNREADABLE}
"""The outcomes without a repair."""


class Sweeper:
    """Repairs stalled generations. Two sweepers at once do no harm.

    `queue` is the worker's, and `end_messages` the one of the outbox. `metrics` is None where no
    log is collected.
    """

    def __init__(
        self,
        store: "GenerationStore",
        queue: "Queue",
        outbox: "Outbox",
        end_messages: "Queue",
        metrics: "Metrics | None" = None,
    ) -> None:
        self._store = store
        self._queue = queue
        self._outbox = outbox
        self._end_messages = end_messages
        self._metrics = metrics

    def sweep(self, deadline: "Deadline") -> Counter[str]:
        """Repair stalled generations, in turns of tenants; return counts by `Repair`.

        A generation that cannot be read or repaired is counted, and the run goes on. Raises the
        error of a shard that could not be read, after the repairs of all others.
        """
        run = _Run(deadline)
        keys, error = self._read_due(run)
        agenda = Agenda(keys, clock.to_millis(clock.now() - FRESH))
        if keys:
            with run:
                self._look_at_all(run, agenda, _Budget(len(keys), self._read_depth))
        lag = run.measure_lag(agenda)
        telemetry.logger().info("swept", extra={**run.repairs, "lag_seconds": lag.total_seconds()})
        if self._metrics is not None and run.repairs:
            self._metrics.record_sweep(
                run.repairs,
                repaired=sum(run.repairs[outcome] for outcome in set(Repair) - _OPEN),
                unreadable=run.repairs[Repair.UNREADABLE],
                lag=lag,
            )
        if error is not None:
            raise error
        return run.repairs

    # --- reading ---------------------------------------------------------------------------------

    def _read_due(self, run: "_Run") -> "tuple[list[DueKey], Exception | None]":
        """Return the due keys of all shards, and the error of a shard that could not be read.

        The shards are read one after the other, since an idle run then needs one connection.
        """
        found: list[DueKey] = []
        failed: Exception | None = None
        for shard in range(DUE_SHARDS):
            if run.stop.passed:
                telemetry.logger().warning("had no time for all shards", extra={"shard": shard})
                break
            try:
                found += self._store.read_due(shard, MAX_KEYS // DUE_SHARDS)
            except (BotoCoreError, ClientError) as error:
                failed = error
                telemetry.logger().error(
                    "could not read a shard of due generations",
                    extra={"shard": shard, "why": str(error)},
                )
        return found, failed

    def _look_at_all(self, run: "_Run", agenda: Agenda, budget: "_Budget") -> None:
        looks, stretched = MAX_LOOKS, False
        while looks and not run.stop.passed:
            keys = agenda.take(min(ROUND, looks))
            if keys:
                looks -= len(keys)
                self._look(run, agenda, budget, keys)
            elif stretched:
                return
            else:
                stretched = True
                agenda.add_stretches(min(STRETCH, looks), int(clock.now().timestamp()) // 60)

    def _look(
        self, run: "_Run", agenda: Agenda, budget: "_Budget", keys: "Sequence[DueKey]"
    ) -> None:
        """Read the generations of up to ROUND keys, and repair those that need it."""
        stalled: list[Stalled] = []
        unreadable: list[tuple[DueKey, str]] = []
        batches = run.do_all(self._store.read_stalled, list(batched(keys, BATCH, strict=False)))
        for batch, future in batches:
            if (error := _error(future)) is None:
                look = future.result()
                stalled += look.stalled
                unreadable += look.unreadable
                run.count(Repair.UNREAD, look.unread)
            else:
                telemetry.logger().error(
                    "could not read due generations",
                    extra={"generations": len(batch), "why": str(error)},
                )
                run.count(Repair.UNREAD, batch)
        now = clock.now()
        work: list[tuple[DueKey, Callable[[], Repair]]] = [
            (key, partial(self._set_aside, key, why)) for key, why in unreadable
        ]
        for each in stalled:
            chosen = self._choose(each, now, budget)
            if chosen is None:
                run.repairs[Repair.LATE] += 1
            else:
                work.append((each.key, partial(self._guard, chosen, each)))
        repairs = run.do_all(lambda job: _in_time(job[1], run.stop), work)
        for (key, _), done in repairs:
            outcome = done.result() if _error(done) is None else None
            if outcome is None:
                run.leave(key)
                continue
            run.count(outcome, [key])
            if outcome not in _OPEN:
                agenda.note_repair(key.tenant)

    def _read_depth(self) -> int | None:
        """Return the messages in both queues; None if that cannot be known."""
        try:
            return self._queue.read_depth() + self._end_messages.read_depth()
        except (BotoCoreError, ClientError) as error:
            telemetry.logger().warning("could not read a queue's depth", extra={"why": str(error)})
            return None

    # --- one generation --------------------------------------------------------------------------

    def _choose(self, stalled: "Stalled", now: "datetime", budget: "_Budget") -> "_Repair | None":
        """Return the repair of a stalled generation; None if it is only late, as far as is known.

        Sent without a look at the queues are those whose wait in the table is over, and those of a
        lost worker.
        """
        if stalled.finished_at is not None:
            free = not stalled.notify or budget.take(stalled.tenant)
            return self._dispatch_again if free else None
        if stalled.lease_until is not None and stalled.lease_until >= now:
            return self._wait
        if now >= stalled.deadline_at:
            return self._fail
        if stalled.next_at is not None and stalled.next_at > now:
            return self._wait
        if stalled.waited or stalled.status is Status.RUNNING or budget.take(stalled.tenant):
            return self._send_again
        return None

    def _guard(self, repair: "_Repair", stalled: "Stalled") -> Repair:
        """Repair a generation, and raise nothing, so that one harms no other."""
        now = clock.now()
        try:
            return repair(stalled, now)
        except (BotoCoreError, ClientError) as error:
            facts = {**_facts(stalled), "why": str(error)}
            telemetry.logger().warning("could not repair", extra=facts)
            self._put_off(stalled.key, now + STALLED_AFTER)
            return Repair.UNREPAIRED
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the item
            return self._set_aside(stalled.key, f"{type(error).__name__}: {error}")

    def _set_aside(self, key: "DueKey", why: str) -> Repair:
        """Log an unreadable generation, and let others be looked at first."""
        telemetry.logger().error(
            "could not read a stalled generation", extra={**_names(key), "why": why}
        )
        self._put_off(key, clock.now() + SET_ASIDE)
        return Repair.UNREADABLE

    def _put_off(self, key: "DueKey", until: "datetime") -> None:
        """Postpone a generation by its key alone; without success it is looked at again."""
        try:
            self._store.postpone_key(key.pk, until)
        except (BotoCoreError, ClientError) as error:
            telemetry.logger().warning(
                "could not postpone a stalled generation",
                extra={**_names(key), "why": str(error)},
            )

    def _wait(self, stalled: "Stalled", _now: "datetime") -> Repair:
        """Move the due time behind the lease, or to the next attempt."""
        later = (
            stalled.next_at
            if stalled.lease_until is None or stalled.status is not Status.RUNNING
            else stalled.lease_until + timedelta(milliseconds=1)
        )
        done = later is not None and self._store.postpone(stalled, later)
        return Repair.WAITING if done else Repair.CHANGED

    def _fail(self, stalled: "Stalled", _now: "datetime") -> Repair:
        message = explain_deadline(stalled.setback)
        status = self._outbox.fail_unclaimed(stalled.tenant, stalled.id, Reason.DEADLINE, message)
        return Repair.FAILED if status is Status.FAILED else Repair.CHANGED

    def _dispatch_again(self, stalled: "Stalled", now: "datetime") -> Repair:
        """Dispatch an end whose process died, or whose notifications have failed.

        The next look is as far away as the end, so that a missing event bus costs little.
        """
        since = stalled.finished_at or now
        ended = self._store.postpone_end(stalled, now + max(STALLED_AFTER, now - since))
        if ended is None:
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

        The next look is as far away as the submission, or as the end of a wait, so that a long
        queue gets few messages more.
        """
        since = max(stalled.created_at, stalled.next_at or stalled.created_at)
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


class _Run:
    """One run: its threads, its time, its counts, and the oldest key that it had to leave."""

    def __init__(self, deadline: "Deadline") -> None:
        self.stop = deadline.earlier(STOP_SECONDS)
        self.repairs: Counter[str] = Counter()
        self._end = deadline.earlier(GRACE_SECONDS)
        self._left: DueKey | None = None

    def __enter__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="repair")

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def do_all[T, R](
        self, work: "Callable[[T], R]", over: "Sequence[T]"
    ) -> "list[tuple[T, Future[R]]]":
        """Do work for each, AT_ONCE at a time; return the futures, of which late ones are open."""
        futures = [self._pool.submit(work, each) for each in over]
        wait(futures, timeout=max(0.0, self._end.remaining()))
        return list(zip(over, futures, strict=True))

    def count(self, outcome: Repair, keys: "Sequence[DueKey]") -> None:
        """Count an outcome; of one without a repair, note the key as left."""
        if keys:
            self.repairs[outcome] += len(keys)
        if outcome in _LEFT:
            for key in keys:
                self.leave(key)

    def leave(self, key: "DueKey") -> None:
        """Note a key for which the run had no time, or no success."""
        self._left = key if self._left is None else min(self._left, key)

    def measure_lag(self, agenda: Agenda) -> timedelta:
        """Return for how long the oldest key has been due that the run had to leave; 0 without one.

        Late generations do not count: those are left on purpose.
        """
        left = [key for key in (self._left, agenda.find_oldest_left()) if key is not None]
        if not left:
            return timedelta(0)
        lag = timedelta(milliseconds=1) * (clock.to_millis(clock.now()) - max(0, min(left).due_at))
        return max(timedelta(0), lag)


class _Budget:
    """The messages that a run may send for generations that may only be late.

    `due` is the number of due keys, and `read_depth` returns the messages in the queues, or None.
    Each tenant has its SHARE. Beyond the shares a run sends as many as there are fewer messages
    than due keys. So the depth is only read once a share is used up.
    """

    def __init__(self, due: int, read_depth: "Callable[[], int | None]") -> None:
        self._due = due
        self._read_depth = read_depth
        self._lost: int | None = None
        self._shares: Counter[str] = Counter()
        self._taken = 0

    def take(self, tenant: str) -> bool:
        """Take one message for a tenant. False if none may be sent."""
        taken = self._shares[tenant]
        if taken == 0 or (taken < SHARE and self._taken - len(self._shares) < SHARES):
            self._shares[tenant] += 1
            self._taken += 1
            return True
        if self._lost is None:
            depth = self._read_depth()
            missing = 0 if depth is None else self._due - depth - self._taken
            self._lost = max(0, missing)
        if not self._lost:
            return False
        self._lost -= 1
        return True


def _in_time(job: "Callable[[], Repair]", stop: "Deadline") -> Repair | None:
    """Do a repair; None, and nothing done, once the run is to end."""
    return None if stop.passed else job()


def _error[T](future: "Future[T]") -> BaseException | None:
    """Return the error of a call, or that of having come too late; raise the end of a process."""
    if not future.done():
        return TimeoutError("The run had no time left.")
    error = future.exception()
    if error is not None and not isinstance(error, Exception):
        raise error
    return error


def _names(key: "DueKey") -> dict[str, object]:
    """Return the members of a log line about a generation that is known by its key alone."""
    return {"generation_id": key.pk.partition("#")[2], "tenant": key.tenant}


def _facts(stalled: "Stalled") -> dict[str, object]:
    """Return the members of a log line about a stalled generation."""
    return {
        "generation_id": stalled.id,
        "tenant": stalled.tenant,
        "status": stalled.status,
        "attempt": stalled.attempt,
    }

"""The sweeper of deliveries: sends what waited in the table, and looks after open circuits."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from enum import StrEnum
from itertools import zip_longest
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from afterword import clock
from afterword.errors import NotFoundError
from afterword.runtime import telemetry
from afterword.runtime.queue import MAX_DELAY_SECONDS
from afterword.webhooks import (
    DISABLED_AFTER,
    GUARD,
    Circuit,
    CircuitState,
    Waiting,
)
from afterword.webhooks.circuits import FIRST_PACE, MAX_PACE, PROBE_EVERY

if TYPE_CHECKING:
    from datetime import datetime

    from afterword.runtime.deadline import Deadline
    from afterword.runtime.queue import Queue
    from afterword.webhooks.circuits import CircuitStore
    from afterword.webhooks.store import WebhookStore

EVERY = timedelta(minutes=1)
"""Between two runs; a run sends what falls due before the next one, delayed to the second."""
MAX_LISTED = 20_000
"""Due deliveries of one partition that a run lists, so that no endpoint hides the others."""
MAX_OF_ENDPOINT = 1_000
"""Due deliveries of one endpoint that a run keeps."""
MAX_SENT = 5_000
"""Due deliveries that a run sends."""
MAX_CIRCUITS = 1_000
"""Circuits that a run looks at."""
MAX_GIVEN_UP = 500
"""Parked deliveries that one look at a circuit ends as failed."""
MAX_PARKED_FOR = DISABLED_AFTER
"""A parked delivery fails after this long: as its endpoint is disabled, or by itself."""
STOP_SECONDS = 10.0
"""A run begins nothing in the last seconds of its invocation."""
THREADS = 10


class Sweep(StrEnum):
    """An outcome, as a name of a run's counts."""

    SENT = "sent"
    """A waiting delivery's message was sent."""
    UNSENT = "unsent"
    """AWS was out of reach; the delivery, or the circuit, comes up again."""
    CHANGED = "changed"
    """Another process changed the delivery or the circuit after the read."""
    PROBED = "probed"
    """An open circuit got a probe."""
    RELEASED = "released"
    """A parked delivery's message was sent."""
    FAILED = "failed"
    """A parked delivery has failed: its endpoint is gone or disabled, or it waited too long."""
    EMPTY = "empty"
    """A circuit had nothing parked that is due."""
    UNREADABLE = "unreadable"
    """An item could not be read."""


type Work = Callable[[], Counter[str]]


class DeliverySweeper:
    """Sends the deliveries that wait in the table. Two sweepers at once do no harm.

    Each change is conditional on the entry as it was read, and comes before its message. If the
    message is lost, the delivery comes up again.
    """

    def __init__(
        self,
        store: "WebhookStore",
        circuits: "CircuitStore",
        queue: "Queue",
        *,
        threads: int = THREADS,
    ) -> None:
        self._store = store
        self._circuits = circuits
        self._queue = queue
        self._threads = threads

    def sweep(self, deadline: "Deadline") -> Counter[str]:
        """Do what is due before the next run; return counts by `Sweep`.

        Probes come first, then deliveries with a time of their own, by turns of tenants and their
        endpoints, and parked deliveries of closed circuits last.
        """
        stop = deadline.earlier(STOP_SECONDS)
        now = clock.now()
        circuits = list(self._circuits.list_due(now + EVERY, MAX_CIRCUITS))
        probing = [each for each in circuits if each.state is CircuitState.OPEN]
        others = [each for each in circuits if each.state is not CircuitState.OPEN]
        counts = self._run((self._work(self._look, each) for each in probing), stop)
        due = in_turns(self._store.list_due(now + EVERY, MAX_LISTED))
        counts += self._run((self._work(self._send_due, each) for each in due[:MAX_SENT]), stop)
        counts += self._run((self._work(self._look_and_release, each) for each in others), stop)
        left = max(0, len(due) - MAX_SENT)
        telemetry.logger().info("swept deliveries", extra={**counts, "left": left})
        return counts

    def _run(self, works: Iterable[Work], stop: "Deadline") -> Counter[str]:
        """Do works until the deadline, ten at once."""
        counts: Counter[str] = Counter()

        def run(work: Work) -> Counter[str]:
            return Counter() if stop.passed else work()

        if self._threads == 1:
            for work in works:
                counts.update(run(work))
            return counts
        with ThreadPoolExecutor(self._threads) as threads:
            for found in threads.map(run, works):
                counts.update(found)
        return counts

    def _work[T: (Circuit, Waiting)](self, act: "Callable[[T], Counter[str]]", subject: T) -> Work:
        """Return the work on one delivery or circuit, whose failure stops no other."""

        def work() -> Counter[str]:
            facts = {"tenant": subject.tenant, "subject": _name(subject)}
            try:
                return act(subject)
            except (BotoCoreError, ClientError) as error:
                facts["why"] = str(error)
                telemetry.logger().warning("could not sweep a delivery", extra=facts)
                return Counter({Sweep.UNSENT: 1})
            except Exception:  # noqa: BLE001 - one item must not end the run
                telemetry.logger().exception("failed to sweep a delivery", extra=facts)
                return Counter({Sweep.UNREADABLE: 1})

        return work

    def _send_due(self, due: Waiting) -> Counter[str]:
        """Send a due delivery's message, and set the time at which it will be taken for lost.

        The delivery of a message that stays away comes up after 15, 30, 60, … minutes.
        """
        now = clock.now()
        at = max(due.due_at, now)
        if not self._store.wait(due, at + max(GUARD, now - (due.next_at or now))):
            return Counter({Sweep.CHANGED: 1})
        self._send(due, at)
        return Counter({Sweep.SENT: 1})

    def _send(self, delivery: Waiting, at: "datetime") -> None:
        seconds = math.ceil((at - clock.now()).total_seconds())
        message = {"tenant": delivery.tenant, "id": f"{delivery.endpoint}/{delivery.id}"}
        self._queue.send_later(delivery.tenant, message, min(max(seconds, 0), MAX_DELAY_SECONDS))

    def _look(self, circuit: Circuit) -> Counter[str]:
        """Choose an open circuit's probe: the parked delivery that has been due for longest."""
        now = clock.now()
        if not self._is_sent_to(circuit):
            return self._give_up(circuit, None)
        first = next(self._store.list_waiting(circuit.parking, None, 1), None)
        if first is None:
            return _count(Sweep.EMPTY, self._circuits.empty(circuit))
        if first.due_at < now - MAX_PARKED_FOR:
            return self._give_up(circuit, now - MAX_PARKED_FOR)
        if first.due_at > now + EVERY:
            later = min(first.due_at, now + PROBE_EVERY)
            return _count(Sweep.EMPTY, self._circuits.look(circuit, later))
        at = max(first.due_at, circuit.due_at or now, now)
        if not self._circuits.look(circuit, at + GUARD, probe=first.id):
            return Counter({Sweep.CHANGED: 1})
        self._send(first, at)
        return Counter({Sweep.PROBED: 1})

    def _look_and_release(self, circuit: Circuit) -> Counter[str]:
        """Send the messages of some parked deliveries of a closed circuit, spread over a minute."""
        now = clock.now()
        if not self._is_sent_to(circuit):
            return self._give_up(circuit, None)
        pace = circuit.pace or FIRST_PACE
        parked = list(self._store.list_waiting(circuit.parking, None, pace))
        if not parked and circuit.state is CircuitState.CLOSED:
            return _count(Sweep.EMPTY, self._circuits.take_off(circuit))
        if not parked:
            return _count(Sweep.EMPTY, self._circuits.empty(circuit))
        faster = min(2 * pace, MAX_PACE)
        if not self._circuits.look(circuit, now + EVERY, pace=faster):
            return Counter({Sweep.CHANGED: 1})
        counts: Counter[str] = Counter()
        for number, delivery in enumerate(parked):
            at = now + number * EVERY / len(parked)
            if self._store.wait(delivery, at + GUARD, next_at=at):
                self._send(delivery, at)
                counts[Sweep.RELEASED] += 1
            else:
                counts[Sweep.CHANGED] += 1
        return counts

    def _give_up(self, circuit: Circuit, before: "datetime | None") -> Counter[str]:
        """End parked deliveries as failed, those due before a time or all, for one look."""
        parked = list(self._store.list_waiting(circuit.parking, before, MAX_GIVEN_UP))
        if not parked:
            if circuit.state is CircuitState.CLOSED:
                return _count(Sweep.EMPTY, self._circuits.take_off(circuit))
            return _count(Sweep.EMPTY, self._circuits.empty(circuit))
        if not self._circuits.look(circuit, clock.now() + EVERY):
            return Counter({Sweep.CHANGED: 1})
        return Counter(
            Sweep.FAILED if self._store.give_up(each) else Sweep.CHANGED for each in parked
        )

    def _is_sent_to(self, circuit: Circuit) -> bool:
        try:
            return self._store.get_endpoint(circuit.tenant, circuit.endpoint).enabled
        except NotFoundError:
            return False


def in_turns(due: Iterable[Waiting]) -> Sequence[Waiting]:
    """Return deliveries by turns of tenants, and of each tenant by turns of endpoints.

    So the first of each tenant comes before the second of any. Further ones than MAX_OF_ENDPOINT
    are left out.
    """
    tenants: defaultdict[str, defaultdict[str, list[Waiting]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for each in due:
        group = tenants[each.tenant][each.endpoint]
        if len(group) < MAX_OF_ENDPOINT:
            group.append(each)
    return list(_interleave([list(_interleave(list(t.values()))) for t in tenants.values()]))


def _interleave(groups: Sequence[Sequence[Waiting]]) -> Iterator[Waiting]:
    for turn in zip_longest(*groups):
        yield from (each for each in turn if each is not None)


def _count(outcome: Sweep, changed: bool) -> Counter[str]:  # noqa: FBT001 - of a write
    return Counter({outcome if changed else Sweep.CHANGED: 1})


def _name(subject: Circuit | Waiting) -> str:
    return subject.name if isinstance(subject, Circuit) else f"{subject.endpoint}/{subject.id}"

"""The sweeper under load: its real code, over a storage and queues whose costs are modelled.

`Storage` and `StandInQueue` stand in for DynamoDB and SQS behind the methods that the sweeper
calls. Each takes as many calls as the real one; time is virtual. A call costs latency, a tenth of
it where ten are made at once, and processor time, which all calls share.
"""

import threading
import zlib
from bisect import bisect_left, bisect_right, insort
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from botocore.exceptions import EndpointConnectionError

from afterword import clock
from afterword.engine import sweeper
from afterword.engine.sweeper import SHARE, SHARES, Sweeper
from afterword.generations import Reason, Status
from afterword.generations.ends import DUE_SHARDS, STALLED_AFTER, DueKey, End, Look, Stalled
from afterword.runtime import deadline, telemetry
from afterword.runtime.deadline import Deadline
from tests.conftest import START

PAGE_KEYS = 10_000
"""Keys of 100 bytes in a page of 1 MB."""
PAGE, READ, WRITE, SEND = 0.010, 0.020, 0.005, 0.010
"""Seconds of latency: a page of an index, a batch of 100 items, an update, a message."""
PAGE_CPU, READ_CPU, CALL_CPU = 0.3, 0.015, 0.002
"""Seconds of processor time in a function of 512 MB, from botocore's on a whole core (0.08, 0.004
and 0.0006), since 512 MB are 0.29 of one."""
RUN = 60.0
"""Seconds from run to run, and the function's timeout."""


@dataclass
class World:
    """Virtual time, with what has been asked of AWS, and when each message was sent."""

    seconds: float = 0.0
    write: float = WRITE
    made: Counter[str] = field(default_factory=Counter)

    def now(self) -> datetime:
        """Return the time as the product sees it."""
        return START + timedelta(seconds=self.seconds)

    def spend(self, operation: str, latency: float, cpu: float) -> None:
        """Make a call of AWS."""
        self.made[operation] += 1
        self.seconds += latency + cpu

    def millis(self, seconds: float) -> int:
        """Return a moment as it is stored."""
        return clock.to_millis(START + timedelta(seconds=seconds))


@dataclass
class Row:
    """An item: an open generation, or an end that is not dispatched."""

    stalled: Stalled
    key: DueKey
    shard: int


class Storage:
    """The generations table, its index by due time included."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._shards: list[list[DueKey]] = [[] for _ in range(DUE_SHARDS)]
        self.rows: dict[str, Row] = {}
        self.throttled: set[str] = set()
        self.unreadable: set[str] = set()

    def submit(self, tenant: str, number: int, *, minutes: float = 360) -> Stalled:
        """Accept a generation now."""
        now = self._world.now()
        generation_id = f"{tenant}-{number}"
        stalled = Stalled(
            tenant=tenant,
            id=generation_id,
            status=Status.QUEUED,
            attempt=0,
            created_at=now,
            deadline_at=now + timedelta(minutes=minutes),
            due_at=now + STALLED_AFTER,
        )
        shard = zlib.crc32(generation_id.encode()) % DUE_SHARDS
        key = stalled.key
        self.rows[key.pk] = Row(stalled, key, shard)
        insort(self._shards[shard], key)
        return stalled

    def end(self, pk: str) -> bool:
        """End a generation for good; False if it has ended already."""
        row = self.rows.pop(pk, None)
        if row is not None:
            self._remove(row)
        return row is not None

    def _remove(self, row: Row) -> None:
        keys = self._shards[row.shard]
        del keys[bisect_left(keys, row.key)]

    def read_due(self, shard: int, most: int) -> list[DueKey]:
        """Return due keys as GenerationStore does."""
        keys = self._shards[shard]
        due = keys[: bisect_right(keys, (clock.to_millis(self._world.now()), "~"))]
        for _ in range(max(1, -(-min(len(due), most) // PAGE_KEYS))):
            self._world.spend("Query", PAGE, PAGE_CPU * min(len(due), PAGE_KEYS) / PAGE_KEYS)
        if len(due) <= most + PAGE_KEYS:
            return due
        self._world.spend("Query", PAGE, PAGE_CPU)
        return due[:most] + due[-PAGE_KEYS:]

    def read_stalled(self, keys: Sequence[DueKey]) -> Look:
        """Return generations as GenerationStore does."""
        self._world.spend("BatchGetItem", READ / 10, READ_CPU * len(keys) / 100)
        there = [key for key in keys if key.pk in self.rows]
        return Look(
            [self.rows[key.pk].stalled for key in there if key.pk not in self.unreadable],
            [(key, "KeyError: 'status'") for key in there if key.pk in self.unreadable],
            [],
        )

    def postpone(self, stalled: Stalled, due_at: datetime) -> bool:
        """Move a due time as GenerationStore does."""
        return self.postpone_key(stalled.key.pk, due_at)

    def postpone_key(self, pk: str, due_at: datetime) -> bool:
        """Move a due time as GenerationStore does."""
        self._world.spend("UpdateItem", self._world.write / 10, CALL_CPU)
        if pk in self.throttled:
            raise EndpointConnectionError(endpoint_url="https://aws.invalid")
        row = self.rows[pk]
        self._remove(row)
        row.stalled = _due(row.stalled, due_at)
        row.key = row.stalled.key
        insort(self._shards[row.shard], row.key)
        return True

    def postpone_end(self, stalled: Stalled, due_at: datetime) -> End | None:
        """Fail the test: there are no ends here."""
        raise AssertionError(f"{stalled.id} has not ended, and is not due at {due_at}")


def _due(stalled: Stalled, due_at: datetime) -> Stalled:
    values = {name: getattr(stalled, name) for name in Stalled.__slots__}
    return Stalled(**(values | {"due_at": due_at}))


class StandInQueue:
    """A queue without any fairness, the worst case; `sent` are times by `pk`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.messages: deque[str] = deque()
        self.sent: dict[str, list[float]] = {}

    def send(self, tenant: str, generation_id: str) -> None:
        """Send a message as the sweeper."""
        self._world.spend("SendMessage", SEND / 10, CALL_CPU)
        pk = f"{tenant}#{generation_id}"
        self.messages.append(pk)
        self.sent.setdefault(pk, []).append(self._world.seconds)

    def read_depth(self) -> int:
        """Return the number of messages."""
        self._world.spend("GetQueueAttributes", SEND, CALL_CPU)
        return len(self.messages)


class StandInOutbox:
    """The way to an end: the end's write, and its dispatch."""

    def __init__(self, world: World, storage: Storage) -> None:
        self._world = world
        self._storage = storage

    def fail_unclaimed(
        self, tenant: str, generation_id: str, reason: Reason, _message: str
    ) -> Status:
        """Fail a generation at its deadline."""
        assert reason is Reason.DEADLINE
        for _ in range(2):
            self._world.spend("UpdateItem", self._world.write / 10, CALL_CPU)
        assert self._storage.end(f"{tenant}#{generation_id}")
        return Status.FAILED


class InlinePool:
    """An executor without threads: the cost of ten at once is in the calls."""

    def submit[**P, T](
        self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> "Future[T]":
        """Do the work now."""
        future: Future[T] = Future()
        try:
            future.set_result(work(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - as an executor does
            future.set_exception(error)
        return future

    def shutdown(self, **_: bool) -> None:
        """Do nothing."""


class Simulation:
    """A sweeper each minute, and workers that take messages in between."""

    def __init__(self, world: World, rate: int) -> None:
        self.world = world
        self.rate = rate
        self.storage = Storage(world)
        self.queue = StandInQueue(world)
        self.ended: list[str] = []
        self.longest = 0.0
        self.sweeper = Sweeper(
            cast("Any", self.storage),
            cast("Any", self.queue),
            cast("Any", StandInOutbox(world, self.storage)),
            cast("Any", SimpleNamespace(read_depth=lambda: 0)),
            cast("Any", SimpleNamespace(record_sweep=self._record)),
        )
        self.lags: list[float] = []

    def _record(self, _outcomes: Mapping[str, int], *, lag: timedelta, **_: int) -> None:
        self.lags.append(lag.total_seconds())

    def submit(self, tenant: str, numbers: range, *, lost: bool = False, **more: float) -> None:
        """Submit generations now, whose messages may be lost."""
        for number in numbers:
            stalled = self.storage.submit(tenant, number, **more)
            if not lost:
                self.queue.messages.append(f"{tenant}#{stalled.id}")

    def minute(self) -> Mapping[str, int]:
        """Run the sweeper, and then the workers until the minute is over."""
        begun = self.world.seconds
        self.world.made.clear()
        repairs = self.sweeper.sweep(Deadline.after(RUN))
        self.longest = max(self.longest, self.world.seconds - begun)
        work = self.rate
        while work and self.queue.messages:
            pk = self.queue.messages.popleft()
            if self.storage.end(pk):
                self.ended.append(pk)
                work -= 1
        self.world.seconds = begun + RUN
        return repairs

    def wait(self, tenant: str, number: int) -> float:
        """Return the seconds from a generation's due time until its message was sent again."""
        pk = f"{tenant}#{tenant}-{number}"
        submitted = self.storage.rows[pk].stalled.created_at - START
        return self.queue.sent[pk][0] - (submitted + STALLED_AFTER).total_seconds()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Return a world whose time the product sees, and log nothing of its thousands of repairs."""
    world = World()
    monkeypatch.setattr(clock, "now", world.now)
    monkeypatch.setattr(deadline, "time", SimpleNamespace(monotonic=lambda: world.seconds))
    monkeypatch.setattr(sweeper, "ThreadPoolExecutor", lambda **_: InlinePool())
    logger = telemetry.logger()
    level = logger.log_level
    logger.setLevel("CRITICAL")
    yield world
    logger.setLevel(level)


@pytest.mark.parametrize("waiting", [20_000, pytest.param(100_000, marks=pytest.mark.long)])
def test_a_backlog_keeps_no_neighbours_lost_message_waiting(world: World, waiting: int) -> None:
    """100,000 wait at 600 a minute: another tenant's lost message is sent again in two minutes.

    The backlog gets its share of messages, and neither reads nor writes without bound.
    """
    simulation = Simulation(world, rate=600)
    simulation.submit("big", range(waiting))
    world.seconds = RUN
    for number, ago in enumerate((59, 43, 29, 13, 1)):  # the submissions are not in step with runs
        world.seconds -= ago
        simulation.submit("small", range(number, number + 1), lost=True)
        world.seconds += ago
        simulation.minute()
        made = world.made
        assert made["SendMessage"] <= SHARE + 2
        assert made["UpdateItem"] <= SHARE + 2
        assert made["Query"] <= 2 * DUE_SHARDS
        assert made["BatchGetItem"] <= 101
    waits = [simulation.wait("small", number) for number in range(3)]
    assert max(waits) < 70
    assert simulation.longest < 10


@pytest.mark.long
def test_a_backlog_ends_though_some_of_its_messages_are_lost(world: World) -> None:
    """In three hours 100,000 end, each once; a lost one of them soon after its turn has passed."""
    simulation = Simulation(world, rate=600)
    simulation.submit("big", range(100_000))
    lost = [f"big#big-{number}" for number in (3_000, 50_000, 50_001, 99_999)]
    simulation.queue.messages = deque(pk for pk in simulation.queue.messages if pk not in lost)
    sent = 0
    for _ in range(172):
        simulation.minute()
        sent += world.made["SendMessage"]
    assert len(simulation.ended) == len(set(simulation.ended)) == 100_000
    assert sent <= 2_000
    at = {pk: simulation.ended.index(pk) for pk in lost}
    assert at[lost[0]] < 103_000


def test_a_purged_queue_is_filled_again_as_it_is_emptied(world: World) -> None:
    """When all messages are lost, workers have enough of them from the first run on."""
    simulation = Simulation(world, rate=600)
    simulation.submit("big", range(3_000), lost=True)
    world.seconds = 121
    for minute in range(1, 6):
        simulation.minute()
        assert len(simulation.ended) == minute * 600


def test_many_tenants_that_wait_get_few_messages(world: World) -> None:
    """With 1,000 tenants that wait by the ten, a run sends to each, and to all within its bound."""
    simulation = Simulation(world, rate=0)
    for number in range(1_000):
        simulation.submit(f"tenant{number}", range(10))
    simulation.submit("small", range(1), lost=True)
    world.seconds = 121
    repairs = simulation.minute()
    assert repairs["sent"] <= 1_001 + SHARES
    assert simulation.wait("small", 0) < 30
    assert len({pk.partition("#")[0] for pk in simulation.queue.sent}) == 1_001


def test_what_is_past_its_deadline_fails_at_once_in_a_backlog(world: World) -> None:
    """Thousands that reach their deadline together fail with the next two runs."""
    simulation = Simulation(world, rate=0)
    simulation.submit("big", range(9_000), minutes=10)
    simulation.submit("big", range(9_000, 12_000))
    world.seconds = 601
    failed = sum(simulation.minute()["failed"] for _ in range(2))
    assert failed == 9_000
    assert len(simulation.storage.rows) == 3_000


def test_a_run_ends_in_time_however_slow_its_calls_are(world: World) -> None:
    """When a write takes a second, a run repairs for as long as it has time, and tells its lag."""
    world.write = 10.0
    simulation = Simulation(world, rate=0)
    simulation.submit("big", range(500), lost=True)
    world.seconds = 200
    repairs = simulation.minute()
    assert 40 <= repairs["sent"] <= 60
    assert simulation.longest < RUN - 9
    assert [round(lag) for lag in simulation.lags] == [80 + round(simulation.longest)]


def test_ten_are_repaired_at_once(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    """The writes of ten generations wait for each other, and all of them are done."""
    monkeypatch.setattr(sweeper, "ThreadPoolExecutor", ThreadPoolExecutor)
    simulation = Simulation(world, rate=0)
    together = threading.Barrier(10)

    def postpone(_stalled: Stalled, _due_at: datetime) -> bool:
        together.wait(timeout=10)
        return True

    monkeypatch.setattr(simulation.storage, "postpone", postpone)
    simulation.submit("big", range(10), lost=True)
    world.seconds = 121
    assert simulation.minute() == {"sent": 10}


def test_poisoned_items_delay_nothing(world: World) -> None:
    """A thousand items that cannot be read, or written, leave a neighbour's message on time."""
    simulation = Simulation(world, rate=600)
    simulation.submit("poisoned", range(1_000), lost=True)
    simulation.submit("small", range(1), lost=True)
    pks = list(simulation.storage.rows)
    simulation.storage.unreadable = set(pks[:500])
    simulation.storage.throttled = set(pks[400:1_000])
    world.seconds = 121
    assert simulation.minute() == {"unreadable": 500, "unrepaired": 500, "sent": 1}
    assert simulation.minute() == {"unreadable": 100, "unrepaired": 500}
    assert simulation.queue.sent["small#small-0"][0] < 121 + 30

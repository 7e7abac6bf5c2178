"""The replay: recorded paths at a rate, in virtual time, against AWS's documented quotas.

A heap of events holds the future; each event is a submission, a message that can be received, an
end, a batch that is done, or a poll. Everything follows from the seed. Recorded are the calls,
their units and CPU times. Documented are quotas and scaling, assumed are latencies and the load
(bench.load.documented).
"""

import heapq
import math
from array import array
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from bench.load import documented
from bench.load.documented import Latency
from bench.load.recording import Path, Recording

DRAWS = 8_192
"""The latencies of a kind that are drawn once and then taken in turns."""
TRIES, BACKOFF = 3, (1.0, 2.0)
"""The SDK's tries of a call and the most seconds between them (runtime/clients.py)."""
CACHE_SECONDS = 60.0
"""The time that a process keeps a tenant's key and rules (tenants/authentication.py)."""
LIMITED, HOOKED, KEYED, BIG = 1, 2, 3, 4
"""Of ten tenants: the one with limits, with a webhook, with idempotency keys, with big texts."""
KINDS = {LIMITED: "limits", HOOKED: "webhooks", KEYED: "keyed", BIG: "big"}

EACH_POLL = 100
"""The rate up to which each poll is an event."""
SECONDS_KEPT = 64
"""The seconds whose units a bucket keeps apart, at most."""
POLL_LAG = 10
"""The seconds after which almost all polls of a second are counted."""

type Draw = Callable[[], float]


@dataclass(frozen=True)
class Settings:
    """The deployment's parameters and the account's quotas."""

    api_requests: float
    concurrency: int
    memory: Mapping[str, int]
    batch: Mapping[str, int]
    maximum: Mapping[str, int]
    """The batches at once of each consumer's mapping, at most."""


@dataclass(frozen=True)
class Load:
    """Submissions a second of so many tenants, after a rise of `ramp` seconds."""

    rate: float
    tenants: int
    seconds: int = 3_600
    ramp: int = 300

    def kind(self, tenant: int) -> str:
        """Return the kind of a tenant; a single one is `native`, and polls."""
        return "native" if self.tenants == 1 else KINDS.get(tenant % 10, "native")


class Bucket:
    """The tokens of one partition, or of the API: so many a second, so many at most."""

    __slots__ = ("at", "peak", "rate", "size", "tokens", "used")

    def __init__(self, rate: float, size: float) -> None:
        self.rate, self.size = rate, size
        self.tokens, self.at = size, 0.0
        self.used: dict[int, float] = {}
        self.peak = 0.0

    def take(self, units: float, at: float) -> bool:
        """Take units at a time; False if there are not so many. A time before the last counts."""
        if at > self.at:
            self.tokens = min(self.size, self.tokens + (at - self.at) * self.rate)
            self.at = at
        if self.tokens < units:
            return False
        self.tokens -= units
        second = int(at)  # a call that is repeated later may be charged before earlier ones
        used = self.used[second] = self.used.get(second, 0.0) + units
        if len(self.used) > SECONDS_KEPT:
            self.used = {each: units for each, units in self.used.items() if each > second - 10}
        self.peak = max(self.peak, used)
        return True

    def drain(self, units: float, at: float) -> None:
        """Take units away that another count has, as many as there are."""
        self.take(0, at)
        self.tokens = max(0.0, self.tokens - units)


class Instances:
    """The instances of all functions: a warm one first, the last used first, then a new one."""

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._busy: list[tuple[float, str, int]] = []
        self._idle: dict[str, list[tuple[float, int]]] = defaultdict(list)
        self._allowed: dict[str, Bucket] = {}
        self._running: Counter[str] = Counter()
        self.reserved = 0
        self.made: Counter[str] = Counter()
        self.peaks: Counter[str] = Counter()
        self.known: dict[tuple[str, int], dict[int, float]] = {}

    def busy(self, at: float) -> int:
        """Return the number of invocations at a time."""
        busy = self._busy
        while busy and busy[0][0] <= at:
            until, function, instance = heapq.heappop(busy)
            self._idle[function].append((until, instance))
            self._running[function] -= 1
        return len(busy)

    def start(self, at: float, function: str) -> tuple[int, bool] | None:
        """Return an instance, and whether it is new.

        None at the end of the account's concurrency, or of the function's scaling.
        """
        if self.busy(at) + self.reserved >= self._concurrency:
            return None
        idle = self._idle[function]
        if idle:
            free, instance = idle.pop()
            if at - free <= documented.IDLE_SECONDS:
                return instance, False
            idle.clear()  # the others are idle for longer
        allowed = self._allowed.get(function)
        if allowed is None:
            allowed = Bucket(documented.SCALING, 10 * documented.SCALING)
            self._allowed[function] = allowed
        if not allowed.take(1, at):
            return None
        self.made[function] += 1
        self.known[function, self.made[function]] = {}
        return self.made[function], True

    def occupy(self, function: str, instance: int, until: float) -> None:
        """Give an instance an invocation until a time."""
        heapq.heappush(self._busy, (until, function, instance))
        self._running[function] += 1
        self.peaks[function] = max(self.peaks[function], self._running[function])


@dataclass
class EventSource:
    """An event source mapping: pollers that receive from a queue and invoke a function."""

    function: str
    maximum: int
    size: int
    allowed: float = documented.MAPPING_START
    busy: int = 0
    queue: deque[tuple[float, int]] = field(default_factory=deque)
    in_flight: int = 0
    peak_in_flight: int = 0
    peak_queue: int = 0
    peak_busy: int = 0
    batches: int = 0
    messages: int = 0
    idle_seconds: float = 0.0
    _busiest: int = 0

    def has_poller(self) -> bool:
        """Return whether a poller waits for a message."""
        return self.busy < int(self.allowed)

    def grow(self, second: int) -> None:
        """Add pollers while messages are left; once a minute take away those that were not used."""
        if self.queue and not self.has_poller():
            self.allowed = min(self.maximum, self.allowed + documented.MAPPING_GROWTH / 60)
        if second % 60 == 0:
            if self._busiest < int(self.allowed):
                self.allowed = max(documented.MAPPING_START, self._busiest)
            self._busiest = self.busy
        self.idle_seconds += max(0, int(self.allowed) - self.busy)

    def take(self) -> list[tuple[float, int]]:
        """Receive up to a batch of the messages that are there."""
        taken: list[tuple[float, int]] = []
        while self.queue and len(taken) < self.size:
            taken.append(self.queue.popleft())
        if taken:
            self.busy += 1
            self.peak_busy = max(self.peak_busy, self.busy)
            self._busiest = max(self._busiest, self.busy)
            self.in_flight += len(taken)
            self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
            self.batches += 1
            self.messages += len(taken)
        return taken

    def done(self, messages: int) -> None:
        """Delete a batch's messages."""
        self.busy -= 1
        self.in_flight -= messages


class _Place:
    """The partitions of one recorded key: of each tenant or of all, and in shards."""

    def __init__(self, table: str, key: str, tenants: int, shards: int) -> None:
        self.table, self.key, self.shards = table, key, shards
        self.tenants = tenants if "{tenant}" in key or "{key}" in key else 1
        self.buckets = [
            (
                Bucket(documented.PARTITION_WRITES, documented.PARTITION_WRITES),
                Bucket(documented.PARTITION_READS, documented.PARTITION_READS),
            )
            for _ in range(self.tenants * shards)
        ]

    def at(self, tenant: int, generation: int) -> tuple[Bucket, Bucket]:
        """Return the buckets of a tenant's generation."""
        # Knuth's multiplicative hash: a generation has one shard of each index.
        shard = generation * 2_654_435_761 % 4_294_967_296 * self.shards >> 32
        return self.buckets[(tenant % self.tenants) * self.shards + shard]


class _Call(NamedTuple):
    """A step of a path: CPU milliseconds, the latency's draw, charges at contended partitions."""

    cpu: float
    draw: Draw
    charges: tuple[tuple[_Place, float, float], ...]


class _Compiled(NamedTuple):
    path: Path
    calls: tuple[_Call, ...]
    rest: float


@dataclass
class Outcome:
    """The figures of a run, after the rise.

    `partitions` are the most write and read units in a second at one partition, by table and key;
    `tables` the write units by table and index. `backlog` is the queue's length by second, from the
    begin of the rise on.
    """

    load: Load
    settings: Settings
    ages: "array[float]" = field(default_factory=lambda: array("d"))
    paths: Counter[str] = field(default_factory=Counter)
    invocations: Counter[str] = field(default_factory=Counter)
    cold: Counter[str] = field(default_factory=Counter)
    gb_seconds: float = 0.0
    refused: Counter[str] = field(default_factory=Counter)
    throttled: Counter[str] = field(default_factory=Counter)
    peaks: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    partitions: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)
    tables: dict[str, float] = field(default_factory=dict)
    mappings: dict[str, EventSource] = field(default_factory=dict)
    empty_receives: float = 0.0
    requests: int = 0
    accepted: int = 0
    done: int = 0
    log_bytes: float = 0.0
    backlog: list[tuple[int, int]] = field(default_factory=list)


class Invocation(NamedTuple):
    """An invocation as it begins: of an instance, with the paths and generations of its messages.

    A request has one path and one generation.
    """

    at: float
    function: str
    instance: int
    paths: Sequence[str]
    generations: Sequence[int]
    tenants: Sequence[int]


class Simulation:
    """One run. `listen` hears of each invocation.

    With `each_poll` a poll is an event. Otherwise an end counts the polls before it, by second:
    their number and times are the same, and their instances follow from Little's law.
    """

    def __init__(  # noqa: PLR0913 - a run's settings
        self,
        recording: Recording,
        settings: Settings,
        load: Load,
        seed: int,
        listen: "Callable[[Invocation], None] | None" = None,
        *,
        each_poll: bool | None = None,
    ) -> None:
        self._recording, self._settings, self._load = recording, settings, load
        self._listen = listen
        self._each_poll = load.rate <= EACH_POLL if each_poll is None else each_poll
        self._polls = [0] * (load.ramp + load.seconds + 1)
        self._busy: list[int] = []
        self._random = Random(seed)  # noqa: S311 - a simulation # nosec B311
        self._draws = {name: self._drawn(latency) for name, latency in documented.LATENCIES.items()}
        self._gateway = self._drawn(documented.GATEWAY)
        self._invoke = self._drawn(documented.INVOKE)
        self._receive = self._drawn(documented.RECEIVE)
        self._new = self._drawn(documented.START)
        self._model = self._drawn(documented.MODEL)
        self._receiver = self._drawn(documented.RECEIVER)
        self._places: dict[tuple[str, str], _Place] = {}
        self._compiled = {name: self._compile(path) for name, path in recording.paths.items()}
        self._api = Bucket(settings.api_requests, min(settings.api_requests, documented.API_BURST))
        self._instances = Instances(settings.concurrency)
        self._mappings = {
            name: EventSource(name, settings.maximum[name], settings.batch[name])
            for name in ("generate", "deliver", "send_webhook")
        }
        self._events: list[tuple[float, int, int, int]] = []
        self._number = 0
        self._tenant = array("H")
        self._created, self._ended = array("d"), array("d")
        self._batches: dict[int, tuple[str, int]] = {}
        self._next_batch = 0
        self._pending: dict[int, str] = {}
        self._counting = False
        self._of_second: Counter[str] = Counter()
        self._table_peaks: dict[str, float] = defaultdict(float)
        self._units = {
            name: _units_by_table(compiled.path) for name, compiled in self._compiled.items()
        }
        self._out = Outcome(load, settings)

    # --- a run -----------------------------------------------------------------------------------

    def run(self, progress: Callable[[float], None] = lambda _: None) -> Outcome:
        """Run the ramp and the load; return the figures of the load's seconds."""
        load, random = self._load, self._random
        begin, end = float(load.ramp), float(load.ramp + load.seconds)
        events, pop, push = self._events, heapq.heappop, heapq.heappush
        push(events, (0.0, 0, _SUBMIT, 0))
        self._tick(0)
        tick = 1
        while events:
            at, _, kind, subject = pop(events)
            if at >= end:
                break
            while at >= tick:
                self._tick(tick)
                if tick % 60 == 0:
                    progress(tick / end)
                tick += 1
            self._counting = at >= begin
            if kind == _SUBMIT:
                rate = load.rate * min(1.0, (at + 1) / begin) if at < begin else load.rate
                self._push(at + random.expovariate(rate), _SUBMIT, 0)
                self._submit(at)
            elif kind == _POLL:
                self._poll(at, subject)
            elif kind == _DONE:
                self._finish_batch(at, subject)
            elif kind == _END:
                self._end(at, subject)
            else:
                self._message(at, _CONSUMERS[kind - _MESSAGE], subject)
        return self._finish()

    def _tick(self, second: int) -> None:
        """Note the peaks of the second before, and let the mappings grow."""
        used: dict[str, float] = defaultdict(float)
        for name, count in self._of_second.items():
            for table, (write, _) in self._units[name].items():
                used[table] += write * count
        for table, units in used.items():
            self._table_peaks[table] = max(self._table_peaks[table], units)
        self._of_second.clear()
        for mapping in self._mappings.values():
            mapping.grow(second)
            if mapping.queue:
                self._serve(float(second), mapping)
        busy = self._instances.busy(second)
        self._busy.append(busy)
        if not self._each_poll:
            polls = self._polls[max(0, second - POLL_LAG)]
            self._instances.reserved = int(polls * self._poll_seconds())
            self._api.drain(polls, float(second))
        if second >= self._load.ramp:
            peaks = self._out.peaks
            peaks["concurrency"] = max(peaks["concurrency"], busy)
        if second % 10 == 0:
            self._out.backlog.append((second, len(self._mappings["generate"].queue)))

    def _push(self, at: float, kind: int, subject: int) -> None:
        self._number += 1
        heapq.heappush(self._events, (at, self._number, kind, subject))

    # --- requests --------------------------------------------------------------------------------

    def _submit(self, at: float) -> None:
        """Submit a generation; a refused request is not sent again."""
        tenant = self._random.randrange(self._load.tenants)
        kind = self._load.kind(tenant)
        generation = len(self._tenant)
        self._tenant.append(tenant)
        self._created.append(0.0)
        self._ended.append(0.0)
        ended = self._request(at, "submit", kind, tenant, generation)
        if ended is None:
            return
        self._created[generation] = ended
        if self._counting:
            self._out.accepted += 1
        self._push(ended + self._draws["sqs"]() / 1e3, _MESSAGE, generation)
        if kind != "webhooks" and self._each_poll:
            self._push(ended + documented.POLLS[0], _POLL, generation)

    def _poll(self, at: float, generation: int) -> None:
        tenant = self._tenant[generation]
        answered = self._request(at, "poll", "native", tenant, generation)
        ended = self._ended[generation]
        if answered is not None and ended and ended <= answered:
            return
        age = at - self._created[generation]
        later = next((each for each in documented.POLLS if each > age + 0.01), age + 32.0)
        self._push(self._created[generation] + later, _POLL, generation)

    def _count_polls(self, created: float, ended: float) -> None:
        """Count the polls of a generation: those before its end, and the first one after it."""
        polls = self._polls
        age = 0.0
        for each in (*documented.POLLS, *range(64, 4_000, 32)):
            age = float(each)
            second = int(created + age)
            if second < len(polls):
                polls[second] += 1
            if created + age >= ended:
                return

    def _finish_polls(self) -> None:
        """Add the invocations of the counted polls, and the instances that they had."""
        out, load = self._out, self._load
        function, path = "get_generation", self._recording.paths["poll:native:warm"]
        seconds = self._poll_seconds()
        total = sum(self._polls[load.ramp : load.ramp + load.seconds])
        busy = [count * seconds for count in self._polls]
        # Each instance reads a tenant's key again once a minute.
        first = min(total, int(sum(busy[load.ramp :]) * load.tenants / CACHE_SECONDS))
        out.paths["poll:native:first"] += first
        out.paths["poll:native:warm"] += total - first
        out.requests += total
        out.invocations[function] += total
        out.gb_seconds += total * seconds * self._settings.memory[function] / 1_024
        out.log_bytes += total * (path.log + documented.ABOVE_START_LOG)
        peaks = out.peaks
        peaks["API requests"] = max(
            peaks["API requests"], self._api.peak + max(self._polls[load.ramp :], default=0)
        )
        peaks["concurrency"] = max(
            (
                own + polls
                for own, polls in zip(self._busy[load.ramp :], busy[load.ramp :], strict=False)
            ),
            default=0.0,
        )

    def _poll_seconds(self) -> float:
        """Return the mean seconds of a poll's invocation."""
        path = self._recording.paths["poll:native:warm"]
        latencies = [documented.LATENCIES[step.operation.partition(".")[0]] for step in path.steps]
        waits = sum(each.median * math.exp(each.spread**2 / 2) for each in latencies)
        return (waits + path.cpu / self._share(path.function)) / 1e3

    def _request(
        self, at: float, route: str, kind: str, tenant: int, generation: int
    ) -> float | None:
        """Send a request; return the time of its answer, or None for a refusal."""
        out = self._out
        if self._counting:
            out.requests += 1
        if not self._api.take(1, at):
            self._refuse("API requests")
            return None
        function = "submit_generation" if route == "submit" else "get_generation"
        started = self._instances.start(at, function)
        if started is None:
            self._refuse("concurrency")
            return None
        instance, new = started
        known = self._instances.known[function, instance]
        fresh = known.get(tenant, -1.0) < at
        if fresh:
            known[tenant] = at + CACHE_SECONDS
        name = f"{route}:{kind}:{'first' if fresh else 'warm'}"
        if self._listen is not None:
            self._listen(Invocation(at, function, instance, [name], [generation], [tenant]))
        wait = self._gateway() / 1e3 + (self._cold(function) if new else 0.0)
        ended, ok = self._walk(at + wait, name, tenant, generation)
        self._note(function, name, at + wait, ended, instance, new=new)
        if not ok:
            self._refuse("DynamoDB")
            return None
        return ended

    def _refuse(self, why: str) -> None:
        """Count a refusal."""
        if self._counting:
            self._out.refused[why] += 1

    # --- consumers -------------------------------------------------------------------------------

    def _message(self, at: float, consumer: str, generation: int) -> None:
        mapping = self._mappings[consumer]
        mapping.queue.append((at, generation))
        mapping.peak_queue = max(mapping.peak_queue, len(mapping.queue))
        self._serve(at, mapping)

    def _serve(self, at: float, mapping: EventSource) -> None:
        """Let the pollers that wait receive what is there."""
        while mapping.queue and mapping.has_poller():
            started = self._instances.start(at, mapping.function)
            if started is None:
                self._out.throttled[mapping.function] += 1
                return
            self._begin_batch(at, mapping, *started)

    def _begin_batch(self, at: float, mapping: EventSource, instance: int, new: bool) -> None:  # noqa: FBT001
        """Receive a batch, and run it: its CPU one after another, all else at once."""
        messages = mapping.take()
        function = mapping.function
        begun = at + (self._receive() + self._invoke()) / 1e3
        if new:
            begun += self._cold(function)
        ended = begun
        share = self._share(function)
        further = self._recording.batch_cpu.get(function)
        known = self._instances.known[function, instance]
        waited = 0.0
        names = [self._consumed(function, self._tenant[each], known) for _, each in messages]
        if self._listen is not None:
            ids = [generation for _, generation in messages]
            tenants = [self._tenant[generation] for generation in ids]
            self._listen(Invocation(at, function, instance, names, ids, tenants))
        for (_, generation), name in zip(messages, names, strict=True):
            tenant = self._tenant[generation]
            own = self._compiled[name].path.cpu if further is None else further
            until = self._run_message(begun + waited, function, name, tenant, generation)
            waited += own / 1e3 / share
            ended = max(ended, until)
        ended = max(ended, begun + waited)
        self._note(function, "", begun, ended, instance, new=new)
        batch = self._next_batch
        self._next_batch += 1
        self._batches[batch] = (function, len(messages))
        self._push(ended + self._draws["sqs"]() / 1e3, _DONE, batch)

    def _consumed(self, function: str, tenant: int, known: dict[int, float]) -> str:
        """Return the name of a message's path."""
        kind = self._load.kind(tenant)
        turn = "warm" if tenant in known else "first"
        known[tenant] = 0.0
        if function == "generate":
            return f"generate:{'plain' if kind in {'native', 'keyed'} else kind}:{turn}"
        return f"{function}:{turn}"

    def _run_message(
        self, at: float, function: str, name: str, tenant: int, generation: int
    ) -> float:
        """Run one message; return the time at which it is done."""
        if function != "generate":
            wait = self._receiver() / 1e3 if function == "send_webhook" else 0.0
            ended, _ = self._walk(at, name, tenant, generation)
            self._count(name)
            if function == "deliver":
                self._push(ended, _MESSAGE + 2, generation)
            return ended + wait
        compiled = self._compiled[name]
        claim, *rest = compiled.calls
        share = self._share(function)
        claimed = at + claim.cpu / 1e3 / share + claim.draw() / 1e3
        for wait in BACKOFF:
            if not claim.charges or self._charge(claim, claimed, tenant, generation):
                break
            claimed += self._random.uniform(0, wait)
        if self._counting:
            self._out.ages.append(claimed - self._created[generation])
        ended = claimed + self._model() / 1e3
        ended += sum(call.cpu / 1e3 / share + call.draw() / 1e3 for call in rest)
        self._count(name)
        self._pending[generation] = name
        self._push(ended, _END, generation)
        return ended

    def _end(self, at: float, generation: int) -> None:
        """End a generation: its writes, and the message of its end.

        A throttled write is repeated, as the SDK does.
        """
        compiled = self._compiled[self._pending[generation]]
        tenant = self._tenant[generation]
        for call in compiled.calls[1:]:
            if call.charges and not self._charge(call, at, tenant, generation):
                self._push(at + self._random.uniform(0, BACKOFF[0]), _END, generation)
                return
        del self._pending[generation]
        self._ended[generation] = at
        if self._counting:
            self._out.done += 1
        if not self._each_poll and "NotifyQueue" not in compiled.path.sends:
            self._count_polls(self._created[generation], at)
        if "NotifyQueue" in compiled.path.sends:
            self._push(at, _MESSAGE + 1, generation)

    def _finish_batch(self, at: float, batch: int) -> None:
        function, messages = self._batches.pop(batch)
        mapping = self._mappings[function]
        mapping.done(messages)
        self._serve(at, mapping)

    # --- what an invocation takes ----------------------------------------------------------------

    def _cold(self, function: str) -> float:
        """Return the seconds of a new instance's start."""
        return (self._new() + self._recording.imports.get(function, 500.0)) / 1e3

    def _share(self, function: str) -> float:
        """Return the part of a vCPU that one thread of a function has."""
        return min(1.0, self._settings.memory[function] / documented.VCPU_MEMORY)

    def _walk(self, at: float, name: str, tenant: int, generation: int) -> tuple[float, bool]:
        """Make a path's calls; return the time after the last, and whether none was throttled."""
        compiled = self._compiled[name]
        share = self._share(compiled.path.function)
        for call in compiled.calls:
            at += call.cpu / 1e3 / share + call.draw() / 1e3
            if call.charges and not self._charge(call, at, tenant, generation):
                for wait in BACKOFF:
                    at += self._random.uniform(0, wait)
                    if self._charge(call, at, tenant, generation):
                        break
                else:
                    return at, False
        return at + compiled.rest / 1e3 / share, True

    def _charge(self, call: _Call, at: float, tenant: int, generation: int) -> bool:
        """Take a call's units; False, and a count, if a partition has not so many."""
        ok = True
        for place, write, read in call.charges:
            writes, reads = place.at(tenant, generation)
            if (write and not writes.take(write, at)) or (read and not reads.take(read, at)):
                self._out.throttled[place.table] += 1
                ok = False
        return ok

    def _place(self, table: str, key: str) -> _Place:
        place = self._places.get((table, key))
        if place is None:
            shards = self._recording.shards.get((table, key), 1)
            place = self._places[table, key] = _Place(table, key, self._load.tenants, shards)
        return place

    def _count(self, name: str) -> None:
        self._of_second[name] += 1
        if self._counting:
            self._out.paths[name] += 1
            self._out.log_bytes += self._compiled[name].path.log

    def _note(  # noqa: PLR0913 - the facts of an invocation
        self, function: str, name: str, begun: float, ended: float, instance: int, *, new: bool
    ) -> None:
        """Note an invocation, and keep its instance until it ends."""
        self._instances.occupy(function, instance, ended)
        if name:
            self._count(name)
        if self._counting:
            out = self._out
            out.invocations[function] += 1
            out.cold[function] += new
            out.gb_seconds += (ended - begun) * self._settings.memory[function] / 1_024
            out.log_bytes += documented.ABOVE_START_LOG

    def _compile(self, path: Path) -> _Compiled:
        calls = tuple(
            _Call(
                step.cpu,
                self._draws[step.operation.partition(".")[0]],
                tuple(
                    (self._place(each.table, each.key), each.write, each.read)
                    for each in step.charges
                    if "{id}" not in each.key
                ),
            )
            for step in path.steps
        )
        return _Compiled(path, calls, max(0.0, path.cpu - sum(step.cpu for step in path.steps)))

    def _drawn(self, latency: Latency) -> Draw:
        """Return a function that gives latencies in turns."""
        random = self._random
        values = [latency.median * math.exp(random.gauss(0, latency.spread)) for _ in range(DRAWS)]
        position = 0

        def draw() -> float:
            nonlocal position
            position = (position + 1) % DRAWS
            return values[position]

        return draw

    def _finish(self) -> Outcome:
        out = self._out
        for where, place in self._places.items():
            out.partitions[where] = (
                max(writes.peak for writes, _ in place.buckets),
                max(reads.peak for _, reads in place.buckets),
            )
        out.tables = dict(self._table_peaks)
        out.mappings = self._mappings
        out.empty_receives = sum(
            each.idle_seconds / documented.LONG_POLL for each in self._mappings.values()
        )
        out.peaks["API requests"] = self._api.peak
        if not self._each_poll:
            self._finish_polls()
        for name, peak in self._instances.peaks.items():
            out.peaks[f"instances of {name}"] = peak
        return out


_SUBMIT, _POLL, _DONE, _END, _MESSAGE = range(5)
_CONSUMERS = ("generate", "deliver", "send_webhook")


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which a share of sorted values lies; 0 for none."""
    return values[min(len(values) - 1, int(len(values) * share))] if values else 0.0


def _units_by_table(path: Path) -> dict[str, tuple[float, float]]:
    """Return write and read units of a path by table and index."""
    units: dict[str, tuple[float, float]] = {}
    for step in path.steps:
        for charge in step.charges:
            write, read = units.get(charge.table, (0.0, 0.0))
            units[charge.table] = (write + charge.write, read + charge.read)
    return units

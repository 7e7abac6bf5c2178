"""A STAND-IN for AWS and a model in virtual time, under the real intake and the real turns.

Real are `Intake`, `BatchRunner`, the window and the layout of a batch's item. Stand-ins are the
queues, the stores, the bucket, the workers and the model. The worker's queue is one plain queue,
first in, first out: the worst case, since SQS serves groups of messages beside each other.

A turn takes about TURN_SECONDS, a message SQS_SECONDS, and a read or write nothing. Calls are
counted.
"""

import heapq
import itertools
import json
import random
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, cast

from afterword import batches, clock
from afterword.batches import (
    Batch,
    BatchLease,
    BatchTerms,
    LeaseRefused,
    Source,
    State,
    store,
)
from afterword.batches.intake import Intake, IntakeMessage
from afterword.batches.runner import BatchRunner
from afterword.engine.submission import KeyedSubmission
from afterword.errors import AfterwordError, InvalidRequestError
from afterword.generations import Generation, Status, Submission, id_for_key
from afterword.generations.progress import Progress
from afterword.limits import LimitedError, Room
from afterword.runtime.deadline import Deadline
from afterword.runtime.queue import MAX_SENT
from afterword.tenants import StoredFlow
from tests.conftest import START

TURN_SECONDS, SQS_SECONDS = 0.3, 0.05
BUCKET = "bucket"
RETENTION = timedelta(days=30)


@dataclass(slots=True)
class Request:
    """A generation: a line of a batch, or another request. Times are seconds of virtual time."""

    tenant: str
    id: str
    created: float
    deadline: float
    claimed: float | None = None
    finished: float | None = None
    attempts: int = 0
    status: Status = Status.QUEUED
    line: bool = True

    def progress(self) -> Progress:
        """Return its progress, as a read of its item gives it."""
        waits = self.status is Status.QUEUED and self.attempts > 0
        return Progress(
            status=self.status,
            created_at=_at(self.created),
            claimed_at=None if self.claimed is None else _at(self.claimed),
            finished_at=None if self.finished is None else _at(self.finished),
            attempted=self.attempts > 0,
            returned=waits or self.attempts > 1,
        )


@dataclass(slots=True)
class Model:
    """A model with so many places, each of which takes a request for so many seconds.

    A message takes `slow_queue` seconds longer than usual. With `throttles` a full model refuses,
    otherwise requests wait in the queue. A model that `shares` takes all at once, and the longer
    for each. In the seconds of `dead` none answers.
    """

    places: int
    seconds: float
    slow_queue: float = 0.0
    throttles: bool = False
    shares: bool = False
    dead: tuple[float, float] = (0.0, 0.0)

    def rate(self) -> float:
        """Return the requests that it takes in a second."""
        return self.places / self.seconds


class World:
    """Batches of tenants, and the model that takes their lines."""

    def __init__(
        self,
        model: Model,
        *,
        seed: int = 1,
        hours: int = 24,
        limits: Mapping[str, int] | None = None,
    ) -> None:
        self.model = model
        self.now = 0.0
        self.calls: Counter[str] = Counter()
        self.requests: dict[str, Request] = {}
        self.turns = 0
        self.deepest = 0
        self.biggest = 0
        self.stopped = False
        self._limits = limits or {}
        self._random = random.Random(seed)  # noqa: S311 - a seed's run is the same every time
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._waiting: deque[Request] = deque()
        self._busy = 0
        self._batches = StoredBatches(self)
        self._files: dict[str, bytes] = {}
        generations, submitter, files = Generations(self), Submitter(self), Files(self)
        runner = BatchRunner(
            *cast(
                "Any", (self._batches, files, generations, submitter, generations.cancel, Numbers())
            )
        )
        self.intake = Intake(
            *cast("Any", (Tenants(), Numbers(), submitter)),
            store=cast("Any", self._batches),
            files=cast("Any", files),
            runner=runner,
            queue=cast("Any", self),
            dead_letters=cast("Any", self),
            terms=BatchTerms(retention=RETENTION, deadline=timedelta(hours=hours)),
        )

    # --- time ------------------------------------------------------------------------------------

    def clock(self) -> datetime:
        """Return the present moment, for `afterword.clock`."""
        return _at(self.now)

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something later."""
        heapq.heappush(self._events, (self.now + seconds, next(self._order), action))

    def run(self, until: float) -> None:
        """Let time pass until all batches have ended, and no request is open; or until a time."""
        while self._events and self._events[0][0] <= until and not self.stopped:
            self.now, _, action = heapq.heappop(self._events)
            action()
        if self._events and not self.stopped:
            self.now = until

    # --- batches and other requests --------------------------------------------------------------

    def put(self, tenant: str, lines: int, name: str = "mails") -> str:
        """Put a file of so many lines into the bucket now; return the id of its batch."""
        key = f"{batches.INTAKE}/{tenant}/{name}.jsonl"
        self._files[key] = b"".join(b"%d\n" % line for line in range(1, lines + 1))
        facts = {"key": key, "size": len(self._files[key]), "eTag": name, "versionId": "1"}
        record = {"s3": {"bucket": {"name": BUCKET}, "object": facts}}
        self._deliver(json.dumps({"Records": [record]}), 0.0)
        source = Source(key=key, version="1", etag=f'"{name}"', size=len(self._files[key]))
        return batches.id_for_file(BUCKET, source)

    def batch(self, tenant: str, batch_id: str) -> Batch:
        """Return a batch as it is stored."""
        return self._batches.get(tenant, batch_id)

    def ask(self, tenant: str, every: float, until: float) -> list[Request]:
        """Make a request of a tenant again and again; return the list of them, which grows."""
        asked: list[Request] = []

        def ask() -> None:
            asked.append(self.submit(tenant, f"{tenant}-{len(asked)}", line=False))
            if self.now < until:
                self.after(every * self._random.uniform(0.5, 1.5), ask)

        self.after(every, ask)
        return asked

    def lines(self, tenant: str | None = None) -> list[Request]:
        """Return the lines that were submitted."""
        return [r for r in self.requests.values() if r.line and tenant in {None, r.tenant}]

    def open_lines(self, tenant: str) -> int:
        """Return the number of a tenant's open lines."""
        return sum(not each.status.terminal for each in self.lines(tenant))

    def submit(self, tenant: str, request_id: str, *, line: bool = True) -> Request:
        """Accept a request once, with the usual deadline of an hour."""
        if request_id not in self.requests:
            self.calls["put"] += 1
            request = Request(tenant, request_id, self.now, self.now + 3600, line=line)
            self.requests[request_id] = request
            self.after(SQS_SECONDS + self.model.slow_queue, lambda: self._arrive(request))
        return self.requests[request_id]

    # --- the worker's queue and the model --------------------------------------------------------

    def _arrive(self, request: Request) -> None:
        self._waiting.append(request)
        self.deepest = max(self.deepest, len(self._waiting))
        self._take()

    def _dead(self) -> bool:
        return self.model.dead[0] <= self.now < self.model.dead[1]

    def _take(self) -> None:
        """Start attempts, in the order of the queue, while a worker is free."""
        unlimited = self.model.throttles or self.model.shares or self._dead()
        while self._waiting and (unlimited or self._busy < self.model.places):
            request = self._waiting.popleft()
            if request.status is not Status.QUEUED:
                continue
            if self.now >= request.deadline:
                self._end(request, Status.FAILED)
                continue
            request.claimed = self.now if request.claimed is None else request.claimed
            request.attempts += 1
            if self._dead() or (self.model.throttles and self._busy >= self.model.places):
                self._return(request)
                continue
            request.status = Status.RUNNING
            self._busy += 1
            seconds = self.model.seconds
            if self.model.shares:
                seconds *= max(1.0, self._busy / self.model.places)
            self.after(seconds, lambda request=request: self._answer(request))  # type: ignore[misc]

    def _return(self, request: Request) -> None:
        """Send a request back, for as long as the worker's backoff."""
        bound = min(60.0, 2.0 * 2 ** min(request.attempts - 1, 10))
        self.after(max(1.0, self._random.uniform(0, bound)), lambda: self._arrive(request))

    def _answer(self, request: Request) -> None:
        self._busy -= 1
        if request.status is Status.RUNNING:
            self._end(request, Status.SUCCEEDED)
        self._take()

    def _end(self, request: Request, status: Status) -> None:
        request.status, request.finished = status, self.now

    # --- the intake's queue ----------------------------------------------------------------------

    def _deliver(self, body: str, seconds: float) -> None:
        message = IntakeMessage(id=str(next(self._order)), receipt_handle=body, body=body)
        self.after(seconds, lambda: self._receive(message))

    def _receive(self, message: IntakeMessage) -> None:
        self.turns += 1
        self.intake.process([message], Deadline.after(300))

    def send_later(self, tenant: str, message: Mapping[str, object], seconds: int) -> None:  # noqa: ARG002
        """Send the message of the next turn."""
        self.calls["send turn"] += 1
        turn = TURN_SECONDS * self._random.uniform(0.5, 1.5)  # no two turns stay in step
        self._deliver(json.dumps(message), turn + SQS_SECONDS + seconds)

    def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        """Redeliver a message."""
        self._deliver(receipt_handle, seconds)

    def forward(self, body: str) -> None:
        """Refuse a message, which no test of batches sends."""
        raise AssertionError(body)

    # --- what the stand-ins below share ----------------------------------------------------------

    def get_room(self, tenant: str) -> Room | None:
        """Return the room under a tenant's limit of open generations."""
        if tenant not in self._limits:
            return None
        limit = self._limits[tenant]
        free = max(1, limit - max(1, round(limit / 5))) - self._running(tenant)
        return Room(submissions=free, retry_after=0)

    def check_limit(self, tenant: str) -> None:
        """Raise LimitedError for a tenant that has reached its limit."""
        if tenant in self._limits and self._running(tenant) >= self._limits[tenant]:
            raise LimitedError("So many are open.", 5)

    def _running(self, tenant: str) -> int:
        return sum(
            not each.status.terminal for each in self.requests.values() if each.tenant == tenant
        )

    def read(self, key: str, offset: int, length: int) -> bytes:
        """Return a piece of a file."""
        self.calls["get object"] += 1
        return self._files[key][offset : offset + length]


def _at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@dataclass(slots=True)
class Stored:
    """A batch's item, which the real layout has rendered and parsed."""

    item: dict[str, Any]
    turn: int = 0
    lease: int = 0
    tries: int = 0


@dataclass
class StoredBatches:
    """Batches under their leases. A STAND-IN for BatchStore, with its layout of items."""

    world: World
    stored: dict[tuple[str, str], Stored] = field(default_factory=dict)
    bad: dict[str, dict[int, str]] = field(default_factory=dict)

    def create(self, batch: Batch) -> Batch:
        """Store a batch, unless there is one."""
        self.world.calls["write batch"] += 1
        known = self.stored.setdefault((batch.tenant, batch.id), Stored(self._rendered(batch)))
        return store._batch(known.item)  # noqa: SLF001 - the real layout

    def _rendered(self, batch: Batch) -> dict[str, Any]:
        item = {**store._key(batch.tenant, batch.id), **store._item(batch)}  # noqa: SLF001 - the real layout
        self.world.biggest = max(self.world.biggest, len(json.dumps(item)))
        return item

    def get(self, tenant: str, batch_id: str) -> Batch:
        """Return a batch."""
        return store._batch(self.stored[tenant, batch_id].item)  # noqa: SLF001 - the real layout

    def take_lease(
        self, tenant: str, batch_id: str, turn: int, until: datetime
    ) -> BatchLease | LeaseRefused:
        """Take the lease of a turn."""
        self.world.calls["write batch"] += 1
        known, now = self.stored[tenant, batch_id], clock.to_millis(clock.now())
        if known.lease > now or known.turn != turn:
            left = known.lease - now
            return LeaseRefused(-(-left // 1000) if left > 0 and known.turn <= turn + 1 else None)
        known.turn, known.lease = turn + 1, clock.to_millis(until)
        known.tries += 1
        batch = store._batch(known.item)  # noqa: SLF001 - the real layout
        return BatchLease(batch=batch, number=turn + 1, until=known.lease, again=known.tries > 1)

    def save(self, lease: BatchLease, batch: Batch, *, release: bool = False) -> BatchLease:
        """Store a batch's progress."""
        self.world.calls["write batch"] += 1
        known = self.stored[batch.tenant, batch.id]
        known.item = self._rendered(batch)
        if release:
            known.lease = known.tries = 0
        if batch.state.terminal and release:
            states = {each.item["state"]["S"] for each in self.stored.values()}
            self.world.stopped = states <= {State.FINISHED, State.FAILED}
        return replace(lease, batch=batch)

    def release_lease(self, lease: BatchLease) -> None:
        """Give a lease back."""
        self.stored[lease.batch.tenant, lease.batch.id].lease = 1

    def put_bad(self, batch: Batch, first: int, bad: Mapping[int, str]) -> None:
        """Store bad lines."""
        self.world.calls["write bad"] += 1
        self.bad.setdefault(f"{batch.id}#{first:06}", {}).update(bad)

    def read_bad(self, batch: Batch, first: int, last: int) -> dict[int, str]:
        """Return bad lines."""
        self.world.calls["query bad"] += 1
        return {
            line: why
            for key, chunk in self.bad.items()
            if key.startswith(batch.id)
            for line, why in chunk.items()
            if first <= line <= last
        }


class Generations:
    """A STAND-IN for the store of generations, and for the outbox."""

    def __init__(self, world: World) -> None:
        self._world = world

    def get_progress(self, tenant: str, ids: Collection[str]) -> dict[str, Progress | None]:  # noqa: ARG002
        """Return the progress of lines."""
        assert len(ids) <= 100
        self._world.calls["batch get"] += 1
        found = self._world.requests
        return {each: found[each].progress() if each in found else None for each in ids}

    def get_many(self, tenant: str, ids: Collection[str]) -> dict[str, Generation]:  # noqa: ARG002
        """Return no generation: the results only need their number."""
        self._world.calls["batch get"] += 1
        return {}

    def cancel(self, tenant: str, generation_id: str) -> Status:  # noqa: ARG002
        """Cancel a line."""
        request = self._world.requests[generation_id]
        if not request.status.terminal:
            request.status, request.finished = Status.CANCELED, self._world.now
        return request.status


class Submitter:
    """A STAND-IN for the submitter."""

    def __init__(self, world: World) -> None:
        self._world = world

    def get_room(self, tenant: str) -> Room | None:
        """Return the room of a batch."""
        return self._world.get_room(tenant)

    def submit_many(
        self, tenant: str, many: Sequence[KeyedSubmission], group: str, threads: Executor
    ) -> list[AfterwordError | None]:
        """Accept lines, whose messages are sent in one call."""
        assert group == f"{tenant}/batches"
        assert threads
        assert len(many) <= MAX_SENT
        self._world.calls["send"] += bool(many)
        return [self._submit(tenant, each) for each in many]

    def _submit(self, tenant: str, line: KeyedSubmission) -> AfterwordError | None:
        request_id = id_for_key(tenant, line.key)
        if request_id not in self._world.requests:
            try:
                self._world.check_limit(tenant)
            except LimitedError as error:
                return error
        self._world.submit(tenant, request_id)
        return None


class Files:
    """A STAND-IN for the bucket."""

    bucket = BUCKET

    def __init__(self, world: World) -> None:
        self._world = world

    def read(self, source: Source, offset: int, length: int) -> bytes:
        """Return a piece of a file."""
        return self._world.read(source.key, offset, length)

    def start(self, key: str) -> batches.Upload:
        """Start writing results."""
        return batches.Upload(id=key)

    def add(self, key: str, upload: batches.Upload, content: bytes) -> batches.Upload:
        """Keep the results."""
        self._world.calls["upload part"] += 1
        self._world._files[key] = self._world._files.get(key, b"") + content  # noqa: SLF001 - its bucket
        return replace(upload, parts=(*upload.parts, str(len(content))))

    def complete(self, key: str, upload: batches.Upload) -> batches.Upload:
        """Complete the results."""
        assert key
        return upload


class Tenants:
    """A STAND-IN for the registry, which has all tenants."""

    def get_tenant(self, tenant: str) -> str:
        """Return a tenant."""
        return tenant


class Numbers:
    """Lines that are numbers; any other line is bad."""

    def parse(self, batch: Batch, content: bytes) -> tuple[object, object]:
        """Return something for a number."""
        assert batch
        if not content.isdigit():
            raise InvalidRequestError("A line of words.")
        return content, content

    def parse_event(self, tenant: str, detail: object) -> tuple[Submission, StoredFlow]:
        """Refuse an event, which no test of batches sends."""
        raise AssertionError(tenant, detail)

    def render_result(self, line: int, generation_id: str, generation: object) -> str:
        """Return a line's number."""
        assert generation_id
        assert generation is None
        return str(line)

    def render_bad(self, line: int, error: str) -> str:
        """Return a bad line's number."""
        return f"{line} {error}"

    def render_unsubmitted(self, line: int) -> str:
        """Return the number of a line that was cut off."""
        return f"{line} cut off"


def waits(requests: list[Request]) -> Iterator[float]:
    """Return the seconds that each request waited for its first claim."""
    for each in requests:
        if each.claimed is not None:
            yield each.claimed - each.created

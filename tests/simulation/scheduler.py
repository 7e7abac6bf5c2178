"""Virtual time, and threads of which exactly one runs at a time.

A thread runs until it pauses: at each call of AWS, of the model, and where it waits. The next step
is the one with the earliest time. The seed decides the times, so a seed is an order. Nothing here
reads a real clock.
"""

import heapq
import threading
from collections.abc import Callable, Collection
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count

from botocore.exceptions import BotoCoreError, ClientError


class Crash(BaseException):
    """The end of a process: no `except Exception` outlives it."""


class Debt(StrEnum):
    """The next thing to do for a thread that knows of its own write."""

    ATTEMPT = "run the attempt that it has claimed"
    MESSAGE = "send a message to the worker"
    DISPATCH = "dispatch the end"


@dataclass(eq=False)
class Process:
    """One invocation of a function, which lives or dies as a whole.

    `skew` is how many seconds its clock is ahead. At `ends` a `mortal` process is killed; another
    goes on, like a frozen one that thaws. `attempts` are those of its claims, by the generation's
    `pk`.
    """

    name: str
    kind: str
    skew: float
    ends: float
    mortal: bool
    dead: bool = False
    attempts: dict[str, list[int]] = field(default_factory=dict)


class Thread:
    """A thread of a process. `pk` is the generation that it is about, where that is known.

    `debts` are what it has yet to do after its writes that took effect, by the generation's `pk`.
    `throttled_until` is when the model has time again, as far as the thread was told.
    """

    def __init__(self, process: Process, name: str) -> None:
        self.process = process
        self.name = name
        self.pk: str | None = None
        self.failures = 0
        self.unreachable = 0
        self.throttled_until = 0.0
        self.debts: dict[str, Debt] = {}
        self.future: Future[object] = Future()
        self.go = _closed()
        self.turn = 0


def _closed() -> threading.Lock:
    """Return a lock that is held: a semaphore of one, without the cost of `threading.Semaphore`."""
    lock = threading.Lock()
    lock.acquire()
    return lock


type Action = Callable[[], None]


class Scheduler:
    """Lets threads run in turns, and time pass in between. `now` is in seconds from the start."""

    def __init__(self) -> None:
        self.now = 0.0
        self.current: Thread | None = None
        self.error: BaseException | None = None
        self._agenda: list[tuple[float, int, Action]] = []
        self._numbers = count()
        self._back = _closed()
        self._unfinished: list[Thread] = []

    def at(self, moment: float, action: Action) -> None:
        """Do something at a time."""
        heapq.heappush(self._agenda, (moment, next(self._numbers), action))

    def run(self, until: float) -> None:
        """Let everything happen up to a time; raise the first error of a thread's surroundings."""
        while self._agenda and self._agenda[0][0] <= until:
            moment, _, action = heapq.heappop(self._agenda)
            self.now = max(self.now, moment)
            action()
            if self.error is not None:
                raise self.error
        self.now = max(self.now, until)

    def start(
        self, thread: Thread, work: Callable[[], object], then: Callable[[Future[object]], None]
    ) -> None:
        """Begin a thread now; `then` is called with its future when it is done."""

        def body() -> None:
            thread.go.acquire()
            try:
                outcome = work()
            except BaseException as error:  # noqa: BLE001 - however it ends, it is an outcome
                thread.future.set_exception(error)
                if not isinstance(error, Crash | BotoCoreError | ClientError):
                    self.error = self.error or error
            else:
                thread.future.set_result(outcome)
            self._unfinished.remove(thread)
            self.at(self.now, lambda: then(thread.future))
            self._back.release()

        self._unfinished.append(thread)
        threading.Thread(target=body, name=thread.name, daemon=True).start()
        self.wake(thread, self.now)

    def wake(self, thread: Thread, moment: float) -> None:
        """Let a thread that pauses go on at a time, unless something wakes it earlier."""
        turn = thread.turn

        def resume() -> None:
            if thread.turn == turn and not thread.future.done():
                self._resume(thread)

        self.at(moment, resume)

    def pause(self, seconds: float) -> None:
        """Let others run for a while; called by the thread that is running."""
        thread = self.running()
        self.wake(thread, self.now + seconds)
        self._back.release()
        thread.go.acquire()
        self._survive(thread)

    def wait(
        self,
        futures: Collection[Future[object]],
        timeout: float,
        return_when: str = ALL_COMPLETED,
    ) -> tuple[list[Future[object]], list[Future[object]]]:
        """Wait like `concurrent.futures.wait`, in virtual time."""
        until = self.now + timeout
        enough = any if return_when == FIRST_COMPLETED else all
        while self.now < until and not enough(future.done() for future in futures):
            self.pause(until - self.now)
        self._survive(self.running())
        done = [future for future in futures if future.done()]
        return done, [future for future in futures if future not in done]

    def running(self) -> Thread:
        """Return the thread that is running."""
        assert self.current is not None
        return self.current

    def die(self) -> None:
        """Crash the process that is running."""
        self.running().process.dead = True
        raise Crash

    def close(self) -> None:
        """End every thread that is left."""
        for thread in list(self._unfinished):
            thread.process.dead = True
        while self._unfinished:
            self._resume(self._unfinished[0])

    def _survive(self, thread: Thread) -> None:
        """Crash the running thread if its process is dead, or is to be killed by now."""
        process = thread.process
        if process.mortal and self.now > process.ends:
            process.dead = True
        if process.dead:
            raise Crash

    def _resume(self, thread: Thread) -> None:
        thread.turn += 1
        self.current = thread
        thread.go.release()
        self._back.acquire()
        self.current = None


class Pool:
    """A ThreadPoolExecutor whose threads take turns like all the others."""

    def __init__(
        self,
        scheduler: Scheduler,
        begun: Callable[[Thread, object], None],
        ended: Callable[[Thread], None],
    ) -> None:
        self._scheduler = scheduler
        self._begun = begun
        self._ended = ended

    def submit[**P](
        self, work: Callable[P, object], *args: P.args, **kwargs: P.kwargs
    ) -> Future[object]:
        """Begin a thread of the running process; a thread that waits for it wakes at its end."""
        parent = self._scheduler.running()
        thread = Thread(parent.process, parent.name)
        self._begun(thread, args[0])

        def then(_: Future[object]) -> None:
            self._ended(thread)
            self._scheduler.wake(parent, self._scheduler.now)

        self._scheduler.start(thread, lambda: work(*args, **kwargs), then)
        return thread.future

    def shutdown(self, *, wait: bool, cancel_futures: bool) -> None:
        """Leave the threads alone: each goes on, and finds that nothing is its own any more."""

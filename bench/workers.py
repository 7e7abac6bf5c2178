"""`python -m bench.workers`: billed seconds of workers that top themselves up, in virtual time.

Submissions arrive by chance (Poisson). Two kinds of receivers wait for a message: the pollers of
Lambda's event source mapping, whose batch begins an invocation, and the polls of running workers.
A message goes to one of those that wait, with equal chances: SQS documents no other rule.

Documented of the mapping (bench.load.documented): five pollers at first, 300 more in each minute
with messages left, and at most MaximumConcurrency invocations at once, with up to ten messages
each; the batch window is 0. Assumed: a poller waits for the end of its invocation, and pollers
above five end after a minute without messages left. A warm invocation begins in no time.
"""

import argparse
import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count, product
from random import Random
from typing import NamedTuple

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from afterword.engine import top_up
from afterword.runtime.queue import MAX_RECEIVED as BATCH
from bench.load import documented
from bench.results import write_results

CALL = 0.01
"""Seconds of a receive that finds messages."""
WORK = 0.15
"""Seconds of a generation beside the wait for its model."""
INVOCATION = 420.0
"""Seconds of an invocation, the worker's timeout."""
RISE, LENGTH = 300.0, 3_600.0
"""Seconds before what is counted, and of it."""
QUIET = 60.0
"""Seconds without a message left after which a mapping goes back to its first pollers."""
RATES = (0.1, 1.0, 5.0, 20.0)

type Draw = Callable[[Random], float]


class Deployment(NamedTuple):
    """Workers at once, at most, and the generations of each at once; with ten, no top-up."""

    workers: int
    generations: int


class Outcome(NamedTuple):
    """A run. `billed` is a part of the seconds of one message an invocation."""

    billed: float
    wait_p99: float
    """Seconds in the queue."""
    workers: float
    """Workers at once, on average."""
    receives: float
    """Receives of workers for each generation."""


@dataclass(eq=False)
class Worker:
    """An invocation, which takes messages for so many seconds."""

    began: float
    taking: float
    running: list[float] = field(default_factory=list)
    """The times at which generations began."""
    polls: bool = False


@dataclass
class Simulation:
    """A deployment under a rate, with models that answer after the seconds that are drawn."""

    its: Deployment
    rate: float
    draw: Draw
    random: Random
    now: float = 0.0
    pollers: int = documented.MAPPING_START
    pace: top_up.Pace = field(default_factory=top_up.Pace)
    """One for all workers: their processes learn the same."""
    left_at: float = 0.0
    """The last time at which a message was left in the queue."""
    billed: float = 0.0
    alone: float = 0.0
    receives: int = 0
    waits: list[float] = field(default_factory=list)
    waiting: deque[float] = field(default_factory=deque)
    """The times of the messages that are left in the queue."""
    workers: dict[Worker, None] = field(default_factory=dict)
    polling: dict[Worker, int] = field(default_factory=dict)
    """The workers whose poll waits, with the poll's number."""
    agenda: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    numbers: "count[int]" = field(default_factory=count)

    def run(self) -> Outcome:
        """Let the load rise, and return what was billed and waited for in the hour after that."""
        self.later(0.0, self.arrive)
        self.later(1.0, self.grow)
        while self.agenda[0][0] < RISE + LENGTH:
            self.now, _, action = heapq.heappop(self.agenda)
            action()
        for worker in self.workers:
            self.bill(worker)
        return Outcome(
            billed=self.billed / self.alone,
            wait_p99=sorted(self.waits)[int(0.99 * len(self.waits))],
            workers=self.billed / LENGTH,
            receives=self.receives / len(self.waits),
        )

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something after so many seconds."""
        heapq.heappush(self.agenda, (self.now + seconds, next(self.numbers), action))

    @property
    def counts(self) -> bool:
        """Whether the load has risen."""
        return self.now >= RISE

    # --- the queue

    def arrive(self) -> None:
        """Give a message to one that waits for it."""
        self.later(self.random.expovariate(self.rate), self.arrive)
        self.waiting.append(self.now)
        free = max(0, min(self.pollers, self.its.workers) - len(self.workers))
        chosen = self.random.randrange(max(1, free + len(self.polling)))
        if chosen < free:
            self.invoke()
        elif self.polling:
            self.receive(list(self.polling)[chosen - free])
        else:
            self.left_at = self.now

    def grow(self) -> None:
        """Let the mapping have more pollers while messages are left, or its first ones again."""
        self.later(1.0, self.grow)
        if self.waiting:
            self.left_at = self.now
            self.pollers += documented.MAPPING_GROWTH // 60
            self.invoke()
        elif self.now - self.left_at > QUIET:
            self.pollers = documented.MAPPING_START

    def take(self, most: int) -> int:
        """Take up to so many messages; return how many there are."""
        taken = min(most, len(self.waiting))
        for _ in range(taken):
            sent = self.waiting.popleft()
            if self.counts:
                self.waits.append(self.now - sent)
        return taken

    # --- workers

    def invoke(self) -> None:
        """Begin invocations while there are messages and pollers that may."""
        while self.waiting and len(self.workers) < min(self.pollers, self.its.workers):
            part = top_up.TAKING_SHARE * self.random.uniform(top_up.LEAST_TAKING, 1)
            worker = Worker(self.now, INVOCATION * part)
            self.workers[worker] = None
            self.start(worker, self.take(BATCH))
            self.poll(worker)

    def start(self, worker: Worker, generations: int) -> None:
        """Begin generations of a worker."""
        for _ in range(generations):
            seconds = self.draw(self.random) + WORK
            if self.counts:
                self.alone += seconds
            worker.running.append(self.now)
            self.later(seconds, partial(self.end, worker, self.now))

    def end(self, worker: Worker, began: float) -> None:
        """End a generation, and with the last one an invocation that does not poll."""
        worker.running.remove(began)
        self.pace.note(self.now - began)
        if not worker.running and not worker.polls:
            self.bill(worker)
            del self.workers[worker]
            self.invoke()
        elif not worker.polls:
            self.poll(worker)

    def bill(self, worker: Worker) -> None:
        """Bill an invocation up to now, without the time of the rise."""
        self.billed += max(0.0, self.now - max(RISE, worker.began))

    def poll(self, worker: Worker) -> None:
        """Let a worker with room and time wait for messages."""
        if (
            self.its.generations <= BATCH
            or worker.polls
            or not 0 < len(worker.running) < self.its.generations
            or self.now - worker.began >= worker.taking
        ):
            return
        pause = self.pace.seconds_to_poll([self.now - began for began in worker.running])
        if pause > 0:
            self.later(pause, partial(self.poll, worker))
            return
        worker.polls = True
        number = next(self.numbers)
        self.polling[worker] = number
        self.receives += self.counts
        if self.waiting:
            self.receive(worker)
        else:
            self.later(top_up.POLL_SECONDS, partial(self.give_up, worker, number))

    def receive(self, worker: Worker) -> None:
        """Let a worker's poll take messages."""
        del self.polling[worker]
        self.start(worker, self.take(min(BATCH, self.its.generations - len(worker.running))))
        self.later(CALL, partial(self.return_from_poll, worker))

    def give_up(self, worker: Worker, number: int) -> None:
        """End a poll that has found nothing."""
        if self.polling.get(worker) == number:
            del self.polling[worker]
            self.return_from_poll(worker)

    def return_from_poll(self, worker: Worker) -> None:
        """Poll again, or end the invocation of a worker without a generation."""
        worker.polls = False
        if worker.running:
            self.poll(worker)
        else:
            self.bill(worker)
            del self.workers[worker]
            self.invoke()


def simulate(deployment: Deployment, rate: float, draw: Draw, seed: int) -> Outcome:
    """Return the outcome of an hour of a deployment at a rate, in submissions a second."""
    random = Random(seed)  # noqa: S311 - repeatable # nosec B311
    return Simulation(deployment, rate, draw, random).run()


def wait_always(seconds: float) -> Draw:
    """Return a model that answers after so many seconds."""
    return lambda _: seconds


def wait_by_chance(seconds: float) -> Draw:
    """Return a model that answers after so many seconds on average (exponential)."""
    return lambda random: random.expovariate(1 / seconds)


def main() -> None:
    """Print the billed part and the waits of some deployments at some rates."""
    parser = argparse.ArgumentParser(prog="python -m bench.workers", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="the model's wait (5)")
    parser.add_argument("--spread", action="store_true", help="waits by chance (exponential)")
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--generations", type=int, nargs="*", default=[10, 25, 50])
    parser.add_argument("--workers", type=int, nargs="*", default=[2, 5, 500])
    given = parser.parse_args()
    draw = (wait_by_chance if given.spread else wait_always)(given.seconds)
    names = ("workers", "generations", "a second", "billed", "wait p99", "at once", "receives")
    table = Table(*names, box=SIMPLE)
    for generations, workers, rate in product(given.generations, given.workers, RATES):
        found = simulate(Deployment(workers, generations), rate, draw, given.seed)
        table.add_row(
            str(workers),
            str(generations),
            f"{rate:g}",
            f"{found.billed:.3f}",
            f"{found.wait_p99:,.2f} s",
            f"{found.workers:.1f}",
            f"{found.receives:.2f}",
        )
    Console(width=100).print(table)
    _write_defaults(given.seed)


def _write_defaults(seed: int) -> None:
    """Write the figures of the template's defaults, and of two workers, with answers after 5 s."""
    billed, waits = dict[str, float](), dict[str, float]()
    for name, workers in (("", documented.MAPPING_MAXIMUM // 2), (", two workers", 2)):
        for rate in RATES:
            found = simulate(Deployment(workers, 50), rate, wait_always(5.0), seed)
            billed[f"{rate:g}{name}"] = found.billed
            waits[f"{rate:g}{name}"] = found.wait_p99 * 1e3
    write_results("workers", {"billed part": billed, "wait p99, ms": waits})


if __name__ == "__main__":
    main()

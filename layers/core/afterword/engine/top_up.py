"""The top-up: while its models think, a worker takes further messages of its queue."""

import math
import random
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from afterword.runtime import telemetry
from afterword.runtime.deadline import Deadline
from afterword.runtime.queue import MAX_RECEIVED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from afterword.runtime.queue import Message, Queue

POLL_SECONDS = 1
"""The longest wait of a poll, and the longest by which the last one prolongs an invocation."""
TAKING_SHARE = 2 / 7
"""The part of an invocation in which messages are taken: the rest is for their generations."""
NEWEST = 0.3
"""The weight of the newest attempt in what is usual."""
LEAST_TAKING = 0.5
"""The least part of that time, drawn by chance, so that not all workers stop at once."""
_MEGABYTE = 1024 * 1024
_STATM = Path("/proc/self/statm")


class Pace:
    """The seconds that attempts usually take: a mean of those before, most of all the last ones."""

    def __init__(self) -> None:
        self._usual = 0.0

    def note(self, seconds: float) -> None:
        """Note how long an attempt took."""
        self._usual = NEWEST * seconds + (1 - NEWEST) * (self._usual or seconds)

    def seconds_to_poll(self, ages: "Sequence[float]") -> float:
        """Return the seconds until a poll may begin, beside attempts that have run for `ages`.

        No poll begins while all of them are about to end, which it would outlast. Those that have
        taken longer than usual may take any time.
        """
        if min(ages) <= self._usual - POLL_SECONDS:
            return 0.0
        return max(0.0, round(self._usual + POLL_SECONDS - max(ages), 3))


@dataclass(frozen=True, slots=True)
class Room:
    """The room of a worker: `most` generations at once, in so many MB (None for any)."""

    most: int
    megabytes: int | None = None

    def left(self, running: int) -> int:
        """Return how many generations have room beside those that run.

        With a batch's ten, none has, and none once half of the memory is taken: big texts of up to
        ten further ones need the rest.
        """
        if self.most <= MAX_RECEIVED:
            return 0
        if self.megabytes is not None and read_resident() > self.megabytes * _MEGABYTE / 2:
            return 0
        return max(0, self.most - running)


def read_resident() -> int:
    """Return the bytes of memory that this process takes, 0 where the system does not say so."""
    try:
        pages = int(_STATM.read_text("ascii").split()[1])
    except FileNotFoundError:  # Linux alone has it
        return 0
    return pages * resource.getpagesize()


class TopUp:
    """Takes messages for one invocation, while that has room and time for their generations.

    A message is hidden until so many seconds after the deadline, when a lost worker's lease has run
    out: before that the message could not claim its generation. After a receive that failed, the
    invocation takes no more. `pace` is that of the worker's attempts.
    """

    def __init__(
        self, queue: "Queue", room: Room, pace: Pace, deadline: Deadline, hidden: float
    ) -> None:
        self._queue = queue
        self._room = room
        self._pace = pace
        self._deadline = deadline
        self._hidden = hidden
        part = random.uniform(LEAST_TAKING, 1)  # noqa: S311 - spreads load, guards nothing # nosec B311
        self._last = deadline.share(TAKING_SHARE * part)
        self._closed = False

    def seconds_to_next(self, ages: "Sequence[float]") -> float:
        """Return the seconds until `receive` may be called, infinity until a generation has ended.

        `ages` are the seconds for which generations have run.
        """
        if self._closed or self._last.passed or not self._room.left(len(ages)):
            return math.inf
        return self._pace.seconds_to_poll(ages)

    def receive(self, ages: "Sequence[float]") -> "Sequence[Message]":
        """Return further messages, none unless there is room and time; wait up to POLL_SECONDS."""
        room = self._room.left(len(ages))
        if not room or self.seconds_to_next(ages) > 0:
            return ()
        visibility = math.ceil(self._deadline.remaining() + self._hidden)
        try:
            return self._queue.receive(room, POLL_SECONDS, visibility)
        except (BotoCoreError, ClientError) as error:
            telemetry.logger().warning("could not receive", extra={"why": str(error)})
            self._closed = True
            return ()

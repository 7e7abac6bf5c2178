"""The top-up: while its models think, a worker takes further messages of its queue."""

import math
import random
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from afterword.runtime import telemetry
from afterword.runtime.deadline import Deadline
from afterword.runtime.queue import MAX_RECEIVED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from afterword.runtime.queue import Message, Queue

FIRST_POLL_SECONDS = 1.0
"""The time without a poll, so that an invocation of quick answers is not kept by one."""
POLL_SECONDS = 1
"""The longest wait of a poll, and the longest by which the last one prolongs an invocation."""
TAKING_SHARE = 2 / 7
"""The part of an invocation in which messages are taken: the rest is for their generations."""
LEAST_TAKING = 0.5
"""The least part of that time, drawn by chance, so that not all workers stop at once."""


class TopUp:
    """Takes messages for one invocation, while that has room and time for their generations.

    `most` are the generations that run at once; with a batch's ten, no message is taken. A message
    is hidden until so many seconds after the deadline, when a lost worker's lease has run out:
    before that the message could not claim its generation. After a receive that failed, the
    invocation takes no more.
    """

    def __init__(self, queue: "Queue", most: int, deadline: Deadline, hidden: float) -> None:
        self._queue = queue
        self._most = most
        self._deadline = deadline
        self._hidden = hidden
        part = random.uniform(LEAST_TAKING, 1)  # noqa: S311 - spreads load, guards nothing # nosec B311
        self._first = Deadline.after(FIRST_POLL_SECONDS)
        self._last = deadline.share(TAKING_SHARE * part)
        self._closed = most <= MAX_RECEIVED

    def seconds_to_next(self, running: int) -> float:
        """Return the seconds until `receive` may be called, infinity until a generation has ended.

        `running` is the number of generations that run.
        """
        if self._closed or running >= self._most or self._last.passed:
            return math.inf
        return max(0.0, self._first.remaining())

    def receive(self, running: int) -> "Sequence[Message]":
        """Return further messages, none unless there is room and time; wait up to POLL_SECONDS."""
        if self.seconds_to_next(running) > 0:
            return ()
        visibility = math.ceil(self._deadline.remaining() + self._hidden)
        try:
            return self._queue.receive(self._most - running, POLL_SECONDS, visibility)
        except (BotoCoreError, ClientError) as error:
            telemetry.logger().warning("could not receive", extra={"why": str(error)})
            self._closed = True
            return ()

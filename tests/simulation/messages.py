"""SQS as the simulation has it: at least once, in any order, in virtual time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from tests.simulation.scheduler import Scheduler

MAX_DELAY = 900
"""Seconds; SQS refuses a longer delay."""

type Consumer = Callable[[Sequence["Message"]], None]


@dataclass(eq=False)
class Message:
    """A message, received `received` times, which is in sight again at `visible_at`."""

    id: str
    body: str
    sent_at: float
    visible_at: float
    received: int = 0
    first_received_at: float = 0.0


class Queue:
    """A queue whose messages are delivered to a consumer, by delays and orders of the seed's.

    `chance` is how likely a delivery is a duplicate, and how likely it takes more messages with it.
    `sent` counts all messages.
    """

    def __init__(  # noqa: PLR0913 - settings of SQS and Lambda for a queue
        self,
        name: str,
        scheduler: Scheduler,
        random: Random,
        *,
        visibility: float,
        max_receives: int,
        dead: "Queue | None",
        consumer: Consumer,
    ) -> None:
        self.name = name
        self.chance = 0.0
        self.sent = 0
        self.messages: dict[str, Message] = {}
        self._scheduler = scheduler
        self._random = random
        self._visibility = visibility
        self._max_receives = max_receives
        self._dead = dead
        self._consumer = consumer

    @property
    def in_flight(self) -> int:
        """The messages that are hidden since they were received, and not deleted."""
        now = self._scheduler.now
        return sum(each.received > 0 and each.visible_at > now for each in self.messages.values())

    def send(self, body: str, after: float = 0.0) -> str:
        """Take a message, which nobody receives before so many seconds; return its id."""
        assert after <= MAX_DELAY
        now = self._scheduler.now
        self.sent += 1
        message = Message(f"{self.name}-{self.sent}", body, now, now + after)
        delay = after + self._random.uniform(0.01, 1.5)
        if self._random.random() < self.chance:
            delay += self._random.uniform(0, 200)
        self._add(message, delay)
        return message.id

    def receive(self, most: int, visibility: float) -> list[Message]:
        """Receive up to so many messages that are in sight, and hide them for so many seconds."""
        seen = [message for message in self.messages.values() if self._in_sight(message)]
        return [each for each in seen[:most] if self._receive(each, visibility)]

    def delete(self, message_ids: Sequence[str]) -> None:
        """Be done with messages."""
        for message_id in message_ids:
            self.messages.pop(message_id, None)

    def _add(self, message: Message, delay: float) -> None:
        self.messages[message.id] = message
        self._scheduler.at(self._scheduler.now + delay, lambda: self._deliver(message))

    def _hide(self, message: Message, seconds: float) -> None:
        message.visible_at = self._scheduler.now + seconds
        delay = seconds + self._random.uniform(0.01, 0.5)
        self._scheduler.at(self._scheduler.now + delay, lambda: self._deliver(message))

    def _deliver(self, message: Message) -> None:
        if not self._in_sight(message):
            return
        batch = [message]
        if self._random.random() < self.chance:
            others = [other for other in self.messages.values() if self._in_sight(other)]
            batch += [other for other in others if other is not message][:2]
        taken = [each for each in batch if self._receive(each, self._visibility)]
        if taken:
            self._consumer(taken)

    def _in_sight(self, message: Message) -> bool:
        return message.id in self.messages and message.visible_at <= self._scheduler.now

    def _receive(self, message: Message, visibility: float) -> bool:
        """Hide a message for its delivery; False if it goes to the dead letters instead."""
        now = self._scheduler.now
        if message.received >= self._max_receives:
            del self.messages[message.id]
            if self._dead is not None:
                letter = Message(message.id, message.body, message.sent_at, now)
                self._dead._add(letter, 0.1)  # noqa: SLF001 - another queue
            return False
        message.received += 1
        message.first_received_at = message.first_received_at or now
        duplicate = self._random.random() < self.chance
        self._hide(message, self._random.uniform(0.01, 2) if duplicate else visibility)
        return True

"""A world without faults, whose model has no time for hours."""

import json
from typing import NamedTuple

from afterword.generations import Completion
from afterword.models import Prompt
from tests.simulation.world import World

HOUR = 3_600.0
LONGEST_DEADLINE = 6 * 3_600
TWINS_FROM = 120.0


class Look(NamedTuple):
    """The queue at one moment: all its messages, and those in flight."""

    messages: int
    in_flight: int


class Saturated(World):
    """One generation, a model without time for `hours`, and a sweeper every minute.

    With each refusal the model asks for `retry_after` seconds. `twins` are further messages of the
    generation, sent while the model refuses. `asked_at` are the times of the refusals, `sent` the
    messages to the worker, and `looks` the queue twice a minute while the model refuses.
    """

    skew = 0.0
    visibilities = (1_800,)
    receives = (1_000,)
    hours = 1.0
    retry_after: float | None = None
    twins = 0

    def run(self) -> None:
        """Submit one generation, and let it wait until the model has time."""
        self._calm = True
        self.asked_at: list[float] = []
        self.looks: list[Look] = []
        self._submit(self._request(self._free, "mail-1", None, LONGEST_DEADLINE))
        for number in range(self.twins):
            self.scheduler.at(TWINS_FROM + number, self._send_twin)
        self.scheduler.at(60, self._sweep)
        self.scheduler.at(60, self._look)
        try:
            self.scheduler.run(self.hours * HOUR + 1_200)
            self._check_end()
            self._count_ends()
        finally:
            self.scheduler.close()

    @property
    def sent(self) -> int:
        """The messages that were sent to the worker."""
        return self._work.sent

    def _send_twin(self) -> None:
        (pk,) = self.promises.accepted
        tenant, generation_id = pk.split("#")
        self._work.send(json.dumps({"tenant": tenant, "id": generation_id}))

    def _look(self) -> None:
        self.looks.append(Look(len(self._work.messages), self._work.in_flight))
        if self.scheduler.now < self.hours * HOUR - 30:
            self.scheduler.at(self.scheduler.now + 30, self._look)

    def generate(self, prompt: Prompt, timeout: float) -> Completion:
        """Refuse, until there is time."""
        if self.scheduler.now >= self.hours * HOUR:
            return super().generate(prompt, timeout)
        self._guarded(lambda: self.promises.model_asked(self.scheduler.running(), "mail-1"))
        self.asked_at.append(self.scheduler.now)
        self.scheduler.pause(0.3)
        return self.throttle(self.retry_after)

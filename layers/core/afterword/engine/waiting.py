"""Waiting for a generation's end, for endpoints whose clients wait for the text itself."""

import time
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from afterword.runtime import telemetry

if TYPE_CHECKING:
    from afterword.generations import Generation
    from afterword.generations.store import GenerationStore
    from afterword.limits.quotas import Quotas, WaitPlace
    from afterword.runtime.deadline import Deadline
    from afterword.tenants.rules import TenantRules

WAIT_SECONDS = 26.0
"""API Gateway's timeout is 30 s and the function's 29: the rest is for storage to answer."""
FIRST_PAUSE, MAX_PAUSE = 0.1, 1.0
FREE_SECONDS = 1.0
"""A shorter wait needs no place: a read is not much shorter."""
PLACE_TIME = timedelta(seconds=WAIT_SECONDS + 10)
"""The time for which a process that died holds its place; clocks may differ."""


class Waited(NamedTuple):
    """A generation after a wait; not `whole` for a wait that the tenant's limit cut short."""

    generation: "Generation"
    whole: bool


class Waiter:
    """Waits for ends. A tenant's waits hold as many functions at once as it has places."""

    def __init__(self, store: "GenerationStore", quotas: "Quotas", rules: "TenantRules") -> None:
        self._store = store
        self._quotas = quotas
        self._rules = rules

    def wait(self, tenant: str, generation_id: str, deadline: "Deadline") -> Waited:
        """Return a generation once it has ended, or as it stands at the deadline.

        Reads the item consistently, with backoff from FIRST_PAUSE to MAX_PAUSE seconds. A wait
        without a place ends after FREE_SECONDS. Raises NotFoundError like `store.get`.
        """
        place: WaitPlace | None = None
        waited, pause, whole = 0.0, FIRST_PAUSE, True
        try:
            while (remaining := deadline.remaining()) > 0:
                pause = min(pause, remaining)
                if place is None and waited + pause > FREE_SECONDS:
                    place = self._take_place(tenant)
                    if place is None:
                        whole = False
                        break
                time.sleep(pause)
                waited += pause
                if self._store.get_end(tenant, generation_id) is not None:
                    break
                pause = min(1.5 * pause, MAX_PAUSE)
        finally:
            if place is not None:
                self._give_back(tenant, place)
        return Waited(self._store.get(tenant, generation_id), whole)

    def _take_place(self, tenant: str) -> "WaitPlace | None":
        """Take a place; None without a free one, and while AWS is out of reach."""
        limits = self._rules.get(tenant).limits
        try:
            return self._quotas.take_wait(tenant, limits.waits, PLACE_TIME)
        except (BotoCoreError, ClientError) as error:
            telemetry.logger().warning("could not take a place", extra={"why": str(error)})
            return None

    def _give_back(self, tenant: str, place: "WaitPlace") -> None:
        try:
            self._quotas.give_wait_back(tenant, place)
        except (BotoCoreError, ClientError) as error:
            telemetry.logger().warning("could not give a place back", extra={"why": str(error)})

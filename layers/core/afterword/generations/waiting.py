"""Waiting for a generation's end, for endpoints whose clients wait for the text itself."""

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from afterword.generations import Generation
    from afterword.generations.store import GenerationStore

WAIT_SECONDS = 26.0
"""API Gateway gives up after 30 s, and the function has 29: the rest is for storage to answer."""
_FIRST, _LONGEST = 0.1, 1.0


def now() -> float:
    """Return the time to measure a wait from."""
    return time.monotonic()


def wait_for_end(
    store: "GenerationStore",
    tenant: str,
    generation_id: str,
    started: float,
    seconds: float | None = None,
) -> "Generation":
    """Return a generation once it has ended, or as it is some seconds after `started` (`now`).

    They are WAIT_SECONDS where nobody says.

    Reads the item consistently, first after 0.1 seconds, then half as long again each time, up to
    every second. Raises NotFoundError like `store.get`.
    """
    ends = started + (WAIT_SECONDS if seconds is None else seconds)
    pause = _FIRST
    while (left := ends - now()) > 0:
        time.sleep(min(pause, left))
        if store.get_end(tenant, generation_id) is not None:
            break
        pause = min(1.5 * pause, _LONGEST)
    return store.get(tenant, generation_id)

"""Waiting for a generation's end, for endpoints whose clients wait for the text itself."""

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from afterword.generations import Generation
    from afterword.generations.store import GenerationStore
    from afterword.runtime.deadline import Deadline

WAIT_SECONDS = 26.0
"""API Gateway's timeout is 30 s and the function's 29: the rest is for storage to answer."""
FIRST_PAUSE, MAX_PAUSE = 0.1, 1.0


def wait_for_end(
    store: "GenerationStore", tenant: str, generation_id: str, deadline: "Deadline"
) -> "Generation":
    """Return a generation once it has ended, or as it stands at the deadline.

    Reads the item consistently, with backoff from FIRST_PAUSE to MAX_PAUSE seconds. Raises
    NotFoundError like `store.get`.
    """
    pause = FIRST_PAUSE
    while (remaining := deadline.remaining()) > 0:
        time.sleep(min(pause, remaining))
        if store.get_end(tenant, generation_id) is not None:
            break
        pause = min(1.5 * pause, MAX_PAUSE)
    return store.get(tenant, generation_id)

"""Dead letters: messages that the worker could not be done with fail their generations."""

from collections.abc import Sequence

from afterword import queue, services
from afterword.queue import Nudge


@queue.consumer
def handler(nudges: Sequence[Nudge], _seconds: float) -> Sequence[str]:
    """Fail each generation, unless it is finished; one that is being run comes again."""
    store = services.store()
    return [nudge.message_id for nudge in nudges if not store.bury(nudge.tenant, nudge.id)]

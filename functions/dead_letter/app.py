"""Dead letters: messages that the worker could not be done with fail their generations."""

from collections.abc import Sequence

from afterword import queue, services
from afterword.generations import Reason
from afterword.queue import Nudge

MESSAGE = "It was delivered to the worker too often."


@queue.consumer
def handler(nudges: Sequence[Nudge], _seconds: float) -> Sequence[str]:
    """Fail each generation, unless it is finished; one that is being run comes again."""
    give_up = services.store().give_up
    return [
        nudge.message_id
        for nudge in nudges
        if not give_up(nudge.tenant, nudge.id, Reason.DEAD_LETTER, MESSAGE)
    ]

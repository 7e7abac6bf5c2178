"""The worker: takes up to ten messages that name generations, and runs these at once."""

from collections.abc import Sequence

from afterword.engine import attempts
from afterword.runtime import queue
from afterword.runtime.queue import Nudge


@queue.consumer
def handler(nudges: Sequence[Nudge], seconds: float) -> Sequence[str]:
    """Run each generation within the seconds that are left; return what must come again."""
    return attempts.from_settings().run_batch(nudges, seconds)

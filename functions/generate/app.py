"""The worker: takes up to ten messages that name generations, and runs these at once."""

from collections.abc import Sequence

from afterword import queue, worker
from afterword.queue import Nudge


@queue.consumer
def handler(nudges: Sequence[Nudge], seconds: float) -> Sequence[str]:
    """Run each generation within the seconds that are left; return what must come again."""
    return worker.from_settings().run_batch(nudges, seconds)

"""Notices: up to ten messages that name generations whose end is to be made known."""

from collections.abc import Sequence

from afterword import services
from afterword.runtime import queue
from afterword.runtime.queue import Nudge


@queue.consumer
def handler(notices: Sequence[Nudge], _seconds: float) -> Sequence[str]:
    """Publish the ends; return what must come again."""
    return services.notifier().deliver(notices)

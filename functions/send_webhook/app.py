"""Webhooks: up to ten messages that name deliveries, each to be tried."""

from collections.abc import Sequence

from afterword import services
from afterword.runtime import queue
from afterword.runtime.queue import Nudge


@queue.consumer
def handler(nudges: Sequence[Nudge], _seconds: float) -> Sequence[str]:
    """Try the deliveries at once; return what must come again."""
    return services.webhook_sender().send_batch(nudges)

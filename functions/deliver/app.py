"""Notices: up to ten messages that name generations whose end is to be made known."""

from collections.abc import Sequence

from afterword.handlers import sqs
from afterword.runtime import queue
from afterword.runtime.queue import Message
from afterword.services import services


@sqs.consumer(queue.read_message)
def handler(notices: Sequence[Message], _seconds: float) -> Sequence[str]:
    """Publish the ends; return the ids to redeliver."""
    return services().notifier.deliver(notices)

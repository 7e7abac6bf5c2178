"""Ends: up to ten messages that name ended generations, to be published and sent to webhooks."""

from collections.abc import Sequence

from afterword.handlers import sqs
from afterword.runtime import queue
from afterword.runtime.deadline import Deadline
from afterword.runtime.queue import Message
from afterword.services import services


@sqs.consumer(queue.read_message)
def handler(messages: Sequence[Message], _deadline: Deadline) -> Sequence[str]:
    """Publish the ends; return the ids to redeliver."""
    return services().notifier.deliver(messages)

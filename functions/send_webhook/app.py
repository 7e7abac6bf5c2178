"""Webhooks: up to ten messages that name deliveries, each to be tried."""

from collections.abc import Sequence

from afterword.handlers import sqs
from afterword.runtime import queue
from afterword.runtime.deadline import Deadline
from afterword.runtime.queue import Message
from afterword.services import services


@sqs.consumer(queue.read_message)
def handler(messages: Sequence[Message], _deadline: Deadline) -> Sequence[str]:
    """Try the deliveries at once; return the ids to redeliver."""
    return services().webhook_sender.send_batch(messages)

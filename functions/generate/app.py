"""The worker: takes up to ten messages that name generations, and runs these at once."""

from collections.abc import Sequence

from afterword.handlers import sqs
from afterword.runtime import queue
from afterword.runtime.queue import Message
from afterword.services import services


@sqs.consumer(queue.read_message)
def handler(messages: Sequence[Message], seconds: float) -> Sequence[str]:
    """Run each generation within the seconds that are left; return the ids to redeliver."""
    return services().worker.run_batch(messages, seconds)

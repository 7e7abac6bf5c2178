"""The embedder: takes messages that name contents, and makes the vectors of their passages."""

from collections.abc import Sequence

from afterword.handlers import sqs
from afterword.runtime import queue
from afterword.runtime.deadline import Deadline
from afterword.runtime.queue import Message
from afterword.services import services


@sqs.consumer(queue.read_message)
def handler(messages: Sequence[Message], deadline: Deadline) -> Sequence[str]:
    """Embed each content until the deadline; return the ids to redeliver."""
    return services().embedder.run_batch(messages, deadline)

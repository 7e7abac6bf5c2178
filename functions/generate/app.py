"""The worker: runs the generations that messages name, and takes further ones meanwhile."""

from collections.abc import Sequence

# The worker's own modules are imported while Lambda starts the function, where they cost least.
from afterword.engine import attempts, prompting  # noqa: F401
from afterword.handlers import sqs
from afterword.models import provider  # noqa: F401
from afterword.runtime import queue
from afterword.runtime.deadline import Deadline
from afterword.runtime.queue import Message
from afterword.services import services


@sqs.consumer(queue.read_message, prepare=lambda: services().prepare_worker())
def handler(messages: Sequence[Message], deadline: Deadline) -> Sequence[str]:
    """Run each generation until the deadline; return the ids to redeliver."""
    return services().worker.run_batch(messages, deadline)

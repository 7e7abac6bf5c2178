"""The intake: events that ask for generations, files that are batches, and the batches' turns."""

from collections.abc import Sequence

from afterword.batches import intake
from afterword.batches.intake import IntakeMessage
from afterword.dialects.native.batches import Lines
from afterword.handlers import sqs
from afterword.runtime.deadline import Deadline
from afterword.services import services


@sqs.consumer(intake.read_message)
def handler(messages: Sequence[IntakeMessage], deadline: Deadline) -> Sequence[str]:
    """Process the messages; return the ids to redeliver."""
    lines = Lines(services().registry, lambda: services().knowledge)
    return services().intake(lines).process(messages, deadline)

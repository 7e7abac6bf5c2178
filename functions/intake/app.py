"""The intake: events that ask for generations, files that are batches, and the batches' turns."""

from collections.abc import Sequence

from afterword import intake, services
from afterword.dialects.native.batches import Lines
from afterword.intake import Message


@intake.consumer
def handler(messages: Sequence[Message], seconds: float) -> Sequence[str]:
    """Take the messages; return what must come again."""
    lines = Lines(services.registry(), services.knowledge)
    return services.intake(lines).take(messages, seconds)

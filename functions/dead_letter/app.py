"""Dead letters: messages that the worker could not be done with fail their generations."""

from collections.abc import Sequence

from afterword.generations import Reason, Status
from afterword.handlers import sqs
from afterword.runtime import queue
from afterword.runtime.queue import Message
from afterword.services import services

MESSAGE = "It was delivered to the worker too often."


@sqs.consumer(queue.read_message)
def handler(letters: Sequence[Message], _seconds: float) -> Sequence[str]:
    """Fail each generation, unless it is finished; one that is being run comes again."""
    return [letter.message_id for letter in letters if _bury(letter) is Status.RUNNING]


def _bury(letter: Message) -> Status | None:
    facts = {"MessageId": letter.message_id, **letter.attributes}
    return services().outbox.fail_unclaimed(
        letter.tenant, letter.id, Reason.DEAD_LETTER, MESSAGE, letter=facts
    )

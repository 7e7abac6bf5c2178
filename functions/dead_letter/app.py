"""Dead letters: messages that the worker received too often fail their generations."""

from collections.abc import Sequence

from afterword.generations import Reason, Status
from afterword.handlers import sqs
from afterword.runtime import queue
from afterword.runtime.deadline import Deadline
from afterword.runtime.queue import Message, MessageOutcome
from afterword.services import services

MESSAGE = "It was delivered to the worker too often."


@sqs.consumer(queue.read_message)
def handler(letters: Sequence[Message], _deadline: Deadline) -> Sequence[str]:
    """Fail each open generation; one under a live lease is looked at again later."""
    return queue.ids_to_redeliver((letter.message_id, _fail(letter)) for letter in letters)


def _fail(letter: Message) -> MessageOutcome:
    facts = {"MessageId": letter.message_id, **letter.attributes}
    status = services().outbox.fail_unclaimed(
        letter.tenant, letter.id, Reason.DEAD_LETTER, MESSAGE, letter=facts
    )
    return MessageOutcome.REDELIVER if status is Status.RUNNING else MessageOutcome.DONE

"""Functions that SQS calls with batches of messages."""

from collections.abc import Callable, Iterable, Sequence

from afterword.handlers import Event, LambdaContext, LambdaHandler, invocation_deadline
from afterword.runtime import cold_start, telemetry
from afterword.runtime.cold_start import Connect
from afterword.runtime.deadline import Deadline

type Read[M] = Callable[[Event], M | None]
"""A function of an SQS record that returns its message, or None for a message to drop."""

type Consume[M] = Callable[[Sequence[M], Deadline], Sequence[str]]
"""A function of messages and the invocation's deadline, which returns the ids to redeliver."""


def consumer[M](
    read: Read[M], prepare: Callable[[], Iterable[Connect]] = tuple
) -> Callable[[Consume[M]], LambdaHandler]:
    """Make a function a Lambda handler of SQS batches that reports partial failures.

    `prepare` is called once, when Lambda starts the function (cold_start.end).

    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    """

    def decorate(consume: Consume[M]) -> LambdaHandler:
        def handler(event: Event, context: LambdaContext) -> dict[str, object]:
            deadline = invocation_deadline(context)
            with telemetry.logger().append_context_keys(request_id=context.aws_request_id):
                messages = [
                    message for record in event["Records"] if (message := read(record)) is not None
                ]
                redelivered = consume(messages, deadline) if messages else ()
            failures = [{"itemIdentifier": message_id} for message_id in redelivered]
            return {"batchItemFailures": failures}

        cold_start.end(prepare)
        return handler

    return decorate

"""What Lambda passes to a handler beside its event."""

from typing import Protocol


class LambdaContext(Protocol):
    """The part of Lambda's context object that is used here."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """Return how much of the invocation's timeout is left."""
        ...


def seconds_left(context: LambdaContext) -> float:
    """Return how much of the invocation's timeout is left, in seconds."""
    return context.get_remaining_time_in_millis() / 1000

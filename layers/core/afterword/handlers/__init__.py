"""Lambda handlers: functions of an event and Lambda's context."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

type Event = Mapping[str, Any]
"""An event as Lambda passes it."""


class LambdaContext(Protocol):
    """The part of Lambda's context object that is used here."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """Return the rest of the invocation's timeout."""
        ...


type LambdaHandler = Callable[[Event, LambdaContext], dict[str, Any]]
"""The function that Lambda calls."""


def seconds_left(context: LambdaContext) -> float:
    """Return the rest of the invocation's timeout, in seconds."""
    return context.get_remaining_time_in_millis() / 1000

"""Lambda handlers: functions of an event and Lambda's context."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from afterword.runtime.deadline import Deadline

type Event = Mapping[str, Any]
"""An event as Lambda passes it."""


class LambdaContext(Protocol):
    """The members of Lambda's context object that handlers use."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """Return the rest of the invocation's timeout."""
        ...


type LambdaHandler = Callable[[Event, LambdaContext], dict[str, Any]]
"""The function that Lambda calls."""


def invocation_deadline(context: LambdaContext) -> Deadline:
    """Return the deadline at the invocation's timeout."""
    return Deadline.after(context.get_remaining_time_in_millis() / 1000)

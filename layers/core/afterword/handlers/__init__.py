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

SECURITY_HEADERS: Mapping[str, str] = {
    "strict-transport-security": "max-age=31536000",
    "x-content-type-options": "nosniff",
}
"""The headers of every answer: HTTPS alone for a year (RFC 6797), and no guess of a media type."""


def invocation_deadline(context: LambdaContext) -> Deadline:
    """Return the deadline at the invocation's timeout."""
    return Deadline.after(context.get_remaining_time_in_millis() / 1000)

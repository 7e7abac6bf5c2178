"""The HTTP status of a generation without a result, for clients that wait for the text itself."""

from http import HTTPStatus

from afterword.generations import Generation, Reason, Status

_TIMED_OUT = frozenset({Reason.DEADLINE, Reason.TIMED_OUT})
_CALLERS = frozenset(
    {
        Reason.REFUSED_CONTENT,
        Reason.TOO_LONG,
        Reason.UNREADABLE_FILE,
        Reason.IMAGE_NOT_ACCEPTED,
        Reason.KNOWLEDGE_TOO_LARGE,
    }
)
"""Reasons that another request can avoid."""


def choose_status(generation: Generation) -> HTTPStatus:
    """Return the status; 504 for a generation that has not ended, or not in time."""
    if not generation.status.terminal or generation.reason in _TIMED_OUT:
        return HTTPStatus.GATEWAY_TIMEOUT
    if generation.has_lost_result:
        return HTTPStatus.GONE
    if generation.status is Status.CANCELED:
        return HTTPStatus.CONFLICT
    if generation.reason in _CALLERS:
        return HTTPStatus.UNPROCESSABLE_CONTENT
    return HTTPStatus.BAD_GATEWAY

"""A generation without a result: the explanation, and the HTTP status for clients that wait."""

from http import HTTPStatus

from afterword.generations import GONE, Generation, Reason, Status

LOST = "gone"
"""The reason of a generation whose text is gone from storage."""
_TIMED_OUT = frozenset({Reason.DEADLINE, Reason.TIMED_OUT})
_CALLERS = frozenset(
    {
        Reason.BLANK_PROMPT,
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


def explain(generation: Generation, noun: str) -> str | None:
    """Return why a generation has no result; None for one that has a result, or may have one.

    `noun` is the dialect's word for a generation, such as `run`.
    """
    if generation.has_lost_result:
        return f"{LOST}: {GONE}"
    if generation.status is Status.CANCELED:
        return f"The {noun} was canceled."
    if generation.status is Status.FAILED:
        return f"{generation.reason}: {generation.message}"
    return None

"""Problem documents (RFC 9457), the errors of the native API."""

from afterword.dialects.native.responses import Problem
from openapi.operations import Answer, errors


def problems(*statuses: int, **said: str) -> dict[int, Answer]:
    """Return the answers of these error statuses; `said` are descriptions as `s404="…"`."""
    return errors(Problem, *statuses, media_type="application/problem+json", **said)

"""Problem documents (RFC 9457), the errors of the native API."""

from typing import Annotated

from pydantic import Field
from pydantic.experimental.missing_sentinel import MISSING

from openapi.operations import Answer, Described, errors


class WrongMember(Described):
    """A member of a request that does not fit."""

    field: str
    """Its name, with those of the objects that it is in."""
    message: str
    """A sentence."""


class Problem(Described):
    """What is wrong (RFC 9457)."""

    type: str
    """A URI that stands for the kind of problem; `about:blank` where the status says it."""
    title: str
    """The kind of problem in words."""
    status: Annotated[int, Field(ge=400, le=599)]
    """The status of the response."""
    detail: str
    """A sentence on what is wrong with this request."""
    errors: Annotated[list[WrongMember], Field(min_length=1)] | MISSING = MISSING
    """What does not fit, where that can be told."""


def problems(*statuses: int, **said: str) -> dict[int, Answer]:
    """Return the answers of these error statuses; `said` are descriptions as `s404="…"`."""
    return errors(Problem, *statuses, media_type="application/problem+json", **said)

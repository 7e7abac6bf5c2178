"""Generations in lists: the filter of a list, and a generation with its request."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from afterword.generations import Generation, Status

if TYPE_CHECKING:
    from afterword.files import StoredFile
    from afterword.generations import Values


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationFilter:
    """What a list has, of all that a tenant has: None and an empty set stand for any.

    `since` and `before` are about the submission; the first moment is in, the last one is not.
    `after` is the order (`Generation.order`) that the page before has ended with.
    """

    limit: int
    statuses: frozenset[Status] = frozenset()
    external_ref: str | None = None
    since: datetime | None = None
    before: datetime | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationDetail:
    """A generation as it is listed, with what was asked for.

    `order` is its slot in the list. `conversation` is what it is a question of, if it is of one.
    """

    generation: Generation
    order: str
    inputs: "Values"
    files: "tuple[StoredFile, ...]"
    conversation: str | None = None

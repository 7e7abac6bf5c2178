"""Generations in lists: the filter of a list, and a generation with its request."""

from datetime import datetime
from typing import TYPE_CHECKING

from afterword.generations import Generation, Status
from afterword.records import dataclass

if TYPE_CHECKING:
    from afterword.files import StoredFile
    from afterword.generations import Values


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationFilter:
    """The filter of a list of generations: None and an empty set stand for any.

    `since` and `before` bound the time of submission; `since` is included, `before` is not.
    `after` is the order (`Generation.order`) of the last one on the page before.
    """

    limit: int
    statuses: frozenset[Status] = frozenset()
    external_ref: str | None = None
    since: datetime | None = None
    before: datetime | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationDetail:
    """A generation with its request.

    `order` is its place in the list. `conversation` is the conversation it is a question of, or
    None.
    """

    generation: Generation
    order: str
    inputs: "Values"
    files: "tuple[StoredFile, ...]"
    conversation: str | None = None

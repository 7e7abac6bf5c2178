"""Ranking: the passages of the knowledge base in the order of their use for a question."""

from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from afterword.errors import AfterwordError
from afterword.records import dataclass

if TYPE_CHECKING:
    from afterword.knowledge.passages import Passage


class RankingKind(StrEnum):
    """The way in which passages are ranked: by words, by meaning, or by both."""

    LEXICAL = "lexical"
    SEMANTIC = "semantic"
    HYBRID = "hybrid"


class SelectionTooLargeError(AfterwordError):
    """A selection of more passages than can be ranked; the message tells its owner the way out."""


@dataclass(frozen=True, slots=True)
class Selection:
    """A part of a tenant's contents, by the ids of folders and of tags.

    - No folders stand for all folders, and no tags for all tags.
    - Of several tags a content has at least one.
    - `version` changes with each content in the selection, so that caches know a stale read, and
      `embedded` with the vectors of each.
    """

    tenant: str
    version: str
    folders: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    embedded: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The content of a passage: its id, its name, its folder's id, its address."""

    content: str
    title: str
    folder: str
    external_id: str | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A passage and its content."""

    origin: Origin
    passage: "Passage"


@dataclass(frozen=True, slots=True)
class Ranked:
    """A ranked passage.

    Scores are above 0, and comparable within one ranking alone.
    """

    origin: Origin
    heading: str
    text: str
    score: float


class Ranking(Protocol):
    """A ranking in the process (afterword.knowledge.lexical), or in a service."""

    def rank(self, question: str, selection: Selection, limit: int) -> list[Ranked]:
        """Return at most `limit` passages that fit the question, the best first.

        No passage, when all have too little of the question. A question is words, and never a query
        language. Raises SelectionTooLargeError, and UnavailableError when the passages' storage
        does not answer.
        """

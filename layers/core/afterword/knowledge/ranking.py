"""Ranking: which passages of the knowledge base say most about a question."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from afterword.errors import AfterwordError

if TYPE_CHECKING:
    from afterword.knowledge.passages import Passage


class SelectionTooLargeError(AfterwordError):
    """More passages are selected than can be ranked; the message says what their owner can do."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The contents of a tenant that passages are chosen from, by the ids of folders and of tags.

    No folders stand for all folders, and no tags for all tags; of several tags a content has at
    least one. `version` changes whenever a content in the selection does: what was read of the same
    version may be used again.
    """

    tenant: str
    version: str
    folders: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The content that a passage is cut from: its id, its name, its folder's id, its address."""

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
    """A passage that was chosen.

    Scores are above 0, and can only be compared with others of the same answer.
    """

    origin: Origin
    heading: str
    text: str
    score: float


class Ranking(Protocol):
    """Ranks passages: in the process (afterword.knowledge.lexical), or in a service."""

    def rank(self, question: str, selection: Selection, limit: int) -> list[Ranked]:
        """Return at most `limit` passages that have to do with the question, the best first.

        None, where they have too little of what the question asks. A question is words and never
        a query language. Raises SelectionTooLargeError, and UnavailableError where what the
        passages are read from does not answer.
        """

"""Ranking by meaning: the vectors of passages, compared with the question's in memory."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from afterword.knowledge.index_cache import IndexCache
from afterword.knowledge.ranking import Ranked, Selection, SelectionTooLargeError
from afterword.knowledge.vector_store import Place, Vectors
from afterword.knowledge.vectors import Matrix, digest, embedded_texts
from afterword.models.embeddings import Purpose, embed_texts

if TYPE_CHECKING:
    from afterword.knowledge.passages import Passage
    from afterword.knowledge.ranking import Origin
    from afterword.models.embeddings import EmbeddingModel, Vector

    type Passages = Iterable[tuple[Origin, Sequence[Passage]] | None]

MAX_VECTORS = 60_000
"""Vectors of a selection that are compared in memory: those of some 20,000 passages."""
MAX_CACHED_BYTES = 48_000_000
"""Bytes of the vectors that a process caches, and of those of a selection."""
MAX_QUESTION = 2_000
"""Characters of a question that are embedded; later ones are ignored."""
QUESTION_SECONDS = 15.0
"""The time that the model may take for a question."""
_PLACE_BYTES = 250  # of Python's objects for two ids
_SPARE = 3  # a passage has several pieces, may be gone since, or be in two contents
_MAX_PLACES = 100  # contents that one call reads


class Hit(NamedTuple):
    """A passage that is near to a question: its content, its digest, and the cosine."""

    place: Place
    digest: bytes
    cosine: float


class Asked(NamedTuple):
    """A question in a selection, with its vector."""

    selection: Selection
    vector: "Vector"


class NearestPassages(Protocol):
    """The vectors of passages in memory, or in a service."""

    def find_nearest(self, asked: Asked, limit: int) -> Sequence[Hit]:
        """Return up to `limit` passages, the nearest first.

        Raises SelectionTooLargeError, and UnavailableError when the vectors' storage does not
        answer.
        """
        ...

    def measure(self, asked: Asked, passages: Iterable[tuple[str, bytes]]) -> Mapping[bytes, float]:
        """Return the cosines of passages by digest, given by content and digest.

        Without those that have no vector.
        """
        ...


class VectorCache:
    """The vectors of selections in memory, each in its newest version, within a bound.

    `read` returns the vectors of a selection. Those of another model than `model` are left out: the
    embedder renews them. Threads may share a cache: vectors are read once, while others wait.
    """

    def __init__(
        self,
        read: "Callable[[Selection], Iterable[tuple[Place, Vectors]]]",
        model: str,
        max_bytes: int = MAX_CACHED_BYTES,
    ) -> None:
        self._indexes = IndexCache(
            lambda selection: _build(read(selection), model),
            lambda selection: selection.embedded,
            max_bytes,
        )

    def find_nearest(self, asked: Asked, limit: int) -> Sequence[Hit]:
        """Return the nearest passages; see NearestPassages.find_nearest."""
        index = self._indexes.get(asked.selection)
        nearest = index.matrix.find_nearest(asked.vector, limit) if index.matrix else ()
        return [
            Hit(index.places[row], index.matrix.digests[row], cosine) for row, cosine in nearest
        ]

    def measure(self, asked: Asked, passages: Iterable[tuple[str, bytes]]) -> Mapping[bytes, float]:
        """Return the cosines of passages; see NearestPassages.measure."""
        index = self._indexes.get(asked.selection)
        wanted = {key for _, key in passages}
        cosines = index.matrix.measure(asked.vector)
        return {
            key: cosine
            for key, cosine in zip(index.matrix.digests, cosines, strict=False)
            if key in wanted
        }


class _Index(NamedTuple):
    """The rows of a selection, and the place of each."""

    matrix: Matrix
    places: list[Place]

    @property
    def size(self) -> int:
        """Bytes of memory: of the rows, of a reference for each, and of the contents' ids."""
        return self.matrix.size + 8 * len(self.places) + _PLACE_BYTES * len(set(self.places))


def _build(vectors: Iterable[tuple[Place, Vectors]], model: str) -> _Index:
    """Return the index of the vectors of a model; raise SelectionTooLargeError."""
    index = _Index(Matrix(), [])
    for place, each in vectors:
        if each.model != model:
            continue
        index.matrix.add(each.rows, each.dimensions)
        if len(index.matrix) > MAX_VECTORS or index.matrix.size > MAX_CACHED_BYTES:
            raise SelectionTooLargeError(
                f"The knowledge base has more than {len(index.matrix) - 1:,} vectors in these"
                " folders and tags, which is more than can be compared at once: choose fewer"
                " folders or tags, or have the deployment keep its vectors in an Amazon S3 vector"
                " index."
            )
        index.places.extend([place] * (len(index.matrix) - len(index.places)))
    return index


class Meaning:
    """The model, the vectors and the passages that rankings by meaning share.

    `read_passages` yields the passages of the contents at each place in order, None without one.
    """

    def __init__(
        self,
        model: "EmbeddingModel",
        nearest: NearestPassages,
        read_passages: "Callable[[Selection, Sequence[tuple[str, str]]], Passages]",
    ) -> None:
        self._model = model
        self._nearest = nearest
        self._read_passages = read_passages

    @property
    def floor(self) -> float:
        """The least cosine of a question and a passage that answers it."""
        return self._model.floor

    def ask(self, question: str, selection: Selection) -> Asked | None:
        """Return a question with its vector; None for a blank one.

        Raises the errors of EmbeddingModel.embed.
        """
        text = question.strip()[:MAX_QUESTION]
        if not text:
            return None
        embedded = embed_texts(self._model, [text], Purpose.QUESTION, lambda: QUESTION_SECONDS)
        if embedded.refusal is not None:
            raise embedded.refusal
        vector = embedded.vectors[0]
        return None if vector is None else Asked(selection, vector)

    def find(self, asked: Asked, limit: int) -> list[Ranked]:
        """Return up to `limit` passages above the floor, the nearest first.

        The text of a passage that several contents have is returned once.
        """
        hits = [
            hit
            for hit in self._nearest.find_nearest(asked, limit * _SPARE)
            if hit.cosine >= self.floor
        ]
        wanted: dict[Place, set[bytes]] = {}
        for hit in hits:
            wanted.setdefault(hit.place, set()).add(hit.digest)
        places = [(place.folder, place.content) for place in wanted][:_MAX_PLACES]
        contents = iter(self._read_passages(asked.selection, places))
        read: dict[Place, Mapping[bytes, Ranked]] = {}
        found: dict[str, Ranked] = {}
        for hit in hits:
            if len(found) == limit:
                break
            if hit.place not in read:
                read[hit.place] = _pick(next(contents, None), wanted[hit.place])
            passage = read[hit.place].get(hit.digest)
            if passage is not None:
                ranked = Ranked(passage.origin, passage.heading, passage.text, hit.cosine)
                found.setdefault(passage.text, ranked)
        return list(found.values())

    def measure(self, asked: Asked, passages: Sequence[Ranked]) -> list[float | None]:
        """Return the cosine of each passage; None for one without a vector."""
        keys = [
            [digest(text) for text in embedded_texts(each.origin.title, each.heading, each.text)]
            for each in passages
        ]
        pieces = [
            (each.origin.content, key)
            for each, some in zip(passages, keys, strict=True)
            for key in some
        ]
        cosines = self._nearest.measure(asked, pieces)
        return [
            max((cosines[key] for key in some if key in cosines), default=None) for some in keys
        ]


def _pick(
    content: "tuple[Origin, Sequence[Passage]] | None", wanted: "Collection[bytes]"
) -> dict[bytes, Ranked]:
    """Return the passages of a content by the digests of their pieces, of the wanted ones."""
    if content is None:
        return {}
    origin, passages = content
    return {
        key: Ranked(origin, each.heading, each.text, score=0.0)
        for each in passages
        for key in map(digest, embedded_texts(origin.title, each.heading, each.text))
        if key in wanted
    }


class SemanticRanking:
    """Ranking by meaning alone."""

    def __init__(self, meaning: Meaning) -> None:
        self._meaning = meaning

    def rank(self, question: str, selection: Selection, limit: int) -> list[Ranked]:
        """Return the best passages; see Ranking.rank. Raises as EmbeddingModel.embed, too."""
        asked = self._meaning.ask(question, selection)
        return [] if asked is None else self._meaning.find(asked, limit)

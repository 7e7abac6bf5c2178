"""Ranking by meaning and by both: vectors, their cache and the fusion, without AWS."""

import random
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from afterword.knowledge import hybrid, meaning
from afterword.knowledge.hybrid import HybridRanking
from afterword.knowledge.meaning import Asked, Meaning, SemanticRanking, VectorCache
from afterword.knowledge.passages import Passage
from afterword.knowledge.ranking import Origin, Ranked, Selection, SelectionTooLargeError
from afterword.knowledge.vector_store import Place, Vectors
from afterword.knowledge.vectors import (
    Matrix,
    decode_row,
    digest,
    embedded_texts,
    encode_row,
    split_rows,
)
from afterword.models.embeddings import Vector
from tests.harness.fake_embeddings import FakeEmbeddings, _vector

SELECTION = Selection("demo", version="1", embedded="1")
ORIGIN = Origin(content="c", title="Page", folder="f")
PLACE = Place("f", "c")


def rows_of(*texts: str) -> bytes:
    """Return the rows of passages of ORIGIN."""
    embedded = [each for text in texts for each in embedded_texts(ORIGIN.title, "", text)]
    return b"".join(encode_row(digest(text), _vector(text)) for text in embedded)


def vectors(*texts: str, model: str = "fake") -> Vectors:
    """Return the vectors of passages of ORIGIN."""
    return Vectors(model, 8, rows_of(*texts))


class Base:
    """A knowledge base of one content, which counts its reads."""

    def __init__(self, *texts: str, unembedded: Sequence[str] = ()) -> None:
        self.stored = [(PLACE, vectors(*texts))]
        self.texts = [*texts, *unembedded]
        self.reads = 0
        self.model = FakeEmbeddings()
        self.cache = VectorCache(self.read, "fake")
        self.cut = 0
        self.meaning = Meaning(self.model, self.cache, self.read_passages)

    def read(self, _: Selection) -> Iterator[tuple[Place, Vectors]]:
        """Yield the stored vectors."""
        self.reads += 1
        yield from self.stored

    def read_passages(
        self, _: Selection, places: Sequence[tuple[str, str]]
    ) -> Iterator[tuple[Origin, list[Passage]]]:
        """Yield the passages of each content, all of which have the same."""
        for _folder, content in places:
            self.cut += 1
            yield replace(ORIGIN, content=content), self.passages

    @property
    def passages(self) -> list[Passage]:
        """The passages of the content."""
        return [Passage(number, text, "", 0, 1) for number, text in enumerate(self.texts)]

    def rank(self, question: str, _: Selection, limit: int) -> list[Ranked]:
        """Rank by the words that a question shares: a stand-in of lexical ranking."""
        asked = set(question.lower().split())
        found = [text for text in self.texts if asked & set(text.lower().split())]
        return [Ranked(ORIGIN, "", text, 1.0) for text in found[:limit]]


def texts(found: Iterable[Ranked]) -> list[str]:
    """Return the texts of passages."""
    return [passage.text for passage in found]


# --- vectors ------------------------------------------------------------------------------------


def test_a_row_keeps_the_direction_of_its_vector() -> None:
    """A byte for each dimension changes a cosine by less than a hundredth, at 384 dimensions."""
    numbers = random.Random(1)  # noqa: S311 - no secret
    question, *some = ([numbers.gauss(0, 0.05) for _ in range(384)] for _ in range(50))
    matrix = Matrix()
    matrix.add(b"".join(encode_row(digest(str(at)), each) for at, each in enumerate(some)), 384)
    for row, cosine in matrix.find_nearest(question, 50):
        exact = meaning_of(question, some[row])
        assert abs(cosine - exact) < 0.005


def meaning_of(one: Vector, other: Vector) -> float:
    """Return the cosine of two vectors."""
    product = sum(a * b for a, b in zip(one, other, strict=True))
    return float(product / (sum(a * a for a in one) * sum(b * b for b in other)) ** 0.5)


def test_rows_are_told_by_their_digests() -> None:
    """Rows come apart again, and are the same vector again."""
    rows = rows_of("money", "tea")
    split = split_rows(rows, 8)
    assert list(split) == [digest("Page\nmoney"), digest("Page\ntea")]
    assert b"".join(split.values()) == rows
    assert decode_row(split[digest("Page\nmoney")])[:2] == [1.0, 0.0]


def test_a_matrix_has_one_number_of_dimensions() -> None:
    """Rows and questions with other dimensions are left out, and break nothing."""
    matrix = Matrix()
    assert matrix.find_nearest([1.0] * 8, 5) == []
    matrix.add(rows_of("money"), 8)
    matrix.add(encode_row(b"12345678", [1.0] * 16), 16)
    assert len(matrix) == 1
    assert matrix.find_nearest([1.0] * 16, 5) == []


@pytest.mark.parametrize("dimensions", [1, 7, 100, 1_001])
def test_vectors_have_any_number_of_dimensions(dimensions: int) -> None:
    """A model's number of dimensions need not be a multiple of eight."""
    numbers = random.Random(3)  # noqa: S311 - no secret
    vector = [numbers.uniform(0.5, 1) for _ in range(dimensions)]
    matrix = Matrix()
    matrix.add(
        encode_row(b"12345678", vector) + encode_row(b"87654321", [-x for x in vector]), dimensions
    )
    assert [round(cosine, 2) for cosine in matrix.measure(vector)] == [1, -1]


def test_rows_that_do_not_fit_their_dimensions_are_left_out() -> None:
    """Stored rows of several lengths break no question, and are no whole vectors."""
    mixed = rows_of("money") + encode_row(b"12345678", [1.0] * 9)
    assert not Vectors("fake", 8, mixed).is_whole
    matrix = Matrix()
    matrix.add(mixed, 8)
    matrix.add(rows_of("tea"), 8)
    assert len(matrix) == 1
    assert len(matrix.find_nearest(_vector("tea"), 5)) == 1


def test_twenty_thousand_passages_are_compared_in_a_moment() -> None:
    """The most that a worker compares takes a fraction of a second and 35 MB, at 512 dimensions."""
    matrix = Matrix()
    matrix.add(random.Random(2).randbytes(520 * meaning.MAX_VECTORS), 512)  # noqa: S311 - no secret
    assert matrix.size < 35_000_000
    question = [0.1 * (place % 7 - 3) for place in range(512)]
    started = time.perf_counter()
    assert len(matrix.find_nearest(question, 30)) == 30
    assert time.perf_counter() - started < 1


# --- the cache ----------------------------------------------------------------------------------


def nearest(cache: VectorCache, selection: Selection, question: str = "money") -> int:
    """Return how many passages a question finds in a selection."""
    return len(cache.find_nearest(Asked(selection, _vector(question)), 5))


def test_vectors_are_read_anew_only_when_their_version_changes() -> None:
    """A changed content alone reads no vectors; changed vectors do."""
    base = Base("money")
    for _ in range(3):
        assert nearest(base.cache, SELECTION) == 1
    assert nearest(base.cache, Selection("demo", version="2", embedded="1")) == 1
    assert base.reads == 1
    assert nearest(base.cache, Selection("demo", version="2", embedded="2")) == 1
    assert base.reads == 2


def test_each_selection_has_its_own_vectors() -> None:
    """Tenants, folders and tags share no vectors."""
    read: list[Selection] = []

    def note(selection: Selection) -> Iterator[tuple[Place, Vectors]]:
        read.append(selection)
        yield PLACE, vectors(selection.tenant)

    cache = VectorCache(note, "fake")
    selections = [
        SELECTION,
        Selection("other", version="1", embedded="1"),
        Selection("demo", version="1", embedded="1", folders=frozenset({"a"})),
        Selection("demo", version="1", embedded="1", tags=frozenset({"a"})),
    ]
    for selection in [*selections, *selections]:
        nearest(cache, selection)
    assert read == selections


def test_a_worker_holds_a_bounded_number_of_vectors() -> None:
    """The least recently used selection goes, and the newest stays whatever its size."""
    reads: list[str] = []

    def read(selection: Selection) -> Iterator[tuple[Place, Vectors]]:
        reads.append(selection.tenant)
        yield PLACE, vectors(*(f"money {number}" for number in range(100)))

    one = VectorCache(read, "fake")
    nearest(one, Selection("a", version="1", embedded="1"))
    size = one._indexes.size  # noqa: SLF001 - what it holds
    cache = VectorCache(read, "fake", max_bytes=2 * size)
    reads.clear()
    for tenant in "abacabb":
        nearest(cache, Selection(tenant, version="1", embedded="1"))
        assert cache._indexes.size <= 2 * size  # noqa: SLF001 - as above
    assert reads == ["a", "b", "c", "b"]
    tiny = VectorCache(read, "fake", max_bytes=1)
    assert nearest(tiny, SELECTION) == 5


def test_more_passages_than_can_be_compared_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A selection that is too large is read no further, and its owner is told the ways out."""
    monkeypatch.setattr(meaning, "MAX_VECTORS", 3)
    read: list[int] = []

    def many(_: Selection) -> Iterator[tuple[Place, Vectors]]:
        for number in range(10):
            read.append(number)
            yield PLACE, vectors(f"money {number}")

    with pytest.raises(SelectionTooLargeError, match="choose fewer folders"):
        nearest(VectorCache(many, "fake"), SELECTION)
    assert read == [0, 1, 2, 3]


def test_vectors_that_are_too_many_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused selection is read again only when its vectors have changed."""
    monkeypatch.setattr(meaning, "MAX_VECTORS", 1)
    base = Base("money", "refund")
    later = Selection("demo", version="2", embedded="2")
    for selection in (SELECTION, SELECTION, later, later):
        with pytest.raises(SelectionTooLargeError, match="more than 1 vectors"):
            nearest(base.cache, selection)
    assert base.reads == 2


def test_long_vectors_are_bounded_by_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A selection whose vectors take too much memory is read no further, however few they are."""
    monkeypatch.setattr(meaning, "MAX_CACHED_BYTES", 10_000)
    read: list[int] = []

    def many(_: Selection) -> Iterator[tuple[Place, Vectors]]:
        for number in range(10):
            read.append(number)
            yield PLACE, Vectors("fake", 4_000, encode_row(b"%08d" % number, [1.0] * 4_000))

    with pytest.raises(SelectionTooLargeError, match="more than 2 vectors"):
        nearest(VectorCache(many, "fake"), SELECTION)
    assert read == [0, 1, 2]


def test_vectors_of_other_models_are_not_compared() -> None:
    """Until a content is embedded anew, another model's vectors find nothing."""
    base = Base()
    base.stored = [(PLACE, vectors("money", model="older")), (PLACE, vectors("refund"))]
    assert nearest(base.cache, SELECTION) == 1


def test_threads_read_the_vectors_once() -> None:
    """Ten threads that ask at once wait for one read."""
    barrier = threading.Barrier(10)
    base = Base("money")

    def ask() -> int:
        barrier.wait()
        return nearest(base.cache, SELECTION)

    with ThreadPoolExecutor(10) as executor:
        found = [executor.submit(ask) for _ in range(10)]
        assert [each.result() for each in found] == [1] * 10
    assert base.reads == 1


# --- rankings -----------------------------------------------------------------------------------


def test_passages_come_by_their_nearness() -> None:
    """The nearest passage is first, and those under the floor are left out."""
    base = Base("money", "money and a parcel", "a kettle")
    ranking = SemanticRanking(base.meaning)
    assert texts(ranking.rank("refund", SELECTION, 5)) == ["money", "money and a parcel"]
    assert texts(ranking.rank("refund", SELECTION, 1)) == ["money"]
    assert ranking.rank("capital of Mongolia", SELECTION, 5) == []


def test_a_blank_question_costs_no_call() -> None:
    """A question without a character finds nothing, and is not embedded."""
    base = Base("money")
    for ranking in (SemanticRanking(base.meaning), HybridRanking(base, base.meaning)):
        assert ranking.rank(" \n", SELECTION, 5) == []
    assert base.model.calls == []


def test_a_vector_without_its_passage_finds_nothing() -> None:
    """A passage that was changed or removed since is not shown by its old vector."""
    base = Base("money")
    base.texts = ["another text"]
    assert SemanticRanking(base.meaning).rank("refund", SELECTION, 5) == []


def test_no_more_contents_are_cut_than_a_question_needs() -> None:
    """Contents are read in the order of their nearest passages, until there are enough passages."""
    base = Base("money", "money and a parcel")
    base.stored = [
        (Place("f", f"content {number}"), vectors("money", "money and a parcel"))
        for number in range(40)
    ]
    found = SemanticRanking(base.meaning).rank("refund", SELECTION, 1)
    assert [(each.origin.content, each.text) for each in found] == [("content 0", "money")]
    assert base.cut == 1


def test_the_same_text_is_found_once() -> None:
    """A text that stands twice in the contents does not displace another."""
    base = Base("money", "money and a parcel")
    base.stored.append((PLACE, vectors("money")))
    found = SemanticRanking(base.meaning).rank("refund", SELECTION, 2)
    assert texts(found) == ["money", "money and a parcel"]


def test_a_passage_that_both_rankings_find_is_first() -> None:
    """The reciprocal ranks of both add up; scores fall from the first to the last."""
    base = Base("money", "refund the money", "parcel refund")
    found = HybridRanking(base, base.meaning).rank("refund", SELECTION, 5)
    assert texts(found)[0] == "refund the money"
    assert set(texts(found)) == {"money", "refund the money", "parcel refund"}
    scores = [passage.score for passage in found]
    assert scores == sorted(scores, reverse=True)
    assert all(score > 0 for score in scores)


def test_words_without_the_meaning_are_left_out_once_they_have_a_vector() -> None:
    """A passage that shares a word, and is far from the question, is no answer."""
    base = Base("the kettle", unembedded=["the window"])
    found = HybridRanking(base, base.meaning).rank("the refund", SELECTION, 5)
    assert texts(found) == ["the window"]


def test_meaning_is_left_where_there_are_too_many_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """A selection too large for the ranking by words is still ranked by meaning."""
    base = Base("money")

    def refuse(*_: object) -> list[Ranked]:
        raise SelectionTooLargeError("Too many.")

    monkeypatch.setattr(base, "rank", refuse)
    assert texts(HybridRanking(base, base.meaning).rank("refund", SELECTION, 5)) == ["money"]


def test_each_ranking_brings_a_bounded_number_of_passages() -> None:
    """A fusion looks at the first thirty passages of each ranking."""
    base = Base(*(f"money {number}" for number in range(100)))
    assert len(HybridRanking(base, base.meaning).rank("money", SELECTION, 100)) <= 2 * hybrid.POOL

"""`python -m bench.recall.meaning`: ranking by words, by meaning and by both, side by side.

The embedding model is the embedded stack's, which knows English alone: the French part of the
corpus and the French bases show what such a model does to another language. Vectors are kept in a
file, so that a second run takes a minute.
"""

import argparse
import asyncio
import hashlib
import sqlite3
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import batched
from pathlib import Path
from statistics import mean
from time import perf_counter
from unittest.mock import patch

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import track
from rich.table import Column, Table

from afterword.knowledge import hybrid, lexical
from afterword.knowledge.hybrid import HybridRanking
from afterword.knowledge.meaning import Meaning, SemanticRanking, VectorCache
from afterword.knowledge.passages import cut_passages
from afterword.knowledge.ranking import Candidate, Origin, Ranked, Ranking, Selection
from afterword.knowledge.vector_store import Place, Vectors
from afterword.knowledge.vectors import digest, embedded_texts, encode_row
from afterword.models.embeddings import EmbeddingModel, Purpose, Vector, embed_texts
from afterword.models.openai_embeddings import OpenAIEmbeddings
from bench.recall.corpus import Document, documents
from bench.recall.questions import QUESTIONS, Question
from bench.recall.small import BASES, NOWHERE, Base
from local.model_server import ModelServer
from local.models import EMBEDDING_MODEL
from local.places import Place as StackPlace
from local.processes import Nursery

KEPT = Path(".local") / "recall.db"
DEPTH = 30
TOP = 5
FLOORS = (0.2, 0.25, 0.3, 0.35, 0.4)
FARS = (0.0, 0.5, 0.7, 1.0)
ENGLISH = frozenset({"shop", "service"})
"""The small bases in English; the others are in French."""
_SELECTION = Selection("bench", version="1", embedded="1")
_DIMENSIONS = 384


class KeptEmbeddings:
    """A model whose vectors are kept in a file; the floor is the benchmark's to vary."""

    batch = 16

    def __init__(self, model: EmbeddingModel, file: Path) -> None:
        self.name = model.name
        self.floor = model.floor
        self._model = model
        file.parent.mkdir(exist_ok=True)
        self._kept = sqlite3.connect(file, isolation_level=None)
        self._kept.execute("CREATE TABLE IF NOT EXISTS vectors (key PRIMARY KEY, vector)")

    def embed(self, texts: Sequence[str], purpose: Purpose, timeout: float) -> list[Vector]:
        """Return the kept vectors, after embedding what has none."""
        missing = [text for text in texts if self._find(text) is None]
        for some in batched(missing, self.batch, strict=False):
            embedded = embed_texts(self._model, some, purpose, lambda: timeout)
            error = embedded.failure or embedded.refusal
            if error is not None:
                raise error
            for text, vector in zip(some, embedded.vectors, strict=True):
                row = _key(text), array("f", vector or ()).tobytes()
                self._kept.execute("INSERT OR REPLACE INTO vectors VALUES (?, ?)", row)
        return [vector for text in texts if (vector := self._find(text)) is not None]

    def _find(self, text: str) -> Vector | None:
        found = self._kept.execute("SELECT vector FROM vectors WHERE key = ?", (_key(text),))
        row = found.fetchone()
        return None if row is None else array("f", row[0]).tolist()


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


class Rankings:
    """The three rankings of some documents."""

    def __init__(self, some: Sequence[Document], model: KeptEmbeddings) -> None:
        self._contents = {
            each.id: (
                Origin(content=each.id, title=each.title, folder="documents"),
                cut_passages(each.text),
            )
            for each in some
        }
        self._model = model
        cache = VectorCache(self._read, model.name)
        self._index = lexical.build_index(self._candidates())
        meaning = Meaning(
            model,
            cache,
            lambda _, places: (self._contents.get(content) for _, content in places),
        )
        self.by_name: Mapping[str, Ranking] = {
            "lexical": self,
            "semantic": SemanticRanking(meaning),
            "hybrid": HybridRanking(self, meaning),
        }

    def rank(self, question: str, _selection: Selection, limit: int) -> list[Ranked]:
        """Rank by words."""
        return self._index.rank(question, limit)

    def _candidates(self) -> Iterator[Candidate]:
        for origin, passages in self._contents.values():
            yield from (Candidate(origin, passage) for passage in passages)

    def _read(self, _: Selection) -> Iterator[tuple[Place, Vectors]]:
        texts = [
            (origin.content, text)
            for origin, passages in self._contents.values()
            for passage in passages
            for text in embedded_texts(origin.title, passage.heading, passage.text)
        ]
        pages = [*batched(texts, self._model.batch, strict=False)]
        for page in track(pages, "embedding", transient=True):
            vectors = self._model.embed([text for _, text in page], Purpose.PASSAGE, 300)
            for (content, text), vector in zip(page, vectors, strict=True):
                row = encode_row(digest(text), vector)
                yield Place("documents", content), Vectors(self._model.name, _DIMENSIONS, row)


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.recall.meaning", description=__doc__)
    parser.add_argument("--parts", default="python,aws,fr", help="parts of the corpus")
    parser.add_argument("--floors", action="store_true", help="vary the floors, too")
    arguments = parser.parse_args()
    asyncio.run(_measure(arguments.parts.split(","), floors=arguments.floors))


async def _measure(parts: Sequence[str], *, floors: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = StackPlace(Path(folder))
        place.prepare()
        async with Nursery() as nursery:
            server = ModelServer(nursery, place, "embeddings", "serve_embeddings.py")
            await server.start()
            await asyncio.to_thread(_print, server.url, parts, floors=floors)


def _print(url: str, parts: Sequence[str], *, floors: bool) -> None:
    console = Console(width=140)
    model = KeptEmbeddings(OpenAIEmbeddings(EMBEDDING_MODEL, url, lambda: None, 4, 0.3), KEPT)
    corpus = [each for each in documents() if each.id.split("/")[0] in parts]
    large = Rankings(corpus, model)
    small = {name: Rankings(base.documents, model) for name, base in BASES.items()}
    console.print(_by_part(large, parts))
    table = _table("off-topic", *_OFF_TOPIC)
    for name in large.by_name:
        table.add_row(name, *_off_topic(name, large, small))
    console.print(table)
    if floors:
        console.print(_by_floor(model, large, small, parts))


def _find(ranking: Ranking, question: Question) -> int | None:
    """Return the place of the first answer, from 1."""
    for place, ranked in enumerate(ranking.rank(question.text, _SELECTION, DEPTH), start=1):
        text = " ".join(ranked.text.split())
        if any(answer in text for answer in question.answers):
            return place
    return None


def _is_within(place: int | None) -> bool:
    return place is not None and place <= TOP


def _row(places: Sequence[int | None], milliseconds: float) -> tuple[str, ...]:
    return (
        str(len(places)),
        f"{mean(_is_within(place) for place in places):.2f}",
        f"{mean(place == 1 for place in places):.2f}",
        f"{mean(1 / place if place else 0 for place in places):.2f}",
        f"{milliseconds:.0f}",
    )


def _table(first: str, *columns: str) -> Table:
    right = (Column(each, justify="right") for each in columns)
    return Table(Column(first, min_width=24), *right, box=SIMPLE)


def _by_part(large: Rankings, parts: Sequence[str]) -> Table:
    """Measure each part's questions in the whole corpus."""
    table = _table("searched: everything", "questions", "at 5", "at 1", "MRR", "ms")
    groups = {part: QUESTIONS[part] for part in parts}
    english = [each for part in parts if part != "fr" for each in QUESTIONS[part]]
    groups |= {"English": english, "all": [each for part in parts for each in QUESTIONS[part]]}
    for group, questions in groups.items():
        for name, ranking in large.by_name.items():
            started = perf_counter()
            places = [_find(ranking, each) for each in questions]
            elapsed = (perf_counter() - started) / len(questions) * 1_000
            table.add_row(f"{group}: {name}", *_row(places, elapsed))
    return table


_OFF_TOPIC = (
    *("corpus refused", "en: answered", "near refused", "far refused"),
    *("fr: answered", "near refused", "far refused"),
)


def _off_topic(name: str, large: Rankings, small: Mapping[str, Rankings]) -> Iterator[str]:
    """Measure what is answered in small bases, and what is refused there and in the corpus."""
    yield _share(_is_refused(large.by_name[name], question) for question in NOWHERE)
    for names in (ENGLISH, BASES.keys() - ENGLISH):
        some: list[tuple[Base, Ranking]] = [
            (BASES[each], small[each].by_name[name]) for each in names
        ]
        yield _share(
            any(found.origin.content == answer for found in ranking.rank(asked, _SELECTION, TOP))
            for base, ranking in some
            for asked, answer in base.answered
        )
        yield _share(_is_refused(ranking, each) for base, ranking in some for each in base.near)
        yield _share(_is_refused(ranking, each) for base, ranking in some for each in base.far)


def _is_refused(ranking: Ranking, question: str) -> bool:
    return not ranking.rank(question, _SELECTION, TOP)


def _share(some: Iterable[bool]) -> str:
    return f"{mean(some):.2f}"


def _by_floor(
    model: KeptEmbeddings, large: Rankings, small: Mapping[str, Rankings], parts: Sequence[str]
) -> Table:
    """Measure what the floors cost, and what they keep out."""
    table = _table("floor, far", "English: at 5", *_OFF_TOPIC)
    questions = [each for part in parts if part != "fr" for each in QUESTIONS[part]]
    tries = [("semantic", floor, 0.0) for floor in FLOORS]
    tries += [("hybrid", floor, far) for floor in FLOORS for far in FARS]
    for name, floor, far in tries:
        with patch.object(model, "floor", floor), patch.object(hybrid, "FAR", far):
            places = [_find(large.by_name[name], each) for each in questions]
            within = _share(map(_is_within, places))
            label = f"{name} {floor:.2f}" + (f", {far:.2f}" if name == "hybrid" else "")
            table.add_row(label, within, *_off_topic(name, large, small))
    return table


if __name__ == "__main__":
    main()

"""Ranking by the words that question and passage share: SQLite's FTS5 and BM25."""

import json
import sqlite3
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from hashlib import blake2b
from heapq import nlargest
from itertools import chain
from math import log
from pathlib import Path
from typing import NamedTuple, Protocol

from afterword.knowledge import questions, words
from afterword.knowledge.index_cache import IndexCache
from afterword.knowledge.ranking import Candidate, Origin, Ranked, Selection, SelectionTooLargeError
from afterword.knowledge.stop_words import Language


class Limits(NamedTuple):
    """The most that an index may have.

    - `passages` are those of the selection, each text once.
    - `characters` are those of the passages, their titles and headings included.
    - `size` is in bytes of the database.
    """

    passages: int
    characters: int
    size: int


IN_MEMORY = Limits(passages=10_000, characters=10_000_000, size=100_000_000)
"""Each process builds an index in memory, and anew for each version."""
IN_FILE = Limits(passages=100_000, characters=100_000_000, size=200_000_000)
"""One process builds an index as a file for all, which takes room of /tmp and not of memory."""
MAX_CACHED_BYTES = 48_000_000
"""Bytes of the indexes that a process caches in memory."""
MAX_QUESTION = 20_000
"""Characters of a question; later ones are ignored."""
MAX_TERMS = 48
"""Terms of a query; of a longer question, the rarest."""

TITLE_WEIGHT = 4.0
HEADING_WEIGHT = 2.0
"""Weights of a word in a content's name, and in the headings above a passage; 1 in the text."""

MIN_SHARE = 0.48
MIN_SHARE_OF_MANY = 0.52
MANY = 1_500
"""The weight of a passage's words of the question, at least, in weights of its two rarest words.

Among MANY passages, one of the two words is too little: nearly every word is in some of them.
docs/decisions/0018-ranking.md and 0076-languages-of-ranking.md have the measurements behind these
numbers and the next.
"""
MIN_LANGUAGE = 0.01
"""The part of the passages that a language has, at least; less may be passages taken for it."""
SINGLE = 0.5
"""The weight of a character that is a word, of that of a word as rare: many words have it."""
_EVENNESS = 50  # passages; among fewer, the rareness of a word tells little

_MEMORY = ":memory:"
_MEASURED = 1_000
"""Passages between two looks at the size of a database."""
_SCHEMA = f"""
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    CREATE TABLE facts (passages, languages);
    CREATE TABLE origins (id INTEGER PRIMARY KEY, content, title, folder, external_id, source);
    CREATE TABLE passages (id INTEGER PRIMARY KEY, origin, language, heading, text);
    CREATE VIRTUAL TABLE terms USING fts5(
        title, heading, text, content = '', columnsize = 1, tokenize = 'ascii'
    );
    CREATE VIRTUAL TABLE known USING fts5vocab(terms, row);
    INSERT INTO terms (terms, rank) VALUES ('rank', 'bm25({TITLE_WEIGHT}, {HEADING_WEIGHT}, 1.0)');
    BEGIN;
"""  # noqa: S608 - of the two numbers above # nosec B608
_SIZE = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
_KNOWN = "SELECT term, doc FROM known WHERE term IN (SELECT value FROM json_each(?))"
_BEST = """
    SELECT content, title, folder, external_id, source, language, heading, text, -score
    FROM (SELECT rowid AS row, rank AS score FROM terms WHERE terms MATCH ? ORDER BY 2, 1 LIMIT ?)
    JOIN passages ON passages.id = row JOIN origins ON origins.id = passages.origin
    ORDER BY score, row
"""


class IndexSource(Protocol):
    """The source of a process's indexes: MemoryIndexes, or afterword.knowledge.index_files."""

    @property
    def max_bytes(self) -> int:
        """Bytes of the indexes that a process caches; the newest stays whatever its size."""
        ...

    @property
    def at_once(self) -> int:
        """Indexes that a process opens side by side."""
        ...

    def open(self, selection: Selection) -> "Index":
        """Return the index of a selection; raises as Ranking.rank."""
        ...


class MemoryIndexes:
    """Indexes in memory, built from the passages that `read` returns of a selection.

    One at a time, since each build takes memory, and several in parallel are no faster.
    """

    at_once = 1

    def __init__(
        self,
        read: Callable[[Selection], Iterable[Candidate]],
        max_bytes: int = MAX_CACHED_BYTES,
    ) -> None:
        self._read = read
        self.max_bytes = max_bytes

    def open(self, selection: Selection) -> "Index":
        """Return the index of a selection; see IndexSource.open."""
        return build_index(self._read(selection))


class LexicalRanking:
    """A cache of indexes, of each selection's newest version, the last used ones within the bound.

    Threads may share a ranking: an index is opened once, while other threads wait for it.
    """

    def __init__(self, source: IndexSource) -> None:
        self._indexes = IndexCache(
            source.open, lambda selection: selection.version, source.max_bytes, source.at_once
        )

    def rank(self, question: str, selection: Selection, limit: int) -> list[Ranked]:
        """Return the best passages; see Ranking.rank."""
        return self._indexes.get(selection).rank(question, limit)


def build_index(
    candidates: Iterable[Candidate],
    limits: Limits | None = None,
    file: Path | None = None,
) -> "Index":
    """Return the index of some passages, in memory or in an empty file.

    The limits are IN_MEMORY unless given. Raises SelectionTooLargeError for more than those.
    """
    _check_fts5()
    connection = _connect(_MEMORY if file is None else str(file))
    try:
        connection.executescript(_SCHEMA)
        _Builder(connection, limits or IN_MEMORY).add(candidates)
        connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    if file is None:
        return Index(connection)
    connection.close()
    return open_index(file)


def open_index(file: Path) -> "Index":
    """Return the index in a file, which is mapped and may lose its name.

    Raises sqlite3.Error for another file.
    """
    connection = _connect(f"{file.absolute().as_uri()}?mode=ro&immutable=1")
    try:
        connection.execute(f"PRAGMA mmap_size = {file.stat().st_size}")
        return Index(connection)
    except BaseException:
        connection.close()
        raise


def _connect(database: str) -> sqlite3.Connection:
    return sqlite3.connect(database, isolation_level=None, check_same_thread=False, uri=True)


class _Builder:
    """Writes passages into an empty database, those of a content together."""

    def __init__(self, connection: sqlite3.Connection, limits: Limits) -> None:
        self._connection = connection
        self._limits = limits
        self._origins = 0

    def add(self, candidates: Iterable[Candidate]) -> None:
        """Add all passages and what a ranking has to know of them."""
        characters = 0
        seen: set[bytes] = set()
        spoken: Counter[Language] = Counter()
        origin: Origin | None = None
        likely = Language.ENGLISH
        for candidate in candidates:
            passage = candidate.passage
            digest = blake2b(passage.text.encode(), digest_size=16).digest()
            if digest in seen:
                continue  # a repeated text would only displace another
            seen.add(digest)
            row = (candidate.origin.title, passage.heading, passage.text)
            characters += sum(map(len, row))
            self._check(len(seen), characters)
            if candidate.origin != origin:
                origin, likely = candidate.origin, Language.ENGLISH
                self._add_origin(origin)
            # A passage without stop words, such as a table, is in its content's language.
            likely, terms = words.index_terms(row, likely=likely)
            spoken[likely] += 1
            self._connection.execute(
                "INSERT INTO passages VALUES (?, ?, ?, ?, ?)",
                (len(seen), self._origins, likely, passage.heading, passage.text),
            )
            self._connection.execute(
                "INSERT INTO terms (rowid, title, heading, text) VALUES (?, ?, ?, ?)",
                (len(seen), *map(" ".join, terms)),
            )
        languages = [
            language
            for language, count in spoken.most_common()
            if count >= MIN_LANGUAGE * len(seen)
        ]
        self._connection.execute(
            "INSERT INTO facts VALUES (?, ?)", (len(seen), json.dumps(languages))
        )

    def _add_origin(self, origin: Origin) -> None:
        self._origins += 1
        self._connection.execute(
            "INSERT INTO origins VALUES (?, ?, ?, ?, ?, ?)",
            (
                self._origins,
                origin.content,
                origin.title,
                origin.folder,
                origin.external_id,
                origin.source,
            ),
        )

    def _check(self, passages: int, characters: int) -> None:
        """Raise SelectionTooLargeError above the limits."""
        limits = self._limits
        size = _measure(self._connection) if passages % _MEASURED == 0 else 0
        for count, limit, unit in (
            (passages, limits.passages, "passages"),
            (characters, limits.characters, "characters"),
            (size, limits.size, "bytes of words and texts"),
        ):
            if count > limit:
                raise SelectionTooLargeError(
                    f"The knowledge base has more than {limit:,} {unit} in these folders and tags,"
                    " which is more than can be searched at once: choose fewer folders or tags, set"
                    " the step's context.ranking to semantic, or rank with Amazon Bedrock Knowledge"
                    " Bases."
                )


def _measure(connection: sqlite3.Connection) -> int:
    size: int = connection.execute(_SIZE).fetchone()[0]
    return size


class Index:
    """The index of some passages, in a database of `build_index`.

    `passages` is their number, and `size` that of the database's bytes.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.passages, languages = connection.execute("SELECT * FROM facts").fetchone()
        self._languages = [Language(each) for each in json.loads(languages)]
        self.size = _measure(connection)
        self._lock = threading.Lock()
        # The last reference to an index closes it, in any thread.
        weakref.finalize(self, connection.close)

    def rank(self, question: str, limit: int) -> list[Ranked]:
        """Return the best passages, without those under MIN_SHARE."""
        asked = questions.question_terms(question[:MAX_QUESTION], self._languages)
        forms = {form for each in asked for form in each}
        with self._lock:
            terms: dict[str, int] = dict(
                self._connection.execute(
                    _KNOWN, (json.dumps(sorted({*chain.from_iterable(map(str.split, forms))})),)
                )
            )
            known = {
                form: min(terms[term] for term in form.split())
                for form in forms
                if all(term in terms for term in form.split())
            }
            if not known:
                return []
            rarest = sorted(known, key=lambda form: (known[form], form))[:MAX_TERMS]
            # Terms are letters and digits, so none can end its quotes.
            query = " OR ".join(f'"{form}"' for form in rarest)
            rows = self._connection.execute(_BEST, (query, limit)).fetchall()
        weights = self._weigh_terms(asked, known)
        share = MIN_SHARE if self.passages < MANY else MIN_SHARE_OF_MANY
        threshold = share * sum(nlargest(2, weights.values()))
        ranked: list[Ranked] = []
        for content, title, folder, external_id, source, language, *row in rows:
            origin = Origin(
                content=content,
                title=title,
                folder=folder,
                external_id=external_id,
                source=source,
            )
            each = Ranked(origin, *row)
            if _weigh(each, Language(language), weights) >= threshold:
                ranked.append(each)
        return ranked

    def _weigh_terms(
        self, terms: Sequence[tuple[str, ...]], known: Mapping[str, int]
    ) -> dict[tuple[str, ...], float]:
        """Return the weight of each word; rare words weigh more.

        A word in no passage weighs as much as a word in a single one.
        """
        return {
            forms: log(_EVENNESS + self.passages / max(known.get(form, 1) for form in forms))
            * (SINGLE if words.is_single(forms[0]) else 1)
            for forms in terms
        }


def _weigh(ranked: Ranked, language: Language, weights: Mapping[tuple[str, ...], float]) -> float:
    """Return the weight of a passage's words of the question."""
    texts = (ranked.origin.title, ranked.heading, ranked.text)
    terms = frozenset(chain.from_iterable(words.index_terms(texts, language)[1]))
    return sum(
        weight
        for forms, weight in weights.items()
        if any(terms.issuperset(form.split()) for form in forms)
    )


@cache
def _check_fts5() -> None:
    """Raise RuntimeError for a SQLite without FTS5."""
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("CREATE VIRTUAL TABLE terms USING fts5(text)")
    except sqlite3.OperationalError as error:
        raise RuntimeError(
            f"Searching the knowledge base needs SQLite with FTS5, which SQLite"
            f" {sqlite3.sqlite_version} of this Python does not have."
        ) from error
    finally:
        connection.close()

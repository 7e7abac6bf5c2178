"""Ranking by the words that question and passage share: SQLite's FTS5 and BM25, in memory."""

import json
import sqlite3
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple
from functools import cache
from hashlib import blake2b
from heapq import nlargest
from itertools import chain
from math import log

from afterword.knowledge import questions, words
from afterword.knowledge.index_cache import IndexCache
from afterword.knowledge.ranking import Candidate, Origin, Ranked, Selection, SelectionTooLargeError
from afterword.knowledge.stop_words import Language

MAX_PASSAGES = 10_000
"""Passages of a selection."""
MAX_CHARACTERS = 10_000_000
"""Characters of a selection's passages, their titles and headings included."""
MAX_CACHED_BYTES = 48_000_000
"""Bytes of the indexes that a process caches; the newest stays whatever its size."""
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

_SCHEMA = f"""
    PRAGMA journal_mode = OFF;
    CREATE TABLE passages (id INTEGER PRIMARY KEY, origin, language, heading, text);
    CREATE VIRTUAL TABLE terms USING fts5(
        title, heading, text, content = '', columnsize = 1, tokenize = 'ascii'
    );
    CREATE VIRTUAL TABLE known USING fts5vocab(terms, row);
    INSERT INTO terms (terms, rank) VALUES ('rank', 'bm25({TITLE_WEIGHT}, {HEADING_WEIGHT}, 1.0)');
    BEGIN;
"""  # noqa: S608 - of the two numbers above # nosec B608
_KNOWN = "SELECT term, doc FROM known WHERE term IN (SELECT value FROM json_each(?))"
_BEST = """
    SELECT origin, language, heading, text, -score
    FROM (SELECT rowid AS row, rank AS score FROM terms WHERE terms MATCH ? ORDER BY 2, 1 LIMIT ?)
    JOIN passages ON passages.id = row ORDER BY score, row
"""


class LexicalRanking:
    """A cache of indexes, of each selection's newest version, the last used ones within the bound.

    `read` returns the passages of a selection. Threads may share a ranking: an index is built once,
    while other threads wait for it.
    """

    def __init__(
        self,
        read: Callable[[Selection], Iterable[Candidate]],
        max_bytes: int = MAX_CACHED_BYTES,
    ) -> None:
        self._indexes = IndexCache(
            lambda selection: Index(read(selection)), lambda selection: selection.version, max_bytes
        )

    def rank(self, question: str, selection: Selection, limit: int) -> list[Ranked]:
        """Return the best passages; see Ranking.rank."""
        return self._indexes.get(selection).rank(question, limit)


class Index:
    """The index of some passages; `size` is its memory in bytes.

    Raises SelectionTooLargeError for more passages than the limits.
    """

    def __init__(self, candidates: Iterable[Candidate]) -> None:
        _check_fts5()
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(
            ":memory:", isolation_level=None, check_same_thread=False
        )
        # The last reference to an index closes it, in any thread.
        weakref.finalize(self, self._connection.close)
        self._connection.executescript(_SCHEMA)
        self._origins: list[Origin] = []
        self._passages = self._add(candidates)
        self._connection.execute("COMMIT")
        pages: int = self._connection.execute(
            "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
        ).fetchone()[0]
        self.size = pages + sum(
            sys.getsizeof(value) for origin in self._origins for value in (origin, *astuple(origin))
        )

    def _add(self, candidates: Iterable[Candidate]) -> int:
        """Add the passages, and return their number."""
        characters = 0
        seen: set[bytes] = set()
        numbers: dict[Origin, int] = {}
        languages: dict[int, Language] = {}
        spoken: Counter[Language] = Counter()
        for candidate in candidates:
            passage = candidate.passage
            digest = blake2b(passage.text.encode(), digest_size=16).digest()
            if digest in seen:
                continue  # a repeated text would only displace another
            seen.add(digest)
            number = len(seen)
            row = (candidate.origin.title, passage.heading, passage.text)
            characters += sum(map(len, row))
            _check_size(number, characters)
            origin = numbers.setdefault(candidate.origin, len(numbers))
            # A passage without stop words, such as a table, is in its content's language.
            likely = languages.get(origin, Language.ENGLISH)
            language, terms = words.index_terms(row, likely=likely)
            languages[origin] = language
            spoken[language] += 1
            self._connection.execute(
                "INSERT INTO passages VALUES (?, ?, ?, ?, ?)",
                (number, origin, language, passage.heading, passage.text),
            )
            self._connection.execute(
                "INSERT INTO terms (rowid, title, heading, text) VALUES (?, ?, ?, ?)",
                (number, *map(" ".join, terms)),
            )
        self._origins = [*numbers]
        self._languages = [
            language
            for language, count in spoken.most_common()
            if count >= MIN_LANGUAGE * len(seen)
        ]
        return len(seen)

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
        share = MIN_SHARE if self._passages < MANY else MIN_SHARE_OF_MANY
        threshold = share * sum(nlargest(2, weights.values()))
        ranked: list[Ranked] = []
        for number, language, *row in rows:
            each = Ranked(self._origins[number], *row)
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
            forms: log(_EVENNESS + self._passages / max(known.get(form, 1) for form in forms))
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


def _check_size(passages: int, characters: int) -> None:
    for count, limit, unit in (
        (passages, MAX_PASSAGES, "passages"),
        (characters, MAX_CHARACTERS, "characters"),
    ):
        if count > limit:
            raise SelectionTooLargeError(
                f"The knowledge base has more than {limit:,} {unit} in these folders and tags,"
                " which is more than can be searched at once: choose fewer folders or tags, set the"
                " step's context.ranking to semantic, or rank with Amazon Bedrock Knowledge Bases."
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

"""Which of the passages in its prompt an answer uses (docs/decisions/0021-sources.md)."""

import re
from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from itertools import chain, islice
from math import log

from afterword.knowledge import words
from afterword.knowledge.ranking import Ranked

LEAST_SHARED = 2
"""Telling words that a sentence shares with a passage that it draws on, at least."""
LEAST_SHARE = 0.55
"""Of what a sentence's telling words weigh, how much those weigh that it shares, at least."""
CLOSE = 0.9
"""A sentence draws on the passage that it shares most with, and on those that come this close."""

_CITATION = re.compile(r"[\[【]\s*(\d{1,3}(?:\s*[,;]\s*\d{1,3})*+)\s*(?:†[^\]】\n]{0,99})?[\]】]")
_NUMBER = re.compile(r"\d+")
_SENTENCE = re.compile(r"(?:[^.!?…。\uff01\uff1f\n]|[.!?…](?!\s|$))++")

_READ = (
    "documents?|contexte?s?|passages?|sources?|texte?s?|excerpts?|extraits?|knowledge base"
    "|base de connaissances"
)
_NONE = r"not|no|none|nothing|nowhere|\w+n t|pas|aucune?s?|rien|nulle part"
# "The documents do not say", "I could not find", « aucune information », in folded words.
_TELLS_NOTHING = re.compile(
    rf"\b(?:{_READ})\b.*\b(?:{_NONE})\b"
    rf"|\b(?:{_NONE})\b.*\b(?:{_READ}|informations?)\b"
    r"|\bi (?:cannot|(?:\w+ ){1,2}(?:t|not|no|unable))\b"
    r"|\bje (?:ne|n)\b.{0,30}\b(?:pas|rien|aucune?)\b"
)
_LOOKED_AT = 60  # words of a sentence, from its start: enough to see whether it tells something


def find_used(answer: str, passages: Sequence[Ranked]) -> frozenset[int]:
    """Return which of the passages an answer uses, from 0: those it cites, else those it draws on.

    `[1]` cites the first passage. A number that no passage has cites nothing.
    """
    return _cited(answer, len(passages)) or _drawn_on(answer, passages)


def _cited(answer: str, passages: int) -> frozenset[int]:
    numbers = (
        int(number)
        for citation in _CITATION.finditer(answer)
        for number in _NUMBER.findall(citation[1])
    )
    return frozenset(number - 1 for number in numbers if 1 <= number <= passages)


def _drawn_on(answer: str, passages: Sequence[Ranked]) -> frozenset[int]:
    """Return the passages that a sentence of the answer repeats most of its telling words from."""
    tongues, said = zip(*map(_said, passages), strict=True) if passages else ((), ())
    having = Counter(chain.from_iterable(said))
    sentences = _sentences(answer)
    told = [*chain.from_iterable(sentences)]
    stemmed = {tongue: iter(words.stem_words(told, tongue)) for tongue in set(tongues)}
    found: set[int] = set()
    for sentence in sentences:
        terms = {tongue: set(islice(stems, len(sentence))) for tongue, stems in stemmed.items()}
        shares = [
            _share(terms[tongue], stems, having, len(passages))
            for tongue, stems in zip(tongues, said, strict=True)
        ]
        least = max(LEAST_SHARE, CLOSE * max(shares, default=0.0))
        found.update(number for number, share in enumerate(shares) if share >= least)
    return frozenset(found)


def _said(passage: Ranked) -> tuple[words.Language, AbstractSet[str]]:
    """Return a passage's language, and the stems of its words."""
    found = words.split_words(f"{passage.origin.title}\n{passage.heading}\n{passage.text}")
    tongue = words.detect_language(found) or words.Language.ENGLISH
    return tongue, frozenset(words.stem_words(found, tongue))


def _sentences(answer: str) -> list[list[str]]:
    """Return the telling words of each sentence that does not say that it knows nothing."""
    sentences = [words.split_words(each) for each in _SENTENCE.findall(answer)]
    tongue = words.detect_language([*chain.from_iterable(sentences)])
    small = words.STOP_WORDS[tongue] if tongue else frozenset[str]()
    return [
        [word for word in sentence if word not in small]
        for sentence in sentences
        if not _TELLS_NOTHING.search(" ".join(sentence[:_LOOKED_AT]))
    ]


def _share(
    terms: AbstractSet[str], said: AbstractSet[str], having: Counter[str], passages: int
) -> float:
    """Return how much of a sentence's words a passage has: the fewer have one, the more it counts.

    A word that no passage has counts as much as one that a single passage has.
    """
    shared = terms & said
    if len(shared) < LEAST_SHARED:
        return 0.0

    def weight(some: AbstractSet[str]) -> float:
        return sum(log(1 + passages / max(having[term], 1)) for term in sorted(some))

    return weight(shared) / weight(terms)

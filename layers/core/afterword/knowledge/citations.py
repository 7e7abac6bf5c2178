"""The passages of a prompt that its answer uses (docs/decisions/0021-sources.md)."""

import re
from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from itertools import chain, islice
from math import log

from afterword.knowledge import stop_words, words
from afterword.knowledge.ranking import Ranked

MIN_SHARED = 2
"""Telling words that a sentence shares with a passage of its own, at least."""
MIN_SHARE = 0.55
"""The shared part of the weight of a sentence's telling words, at least."""
MIN_OF_BEST = 0.9
"""A sentence draws on the passage with the largest share, and on those with this part of it."""

MAX_ANSWER = 200_000
"""Characters of an answer that are compared; in later ones nothing is found."""

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
_MAX_WORDS = 60  # of a sentence's start, which show whether the sentence denies knowledge


def find_used(answer: str, passages: Sequence[Ranked]) -> frozenset[int]:
    """Return the indexes of the passages that an answer cites, else of those it draws on.

    `[1]` cites the first passage. A number without a passage cites nothing.
    """
    answer = answer[:MAX_ANSWER]
    return _find_cited(answer, len(passages)) or _find_repeated(answer, passages)


def _find_cited(answer: str, passages: int) -> frozenset[int]:
    numbers = (
        int(number)
        for citation in _CITATION.finditer(answer)
        for number in _NUMBER.findall(citation[1])
    )
    return frozenset(number - 1 for number in numbers if 1 <= number <= passages)


def _find_repeated(answer: str, passages: Sequence[Ranked]) -> frozenset[int]:
    """Return the indexes of the passages that the answer's sentences repeat most."""
    tongues, stems_of_passages = (
        zip(*map(_stem_passage, passages), strict=True) if passages else ((), ())
    )
    frequencies = Counter(chain.from_iterable(stems_of_passages))
    sentences = _split_sentences(answer)
    all_words = [*chain.from_iterable(sentences)]
    stemmed = {tongue: iter(words.stem_words(all_words, tongue)) for tongue in set(tongues)}
    repeated: set[int] = set()
    for sentence in sentences:
        terms = {tongue: set(islice(stems, len(sentence))) for tongue, stems in stemmed.items()}
        shares = [
            _measure_share(terms[tongue], stems, frequencies, len(passages))
            for tongue, stems in zip(tongues, stems_of_passages, strict=True)
        ]
        threshold = max(MIN_SHARE, MIN_OF_BEST * max(shares, default=0.0))
        repeated.update(number for number, share in enumerate(shares) if share >= threshold)
    return frozenset(repeated)


def _stem_passage(passage: Ranked) -> tuple[stop_words.Language, AbstractSet[str]]:
    """Return a passage's language, and the stems of its words."""
    split = words.split_words(f"{passage.origin.title}\n{passage.heading}\n{passage.text}")
    tongue = words.detect_language(split) or stop_words.Language.ENGLISH
    return tongue, frozenset(words.stem_words(split, tongue))


def _split_sentences(answer: str) -> list[list[str]]:
    """Return the telling words of each sentence, without sentences that deny knowledge."""
    sentences = [words.split_words(each) for each in _SENTENCE.findall(answer)]
    tongue = words.detect_language([*chain.from_iterable(sentences)])
    dropped = stop_words.load(tongue) if tongue else frozenset[str]()
    return [
        [word for word in sentence if word not in dropped]
        for sentence in sentences
        if not _TELLS_NOTHING.search(" ".join(sentence[:_MAX_WORDS]))
    ]


def _measure_share(
    terms: AbstractSet[str], stems: AbstractSet[str], frequencies: Counter[str], passages: int
) -> float:
    """Return the part of a sentence's weight that a passage has; rare words weigh more.

    A word in no passage weighs as much as a word in a single one.
    """
    shared = terms & stems
    if len(shared) < MIN_SHARED:
        return 0.0

    def weigh(some: AbstractSet[str]) -> float:
        return sum(log(1 + passages / max(frequencies[term], 1)) for term in sorted(some))

    return weigh(shared) / weigh(terms)

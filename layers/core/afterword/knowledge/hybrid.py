"""Ranking by words and by meaning at once: reciprocal rank fusion of both.

https://plg.uwaterloo.ca/~gvcormac/cormacksigir09-rrf.pdf
"""

from typing import TYPE_CHECKING

from afterword.knowledge.ranking import Ranked, Selection, SelectionTooLargeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from afterword.knowledge.meaning import Asked, Meaning
    from afterword.knowledge.ranking import Ranking

POOL = 30
"""Passages of each ranking that are fused."""
FAR = 0.5
"""The part of the floor that a passage needs at least which shares the question's words."""
SMOOTHING = 60
"""The constant of the reciprocal rank, as in the paper: a first place counts little more."""


class HybridRanking:
    """The fusion of a ranking by words with one by meaning.

    A passage is left out by the cut-off of its own ranking. One that words alone have found is left
    out as well if its vector is far from the question's: words of an off-topic question are
    anywhere. Without a vector yet it stays.
    """

    def __init__(self, lexical: "Ranking", meaning: "Meaning") -> None:
        self._lexical = lexical
        self._meaning = meaning

    def rank(self, question: str, selection: Selection, limit: int) -> list[Ranked]:
        """Return the best passages; see Ranking.rank. Raises as EmbeddingModel.embed, too."""
        asked = self._meaning.ask(question, selection)
        if asked is None:
            return []
        near = self._meaning.find(asked, POOL)
        return _fuse(self._find_words(question, asked), near)[:limit]

    def _find_words(self, question: str, asked: "Asked") -> "list[Ranked]":
        try:
            found = self._lexical.rank(question, asked.selection, POOL)
        except SelectionTooLargeError:
            return []  # the vectors of a larger selection may still be compared
        cosines = self._meaning.measure(asked, found)
        return [
            passage
            for passage, cosine in zip(found, cosines, strict=True)
            if cosine is None or cosine >= self._meaning.floor * FAR
        ]


def _fuse(*rankings: "Sequence[Ranked]") -> list[Ranked]:
    scores: dict[str, float] = {}
    passages: dict[str, Ranked] = {}
    for ranking in rankings:
        for place, passage in enumerate(ranking, start=1):
            scores[passage.text] = scores.get(passage.text, 0.0) + 1 / (SMOOTHING + place)
            passages.setdefault(passage.text, passage)
    best = sorted(scores, key=lambda text: scores[text], reverse=True)
    return [
        Ranked(each.origin, each.heading, each.text, scores[text])
        for text in best
        for each in [passages[text]]
    ]

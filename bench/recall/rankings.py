"""The rankings that are measured beside each other, each built from the same passages."""

from collections.abc import Callable, Mapping, Sequence

from afterword.knowledge import lexical
from afterword.knowledge.ranking import Candidate, Ranked

type Rank = Callable[[str, int], list[Ranked]]
"""Gives at most so many passages for a question, the best first."""

RANKINGS: Mapping[str, Callable[[Sequence[Candidate]], Rank]] = {
    "lexical": lambda candidates: lexical.Index(candidates).rank,
}
"""A ranking of passages by its name in the tables, which have a row for each."""

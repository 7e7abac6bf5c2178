"""How well it is told which documents an answer uses (docs/decisions/0021-sources.md)."""

import random
import time
from collections.abc import Sequence
from statistics import median
from unittest.mock import patch

from rich.box import SIMPLE
from rich.table import Column, Table

from afterword.knowledge import citations
from afterword.knowledge.ranking import Origin, Ranked
from bench.recall.answers import ANSWERS, LATER, Answer


def table() -> Table:
    """Measure the answers with the share as it is and with others."""
    columns = ("right", "wrong", "missed", "of later ones: right", "wrong", "missed")
    found = Table(
        Column("least share", min_width=12),
        *(Column(each, justify="right") for each in columns),
        box=SIMPLE,
    )
    for share in (0.3, 0.4, 0.5, citations.MIN_SHARE, 0.6, 0.7, 0.8):
        with patch.object(citations, "MIN_SHARE", share):
            figures = (*_count(ANSWERS), *_count(LATER))
        found.add_row(f"{share:.2f}", *map(str, figures))
    return found


def milliseconds() -> float:
    """Return the processor time for an answer of 20,000 characters and 20 passages of 1,000."""
    documents = [document for each in ANSWERS for document in each.base.documents]
    said = " ".join(document.text for document in documents)
    given = [
        Ranked(Origin(content=str(at), title="", folder=""), "", said[at : at + 1_000], 1.0)
        for at in range(0, 20_000, 1_000)
    ]
    sentences = said.split(". ")
    random.Random(0).shuffle(sentences)  # noqa: S311 - the order of sentences is no secret # nosec B311
    answer = ". ".join(sentences)[:20_000]
    times: list[float] = []
    for _ in range(20):
        started = time.process_time()
        citations.find_used(answer, given)
        times.append((time.process_time() - started) * 1_000)
    return median(times)


def _count(answers: Sequence[Answer]) -> tuple[int, int, int]:
    """Return how many documents were rightly and wrongly said to be used, and how many missed."""
    right = wrong = missed = 0
    for answer in answers:
        given = [
            Ranked(Origin(content=each.id, title=each.title, folder=""), "", each.text, 1.0)
            for each in answer.base.documents
        ]
        found = {given[at].origin.content for at in citations.find_used(answer.text, given)}
        right += len(found & answer.uses)
        wrong += len(found - answer.uses)
        missed += len(answer.uses - found)
    return right, wrong, missed

"""How well questions in six languages find Debian's books in the same language."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from rich.box import SIMPLE
from rich.table import Column, Table

from afterword.knowledge.lexical import Index, build_index
from afterword.knowledge.passages import cut_passages
from afterword.knowledge.ranking import Candidate, Origin
from bench.recall import debian
from bench.recall.translated import ANSWERED, ELSEWHERE, LANGUAGES, Translated

_DEPTH = 5


@dataclass(frozen=True)
class Base:
    """The passages of some languages, and the sections that each of them is from."""

    candidates: Sequence[Candidate]
    sections: Mapping[tuple[str, str], frozenset[str]]
    """By content and text."""


def tables() -> list[Table]:
    """Measure each language alone, and in one folder with all six."""
    alone = _table("language: its books alone")
    together = _table("language: books in all six")
    bases = {language: _base((language,)) for language in LANGUAGES}
    every = _base(LANGUAGES, only_answers=True)
    rows: list[list[float]] = []
    for language, base in bases.items():
        rows.append(_measure(build_index(base.candidates), base, language))
        _add_row(alone, language, len(base.candidates), rows[-1])
    total = sum(len(base.candidates) for base in bases.values())
    _add_row(alone, "all", total, [*map(mean, zip(*rows, strict=True))])
    index = build_index(every.candidates)
    rows = [_measure(index, every, language) for language in LANGUAGES]
    for language, row in zip(LANGUAGES, rows, strict=True):
        _add_row(together, language, len(every.candidates), row)
    _add_row(together, "all", len(every.candidates), [*map(mean, zip(*rows, strict=True))])
    return [alone, together]


def misses(language: str) -> tuple[list[str], list[str]]:
    """Return the questions not answered among the first five, and those that find what is not."""
    base = _base((language,))
    index = build_index(base.candidates)
    missed = [
        each.texts[language] for each in ANSWERED if _find(index, base, each, language) is None
    ]
    return missed, [each for each in ELSEWHERE[language] if index.rank(each, _DEPTH)]


def _table(first: str) -> Table:
    others = ("passages", "at 1", "at 3", "at 5", "refused")
    return Table(
        Column(first, min_width=30), *(Column(each, justify="right") for each in others), box=SIMPLE
    )


def _add_row(table: Table, name: str, passages: int, row: Sequence[float]) -> None:
    table.add_row(name, f"{passages:,}", *(f"{each:.2f}" for each in row))


def _base(languages: Sequence[str], *, only_answers: bool = False) -> Base:
    """Return the books' passages; with `only_answers` those of the chapters that answer."""
    candidates: list[Candidate] = []
    sections: dict[tuple[str, str], frozenset[str]] = {}
    for document in (each for language in languages for each in debian.documents(language)):
        within = debian.find_sections(document, 0, len(document.text))
        if only_answers and not any(_answers(each, within) for each in ANSWERED):
            continue
        origin = Origin(content=document.id, title=document.title, folder="documents")
        for passage in cut_passages(document.text):
            candidates.append(Candidate(origin, passage))
            found = debian.find_sections(document, passage.start, passage.end)
            key = (document.id, passage.text)
            sections[key] = sections.get(key, frozenset()) | found
    return Base(candidates, sections)


def _measure(index: Index, base: Base, language: str) -> list[float]:
    """Return recall at 1, 3 and 5, and the part of the questions elsewhere that find nothing."""
    found = [_find(index, base, each, language) for each in ANSWERED]
    return [
        *(mean(each is not None and each <= depth for each in found) for depth in (1, 3, 5)),
        mean(not index.rank(each, _DEPTH) for each in ELSEWHERE[language]),
    ]


def _find(index: Index, base: Base, asked: Translated, language: str) -> int | None:
    """Return where the first passage stands that answers in the question's language, from 1."""
    for place, ranked in enumerate(index.rank(asked.texts[language], _DEPTH), start=1):
        content = ranked.origin.content
        if f"/{language}/" in content and _answers(asked, base.sections[content, ranked.text]):
            return place
    return None


def _answers(asked: Translated, sections: Collection[str]) -> bool:
    return any(
        f"{section}.".startswith(f"{answer}.") for section in sections for answer in asked.sections
    )

"""`python -m bench.recall`: which questions a ranking finds the answers to; see README.md."""

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from statistics import mean, quantiles
from types import SimpleNamespace
from unittest.mock import patch

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

from afterword.knowledge import lexical, questions, stop_words, words
from afterword.knowledge.passages import MAX_PASSAGE, cut_passages
from afterword.knowledge.ranking import Candidate, Origin
from afterword.knowledge.stop_words import Language
from bench.recall import by_language, used
from bench.recall.corpus import Document, documents
from bench.recall.questions import QUESTIONS, Question
from bench.recall.small import BASES, CAMPSITE, NOWHERE
from bench.recall.translated import LANGUAGES

DEPTH = 30
"""How far down an answer is looked for."""
BUDGET = 5_000
"""Characters of a prompt that passages may fill: five of the longest."""

type Patches = Mapping[str, object]


@dataclass(frozen=True)
class Found:
    """Where the first answer stood, from 1; none if not found. `shown` is what stood before it."""

    rank: int | None
    shown: int

    def within(self, rank: int) -> bool:
        """Tell whether the answer is among the first so many."""
        return self.rank is not None and self.rank <= rank


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.recall", description=__doc__)
    parser.add_argument("--misses", action="store_true", help="list the questions not answered")
    parser.add_argument(
        "--quick", action="store_true", help="without the languages and the table of decisions"
    )
    parser.add_argument("--languages", action="store_true", help="the six languages alone")
    arguments = parser.parse_args()
    console = Console()
    if arguments.languages:
        _print_languages(console, misses=arguments.misses)
        return
    corpus = documents()
    candidates = _candidates(corpus)
    _check(candidates)
    started = time.perf_counter()
    index = lexical.build_index(candidates)
    built = time.perf_counter() - started
    console.print(
        f"{len(corpus)} documents, {len(candidates):,} passages,"
        f" {sum(len(each.passage.text) for each in candidates):,} characters:"
        f" built in {built:.2f} s, {index.size / 1e6:.1f} MB"
    )
    console.print(_by_part(corpus, index))
    console.print(_by_overlap(candidates, index))
    console.print(_cut_off(index))
    console.print(_times(index))
    console.print(used.table())
    console.print(f"which passages a long answer uses: {used.milliseconds():.0f} ms")
    if not arguments.quick:
        _print_languages(console, misses=arguments.misses)
        console.print(_worth(corpus))
    if arguments.misses:
        for question in chain(*QUESTIONS.values()):
            if not (found := _find(index, question)).within(5):
                console.print(f"{found.rank or '-':>3}  {question.text}", highlight=False)


def _print_languages(console: Console, *, misses: bool) -> None:
    for table in by_language.tables():
        console.print(table)
    for language in LANGUAGES if misses else ():
        missed, found = by_language.misses(language)
        for mark, some in (("-", missed), ("+", found)):
            for question in some:
                console.print(f"{language} {mark}  {question}", highlight=False)


def _candidates(corpus: Sequence[Document], longest: int = MAX_PASSAGE) -> list[Candidate]:
    return [
        Candidate(origin, passage)
        for document in corpus
        for origin in [Origin(content=document.id, title=document.title, folder="documents")]
        for passage in cut_passages(document.text, longest)
    ]


def _check(candidates: Sequence[Candidate]) -> None:
    """Exit where a phrase that answers a question is in no passage: its documents have changed."""
    texts = [" ".join(each.passage.text.split()) for each in candidates]
    lost = [
        f"{question.text} {answer}"
        for question in chain(*QUESTIONS.values())
        for answer in question.answers
        if not any(answer in text for text in texts)
    ]
    if lost:
        raise SystemExit("\n".join(["The corpus does not have these answers:", *lost]))


def _find(index: lexical.Index, question: Question) -> Found:
    shown = 0
    for place, ranked in enumerate(index.rank(question.text, DEPTH), start=1):
        text = " ".join(ranked.text.split())
        shown += len(ranked.text)
        if any(answer in text for answer in question.answers):
            return Found(place, shown)
    return Found(None, shown)


def _row(name: str, found: Sequence[Found]) -> tuple[str, ...]:
    return (
        name,
        str(len(found)),
        f"{mean(each.within(5) for each in found):.2f}",
        f"{mean(each.within(1) for each in found):.2f}",
        f"{mean(1 / each.rank if each.rank else 0 for each in found):.2f}",
        f"{mean(each.rank is not None and each.shown <= BUDGET for each in found):.2f}",
    )


def _table(first: str) -> Table:
    # recall at 5, recall at 1, mean reciprocal rank, and recall within BUDGET characters
    others = ("questions", "at 5", "at 1", "MRR", "in budget")
    return Table(
        Column(first, min_width=34), *(Column(each, justify="right") for each in others), box=SIMPLE
    )


def _by_part(corpus: Sequence[Document], index: lexical.Index) -> Table:
    """Measure each part's questions in the whole corpus, and in the part's documents alone."""
    table = _table("searched")
    everywhere: list[Found] = []
    alone: list[Found] = []
    for part, asked in QUESTIONS.items():
        found = [_find(index, question) for question in asked]
        everywhere += found
        table.add_row(*_row(f"{part}: everything", found))
        own = [document for document in corpus if document.id.startswith(part)]
        smaller = lexical.build_index(_candidates(own))
        found = [_find(smaller, question) for question in asked]
        alone += found
        table.add_row(*_row(f"{part}: its folder", found))
    table.add_row(*_row("all: everything", everywhere))
    table.add_row(*_row("all: their folder", alone))
    return table


def _by_overlap(candidates: Sequence[Candidate], index: lexical.Index) -> Table:
    """Measure the questions by how many of their words, as stems, an answer has at most."""
    said = [
        set(chain(*words.index_terms(row)[1]))
        for each in candidates
        for row in [(each.origin.title, each.passage.heading, each.passage.text)]
    ]
    texts = [" ".join(each.passage.text.split()) for each in candidates]
    found: dict[str, list[Found]] = {"none or one": [], "two": [], "three or more": []}
    for question in chain(*QUESTIONS.values()):
        asked = questions.question_terms(question.text, (Language.ENGLISH, Language.FRENCH))
        shared = max(
            sum(not terms.isdisjoint(forms) for forms in asked)
            for text, terms in zip(texts, said, strict=True)
            if any(answer in text for answer in question.answers)
        )
        found[list(found)[min(max(shared, 1), 3) - 1]].append(_find(index, question))
    table = _table("words shared with an answer")
    for name, each in found.items():
        table.add_row(*_row(name, each))
    return table


def _cut_off(index: lexical.Index) -> Table:
    """Measure what the cut-off costs, and what it keeps out, in the corpus and in small ones."""
    small = {
        name: lexical.build_index(_candidates(base.documents, MAX_PASSAGE))
        for name, base in BASES.items()
    }
    campsite = lexical.build_index(_candidates(CAMPSITE.documents))
    columns = (
        *("small: answered", "near refused", "far refused", "few words"),
        *("corpus: at 5", "refused"),
    )
    table = Table(
        Column("least share", min_width=12),
        *(Column(each, justify="right") for each in columns),
        box=SIMPLE,
    )
    everything = [*chain(*QUESTIONS.values())]
    used = (lexical.MIN_SHARE, lexical.MIN_SHARE_OF_MANY)
    for few, many in (used, *((share, share) for share in (0.0, 0.4, 0.44, 0.48, 0.52, 0.6))):
        with (
            patch.object(lexical, "MIN_SHARE", few),
            patch.object(lexical, "MIN_SHARE_OF_MANY", many),
        ):
            figures = (
                mean(
                    any(each.origin.content == answer for each in small[name].rank(question, 5))
                    for name, base in BASES.items()
                    for question, answer in base.answered
                ),
                mean(not small[name].rank(q, 5) for name, base in BASES.items() for q in base.near),
                mean(not small[name].rank(q, 5) for name, base in BASES.items() for q in base.far),
                mean(
                    any(each.origin.content == answer for each in campsite.rank(question, 2))
                    for question, answer in CAMPSITE.answered
                ),
                mean(_find(index, question).within(5) for question in everything),
                mean(not index.rank(question, 5) for question in NOWHERE),
            )
        name = "as it is" if (few, many) == used else f"{few:.2f}"
        table.add_row(name, *(f"{each:.2f}" for each in figures))
    return table


def _times(index: lexical.Index) -> Table:
    table = Table(
        Column("milliseconds", min_width=34),
        Column("median", justify="right"),
        Column("p95", justify="right"),
        box=SIMPLE,
    )
    every = [each.text for each in chain(*QUESTIONS.values())]
    for name, asked in (
        ("a question", every),
        (
            "a mail of 20,000 characters",
            [" ".join(every[at:] + every[:at]) * 4 for at in range(20)],
        ),
    ):
        times: list[float] = []
        for question in asked:
            started = time.perf_counter()
            index.rank(question, 5)
            times.append((time.perf_counter() - started) * 1_000)
        parts = quantiles(times, n=20)
        table.add_row(name, f"{parts[9]:.1f}", f"{parts[18]:.1f}")
    return table


def _worth(corpus: Sequence[Document]) -> Table:
    """Measure what each decision is worth, by taking it back alone."""
    table = _table("instead")
    schema = lexical._SCHEMA  # noqa: SLF001 - the benchmark varies what no caller may

    def weights(title: float, heading: float) -> Patches:
        used = f"bm25({lexical.TITLE_WEIGHT}, {lexical.HEADING_WEIGHT}, 1.0)"
        return {"lexical._SCHEMA": schema.replace(used, f"bm25({title}, {heading}, 1.0)")}

    def alike(*tongues: Language) -> Patches:
        """Stem texts and questions alike, whatever language they are in."""

        def stemmed(found: Sequence[str]) -> Sequence[str]:
            for tongue in tongues:
                found = words.stem_words(found, tongue)
            return found

        def ask(text: str, _: Sequence[Language]) -> list[questions.Forms]:
            asked = words.split_words(text)
            tongue = words.detect_language(asked)
            dropped = stop_words.load(tongue) if tongue else ()
            telling = [word for word in asked if word not in dropped]
            return [(each,) for each in dict.fromkeys(stemmed(telling))]

        return {
            "words.index_terms": lambda texts, *_, **__: (
                Language.ENGLISH,
                [stemmed(words.split_words(text)) for text in texts],
            ),
            "questions.question_terms": ask,
        }

    none = SimpleNamespace(load=lambda _: frozenset(), load_cuts=stop_words.load_cuts)
    tries: list[tuple[str, Patches, int]] = [
        ("as it is", {}, MAX_PASSAGE),
        ("no cut-off", {"lexical.MIN_SHARE": 0.0, "lexical.MIN_SHARE_OF_MANY": 0.0}, MAX_PASSAGE),
        ("no stems", alike(), MAX_PASSAGE),
        ("English stems for all", alike(Language.ENGLISH), MAX_PASSAGE),
        ("French stems for all", alike(Language.FRENCH), MAX_PASSAGE),
        (
            "English, then French stems for all",
            alike(Language.ENGLISH, Language.FRENCH),
            MAX_PASSAGE,
        ),
        ("no stems with accents", {"words._find_other_terms": lambda *_: []}, MAX_PASSAGE),
        ("accents count", {"words.fold": str.casefold}, MAX_PASSAGE),
        ("stop words are looked for", {"questions.stop_words": none}, MAX_PASSAGE),
        ("no title, no heading", weights(0, 0), MAX_PASSAGE),
        ("title 1, heading 1", weights(1, 1), MAX_PASSAGE),
        ("title 2, heading 2", weights(2, 2), MAX_PASSAGE),
        ("title 4, heading 4", weights(4, 4), MAX_PASSAGE),
        *((f"passages of {longest:,}", {}, longest) for longest in (400, 700, 1_500, 2_000)),
    ]
    every = [*chain(*QUESTIONS.values())]
    plain = [Question(words.fold(each.text), each.answers) for each in every]
    for name, patches, longest in tries:
        with _patched(patches):
            index = lexical.build_index(_candidates(corpus, longest))
            table.add_row(*_row(name, [_find(index, each) for each in every]))
            if name in {"as it is", "accents count"}:
                found = [_find(index, each) for each in plain]
                table.add_row(*_row(f"{name}, none in the questions", found))
    return table


@contextmanager
def _patched(patches: Patches) -> Iterator[None]:
    with ExitStack() as stack:
        for name, value in patches.items():
            stack.enter_context(patch(f"afterword.knowledge.{name}", value))
        stack.enter_context(patch.object(lexical, "IN_MEMORY", lexical.IN_FILE))
        yield


if __name__ == "__main__":
    main()

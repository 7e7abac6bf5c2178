"""`python -m bench.starts`: the costs of a new instance for its first caller; see README.md.

Prints a table of ratios to bare boto3, with the bars that they are held to, and writes them to
bench/results/starts.json. Needs root for the share of a processor, and valgrind.
"""

import argparse
import tempfile
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from statistics import median
from typing import NamedTuple

import certifi
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.cases import CASES, Case
from bench.quota import cpu_of
from bench.results import read_results, write_results
from bench.runs import LAYER, Bench, Terms, check_build, stub

MEGABYTES = 256
FIRST_ANSWERS = (
    "submit_mail_generation",
    "submit_generation",
    "create_text_generation",
    "submit_query",
    "get_generation",
)
"""Functions that callers wait for."""
BARE_FIRST = "submit_mail_generation"
STORE_AND_SEND = ("PutItem", "SendMessage")
"""The calls of the bare first answer, with its clients built in init."""
WITHOUT_AWS = ("health", "get_openapi", "get_docs", "get_docs_file")
WARM = Terms(batches=7, requests=40)
WARM_FUNCTIONS = ("submit_generation", "get_generation", "generate")
BARS = {"first answer": 0.15, "instructions": 0.85, "warm CPU": 1.0}
GENERATE_WARM = 1.05


class Figure(NamedTuple):
    """A ratio to bare boto3, its bar where it has one, and each round's ratio."""

    figure: str
    function: str
    ratio: float
    bar: float | None
    rounds: Sequence[float]


def main() -> None:
    """Measure what was asked for, print the table and write the results."""
    parser = argparse.ArgumentParser(prog="python -m bench.starts", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="pairs of runs (9)")
    parser.add_argument(
        "--figures", nargs="+", choices=["first", "instructions", "warm"], help="all, or these"
    )
    given = parser.parse_args()
    wanted = given.figures or ["first", "instructions", "warm"]
    check_build()
    console = Console()
    figures: list[Figure] = []
    with stub() as addresses, tempfile.TemporaryDirectory() as folder:
        bench = Bench(addresses)
        traced = {BARE_FIRST, *FIRST_ANSWERS, *WARM_FUNCTIONS}
        for case in track(
            [each for each in CASES if each.name in traced], "Tracing", console=console
        ):
            bench.trace(case)
        if "first" in wanted:
            bundles = _write_bundles(Path(folder), addresses.root)
            figures += _first_answers(bench, bundles, given.rounds, console)
        if "instructions" in wanted:
            figures += _instructions(bench, console)
        if "warm" in wanted:
            figures += _warm(bench, given.rounds, console)
    _report(figures, console)


class Bundles(NamedTuple):
    """Files of trusted roots, all with the stub's: those of certifi, and those of the layer."""

    full: Path
    amazon: Path


def _write_bundles(folder: Path, root: Path) -> Bundles:
    bundles = Bundles(folder / "full.pem", folder / "amazon.pem")
    amazon = LAYER / "afterword/runtime/amazon_roots.pem"
    for written, roots in zip(bundles, (Path(certifi.where()), amazon), strict=True):
        written.write_text(roots.read_text("utf-8") + root.read_text("utf-8"), "utf-8")
    return bundles


def _first_answers(
    bench: Bench, bundles: Bundles, rounds: int, console: Console
) -> Iterable[Figure]:
    """Yield the caller's wait for a first answer, and for one after a freeze.

    The share of a processor begins after init, as in Lambda.
    """
    bare_case = _case(BARE_FIRST)
    with cpu_of(MEGABYTES) as procs:
        bare_terms = Terms(procs=procs, ca_bundle=bundles.full)
        first = Terms(procs=procs, ca_bundle=bundles.amazon)
        thawed = Terms(procs=procs, ca_bundle=bundles.amazon, frozen=True)
        ratios: dict[tuple[str, str], list[float]] = {}
        for _ in track(range(rounds), "First answers", console=console):
            for name in FIRST_ANSWERS:
                bare = bench.bare(bare_case, bare_terms, STORE_AND_SEND)["waited"]
                for figure, terms in (("first answer", first), ("answer after a freeze", thawed)):
                    built = bench.built(_case(name), terms)["waited"]
                    ratios.setdefault((figure, name), []).append(built / bare)
    for (figure, name), each in sorted(ratios.items(), reverse=True):
        yield Figure(figure, name, median(each), BARS.get(figure), each)


def _instructions(bench: Bench, console: Console) -> Iterable[Figure]:
    """Yield the instructions of init, over bare boto3 with the same clients."""

    @cache
    def bare(clients: tuple[str, ...]) -> int:
        return bench.count_bare(clients)

    for case in track(
        [each for each in CASES if each.name not in WITHOUT_AWS], "Inits", console=console
    ):
        ratio = bench.count_built(case) / bare(case.clients)
        yield Figure("instructions", case.name, ratio, BARS["instructions"], [ratio])


def _warm(bench: Bench, rounds: int, console: Console) -> Iterable[Figure]:
    """Yield the CPU of a later request, over the same calls in bare boto3."""
    ratios: dict[str, list[float]] = {}
    for _ in track(range(max(1, rounds // 3)), "Warm requests", console=console):
        for name in WARM_FUNCTIONS:
            case = _case(name)
            built, bare = bench.built(case, WARM)["warm"], bench.bare(case, WARM)["warm"]
            ratios.setdefault(name, []).append(built / bare)
    for name, each in ratios.items():
        bar = GENERATE_WARM if name == "generate" else BARS["warm CPU"]
        yield Figure("warm CPU", name, median(each), bar, each)


def _case(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


def _report(figures: Sequence[Figure], console: Console) -> None:
    table = Table("figure", "function", "ratio", "bar", box=SIMPLE, pad_edge=False)
    for each in figures:
        bar = "" if each.bar is None else f"{each.bar:.2f}"
        table.add_row(each.figure, each.function, f"{each.ratio:.3f}", bar)
    console.print(table)
    rows: dict[str, dict[str, float]] = {}
    for each in figures:
        rows.setdefault(each.figure, {})[each.function] = each.ratio
    write_results("starts", {**read_results("starts"), **rows})


if __name__ == "__main__":
    main()

"""`python -m bench`: the built functions against bare boto3, as ratios; see README.md."""

import argparse
from collections import Counter
from dataclasses import dataclass, field
from statistics import quantiles

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import track
from rich.table import Column, Table

from bench.cases import CASES, Case
from bench.process import Calls
from bench.runs import Bench, Terms, check_build, stub

WARM = Terms(batches=7, requests=40)


@dataclass
class Figures:
    """One function's ratios, each to bare boto3 in the same round, and the calls it makes."""

    first_calls: Counter[str]
    calls: Counter[str]
    cold: list[float] = field(default_factory=list)
    imports: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)


def main() -> None:
    """Measure every function and print one table of ratios."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=15, help="cold starts of each function (15, at least 2)"
    )
    rounds: int = max(2, parser.parse_args().rounds)
    check_build()
    console = Console()
    with stub() as url:
        figures = _measure(Bench(url), rounds, console)
    _report(figures, console)


def _measure(bench: Bench, rounds: int, console: Console) -> dict[Case, Figures]:
    figures: dict[Case, Figures] = {}
    for case in track(CASES, "Tracing calls", console=console):
        first, later = map(_operations, bench.trace(case))
        figures[case] = Figures(first, later)
    for _ in track(range(rounds), "Cold starts  ", console=console):
        for case in CASES:
            built, bare = bench.built(case), bench.bare(case)
            figures[case].cold.append(built["answered"] / bare["answered"])
            figures[case].imports.append(built["imported"] / bare["imported"])
    for _ in track(range(max(2, rounds // 3)), "Warm requests", console=console):
        for case in CASES:
            if figures[case].calls:
                built, bare = bench.built(case, WARM), bench.bare(case, WARM)
                figures[case].warm.append(built["warm"] / bare["warm"])
    return figures


def _report(figures: dict[Case, Figures], console: Console) -> None:
    name = Column("function", no_wrap=True, min_width=max(len(case.name) for case in CASES))
    table = Table(
        name,
        "cold start",
        "quartiles",
        "imports",
        "warm",
        "calls (first)",
        box=SIMPLE,
        pad_edge=False,
    )
    for case, its in figures.items():
        low, cold, high = quantiles(its.cold, n=4)
        table.add_row(
            case.name,
            f"{cold:.2f}",
            f"{low:.2f}-{high:.2f}",
            _median(its.imports),
            _median(its.warm),
            f"{its.calls.total()} ({its.first_calls.total()})",
        )
    console.print(table)
    for case, its in figures.items():
        if its.first_calls:
            once = ", ".join((its.first_calls - its.calls).elements())
            console.print(
                f"{case.name}: {', '.join(its.calls.elements())}"
                + (f"; the first request also {once}" if once else "")
            )


def _median(values: list[float]) -> str:
    return f"{quantiles(values, n=4)[1]:.2f}" if values else "-"


def _operations(calls: Calls) -> Counter[str]:
    """Count AWS operations; the model's endpoint is no AWS call."""
    return Counter(target.partition(".")[2] for target, _ in calls if "." in target)


if __name__ == "__main__":
    main()

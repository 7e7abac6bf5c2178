"""`python -m bench`: measures the built functions against bare boto3; see README.md."""

import argparse
import filecmp
import sys
from collections import Counter
from statistics import quantiles

from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.cases import CASES
from bench.process import Calls
from bench.runs import BUILD, LAYER, ROOT, Bench, stub

WARM_BATCHES = 8
WARM_REQUESTS = 50


class Ratios:
    """One function's figures, each divided by bare boto3's of the same round."""

    def __init__(self) -> None:
        self.cold: list[float] = []
        self.imports: list[float] = []
        self.warm: list[float] = []

    def cells(self) -> list[str]:
        """Return the table's cells: the median, and the quartiles of the cold start."""
        low, cold, high = quantiles(self.cold, n=4)
        _, imports, _ = quantiles(self.imports, n=4)
        _, warm, _ = quantiles(self.warm, n=4) if self.warm else (0, 0, 0)
        return [
            f"{cold:.2f}",
            f"{low:.2f}-{high:.2f}",
            f"{imports:.2f}",
            f"{warm:.2f}" if warm else "-",
        ]


def main() -> None:
    """Measure every function and print one table of ratios."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="cold starts of each (15)")
    rounds: int = max(2, parser.parse_args().rounds)
    _check_build()
    console = Console()
    with stub() as url:
        bench = Bench(url)
        calls = {case: bench.trace(case) for case in track(CASES, "Tracing calls", console=console)}
        ratios = {case: Ratios() for case in CASES}
        for _ in track(range(rounds), "Cold starts", console=console):
            for case in CASES:
                built, bare = bench.built(case), bench.bare(case)
                ratios[case].cold.append(built["answered"] / bare["answered"])
                ratios[case].imports.append(built["imported"] / bare["imported"])
        calling = [case for case in CASES if calls[case][1]]
        for _ in track(range(max(2, rounds // 3)), "Warm requests", console=console):
            for case in calling:
                warm = [run(case, WARM_BATCHES, WARM_REQUESTS) for run in (bench.built, bench.bare)]
                ratios[case].warm.append(warm[0]["warm"] / warm[1]["warm"])
    table = Table("function", "cold start", "quartiles", "imports", "warm CPU", "AWS calls")
    for case in CASES:
        table.add_row(case.name, *ratios[case].cells(), _describe(*calls[case]))
    console.print(table)


def _describe(first: Calls, later: Calls) -> str:
    """Return the operations of a warm request, and what the first one needs besides."""
    warm, once = Counter(map(_operation, later)), Counter(map(_operation, first))
    extra = sorted((once - warm).elements())
    return " ".join(sorted(warm.elements())) + (f" (first: + {' '.join(extra)})" if extra else "")


def _operation(call: tuple[str, str]) -> str:
    return call[0].partition(".")[2] or "(model)"


def _check_build() -> None:
    """Exit unless the build is of the sources as they are: other figures would mislead."""
    core = ROOT / "layers" / "core"
    sources = {
        LAYER / source.relative_to(core): source for source in (core / "afterword").rglob("*.py")
    } | {BUILD / case.built / "app.py": ROOT / "functions" / case.name / "app.py" for case in CASES}
    for built, source in sources.items():
        if not (built.exists() and filecmp.cmp(source, built, shallow=False)):
            built_name, source_name = built.relative_to(ROOT), source.relative_to(ROOT)
            sys.exit(f"{built_name} is not what {source_name} is now: run make build first.")


if __name__ == "__main__":
    main()

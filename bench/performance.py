"""`python -m bench.performance`: runs the benchmarks, and writes docs/performance.md and its plot.

Each benchmark is a program of its own with its own options, and leaves its figures in
bench/results. Here all of them run in turn. `--only` names some; `--none` writes the page alone.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from bench.cases import ROOT
from bench.results import read_results

PAGE = ROOT / "docs" / "performance.md"
PICTURE = ROOT / "docs" / "performance.svg"
BENCHMARKS = {
    "starts": "a new instance, and a warm one",
    "units": "write units and calls of AWS",
    "batches": "calls of AWS of a batch's lines",
    "worker": "memory and seconds of the worker",
    "workers": "the worker's bill by rate",
    "stack_burst": "bursts on the embedded stack",
    "knowledge_index": "the first question of a worker",
    "sizes": "what is deployed",
    "cost": "dollars",
}
"""The benchmarks, in the order in which they run."""


class Bar(NamedTuple):
    """A case of a row: how it was measured before, and the most that it may be now."""

    case: str
    before: float | None
    most: float


class Row(NamedTuple):
    """A row of the table: a benchmark's row, how it is shown, and its bars."""

    benchmark: str
    row: str
    shown: str
    bars: Sequence[Bar]


ROWS = (
    Row(
        "starts",
        "first answer",
        "first answer of a new instance of 256 MB, over stock boto3 with its clients built in init",
        (
            Bar("submit_mail_generation", 2.39, 0.15),
            Bar("submit_generation", None, 0.15),
            Bar("get_generation", None, 0.15),
        ),
    ),
    Row(
        "starts",
        "instructions",
        "cold start by instructions, over bare boto3 with the same clients",
        (
            Bar("submit_generation", 1.04, 0.85),
            Bar("get_generation", 0.98, 0.85),
            Bar("submit_mail_generation", 1.23, 0.85),
            Bar("generate", 1.46, 0.85),
        ),
    ),
    Row(
        "starts",
        "warm CPU",
        "CPU of a later request, over the bare calls",
        (
            Bar("submit_generation", 0.84, 1.0),
            Bar("get_generation", 1.0, 1.0),
            Bar("generate", 1.30, 1.05),
        ),
    ),
    Row(
        "units",
        "write units",
        "write units of a generation, 2 KB out",
        (
            Bar("plain, 4 KB in", 22, 12),
            Bar("with limits, 4 KB in", 33, 16),
            Bar("with event bus, 4 KB in", 31, 16),
            Bar("plain, 12 KB in", 46, 15),
            Bar("with limits, 12 KB in", 65, 19),
            Bar("with event bus, 12 KB in", 63, 19),
        ),
    ),
    Row("units", "calls of AWS", "calls of AWS", (Bar("submission", 3, 2), Bar("poll", 1, 1))),
    Row("batches", "calls of AWS", "calls of AWS of a batch's line", (Bar("100 a turn", 3, 1.3),)),
    Row(
        "worker",
        "GB-s a generation",
        "worker's GB-s a generation that waits 5 s, by how many run at once",
        (Bar("1", 2.54, 1.29), Bar("10", 0.263, 0.138), Bar("25", None, 0.061)),
    ),
    Row(
        "workers",
        "billed part",
        "billed seconds of the worker, over one generation an invocation, by arrivals a second",
        (
            Bar("1", 0.985, 0.5),
            Bar("5", 0.724, 0.1),
            Bar("20", 0.223, 0.08),
            Bar("1, two workers", None, 0.5),
            Bar("5, two workers", None, 0.1),
        ),
    ),
    Row(
        "workers",
        "wait p99, ms",
        "the wait for a worker at such rates, p99 in ms",
        (Bar("1", 500, 100), Bar("5", 1_100, 100), Bar("20", 1_600, 100)),
    ),
    Row(
        "sizes",
        "unpacked MB",
        "what a function unpacks, in MB",
        (Bar("an HTTP function", 27, 12),),
    ),
    Row(
        "stack_burst",
        "seconds",
        "50 generations of 200 ms at once on the embedded stack, in s",
        (Bar("warm", 3.0, 2.0), Bar("first", 35.0, 5.0)),
    ),
    Row("stack_burst", "refused", "requests of these bursts that are refused", (Bar("all", 8, 0),)),
    Row(
        "knowledge_index",
        "CPU s",
        "first question of a cold worker, CPU in s, by passages",
        (Bar("10000, after: fetches it", 1.6, 0.2),),
    ),
    Row(
        "cost",
        "dollars a million",
        "dollars a million texts, 4 KB in and 2 KB out, 5 s wait, three polls",
        (
            Bar("afterword, a steady text a second", 65.9, 25),
            Bar("afterword, a steady text a second, two workers of 256 MB", None, 25),
            Bar("afterword, a filled worker of 512 MB", 26.7, 15),
            Bar("afterword, a filled worker of 256 MB", None, 15),
        ),
    ),
)


class Measured(NamedTuple):
    """A case of the table, with what was measured now; None where nothing was."""

    row: Row
    bar: Bar
    value: float | None

    @property
    def holds(self) -> bool:
        """Whether the bar is met."""
        return self.value is not None and self.value <= self.bar.most


def read_table() -> list[Measured]:
    """Return all cases of the table, in its order."""
    return [
        Measured(row, bar, read_results(row.benchmark).get(row.row, {}).get(bar.case))
        for row in ROWS
        for bar in row.bars
    ]


# --- the page ------------------------------------------------------------------------------------


def main() -> None:
    """Run the benchmarks that are asked for, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m bench.performance", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, help="these benchmarks")
    parser.add_argument("--none", action="store_true", help="no benchmark: write the page alone")
    given = parser.parse_args()
    chosen = () if given.none else (given.only or tuple(BENCHMARKS))
    failed = [name for name in chosen if not _run(name)]
    table = read_table()
    write_page(table)
    print("\n".join(_table(table)))
    if failed:
        sys.exit(f"not measured again: {', '.join(failed)}")


def _run(name: str) -> bool:
    """Run a benchmark; return False if it fails."""
    print(f"--- {name}: {BENCHMARKS[name]}", flush=True)
    done = subprocess.run([sys.executable, "-m", f"bench.{name}"], cwd=ROOT, check=False)  # noqa: S603 - our own # nosec B603
    return done.returncode == 0


def write_page(table: Sequence[Measured]) -> None:
    """Write the tables between the page's marks, and the plot beside it."""
    page = PAGE.read_text("utf-8")
    for mark, lines in (
        ("bars", _table(table)),
        ("dollars", _tabulate_dollars()),
        ("peers", _tabulate_peers()),
    ):
        before, rest = page.split(f"<!-- {mark} -->")
        _, after = rest.split(f"<!-- end of {mark} -->")
        page = f"{before}<!-- {mark} -->\n\n{'\n'.join(lines)}\n\n<!-- end of {mark} -->{after}"
    PAGE.write_text(page, "utf-8")
    PICTURE.write_text(draw(table), "utf-8")


def _tabulate_dollars() -> Iterable[str]:
    yield "| | dollars a million texts |"
    yield "|---|---|"
    for name, dollars in read_results("cost").get("dollars a million", {}).items():
        yield f"| {name} | {dollars:,.2f} |"
    for name, dollars in read_results("cost").get("dollars a month", {}).items():
        yield f"| {name}, a month, with or without texts | {dollars:,.2f} |"


def _tabulate_peers() -> Iterable[str]:
    rows = read_results("peers")
    cases = [case for row in rows.values() for case in row]
    yield f"| | {' | '.join(rows)} |"
    yield f"|---|{'---|' * len(rows)}"
    for case in dict.fromkeys(cases):
        figures = (_number(row.get(case)) for row in rows.values())
        yield f"| {case} | {' | '.join(figures)} |"


def _table(table: Sequence[Measured]) -> Iterable[str]:
    yield "| figure | case | before | now | bar | |"
    yield "|---|---|---|---|---|---|"
    shown = ""
    for each in table:
        name = "" if each.row.shown == shown else each.row.shown
        shown = each.row.shown
        before, now = _number(each.bar.before), _number(each.value)
        verdict = "" if each.value is None else "met" if each.holds else "**missed**"
        yield f"| {name} | {each.bar.case} | {before} | {now} | {each.bar.most:g} | {verdict} |"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits


# --- the plot ------------------------------------------------------------------------------------

LINE, LEFT, BARS, RIGHT = 22, 420, 300, 120
_STYLE = """
  text { font: 11px system-ui, sans-serif; fill: #333 }
  .before { fill: #8886 } .met { fill: #0969da } .missed { fill: #bc4c00 }
  .bar { stroke: #cf222e; stroke-dasharray: 4 3 }
  @media (prefers-color-scheme: dark) {
    text { fill: #ccc } .met { fill: #58a6ff } .missed { fill: #f0883e } .bar { stroke: #ff7b72 }
  }
"""


def draw(table: Sequence[Measured]) -> str:
    """Return the plot: each case before and now as a part of its bar, which is the dashed line.

    A case of more than three bars is cut off there, with its number beside it.
    """
    cases = [each for each in table if each.value is not None and each.bar.most > 0]
    width, height = LEFT + BARS + RIGHT, LINE * len(cases) + 30
    at_bar = LEFT + BARS / 3
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">',
        "<title>Figures before and now, as parts of their bars</title>",
        f"<style>{_STYLE}</style>",
    ]
    for number, each in enumerate(cases):
        parts += _bars(each, 6 + number * LINE)
    parts += [
        f'<path class="bar" d="M{at_bar:.0f} 0V{height - 20}"/>',
        f'<text x="{at_bar - 10:.0f}" y="{height - 6}">bar</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _bars(each: Measured, top: float) -> Iterable[str]:
    label = f"{_SHORT[each.row.benchmark, each.row.row]}: {each.bar.case}"
    yield f'<text x="{LEFT - 8}" y="{top + 12}" text-anchor="end">{label}</text>'
    if each.bar.before is not None:
        yield _rectangle(each.bar.before / each.bar.most, top, 15, "before")
    share = (each.value or 0.0) / each.bar.most
    yield _rectangle(share, top + 4, 7, "met" if each.holds else "missed")
    shown = f"{_number(each.bar.before)} → {_number(each.value)}".removeprefix(" → ")
    yield f'<text x="{LEFT + BARS + 6}" y="{top + 12}">{shown}</text>'


def _rectangle(share: float, top: float, height: float, kind: str) -> str:
    width = min(1.0, share / 3) * BARS
    return (
        f'<rect x="{LEFT}" y="{top}" width="{width:.1f}" height="{height}" class="{kind}" rx="2"/>'
    )


_SHORT: Mapping[tuple[str, str], str] = {
    ("starts", "first answer"): "first answer",
    ("starts", "instructions"): "cold start",
    ("starts", "warm CPU"): "warm CPU",
    ("units", "write units"): "write units",
    ("units", "calls of AWS"): "calls",
    ("batches", "calls of AWS"): "calls of a batch",
    ("worker", "GB-s a generation"): "GB-s, at once",
    ("workers", "billed part"): "billed part, a second",
    ("workers", "wait p99, ms"): "wait, a second",
    ("sizes", "unpacked MB"): "unpacked MB",
    ("stack_burst", "seconds"): "burst of 50",
    ("knowledge_index", "CPU s"): "first question, passages",
    ("cost", "dollars a million"): "dollars",
}


if __name__ == "__main__":
    main()

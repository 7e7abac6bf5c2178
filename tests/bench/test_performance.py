"""The page of figures, and what quotes it: the same as the results of the benchmarks."""

import re
from pathlib import Path

import pytest

from bench import performance
from bench.results import read_results
from tests.conftest import ROOT


def test_the_page_shows_the_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/performance.md and its plot are what the JSON of the last runs makes."""
    page, picture = performance.PAGE.read_text(), performance.PICTURE.read_text()
    (tmp_path / "page.md").write_text(page)
    monkeypatch.setattr(performance, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(performance, "PICTURE", tmp_path / "picture.svg")
    performance.write_page(performance.read_table())
    assert (tmp_path / "page.md").read_text() == page
    assert (tmp_path / "picture.svg").read_text() == picture


def test_each_benchmark_of_the_page_is_there() -> None:
    """The command runs modules that exist, and each row is one of theirs."""
    for name in performance.BENCHMARKS:
        assert (ROOT / "bench" / f"{name}.py").exists()
    assert {row.benchmark for row in performance.ROWS} <= performance.BENCHMARKS.keys()


def test_what_was_not_measured_meets_no_bar() -> None:
    """A case without a figure is neither met nor missed, and one above its bar is missed."""
    row = performance.ROWS[0]
    bar = performance.Bar("a case", None, 0.15)
    lines = list(
        performance._table(  # noqa: SLF001 - how the page tells it
            [performance.Measured(row, bar, value) for value in (None, 0.15, 0.151)]
        )
    )
    assert [line.split("|")[-2].strip() for line in lines[2:]] == ["", "met", "**missed**"]


@pytest.mark.parametrize(
    ("told", "case"),
    [
        ("a busy queue", "afterword, a filled worker of 256 MB"),
        (
            "a steady text a second, two workers",
            "afterword, a steady text a second, two workers of 256 MB",
        ),
        ("a steady text a second, with the", "afterword, a steady text a second"),
        ("the same by Step Functions Express", "Step Functions Express with Bedrock"),
        ("the same by Lambda durable functions", "Lambda durable functions"),
    ],
)
def test_the_readme_quotes_the_dollars(told: str, case: str) -> None:
    """Each price of README is that of the last computation."""
    (shown,) = re.findall(rf"(?m)^\| {told}[^|]*\| ([\d.]+) \|$", (ROOT / "README.md").read_text())
    assert float(shown) == read_results("cost")["dollars a million"][case]

"""The figures of the benchmarks, as JSON beside them: bench/results/<name>.json.

A file has rows, and a row has cases: `{"write units": {"plain, 4 KB in": 12}}`.
"""

import json
from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).parent / "results"

type Rows = Mapping[str, Mapping[str, float]]
"""Figures by row and case."""


def write_results(name: str, rows: Rows) -> None:
    """Write the figures of one benchmark."""
    rounded = {
        row: {case: float(f"{value:.4g}") for case, value in cases.items()}
        for row, cases in rows.items()
    }
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps(rounded, indent=2) + "\n", "utf-8")


def read_results(name: str) -> Rows:
    """Return the figures of one benchmark, none where it never ran here."""
    file = FOLDER / f"{name}.json"
    rows: Rows = json.loads(file.read_text("utf-8")) if file.exists() else {}
    return rows

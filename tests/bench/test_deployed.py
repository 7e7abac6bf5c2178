"""The experiment on a deployed stack, and the lines of AWS that it reads."""

from datetime import UTC, datetime

import pytest

from bench.deployed import POLL, SUBMIT, WORKER, Load, Report, parse_reports, sum_up, tabulate

FUNCTIONS = {"stack-Generate-a1": WORKER, "stack-Submit-b2": SUBMIT, "stack-Get-c3": POLL}
WARM = (
    "REPORT RequestId: 6f1c Duration: 5012.33 ms\tBilled Duration: 5013 ms\tMemory Size: 256 MB\t"
    "Max Memory Used: 93 MB\t\n"
)
COLD = (
    "REPORT RequestId: 6f1d Duration: 20.10 ms\tBilled Duration: 321 ms\tMemory Size: 256 MB\t"
    "Max Memory Used: 88 MB\tInit Duration: 300.90 ms\t\n"
)


def test_reports_are_told_apart_by_their_streams() -> None:
    """Lines of the three functions are read, with the time of a start; others are left out."""
    lines = [
        ("2026/11/30/stack-Generate-a1[7]0f", WARM),
        ("2026/11/30/stack-Submit-b2[7]0e", COLD),
        ("2026/11/30/stack-Sweep-d4[7]0d", COLD),
        ("2026/11/30/stack-Get-c3[7]0c", "REPORT of something else"),
    ]
    assert list(parse_reports(lines, FUNCTIONS)) == [
        Report(WORKER, 5012.33, 5013, 256, 93, None),
        Report(SUBMIT, 20.10, 321, 256, 88, 300.90),
    ]


def test_figures_are_by_text() -> None:
    """Billed seconds, GB-seconds and units are divided by the texts that were asked for."""
    now = datetime(2026, 11, 30, tzinfo=UTC)
    load = Load(1, 10, now, now, [0.02] * 10)
    reports = [
        Report(WORKER, 5000, 5000, 256, 93, None),
        Report(SUBMIT, 20.0, 321, 256, 88, 300.0),
        Report(SUBMIT, 9.0, 9, 256, 88, None),
    ]
    row = sum_up(load, reports, 120.0)
    assert row.billed_each == pytest.approx(0.5)
    assert row.gb_seconds_each == pytest.approx(0.125)
    assert (row.texts_an_invocation, row.write_units_each) == (10, 12)
    assert (row.first_answer, row.memory_used) == (320.0, 93)
    assert tabulate([row]).row_count == 8


def test_a_run_without_a_start_has_no_first_answer() -> None:
    """Where all instances were there already, the table has a dash."""
    now = datetime(2026, 11, 30, tzinfo=UTC)
    assert sum_up(Load(1, 2, now, now, [0.02, 0.03]), [], 0.0).first_answer is None

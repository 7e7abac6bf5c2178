"""The lines of the functions' logs that `make logs` shows."""

import json

from local.logs import readable

LINE = {
    "level": "INFO",
    "location": "_log_end:331",
    "message": "finished",
    "timestamp": "2026-11-10 09:00:13,750+0000",
    "service": "afterword",
    "generation_id": "019a6f3e-7c00-7000-8000-000000000001",
    "attempt": 1,
}
METRICS = {
    "_aws": {
        "Timestamp": 1794301213750,
        "CloudWatchMetrics": [
            {
                "Namespace": "afterword",
                "Dimensions": [["stack"], ["stack", "model"]],
                "Metrics": [
                    {"Name": "TimeInModel", "Unit": "Milliseconds"},
                    {"Name": "Succeeded", "Unit": "Count"},
                ],
            }
        ],
    },
    "stack": "afterword",
    "model": "small",
    "generation_id": "019a6f3e-7c00-7000-8000-000000000001",
    "attempt": 1,
    "TimeInModel": [1500.0],
    "Succeeded": [1.0],
}


def test_a_line_is_shown_for_a_person() -> None:
    """When, how bad, what and about what, on one line."""
    assert readable("group", json.dumps(LINE)) == (
        "09:00:13 INFO     afterword: finished"
        "  generation_id=019a6f3e-7c00-7000-8000-000000000001 attempt=1"
    )


def test_a_metric_line_is_shown_as_what_it_counts() -> None:
    """Its numbers and what they are about are there, and nothing that only CloudWatch needs."""
    assert readable("group", json.dumps(METRICS)) == (
        "09:00:13 METRICS  afterword: TimeInModel=1500 Succeeded=1"
        "  model=small generation_id=019a6f3e-7c00-7000-8000-000000000001 attempt=1"
    )


def test_lambdas_own_lines_are_left_out() -> None:
    """Lambda's own lines on an invocation are not shown; a line that is no JSON is."""
    assert readable("group", "REPORT RequestId: 1 Duration: 2 ms") == ""
    assert readable("group", "Segmentation fault").endswith("group  Segmentation fault")

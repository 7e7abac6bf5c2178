"""Metric lines: values that CloudWatch would not take, and faults that no generation may see."""

import io
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from afterword.engine.metrics import Metrics
from afterword.engine.outbox import Outbox
from afterword.generations import Status
from afterword.generations.claims import Claim, ModelCall, TokenUsage
from afterword.generations.ends import End, EndResult
from tests.conftest import START, SetClock
from tests.harness import embedded_metrics
from tests.harness.embedded_metrics import MetricLines

ID = "019a6f3e-7c00-7000-8000-000000000001"
ENDED = End(
    tenant="demo",
    id=ID,
    dialect="native",
    flow="mail-reply",
    flow_version=1,
    status=Status.SUCCEEDED,
    reason=None,
    attempt=1,
    created_at=START,
    finished_at=START,
    tokens=160,
    slot=None,
    notify=False,
    dispatched=True,
)
CLAIM = Claim(
    tenant="demo",
    id=ID,
    attempt=1,
    failures=0,
    flow="mail-reply",
    flow_version=1,
    created_at=START,
    deadline_at=START + timedelta(hours=1),
    inputs={},
    template=None,
)
PROFILE = "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-v1:0"


@pytest.fixture
def metrics(set_clock: SetClock) -> Metrics:  # noqa: ARG001 - its clock
    """Return the writer of metrics by flow and model."""
    return Metrics("afterword", by_flow=True)


@pytest.fixture
def metric_lines(capsys: pytest.CaptureFixture[str]) -> MetricLines:
    """Return a function that gives the metric lines that were written since it was asked last."""
    return lambda: [embedded_metrics.read(line) for line in capsys.readouterr().out.splitlines()]


def asked(model: str = "test-model", tokens: int = 1) -> ModelCall:
    """Return a model that answered at once."""
    return ModelCall(model, START, START, TokenUsage(model, tokens, tokens))


@pytest.mark.parametrize(
    ("model", "dimension"),
    [
        (PROFILE, PROFILE),
        ("m" * 1025, "m" * 1024),
        ("modèle-été", r"mod\xe8le-\xe9t\xe9"),
        ("模型", r"\u6a21\u578b"),
        ("\ud800", r"\ud800"),
        ("a\nb\x00c", "a?b?c"),
        ("", "-"),
        ("  ", "-"),
        (" a ", "a"),
    ],
)
def test_a_dimension_is_what_cloudwatch_takes(
    metrics: Metrics, metric_lines: MetricLines, model: str, dimension: str
) -> None:
    """A model may be called anything; its dimension is visible ASCII of 1 to 1,024 characters."""
    metrics.record_end(ENDED, replace(CLAIM, calls=[asked(model)]))
    (line,) = metric_lines()
    assert line["model"] == dimension
    assert line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [
        ["stack"],
        ["stack", "tenant", "flow"],
        ["stack", "model"],
    ]


def test_clocks_that_do_not_agree_give_no_negative_time(
    metrics: Metrics, metric_lines: MetricLines
) -> None:
    """A generation submitted, or asked, after now by another clock has waited for no time."""
    later = START + timedelta(seconds=5)
    calls = [ModelCall("test-model", later, START)]
    metrics.record_end(ENDED, replace(CLAIM, created_at=later, claimed_at=START, calls=calls))
    (line,) = metric_lines()
    assert (line["TimeInQueue"], line["TimeInModel"]) == ([0], [0])


def test_a_model_that_is_waited_for_still_has_its_time_until_now(
    metrics: Metrics, metric_lines: MetricLines, set_clock: SetClock
) -> None:
    """An invocation that ends before the model answers knows how long it has waited."""
    claim = replace(CLAIM, calls=[ModelCall("test-model", START)])
    set_clock.advance(seconds=290)
    metrics.record_requeue(claim)
    (line,) = metric_lines()
    assert (line["TimeInModel"], line["Requeued"]) == ([290_000], [1])
    assert "TokensIn" not in line


def test_a_later_claim_has_no_time_in_the_queue(
    metrics: Metrics, metric_lines: MetricLines
) -> None:
    """Only the first claim ends the wait for a worker."""
    metrics.record_requeue(replace(CLAIM, attempt=2, claimed_at=START))
    (line,) = metric_lines()
    assert "TimeInQueue" not in line


def test_a_line_is_written_in_one_piece(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads write at the same time, and no other's line may come between a line and its end."""
    pieces: list[str] = []

    class Output(io.StringIO):
        def write(self, text: str) -> int:
            pieces.append(text)
            return len(text)

    monkeypatch.setattr(sys, "stdout", Output())
    metrics.record_end(ENDED)
    (piece,) = pieces
    assert piece.endswith("}\n")
    assert piece.count("\n") == 1


@pytest.mark.parametrize("what", ["a log that is gone", "a number without end"])
def test_whatever_goes_wrong_is_logged_and_not_raised(
    metrics: Metrics,
    log_lines: Callable[[], list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
    what: str,
) -> None:
    """A metric that cannot be written must not touch its generation."""
    if what == "a log that is gone":
        gone = io.StringIO()
        gone.close()
        monkeypatch.setattr(sys, "stdout", gone)
        metrics.record_end(ENDED)
    else:
        metrics.record_end(ENDED, replace(CLAIM, calls=[asked(tokens=10**400)]))
    (line,) = log_lines()
    assert (line["level"], line["message"], line["generation_id"], line["tenant"]) == (
        "ERROR",
        "could not write metrics",
        ID,
        "demo",
    )


def test_nothing_is_written_where_nothing_collects_it(
    log_lines: Callable[[], list[dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    """The command line ends generations too, and prints no metrics."""
    canceled = replace(ENDED, status=Status.CANCELED)
    result = EndResult(Status.CANCELED, canceled)
    store: Any = SimpleNamespace(cancel=lambda *_: result)
    nobody: Any = None
    assert Outbox(store, nobody, nobody).cancel("demo", ID) is Status.CANCELED
    assert [line["message"] for line in log_lines()] == ["canceled"]
    assert capsys.readouterr().out == ""

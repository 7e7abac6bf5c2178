"""Metrics of generations: log lines that CloudWatch turns into metrics, with no call of AWS.

The lines are in CloudWatch's embedded metric format
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html).
A generation has one for each requeue, and one for its end. An attempt that calls several models has
one for each of them, and the last has the attempt's outcome, and of the first attempt the time in
the queue. So each number is in one line only, and sums are right by any dimension.
"""

import json
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from afterword import clock
from afterword.generations import Status
from afterword.runtime import telemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from afterword.generations.claims import Claim, ModelCall
    from afterword.generations.ends import End

NAMESPACE = "afterword"
MAX_DIMENSION = 1024
"""The longest value of a dimension, in characters."""
_NO_SERVICE = ""  # Powertools would make a dimension of POWERTOOLS_SERVICE_NAME


class Metrics:
    """Writes metrics of a stack and, with `by_flow`, of flows and models too.

    A line that cannot be written is logged; its generation goes on.
    """

    def __init__(self, stack: str, *, by_flow: bool) -> None:
        self._stack = stack
        self._by_flow = by_flow

    def record_requeue(self, claim: "Claim") -> None:
        """Count a requeue, with the times and tokens of its attempt."""
        self._attempt(claim, {"Requeued": 1}, claim)

    def record_end(self, ended: "End", claim: "Claim | None" = None) -> None:
        """Count an end, with the times and tokens of the attempt that has made it."""
        if ended.status is Status.CANCELED:
            outcome = {"Canceled": 1}
        else:
            succeeded = int(ended.status is Status.SUCCEEDED)
            outcome = {"Succeeded": succeeded, "Failed": 1 - succeeded}
        self._attempt(ended, outcome, claim)

    def record_sweep(
        self, outcomes: "Mapping[str, int]", *, repaired: int, unreadable: int, lag: "timedelta"
    ) -> None:
        """Write a run of the sweeper; its counts by outcome are members of the line, no metrics."""
        values = {
            "SweepLag": lag / timedelta(milliseconds=1),
            "Repaired": repaired,
            "Unreadable": unreadable,
        }
        self._print(lambda: self._build(values, [], outcomes), outcomes)

    def _attempt(
        self, of: "Claim | End", outcome: "Mapping[str, float]", claim: "Claim | None"
    ) -> None:
        """Write a line for each model that an attempt has called, the last with the outcome."""
        by_model: dict[str, list[ModelCall]] = {}
        calls = () if claim is None else tuple(claim.calls)
        for each in calls:  # a thread that has run out of time may still add to it
            by_model[each.model] = [*by_model.pop(each.model, ()), each]
        *first, last = by_model or (None,)
        for model in first:
            self._write(of, _sums(by_model[model]), model)
        sums = {} if last is None else _sums(by_model[last])
        self._write(of, _queued(claim) | sums | dict(outcome), last)

    def _write(
        self, of: "Claim | End", values: "Mapping[str, float]", model: str | None = None
    ) -> None:
        facts = {"generation_id": of.id, "tenant": of.tenant}
        self._print(lambda: self._line(of, values, model), facts)

    @staticmethod
    def _print(build: "Callable[[], object]", facts: "Mapping[str, object]") -> None:
        """Write a line; an error is logged with these facts."""
        try:
            line = json.dumps(build(), separators=(",", ":"), allow_nan=False)
            # One write: `print` writes the line's end separately, and threads could interleave.
            sys.stdout.write(f"{line}\n")
        except Exception:  # noqa: BLE001 - no error of a metric may touch the generation
            telemetry.logger().exception("could not write metrics", extra=dict(facts))

    def _line(self, of: "Claim | End", values: "Mapping[str, float]", model: str | None) -> object:
        facts = {"tenant": _dimension(of.tenant), "flow": _dimension(of.flow)}
        called = {} if model is None else {"model": _dimension(model)}
        further = [each for each in (facts, called) if each] if self._by_flow else []
        reason = getattr(of, "reason", None)
        members = {"generation_id": of.id, "attempt": of.attempt, **facts, **called}
        return self._build(values, further, members | ({"reason": reason} if reason else {}))

    def _build(
        self,
        values: "Mapping[str, float]",
        further: "Sequence[Mapping[str, str]]",
        members: "Mapping[str, object]",
    ) -> object:
        """Return a line of values under the stack alone, and under each further dimension's."""
        metrics = EphemeralMetrics(namespace=NAMESPACE, service=_NO_SERVICE)
        # Not `set_timestamp`: that warns if this clock is not the machine's.
        metrics.timestamp = clock.to_millis(clock.now())
        stack = {"stack": _dimension(self._stack)}
        metrics.add_dimension("stack", stack["stack"])
        for dimensions in further:
            metrics.add_dimensions(**stack, **dimensions)
        for name, value in values.items():
            is_time = name.startswith("Time") or name.endswith("Lag")
            unit = MetricUnit.Milliseconds if is_time else MetricUnit.Count
            metrics.add_metric(name, unit, value)
        for key, member in members.items():
            metrics.add_metadata(key, member)
        return metrics.serialize_metric_set()


def _queued(claim: "Claim | None") -> "dict[str, float]":
    """Return the time from the submission to the first claim, in the first attempt alone."""
    if claim is None or claim.attempt > 1 or claim.claimed_at is None:
        return {}
    return {"TimeInQueue": _millis(claim.created_at, claim.claimed_at)}


def _sums(calls: "Sequence[ModelCall]") -> "dict[str, float]":
    """Return the time in calls of a model, and the tokens of their answers, if there are any."""
    now = clock.now()
    sums: dict[str, float] = {
        "TimeInModel": sum(_millis(each.since, each.until or now) for each in calls)
    }
    answers = [each.answer for each in calls if each.answer is not None]
    if answers:
        sums["TokensIn"] = sum(answer.tokens_in for answer in answers)
        sums["TokensOut"] = sum(answer.tokens_out for answer in answers)
    return sums


def _millis(since: "datetime", until: "datetime") -> int:
    """Return the milliseconds between two moments; 0 where two machines' clocks disagree."""
    return max(0, clock.to_millis(until) - clock.to_millis(since))


def _dimension(text: str) -> str:
    """Return a text as a dimension's value: visible ASCII, at most MAX_DIMENSION characters."""
    ascii_only = text.encode("ascii", "backslashreplace").decode()
    visible = "".join(char if char.isprintable() else "?" for char in ascii_only).strip()
    return visible[:MAX_DIMENSION].strip() or "-"

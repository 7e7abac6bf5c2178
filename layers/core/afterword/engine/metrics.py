"""Metrics of generations: lines of the log that CloudWatch makes metrics of, with no call of AWS.

The lines are in CloudWatch's embedded metric format
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html).
A generation has one for its first claim, one for each attempt that is handed back, and one for its
end. An attempt that asks several models has one for each of them, and the last says what came of
it. So each number is in one line only, and sums are right however they are grouped.
"""

import json
import sys
from typing import TYPE_CHECKING

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from afterword import clock
from afterword.generations import Status
from afterword.runtime import telemetry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from afterword.generations.claims import Claim, ModelCall
    from afterword.generations.ends import End

NAMESPACE = "afterword"
MAX_DIMENSION = 1024
"""Characters that the value of a dimension may have."""
_NO_SERVICE = ""  # Powertools would make a dimension of POWERTOOLS_SERVICE_NAME


class Metrics:
    """Writes metrics, of a stack and, if they are wanted `by_flow`, of flows and models too.

    Whatever goes wrong with a line, its generation goes on without it.
    """

    def __init__(self, stack: str, *, by_flow: bool) -> None:
        self._stack = stack
        self._by_flow = by_flow

    def record_claim(self, claim: "Claim") -> None:
        """Count the time from the submission to the first claim; a later one counts nothing."""
        if claim.attempt == 1:
            self._write(claim, {"TimeInQueue": _millis(claim.created_at, clock.now())})

    def record_requeue(self, claim: "Claim") -> None:
        """Count an attempt that has queued its generation again, and what it took."""
        self._attempt(claim, {"Requeued": 1}, claim.asked)

    def record_end(self, ended: "End", asked: "Sequence[ModelCall]" = ()) -> None:
        """Count an end, and what the attempt took that has come to it, if one has."""
        if ended.status is Status.CANCELED:
            outcome = {"Canceled": 1}
        else:
            succeeded = int(ended.status is Status.SUCCEEDED)
            outcome = {"Succeeded": succeeded, "Failed": 1 - succeeded}
        self._attempt(ended, outcome, asked)

    def _attempt(
        self, of: "Claim | End", outcome: "Mapping[str, float]", asked: "Sequence[ModelCall]"
    ) -> None:
        """Write what an attempt took of each model that it has asked, and what came of it."""
        by_model: dict[str, list[ModelCall]] = {}
        for each in tuple(asked):  # a thread that has run out of time may still add to it
            by_model[each.model] = [*by_model.pop(each.model, ()), each]
        *first, last = by_model or (None,)
        for model in first:
            self._write(of, _took(by_model[model]), model)
        took = {} if last is None else _took(by_model[last])
        self._write(of, took | dict(outcome), last)

    def _write(
        self, of: "Claim | End", values: "Mapping[str, float]", model: str | None = None
    ) -> None:
        try:
            line = json.dumps(self._line(of, values, model), separators=(",", ":"), allow_nan=False)
            # In one piece: `print` writes the line's end by itself, and another thread in between.
            sys.stdout.write(f"{line}\n")
        except Exception:  # noqa: BLE001 - whatever it is, it must not touch the generation
            telemetry.logger().exception(
                "its metrics could not be written",
                extra={"generation_id": of.id, "tenant": of.tenant},
            )

    def _line(self, of: "Claim | End", values: "Mapping[str, float]", model: str | None) -> object:
        metrics = EphemeralMetrics(namespace=NAMESPACE, service=_NO_SERVICE)
        # Not `set_timestamp`: that warns if this clock is not the machine's.
        metrics.timestamp = clock.to_millis(clock.now())
        stack = {"stack": _dimension(self._stack)}
        facts = {"tenant": _dimension(of.tenant), "flow": _dimension(of.flow)}
        asked = {} if model is None else {"model": _dimension(model)}
        metrics.add_dimension("stack", stack["stack"])
        if self._by_flow:
            metrics.add_dimensions(**stack, **facts)
            if asked:
                metrics.add_dimensions(**stack, **asked)
        for name, value in values.items():
            unit = MetricUnit.Milliseconds if name.startswith("Time") else MetricUnit.Count
            metrics.add_metric(name, unit, value)
        reason = getattr(of, "reason", None)
        told = {"generation_id": of.id, "attempt": of.attempt, **facts, **asked}
        for key, fact in (told | ({"reason": reason} if reason else {})).items():
            metrics.add_metadata(key, fact)
        return metrics.serialize_metric_set()


def _took(asked: "Sequence[ModelCall]") -> "dict[str, float]":
    """Return the time that was waited for a model, and the tokens of its answers, if there are."""
    now = clock.now()
    took: dict[str, float] = {
        "TimeInModel": sum(_millis(each.since, each.until or now) for each in asked)
    }
    answers = [each.answer for each in asked if each.answer is not None]
    if answers:
        took["TokensIn"] = sum(answer.tokens_in for answer in answers)
        took["TokensOut"] = sum(answer.tokens_out for answer in answers)
    return took


def _millis(since: "datetime", until: "datetime") -> int:
    """Return milliseconds; none if the two are of clocks that do not agree."""
    return max(0, clock.to_millis(until) - clock.to_millis(since))


def _dimension(text: str) -> str:
    """Return a text as CloudWatch takes it as a dimension: visible ASCII, and not too much."""
    ascii_only = text.encode("ascii", "backslashreplace").decode()
    visible = "".join(char if char.isprintable() else "?" for char in ascii_only).strip()
    return visible[:MAX_DIMENSION].strip() or "-"

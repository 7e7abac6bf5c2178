"""`python -m bench.batches`: AWS calls and time of a batch, through the real intake over moto.

A batch is a file of lines. Its turns submit them, and all lines of a turn have ended before the
next one: no worker and no model is in the figures. The CPU seconds are those of the turns, moto's
share included, so they tell one release from another on the same machine, and nothing else.
"""

import argparse
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from unittest.mock import patch

from afterword import batches
from afterword.batches import Batch, State, window
from afterword.runtime.clients import clients
from afterword.services import services
from bench.load.recording import FLOW, INPUT, Event, Recorder, batch, quiet_log, recorder
from bench.results import write_results
from tests.harness.deployment import REFERENCES

TENANT = "tenant-batches"
TURNS = (10, 100)
"""The lines of one turn, at most: slow models have small turns."""


@dataclass
class Life:
    """A batch from its file to its results. `calls` are those of its turns, by operation."""

    lines: int
    turns: int = 0
    cpu: float = 0.0
    calls: Counter[str] = field(default_factory=Counter)

    @property
    def calls_per_line(self) -> float:
        """The calls of all turns, over the lines."""
        return self.calls.total() / self.lines


def run(its: Recorder, tenant: str, lines: int, most: int) -> Life:
    """Run a batch of a tenant, whose turns submit so many lines at most."""
    life = Life(lines)
    with patch.object(window, "MAX_WINDOW", most), quiet_log():
        message: Event | None = _put(tenant, lines, most)
        while message is not None:
            message = _turn(its, life, message)
            _end_lines(_find(tenant, most))
    finished = _find(tenant, most)
    if finished.state is not State.FINISHED or finished.counts.canceled != lines:
        raise AssertionError(finished)
    return life


def _put(tenant: str, lines: int, most: int) -> Event:
    """Put a file into the bucket; return the message of S3 that starts its batch."""
    content = json.dumps({"flow": FLOW, "inputs": {"text": INPUT}}).encode() + b"\n"
    key, bucket = f"{batches.INTAKE}/{tenant}/{most}.jsonl", REFERENCES["BatchBucket"]
    there = clients().s3.put_object(Bucket=bucket, Key=key, Body=content * lines)
    facts = {"key": key, "size": len(content) * lines, "eTag": there["ETag"].strip('"')}
    facts["versionId"] = there["VersionId"]
    return {"Records": [{"s3": {"bucket": {"name": bucket}, "object": facts}}]}


def _turn(its: Recorder, life: Life, message: Event) -> Event | None:
    """Run a turn, and add it to a batch's life; return the message of the next turn, if any."""
    its.tape.begin()
    started = time.process_time()
    answer = its.invoke("intake", batch([json.dumps(message)]), 300_000)
    life.cpu += time.process_time() - started
    if answer["batchItemFailures"]:
        raise AssertionError(answer)
    life.turns += 1
    life.calls.update(call.operation for call in its.tape.calls)
    following = [
        json.loads(call.request["MessageBody"])
        for call in its.tape.calls
        if call.request.get("QueueUrl") == REFERENCES["IntakeQueue"]
    ]
    return following[0] if following else None


def _find(tenant: str, most: int) -> Batch:
    """Return the batch of a file, by the version that is there."""
    key, bucket = f"{batches.INTAKE}/{tenant}/{most}.jsonl", REFERENCES["BatchBucket"]
    there = clients().s3.head_object(Bucket=bucket, Key=key)
    source = batches.Source(
        key=key, version=there["VersionId"], etag=there["ETag"], size=there["ContentLength"]
    )
    return services().batches.get(tenant, batches.id_for_file(bucket, source))


def _end_lines(its: Batch) -> None:
    """End all open lines of a batch."""
    for line in its.window.open if its.window else ():
        services().outbox.cancel(its.tenant, batches.line_id(its.tenant, its.id, line))


def main() -> None:
    """Run a batch for each size of a turn, and print what each line costs."""
    parser = argparse.ArgumentParser(prog="python -m bench.batches", description=__doc__)
    parser.add_argument("--lines", type=int, default=2_000)
    parser.add_argument("--turn", type=int, nargs="*", default=TURNS, help="lines of a turn")
    options = parser.parse_args()
    with recorder() as (its, _):
        its.make_tenant(TENANT)
        costs = {}
        for most in options.turn:
            life = run(its, TENANT, options.lines, most)
            print(
                f"{options.lines} lines, {most} a turn at most: {life.turns} turns,"
                f" {life.calls_per_line:.2f} calls a line, {life.cpu:.1f} s of CPU"
            )
            costs[f"{most} a turn"] = life.calls_per_line
            print(f"  {', '.join(f'{name} {count}' for name, count in life.calls.most_common())}")
    write_results("batches", {"calls of AWS": costs})


if __name__ == "__main__":
    main()

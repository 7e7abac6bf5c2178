"""`python -m bench.cost`: the dollars of a million texts, here and with what stands instead of it.

afterword's part is computed from what its handlers are recorded to do: the calls of AWS, the units
of DynamoDB, the bytes of log and the CPU time of each path. The others are the least that does the
same: a submission over HTTP that is kept, polls by its id, and a list of what was asked for. Prices
are dated list prices of us-east-1 (`bench/load/documented.py`); the model's price comes on top.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from math import ceil
from typing import NamedTuple

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from bench import units, workers
from bench.load import recording
from bench.load.documented import (
    ABOVE_START_LOG,
    AS_OF,
    LATENCIES,
    MILLION,
    PRICES,
    VCPU_MEMORY,
)
from bench.load.recording import Path as Invocation
from bench.results import read_results, write_results
from tests.harness.deployment import Deployment, parsed_template

KB = 1024
IN_KB, OUT_KB = 4, 2
"""The KB of a request's text and of its answer."""
WAIT = 5.0
"""The seconds for which the worker waits for the model."""
POLLS = 3
"""The requests with which a client asks for its text."""
FILLED = 25
"""The generations at once of a filled worker."""
AT_ONCE = 50
"""The generations of a worker at once, at most, by the template's default."""
MONTHLY = (10_000, MILLION, 10 * MILLION)
"""Texts a month, for what is paid by the month."""
HOURS = 730
"""The hours of a month."""


class Occupancy(NamedTuple):
    """How full the worker is.

    `at_once` are the generations of one invocation at a time, `billed` the seconds that are billed
    for each generation, and `receives` the worker's own receives for each. `megabytes` is its
    memory.
    """

    name: str
    at_once: float
    billed: float
    receives: float
    megabytes: int


def read_occupancies() -> Sequence[Occupancy]:
    """Return a filled worker, as `bench.worker` has it, and a steady text a second, by simulation.

    Without the figures of `bench.worker` the simulation's work beside the wait stands for them.
    """
    alone = WAIT + workers.WORK
    measured = read_results("worker").get("seconds", {}).get(f"{FILLED}", alone)
    occupancies = [
        Occupancy(f"a filled worker of {memory} MB", FILLED, measured / FILLED, 2 / FILLED, memory)
        for memory in (512, 256)
    ]
    for name, most, memory in (
        ("a steady text a second", 500, 512),
        ("a steady text a second, two workers of 256 MB", 2, 256),
    ):
        deployed = workers.Deployment(most, AT_ONCE)
        found = workers.simulate(deployed, 1.0, workers.wait_always(WAIT), seed=17)
        its = Occupancy(name, 1 / found.billed, found.billed * alone, found.receives, memory)
        occupancies.append(its)
    return occupancies


class Bill(NamedTuple):
    """The dollars of a million texts, by service."""

    name: str
    parts: Mapping[str, float]

    @property
    def total(self) -> float:
        """All services together."""
        return sum(self.parts.values())


# --- afterword -----------------------------------------------------------------------------------


class Paths(NamedTuple):
    """The recorded paths of one text: those of its requests, and the worker's."""

    requests: Sequence[Invocation]
    generate: Invocation


def record_paths() -> Paths:
    """Record a submission, its generation and a poll after it, in warm processes."""
    with recording.recorder() as (its, _), units.answering(units.read_prose(OUT_KB, skip=20)):
        key = its.make_tenant("tenant")
        text = units.read_prose(IN_KB)
        event = recording.submission("submit_generation", "tenant", key, text=text)
        for timed in (False, True):
            submit = its.record("submit_generation", event, timed=timed)
            sent = [body for _, body in its.sent()]
            generate = its.record("generate", recording.batch(sent), timed=timed)
            generation = json.loads(sent[0])["id"]
            asked = recording.request("get_generation", "tenant", key, generation)
            poll = its.record("get_generation", asked, timed=timed)
    return Paths((submit, *[poll] * POLLS), generate)


def compute_afterword(paths: Paths, occupancy: Occupancy) -> Bill:
    """Return the bill of a million texts."""
    functions = Deployment(parsed_template(), {}).functions
    memory = {
        name: int(functions[name].properties["MemorySize"])
        for name in {path.function for path in paths.requests}
    }
    gb_seconds = sum(
        _seconds(path, memory[path.function]) * memory[path.function] / KB
        for path in paths.requests
    )
    worker = occupancy.billed * occupancy.megabytes / KB
    charges = [path.units() for path in (*paths.requests, paths.generate)]
    invocations = 1 + POLLS + 1 / occupancy.at_once
    log = (
        sum(path.log for path in (*paths.requests, paths.generate)) + ABOVE_START_LOG * invocations
    )
    operations = sum((path.operations() for path in paths.requests), paths.generate.operations())
    # A mapping's batch is received and deleted, and so is what the worker takes itself.
    messages = operations["sqs.SendMessage"] + 2 / occupancy.at_once + 2 * occupancy.receives
    return Bill(
        f"afterword, {occupancy.name}",
        {
            "API Gateway": (1 + POLLS) * PRICES["HTTP API, a request"] * MILLION,
            "Lambda": MILLION
            * (
                invocations * PRICES["Lambda, an invocation"]
                + (gb_seconds + worker) * PRICES["Lambda, a GB-second"]
            ),
            "storage": MILLION
            * (
                sum(write for write, _ in charges) * PRICES["DynamoDB, a write unit"]
                + sum(read for _, read in charges) * PRICES["DynamoDB, a read unit"]
                + operations["s3.PutObject"] * PRICES["S3, a put"]
                + operations["s3.GetObject"] * PRICES["S3, a get"]
            ),
            "queue, workflow": messages * PRICES["SQS, a request"] * MILLION,
            "logs": log / 1e9 * PRICES["CloudWatch Logs, a GB"] * MILLION,
        },
    )


def _seconds(path: Invocation, memory: int) -> float:
    """Return the seconds of an invocation: its CPU at its part of a core, and its calls of AWS.

    The calls have the medians that `bench/load/documented.py` assumes.
    """
    calls = sum(LATENCIES[step.operation.partition(".")[0]].median for step in path.steps)
    return ceil(path.cpu / min(1.0, memory / VCPU_MEMORY) + calls) / 1e3


# --- instead of it -------------------------------------------------------------------------------

# An item of 4 KB that is written, and written again with 2 KB more, in a table with one index for
# lists; three consistent reads of 6 KB.
_STORED = (5 + 1 + 7) * PRICES["DynamoDB, a write unit"] + POLLS * 2 * PRICES[
    "DynamoDB, a read unit"
]
# A function of 256 MB for each request, 15 ms long; half a KB of log.
_FUNCTION = (
    PRICES["Lambda, an invocation"]
    + 0.25 * 0.015 * PRICES["Lambda, a GB-second"]
    + (512 + ABOVE_START_LOG) / 1e9 * PRICES["CloudWatch Logs, a GB"]
)


def compute_step_functions(*, standard: bool) -> Bill:
    """Return the bill of a state machine: keep the request, call Bedrock, keep the answer.

    A function checks the key and starts it, another one reads the item. An Express workflow takes
    64 MB for five seconds; a Standard one makes five transitions (start, three states, end).
    """
    express = (
        PRICES["Step Functions Express, a request"]
        + WAIT * 64 / KB * (PRICES["Step Functions Express, a GB-second"])
    )
    workflow = 5 * PRICES["Step Functions Standard, a transition"] if standard else express
    return Bill(
        f"Step Functions {'Standard' if standard else 'Express'} with Bedrock",
        {
            "API Gateway": (1 + POLLS) * PRICES["HTTP API, a request"] * MILLION,
            "Lambda": (1 + POLLS) * _FUNCTION * MILLION,
            "storage": _STORED * MILLION,
            "queue, workflow": workflow * MILLION,
            "logs": 1_024 / 1e9 * PRICES["CloudWatch Logs, a GB"] * MILLION,
        },
    )


def compute_durable_functions() -> Bill:
    """Return the bill of a durable function of 256 MB: its start, its step and its end.

    Its wait for the model is billed. Its own writes are kept for a day; texts that are read and
    listed for longer are in the table.
    """
    operations = 3 * PRICES["Lambda durable functions, an operation"]
    written = ((IN_KB + OUT_KB) * KB) / 1e9 * PRICES["Lambda durable functions, a GB written"]
    return Bill(
        "Lambda durable functions",
        {
            "API Gateway": (1 + POLLS) * PRICES["HTTP API, a request"] * MILLION,
            "Lambda": ((2 + POLLS) * _FUNCTION + 0.25 * WAIT * PRICES["Lambda, a GB-second"])
            * MILLION,
            "storage": _STORED * MILLION,
            "queue, workflow": (operations + written) * MILLION,
            "logs": 1_024 / 1e9 * PRICES["CloudWatch Logs, a GB"] * MILLION,
        },
    )


def compute_fargate() -> float:
    """Return the dollars a month of two API tasks, two workers, a load balancer and two caches.

    Each task has a quarter of a vCPU and half a GB. That stands for what a Redis queue needs to
    outlive a zone, and waits for some hundred texts at once.
    """
    task = 0.25 * PRICES["Fargate, a vCPU hour"] + 0.5 * PRICES["Fargate, a GB hour"]
    return HOURS * (
        4 * task
        + PRICES["Application Load Balancer, an hour"]
        + 2 * PRICES["ElastiCache, an hour of cache.t4g.small"]
    )


# --- the tables ----------------------------------------------------------------------------------


def main() -> None:
    """Print the bills, and write them beside it as JSON."""
    argparse.ArgumentParser(prog="python -m bench.cost", description=__doc__).parse_args()
    console = Console()
    console.print("recording a text's way")
    paths = record_paths()
    bills = [
        *(compute_afterword(paths, occupancy) for occupancy in read_occupancies()),
        compute_step_functions(standard=False),
        compute_durable_functions(),
        compute_step_functions(standard=True),
    ]
    console.print(_tabulate(bills))
    console.print(_tabulate_months(bills))
    write_results(
        "cost",
        {
            "dollars a million": {bill.name: bill.total for bill in bills},
            **{f"dollars a million of {bill.name}": bill.parts for bill in bills},
            "dollars a month": {"Fargate with Redis": compute_fargate()},
        },
    )


def _tabulate(bills: Sequence[Bill]) -> Table:
    services_of = tuple(bills[0].parts)
    title = f"dollars a million texts, without the model (prices of {AS_OF})"
    table = Table("", *services_of, "together", box=SIMPLE, title=title)
    for bill in bills:
        parts = (f"{bill.parts[name]:,.2f}" for name in services_of)
        table.add_row(bill.name, *parts, f"{bill.total:,.2f}")
    return table


def _tabulate_months(bills: Sequence[Bill]) -> Table:
    columns = (f"{count:,} texts" for count in MONTHLY)
    table = Table("dollars a month", *columns, box=SIMPLE)
    for bill in bills:
        table.add_row(bill.name, *(f"{bill.total * n / MILLION:,.2f}" for n in MONTHLY))
    table.add_row("Fargate with Redis", *(f"{compute_fargate():,.2f}" for _ in MONTHLY))
    return table


if __name__ == "__main__":
    main()

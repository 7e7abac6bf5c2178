"""`python -m bench.deployed STACK --key KEY --flow FLOW`: the figures that only AWS can show.

Texts are submitted to a deployed stack at steady rates, and each is polled three times, as
`bench/cost.py` assumes. Then AWS is asked about that time: for Lambda's REPORT lines in the stack's
log group, and for the units that the table of generations consumed. The stack's own model answers,
and is paid for `--rates` times `--seconds` texts. Needed rights: cloudformation:DescribeStacks and
ListStackResources, logs:FilterLogEvents, cloudwatch:GetMetricData.
"""

import argparse
import json
import random
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3
import httpx
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import track
from rich.table import Table

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_logs import CloudWatchLogsClient

RATES = (1, 5, 20)
"""The texts a second of the runs."""
SECONDS = 120
"""The seconds of each run."""
POLLS = (1.0, 3.0, 8.0)
"""The seconds after its acceptance at which a text is asked for."""
INGESTION = timedelta(minutes=4)
"""The time after which the lines and the metrics of a run are there to be read."""
IN_BYTES = 4 * 1024
"""The bytes of a request's text."""
WORKER, SUBMIT, POLL = "GenerateFunction", "SubmitGenerationFunction", "GetGenerationFunction"
RESULTS = Path(__file__).parent / "results" / "deployed.json"
INDEXES = ("by_flow", "by_tenant", "by_due", "by_end")
"""The indexes that a plain generation writes."""
_REPORT = re.compile(
    r"REPORT RequestId: \S+\s+Duration: (?P<duration>[\d.]+) ms\s+"
    r"Billed Duration: (?P<billed>\d+) ms\s+Memory Size: (?P<memory>\d+) MB\s+"
    r"Max Memory Used: (?P<used>\d+) MB(?:\s+Init Duration: (?P<init>[\d.]+) ms)?"
)
_STREAM = re.compile(r"\d{4}/\d\d/\d\d/(?:(?P<function>[^\[]+))?\[")


class Report(NamedTuple):
    """An invocation, as its REPORT line tells it; times in milliseconds, memory in MB."""

    function: str
    duration: float
    billed: int
    memory: int
    used: int
    init: float | None


class Deployed(NamedTuple):
    """A deployed stack: its URL, its log group, its table and its functions' names by resource."""

    url: str
    log_group: str
    table: str
    functions: Mapping[str, str]


class Load(NamedTuple):
    """The texts of a run, and its time."""

    rate: int
    texts: int
    began: datetime
    ended: datetime
    accepted: Sequence[float]


class Row(NamedTuple):
    """The figures of a run."""

    rate: int
    texts: int
    accepted_p50: float
    accepted_p99: float
    first_answer: float | None
    billed_each: float
    gb_seconds_each: float
    texts_an_invocation: float
    memory_used: int
    write_units_each: float


def find_stack(cloudformation: "CloudFormationClient", name: str) -> Deployed:
    """Return the parts of a stack that are looked at."""
    (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    outputs = {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}
    names = {
        each["LogicalResourceId"]: each["PhysicalResourceId"]
        for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=name)
        for each in page["StackResourceSummaries"]
        if "PhysicalResourceId" in each
    }
    functions = {names[logical]: logical for logical in (WORKER, SUBMIT, POLL)}
    return Deployed(outputs["ApiUrl"], names["LogGroup"], outputs["GenerationsTable"], functions)


# --- the load ------------------------------------------------------------------------------------


def run_load(client: httpx.Client, flow: str, rate: int, seconds: int, seed: int) -> Load:
    """Submit at a rate for so many seconds, at random times, and poll each text."""
    chance = random.Random(seed)  # noqa: S311 - spreads load, guards nothing # nosec B311
    moments = sorted(chance.uniform(0, seconds) for _ in range(rate * seconds))
    began, start = datetime.now(UTC), time.monotonic()
    body = {"flow": flow, "inputs": {"text": ("Where is my order? " * 300)[:IN_BYTES]}}
    accepted: list[float] = []

    def ask(moment: float) -> None:
        _sleep_until(start + moment)
        asked = time.monotonic()
        response = client.post("/v1/generations", json=body).raise_for_status()
        accepted.append(time.monotonic() - asked)
        for wait in POLLS:
            _sleep_until(asked + wait)
            client.get(f"/v1/generations/{response.json()['id']}").raise_for_status()

    with ThreadPoolExecutor(max_workers=min(1_000, rate * 15)) as executor:
        done = executor.map(ask, moments)
        for _ in track(done, f"{rate} a second", total=len(moments)):
            pass
    return Load(rate, len(moments), began, datetime.now(UTC), accepted)


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


# --- what AWS says of it -------------------------------------------------------------------------


def read_reports(
    logs: "CloudWatchLogsClient", deployed: Deployed, began: datetime, ended: datetime
) -> list[Report]:
    """Return the invocations of a time, by the functions' logical names."""
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=deployed.log_group,
        startTime=int(began.timestamp() * 1e3),
        endTime=int(ended.timestamp() * 1e3),
        filterPattern="REPORT",
    )
    lines = (
        (event["logStreamName"], event["message"]) for page in pages for event in page["events"]
    )
    return list(parse_reports(lines, deployed.functions))


def parse_reports(
    lines: Iterable[tuple[str, str]], functions: Mapping[str, str]
) -> Iterable[Report]:
    """Return the invocations that lines of streams tell of; others are left out."""
    for stream, line in lines:
        of, told = _STREAM.match(stream), _REPORT.search(line)
        function = None if of is None else functions.get(of["function"] or "")
        if told is not None and function is not None:
            yield Report(
                function,
                float(told["duration"]),
                int(told["billed"]),
                int(told["memory"]),
                int(told["used"]),
                None if told["init"] is None else float(told["init"]),
            )


def read_write_units(
    cloudwatch: Any,  # noqa: ANN401 - no stubs of CloudWatch are installed
    table: str,
    began: datetime,
    ended: datetime,
) -> float:
    """Return the write units that a table and its indexes consumed in a time."""
    names: list[list[dict[str, str]]] = [[]]
    names += [[{"Name": "GlobalSecondaryIndexName", "Value": index}] for index in INDEXES]
    answer = cloudwatch.get_metric_data(
        StartTime=began - timedelta(minutes=1),
        EndTime=ended + timedelta(minutes=1),
        MetricDataQueries=[
            {
                "Id": f"units_{number}",
                "MetricStat": {
                    "Metric": {
                        "Namespace": "AWS/DynamoDB",
                        "MetricName": "ConsumedWriteCapacityUnits",
                        "Dimensions": [{"Name": "TableName", "Value": table}, *more],
                    },
                    "Period": 60,
                    "Stat": "Sum",
                },
            }
            for number, more in enumerate(names)
        ],
    )
    return float(sum(value for each in answer["MetricDataResults"] for value in each["Values"]))


def sum_up(load: Load, reports: Sequence[Report], write_units: float) -> Row:
    """Return the figures of a run."""
    worker = [each for each in reports if each.function == WORKER]
    begun = [each.init + each.duration for each in reports if each.init and each.function == SUBMIT]
    cuts = quantiles(load.accepted, n=100)
    return Row(
        rate=load.rate,
        texts=load.texts,
        accepted_p50=median(load.accepted) * 1e3,
        accepted_p99=cuts[98] * 1e3,
        first_answer=median(begun) if begun else None,
        billed_each=sum(each.billed for each in worker) / 1e3 / load.texts,
        gb_seconds_each=sum(each.billed / 1e3 * each.memory / 1024 for each in worker) / load.texts,
        texts_an_invocation=load.texts / max(1, len(worker)),
        memory_used=max((each.used for each in worker), default=0),
        write_units_each=write_units / load.texts,
    )


def main() -> None:
    """Print the table, and write its figures beside it as JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.deployed", description=__doc__)
    parser.add_argument("stack", help="the name of the stack")
    parser.add_argument("--key", required=True, help="an API key with the scopes submit and read")
    parser.add_argument("--flow", required=True, help="a flow of one step, with the input `text`")
    parser.add_argument("--rates", type=int, nargs="+", default=RATES, help="texts a second")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="the seconds of each run")
    parser.add_argument("--output", type=Path, default=RESULTS, help="the file of the figures")
    arguments = parser.parse_args()
    console = Console()
    deployed = find_stack(boto3.client("cloudformation"), arguments.stack)
    headers = {"Authorization": f"Bearer {arguments.key}"}
    with httpx.Client(base_url=deployed.url, headers=headers, timeout=30) as client:
        loads = [
            run_load(client, arguments.flow, rate, arguments.seconds, seed)
            for seed, rate in enumerate(arguments.rates)
        ]
    for _ in track(range(int(INGESTION.total_seconds())), "waiting for the logs and the metrics"):
        time.sleep(1)
    logs, cloudwatch = boto3.client("logs"), boto3.client("cloudwatch")
    rows = []
    for load in loads:
        ended = load.ended + timedelta(seconds=30)
        reports = read_reports(logs, deployed, load.began, ended)
        units = read_write_units(cloudwatch, deployed.table, load.began, ended)
        rows.append(sum_up(load, reports, units))
    console.print(tabulate(rows))
    output: Path = arguments.output
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps([row._asdict() for row in rows], indent=2) + "\n")


def tabulate(rows: Sequence[Row]) -> Table:
    """Return the table of all runs, a figure a line."""
    table = Table("", *(f"{row.rate} a second" for row in rows), box=SIMPLE)
    for name, shown in (
        ("acceptance p50, ms", [f"{row.accepted_p50:.0f}" for row in rows]),
        ("acceptance p99, ms", [f"{row.accepted_p99:.0f}" for row in rows]),
        (
            "first answer of a new instance, ms",
            ["-" if row.first_answer is None else f"{row.first_answer:.0f}" for row in rows],
        ),
        ("billed worker seconds a text", [f"{row.billed_each:.3f}" for row in rows]),
        ("worker GB-s a text", [f"{row.gb_seconds_each:.3f}" for row in rows]),
        ("texts an invocation", [f"{row.texts_an_invocation:.1f}" for row in rows]),
        ("memory of the worker at most, MB", [str(row.memory_used) for row in rows]),
        ("write units a text", [f"{row.write_units_each:.1f}" for row in rows]),
    ):
        table.add_row(name, *shown)
    return table


if __name__ == "__main__":
    main()

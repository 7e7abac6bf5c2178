"""One measurement in a fresh process: `process.py <a Plan as JSON>`.

Imports Lambda's own runtime first, as Lambda does before it looks at a function, and starts the
clock after that. Prints a Measurement as JSON on stderr: stdout is the function's, for its logs.
"""

import importlib
import json
import re
import sys
import time
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypedDict

type Calls = list[tuple[str, str]]
"""Requests that the stub has seen: target and body."""

type Until = Literal["runtime", "init", "end"]
"""The part of a plan to run: Lambda's runtime alone, init too, or all of it."""


class Plan(TypedDict):
    """The code to run: the built function in `paths`, or with `calls` these calls in bare boto3."""

    runtime: str  # where awslambdaric is
    paths: list[str]
    event: dict[str, Any]
    clients: list[str]
    calls: tuple[Calls, Calls] | None  # of the first request, and of each one after it
    url: str  # the stub's
    batches: int  # of warm requests, after the first request
    requests: int  # in each of them
    procs: str | None  # the control group of all that comes after init, None for all processors
    until: Until
    again: bool  # the timed answer is the second one
    frozen: bool  # the timed answer is the second one, and the stub closes connections before it


class Measurement(TypedDict):
    """CPU milliseconds from the first import on, and for one request once warm.

    `waited` is the milliseconds by the clock that a caller waits for the answer after init, and
    `peak` the most megabytes of memory until then.
    """

    imported: float
    answered: float
    warm: float
    waited: float
    peak: float
    answer: dict[str, Any]


class Context:
    """Lambda's context object, as far as functions look at it."""

    aws_request_id = "bench"

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds left of the invocation."""
        return 60_000


type Request = Callable[[], dict[str, Any]]


def built_function(plan: Plan) -> tuple[Request, Request]:
    """Import the function as Lambda does; return its first and its later requests."""
    handler = importlib.import_module("app").handler
    context = Context()

    def request() -> dict[str, Any]:
        answer: dict[str, Any] = handler(plan["event"], context)
        return answer

    return request, request


def bare_boto3(plan: Plan, first: Calls, later: Calls) -> tuple[Request, Request]:
    """Import boto3 and make the clients; return the same calls as the function's."""
    boto3 = importlib.import_module("boto3")
    clients = {service: boto3.client(service) for service in plan["clients"]}

    def bare(target: str, body: str) -> Callable[[], object]:
        service, _, operation = target.partition(".")
        if not operation:
            pool = importlib.import_module("urllib3").PoolManager()
            return lambda: pool.request("POST", plan["url"] + target, body=body).json()
        words = "".join(f"_{char.lower()}" if char.isupper() else char for char in operation)
        client = clients[{"AmazonSQS": "sqs", "AWSEvents": "events"}.get(service, "dynamodb")]
        call = getattr(client, words.removeprefix("_"))
        parameters = json.loads(body, object_hook=_read_binary)
        return lambda: call(**parameters)

    def replay(calls: Calls) -> Request:
        prepared = [bare(*call) for call in calls]
        return lambda: {"answers": [call() for call in prepared]}

    return replay(first), replay(later)


def measure(plan: Plan) -> Measurement | None:
    """Measure a cold start until the first answer, then warm requests; None for less than all."""
    sys.path.append(plan["runtime"])
    importlib.import_module("awslambdaric.bootstrap")
    sys.path.remove(plan["runtime"])
    sys.path[:0] = plan["paths"]
    if plan["until"] == "runtime":
        return None

    started = time.process_time()
    if plan["calls"] is None:
        first, later = built_function(plan)
    else:
        first, later = bare_boto3(plan, *plan["calls"])
    imported = time.process_time()
    if plan["until"] == "init":
        if plan["calls"] is None:
            _build_clients(plan["clients"])
        return None
    if plan["again"] or plan["frozen"]:
        first()
        first = later
    if plan["frozen"]:
        _close_connections(plan["url"])
    if plan["procs"] is not None:
        Path(plan["procs"]).write_text("0")  # this process
    asked = time.monotonic()
    answer = first()
    waited = time.monotonic() - asked
    answered = time.process_time()
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return {
        "imported": (imported - started) * 1e3,
        "answered": (answered - started) * 1e3,
        "waited": waited * 1e3,
        "peak": 0.0 if peak is None else int(peak[1]) / 1024,
        "warm": _warm(later, plan["batches"], plan["requests"]) * 1e3,
        "answer": answer,
    }


def _read_binary(value: dict[str, Any]) -> dict[str, Any]:
    """Return a value of an item, with its bytes where it is binary."""
    return {"B": b64decode(value["B"])} if value.keys() == {"B"} else value


def _build_clients(services: list[str]) -> None:
    """Build a function's clients, unless its start has done so already."""
    clients = importlib.import_module("afterword.runtime.clients").clients()
    for service in services:
        getattr(clients, service)


def _close_connections(url: str) -> None:
    """Have the stub close the connections of TLS."""
    # Imported here: the function's own imports of the same modules are measured.
    stub = importlib.import_module("http.client").HTTPConnection(url.removeprefix("http://"))
    stub.request("GET", "/close")
    stub.getresponse().read()
    stub.close()


def _warm(request: Request, batches: int, requests: int) -> float:
    """Return CPU seconds per request in the best batch: in the others something else ran too."""
    seconds: list[float] = []
    for _ in range(batches):
        started = time.process_time()
        for _ in range(requests):
            request()
        seconds.append((time.process_time() - started) / requests)
    return min(seconds, default=0.0)


if __name__ == "__main__":
    plan: Plan = json.loads(sys.argv[1])
    print(json.dumps(measure(plan), default=repr), file=sys.stderr)  # items have bytes

"""One measurement in a fresh process: `process.py <a Plan as JSON>`.

Imports Lambda's own runtime first, as Lambda does before it looks at a function, and starts the
clock after that. Prints a Measurement as JSON on stderr: stdout is the function's, for its logs.
"""

import importlib
import json
import sys
import time
from collections.abc import Callable
from typing import Any, TypedDict

type Calls = list[tuple[str, str]]
"""Requests that the stub has seen: target and body."""


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


class Measurement(TypedDict):
    """CPU milliseconds from the first import on, and for one request once warm."""

    imported: float
    answered: float
    warm: float
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
        parameters = json.loads(body)
        return lambda: call(**parameters)

    def replay(calls: Calls) -> Request:
        prepared = [bare(*call) for call in calls]
        return lambda: {"answers": [call() for call in prepared]}

    return replay(first), replay(later)


def measure(plan: Plan) -> Measurement:
    """Measure a cold start until the first answer, then warm requests."""
    sys.path.append(plan["runtime"])
    importlib.import_module("awslambdaric.bootstrap")
    sys.path.remove(plan["runtime"])
    sys.path[:0] = plan["paths"]

    started = time.process_time()
    if plan["calls"] is None:
        first, later = built_function(plan)
    else:
        first, later = bare_boto3(plan, *plan["calls"])
    imported = time.process_time()
    answer = first()
    answered = time.process_time()
    return {
        "imported": (imported - started) * 1e3,
        "answered": (answered - started) * 1e3,
        "warm": _warm(later, plan["batches"], plan["requests"]) * 1e3,
        "answer": answer,
    }


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
    print(json.dumps(measure(plan)), file=sys.stderr)

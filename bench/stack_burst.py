"""50 generations at once on an embedded stack of its own, whose model takes 200 ms.

Usage: python -m bench.stack_burst. The first burst is sent as soon as the stack says
"ready", the warm ones after it. A burst lasts from its first submission until the last of its
generations has ended, as the events of the stack tell.
"""

import argparse
import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from bench.results import write_results
from local.aws import session
from local.stack import Stack, run
from local.tenants import MAIL_FLOW

GENERATIONS = 50
MODEL_SECONDS = 0.2
WARM_BURSTS = 3
CLIENT_SECONDS = 60.0
BURST_SECONDS = 300.0
QUEUE = "stack-burst"
SUBMISSION = {"flow": MAIL_FLOW.id, "inputs": {"text": "When does my policy end?"}}


@dataclass(frozen=True)
class Start:
    """The start of the stack, until "ready"."""

    seconds: float
    cpu_seconds: float  # of ministack and the functions
    processes: int  # of functions


@dataclass(frozen=True)
class Burst:
    """One burst."""

    name: str
    accepted_seconds: float  # until the last submission was answered
    seconds: float  # until the last generation had ended; -1 when one did not end
    refused: int  # answers that are not 2xx, and submissions without an answer
    cpu_seconds: float  # of ministack and the functions
    processes: int  # of functions, when it was over


class SlowModel(BaseHTTPRequestHandler):
    """An OpenAI-compatible model that answers after MODEL_SECONDS."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one write per answer: two would wait for each other (Nagle)

    def do_GET(self) -> None:
        """List the model."""
        self._send({"data": [{"id": "slow"}]})

    def do_POST(self) -> None:
        """Complete any request."""
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(MODEL_SECONDS)
        choice = {"message": {"role": "assistant", "content": "Soon."}, "finish_reason": "stop"}
        self._send({"choices": [choice], "usage": {"prompt_tokens": 200, "completion_tokens": 2}})

    def _send(self, answer: object) -> None:
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


class ModelServer(ThreadingHTTPServer):
    """A server that takes all generations at once."""

    request_queue_size = GENERATIONS
    daemon_threads = True


@contextmanager
def slow_model() -> Iterator[str]:
    """Serve the model; give its base URL."""
    with ModelServer(("127.0.0.1", 0), SlowModel) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()


class Ends:
    """The ends of all generations of a stack, from its event bus."""

    def __init__(self, endpoint: str) -> None:
        self._sqs = session().client("sqs", endpoint_url=endpoint)
        events = session().client("events", endpoint_url=endpoint)
        self._url = self._sqs.create_queue(QueueName=QUEUE)["QueueUrl"]
        queue = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])
        pattern = json.dumps({"detail-type": ["GenerationFinished"]})
        events.put_rule(Name=QUEUE, EventPattern=pattern)
        arn = queue["Attributes"]["QueueArn"]
        events.put_targets(Rule=QUEUE, Targets=[{"Id": "queue", "Arn": arn}])

    def wait(self, generations: set[str], seconds: float) -> bool:
        """Wait until these generations have ended; return False when they have not in time."""
        waiting = set(generations)
        deadline = time.monotonic() + seconds
        while waiting and time.monotonic() < deadline:
            received = self._sqs.receive_message(
                QueueUrl=self._url, MaxNumberOfMessages=10, WaitTimeSeconds=1
            )
            for message in received.get("Messages", []):
                waiting.discard(json.loads(message["Body"])["detail"]["id"])
        return not waiting


async def burst(name: str, stack: Stack, ends: Ends) -> Burst:
    """Submit all generations at once, and wait for their ends."""
    tenant: dict[str, Any] = stack.tenants[0]
    key = {"Authorization": f"Bearer {tenant['api_key']}"}
    limits = httpx.Limits(max_connections=GENERATIONS)
    async with httpx.AsyncClient(
        base_url=stack.url, headers=key, timeout=CLIENT_SECONDS, limits=limits
    ) as client:
        cpu_before, _ = use_of(stack.pids["aws"])
        started = time.monotonic()
        answers = await asyncio.gather(
            *(client.post("/v1/generations", json=SUBMISSION) for _ in range(GENERATIONS)),
            return_exceptions=True,
        )
    accepted_seconds = time.monotonic() - started
    accepted = {
        str(answer.json()["id"])
        for answer in answers
        if isinstance(answer, httpx.Response) and answer.is_success
    }
    ended = await asyncio.to_thread(ends.wait, accepted, BURST_SECONDS)
    seconds = time.monotonic() - started
    cpu, processes = use_of(stack.pids["aws"])
    return Burst(
        name,
        round(accepted_seconds, 2),
        round(seconds, 2) if ended else -1.0,
        GENERATIONS - len(accepted),
        round(cpu - cpu_before, 2),
        processes,
    )


def use_of(aws: int) -> tuple[float, int]:
    """Return the CPU seconds of ministack and its functions, and how many of these run (Linux)."""
    ticks, functions = 0, 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        is_function = int(fields[1]) == aws
        functions += is_function
        if is_function or path.parent.name == str(aws):
            ticks += sum(map(int, fields[11:15]))  # its own and those of children that have ended
    return ticks / os.sysconf("SC_CLK_TCK"), functions


async def measure(stack: Stack) -> list[Burst]:
    """Return the first burst and the warm ones."""
    ends = await asyncio.to_thread(Ends, stack.endpoint)
    names = ["first", *["warm"] * WARM_BURSTS]
    return [await burst(name, stack, ends) for name in names]


async def start_and_measure() -> tuple[Start, list[Burst]]:
    """Start a stack; return the start and the bursts."""
    starts: list[Start] = []
    bursts: list[Burst] = []
    began = time.monotonic()

    async def use(stack: Stack) -> int:
        cpu, processes = use_of(stack.pids["aws"])
        starts.append(Start(round(time.monotonic() - began, 2), round(cpu, 2), processes))
        bursts.extend(await measure(stack))
        return 0

    with slow_model() as url:
        kept = {name: value for name, value in os.environ.items() if "AFTERWORD" not in name}
        await run(0, use, announce=False, environ={**kept, "AFTERWORD_MODEL_URL": url})
    return starts[0], bursts


def main() -> None:
    """Print the bursts, and write their figures beside it."""
    argparse.ArgumentParser(prog="python -m bench.stack_burst", description=__doc__).parse_args()
    start, bursts = asyncio.run(start_and_measure())
    print(
        f"ready after {start.seconds:.2f} s, {start.cpu_seconds:.2f} s of CPU, with"
        f" {start.processes} processes of functions"
    )
    print("burst   accepted s   ended s   refused   CPU s   processes")
    for its in bursts:
        print(
            f"{its.name:5} {its.accepted_seconds:12.2f} {its.seconds:9.2f}"
            f" {its.refused:9} {its.cpu_seconds:7.2f} {its.processes:11}"
        )
    first, *warm = bursts
    write_results(
        "stack_burst",
        {
            "seconds": {
                "ready": start.seconds,
                "first": first.seconds,
                "warm": median(each.seconds for each in warm),
            },
            "CPU s": {
                "ready": start.cpu_seconds,
                "first": first.cpu_seconds,
                "warm": median(each.cpu_seconds for each in warm),
            },
            "refused": {"all": sum(each.refused for each in bursts)},
        },
    )
    if any(its.refused or its.seconds < 0 for its in bursts):
        sys.exit("some generations were refused, or did not end")


if __name__ == "__main__":
    main()

"""Drives an embedded stack from outside: its process, and its API over HTTP."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from afterword.flows.drafts import Flow
from afterword.runtime.packing import unpack
from afterword.tenants.keys import Scope
from afterword.tenants.registry import Registry
from local.aws import session
from local.places import read

ROOT = Path(__file__).parents[3]
START_SECONDS = 240.0  # a first start builds
FINISH_SECONDS = 240.0
SETTINGS = {
    "AFTERWORD_MODEL_PROVIDER": "demo",
    "AFTERWORD_MODEL_CHECK": "0",
    "AFTERWORD_WARM": "0",
}
STOP_SECONDS = 60.0

type Json = dict[str, Any]


def until[T](condition: Callable[[], T], seconds: float, every: float = 0.1) -> T:
    """Return the condition's first true value; fail when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {condition}"
        time.sleep(every)
    return value


def _read(value: Any) -> str:  # noqa: ANN401 - as boto3 has it
    """Return an attribute as a text, a compressed one too."""
    return unpack(value) if "B" in value else str(next(iter(value.values())))


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class Tenant:
    """A tenant of a running stack, and a client with its key."""

    url: str
    id: str
    key: str
    flow: str

    @property
    def mails(self) -> str:
        """Path of its mail flow."""
        return f"/api/companies/{self.id}/orchestrators/{self.flow}/generation-async"

    def request(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send a request with the tenant's key."""
        key = {"Authorization": f"Bearer {self.key}"}
        return httpx.request(
            method, self.url + path, content=content, headers={**key, **(headers or {})}, timeout=60
        )

    def submit(self, **mail: object) -> str:
        """Submit a mail and return its process id."""
        headers = {"Content-Type": "application/json"}
        content = json.dumps(mail).encode()
        answer = self.request("POST", self.mails, content=content, headers=headers)
        assert answer.status_code == 200, answer.text
        process: str = answer.json()["process_cuid"]
        return process

    def read(self, process: str) -> Json:
        """Return the API's answer about a process."""
        answer = self.request("GET", f"{self.mails}/{process}")
        assert answer.status_code == 200, answer.text
        output: Json = answer.json()
        return output

    def finish(self, process: str) -> Json:
        """Wait until a process has ended and return what the API says of it."""
        return until(lambda: self._ended(process), FINISH_SECONDS, every=0.5)

    def _ended(self, process: str) -> Json:
        output = self.read(process)
        return {} if output["status"] == "started" else output


@dataclass(frozen=True)
class Account:
    """The AWS account of a running stack, as its root user reaches it."""

    url: str  # the HTTP API
    endpoint: str
    stack: str

    def outputs(self) -> dict[str, str]:
        """Return the outputs of the CloudFormation stack."""
        client = session().client("cloudformation", endpoint_url=self.endpoint)
        (stack,) = client.describe_stacks(StackName=self.stack)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def registry(self) -> Registry:
        """Return the registry of tenants."""
        dynamodb = session().client("dynamodb", endpoint_url=self.endpoint)
        return Registry(dynamodb, self.outputs()["RegistryTable"])

    def create_tenant(self, tenant_id: str, flow: Flow) -> Tenant:
        """Create a tenant with a key and a flow."""
        registry = self.registry()
        registry.create_tenant(tenant_id, tenant_id)
        registry.put_flow(tenant_id, flow.id, flow.model_dump_json())
        _, key = registry.create_key(tenant_id, [Scope.SUBMIT, Scope.READ])
        return Tenant(self.url, tenant_id, key, flow.id)

    def generations(self, tenant: Tenant) -> list[dict[str, str]]:
        """Return a tenant's items of the generations table, attributes as texts."""
        dynamodb = session().client("dynamodb", endpoint_url=self.endpoint)
        table = self.outputs()["GenerationsTable"]
        items = [
            {name: _read(value) for name, value in item.items()}
            for page in dynamodb.get_paginator("scan").paginate(TableName=table)
            for item in page["Items"]
        ]
        return [item for item in items if item.get("tenant") == tenant.id]

    def subscribe(self, tenant: Tenant) -> str:
        """Send the ends of a tenant's generations to a new queue from now on; return its URL."""
        sqs = session().client("sqs", endpoint_url=self.endpoint)
        events = session().client("events", endpoint_url=self.endpoint)
        url = sqs.create_queue(QueueName=f"ends-of-{tenant.id}")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
        pattern = {"detail-type": ["GenerationFinished"], "detail": {"tenant": [tenant.id]}}
        events.put_rule(Name=tenant.id, EventPattern=json.dumps(pattern))
        events.put_targets(Rule=tenant.id, Targets=[{"Id": "queue", "Arn": arn["QueueArn"]}])
        return url

    def received(self, queue_url: str) -> list[Json]:
        """Take all events that are in a queue."""
        sqs = session().client("sqs", endpoint_url=self.endpoint)
        events: list[Json] = []
        while messages := sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get(
            "Messages", []
        ):
            for message in messages:
                events.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
        return events


def processes_of(port: int) -> list[str]:
    """Return the commands that run with this run's folder or port in environment or arguments."""
    marks = (f"/.local/{port}/".encode(), f"--port\0{port}\0".encode())
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            text = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
        except OSError:
            continue
        if any(mark in text for mark in marks):
            found.append((process / "cmdline").read_text().replace("\0", " "))
    return found


@dataclass(frozen=True)
class Dev:
    """A `python -m local dev` process."""

    port: int
    process: subprocess.Popen[str]
    output: Path

    @property
    def folder(self) -> Path:
        """Where this stack writes its logs."""
        return ROOT / ".local" / str(self.port)

    def facts(self) -> Json:
        """Return the facts that this stack announces, {} before it is ready and after its end."""
        return read(self.folder / "dev.json")

    def account(self) -> Account:
        """Return the stack's AWS account."""
        facts = self.facts()
        return Account(facts["url"], facts["endpoint"], facts["stack"])

    def ready(self) -> Json:
        """Wait until the stack is ready and return dev.json."""

        def ready_or_over() -> Json | bool:
            return self.facts() or self.process.poll() is not None

        until(ready_or_over, START_SECONDS)
        assert self.process.poll() is None, self.output.read_text()
        return self.facts()

    def tenants(self) -> list[Tenant]:
        """Return the stack's tenants."""
        facts = self.facts()
        return [
            Tenant(
                facts["url"],
                tenant["id"],
                tenant["api_key"],
                tenant["flows"]["dialonce"]["orchestrator"],
            )
            for tenant in facts["tenants"]
        ]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask the stack to stop and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=STOP_SECONDS)


def command(port: int) -> list[str]:
    """Return the command of `make dev`."""
    return [sys.executable, "-m", "local", "dev", "--port", str(port)]


def environment(**settings: str) -> dict[str, str]:
    """Return this environment, but with these settings for the model and no others."""
    kept = {name: value for name, value in os.environ.items() if "AFTERWORD" not in name}
    return {**kept, **settings}


def refused(command: Sequence[str], **settings: str) -> str:
    """Run a command of `local` that cannot start, and return the one line that says why."""
    ended = subprocess.run(  # noqa: S603 - our own command
        command,
        cwd=ROOT,
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1, ended.stderr
    return ended.stderr


@contextmanager
def running(folder: Path, port: int = 0, /, **settings: str) -> Iterator[Dev]:
    """Run a stack, on a free port and with the demo model unless others are asked for.

    No model is checked and no function is started unless the settings say so: tests want the time.
    """
    port = port or free_port()
    path = folder / f"dev-{port}.out"
    with path.open("a") as output:
        process = subprocess.Popen(  # noqa: S603 - our own command
            command(port),
            cwd=ROOT,
            env=environment(**{**SETTINGS, **settings}),
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )
    dev = Dev(port, process, path)
    try:
        dev.ready()
        yield dev
    finally:
        if dev.process.poll() is None:
            dev.stop()
    # Not after a failure: the logs may tell why. Another stack on this port may have gone before.
    shutil.rmtree(dev.folder, ignore_errors=True)

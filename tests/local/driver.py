"""Drives an embedded stack from outside: its process, and its API over HTTP."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
START_SECONDS = 240.0  # a first start builds
FINISH_SECONDS = 240.0

type Json = dict[str, Any]


def until[T](condition: Callable[[], T], seconds: float, every: float = 0.1) -> T:
    """Return the condition's first true value; fail when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {condition}"
        time.sleep(every)
    return value


def free_port() -> int:
    """Return a port that nobody listens on."""
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
        """Return what the API says of a process."""
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
class Dev:
    """A `python -m local dev` process."""

    port: int
    process: subprocess.Popen[str]
    output: Path

    def facts(self) -> Json:
        """Return what dev.json says now, {} while this stack is not in it."""
        try:
            facts: Json = json.loads((ROOT / ".local" / "dev.json").read_text())
        except FileNotFoundError:
            return {}
        return facts if facts["port"] == self.port else {}

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
        return self.process.wait(timeout=30)


def command(port: int) -> list[str]:
    """Return the command of `make dev`."""
    return [sys.executable, "-m", "local", "dev", "--port", str(port)]


def environment(**settings: str) -> dict[str, str]:
    """Return this environment, but with these settings for the model and no others."""
    kept = {name: value for name, value in os.environ.items() if "AFTERWORD" not in name}
    return {**kept, **settings}


@contextmanager
def running(folder: Path) -> Iterator[Dev]:
    """Run a stack on a free port."""
    port = free_port()
    path = folder / f"dev-{port}.out"
    with path.open("w") as output:
        process = subprocess.Popen(  # noqa: S603 - our own command
            command(port),
            cwd=ROOT,
            env=environment(AFTERWORD_MODEL_PROVIDER="demo"),
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
    shutil.rmtree(ROOT / ".local" / str(port))  # not after a failure: its logs may tell why

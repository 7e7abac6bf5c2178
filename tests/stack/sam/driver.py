"""Drives `make sam-local` from outside: its process, its API and its containers."""

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.stack.embedded.driver import (
    START_SECONDS,
    STOP_SECONDS,
    Account,
    Tenant,
    environment,
    processes_of,
    until,
)

ROOT = Path(__file__).parents[3]
ID = re.compile(r"SAM_CONTAINER_ID: (\w+)")

type Json = dict[str, Any]


def docker(*arguments: str) -> str:
    """Run a `docker` command that must succeed, and return what it prints."""
    ran = subprocess.run(  # noqa: S603 - our own command
        ["docker", *arguments],  # noqa: S607 - as PATH has it
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.strip()


def free_port() -> int:
    """Return a free port that sam does not take for a container."""
    return next(port for port in range(3100, 5000) if not taken(port))


def taken(port: int) -> bool:
    """Whether this port of loopback is in use."""
    ends = Path("/proc/net/tcp").read_text().split("\n")[1:]
    return any(line.split()[1].endswith(f":{port:04X}") for line in ends if line)


def containers_of(ids: list[str]) -> list[str]:
    """Return those of these containers that exist."""
    there = docker("ps", "-aq", "--no-trunc").split()
    return [each for each in ids if each in there]


@dataclass(frozen=True)
class SamLocal:
    """A `python -m local sam-local` process."""

    port: int
    process: subprocess.Popen[str]
    output: Path

    @property
    def folder(self) -> Path:
        """The folder of its files."""
        return ROOT / ".local" / str(self.port)

    def sam_log(self) -> str:
        """Return the output of sam."""
        path = self.folder / "sam.log"
        return path.read_text() if path.exists() else ""

    def facts(self) -> Json:
        """Return the facts that the stack announces."""
        facts: Json = json.loads((self.folder / "dev.json").read_text())
        return facts

    def tenant(self) -> Tenant:
        """Return a tenant of its stack."""
        facts = self.facts()
        tenant = facts["tenants"][0]
        flow = tenant["flows"]["dialonce"]["orchestrator"]
        return Tenant(facts["url"], tenant["id"], tenant["api_key"], flow)

    def account(self) -> Account:
        """Return the stack's AWS account."""
        facts = self.facts()
        return Account(facts["url"], facts["endpoint"], facts["stack"])

    def containers(self) -> list[str]:
        """Return the ids of its containers, in whatever state they are."""
        return containers_of(ID.findall(self.sam_log()))

    def ended(self) -> int:
        """Wait for its end and return its exit code."""
        return self.process.wait(timeout=STOP_SECONDS)

    def is_gone(self) -> bool:
        """Whether nothing is left of it."""
        return not self.containers() and not processes_of(self.port)


def command(port: int) -> list[str]:
    """Return the command of `make sam-local`."""
    return [sys.executable, "-m", "local", "sam-local", "--port", str(port)]


@contextmanager
def starting(folder: Path) -> Iterator[SamLocal]:
    """Run it on a free port until the end, whoever ends it."""
    port = free_port()
    path = folder / f"sam-{port}.out"
    with path.open("w") as output:
        process = subprocess.Popen(  # noqa: S603 - our own command
            command(port),
            cwd=ROOT,
            env=environment(AFTERWORD_MODEL_PROVIDER="demo"),
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )
    sam = SamLocal(port, process, path)
    try:
        yield sam
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=STOP_SECONDS)
    shutil.rmtree(sam.folder)  # not after a failure: its logs may tell why


@contextmanager
def running(folder: Path) -> Iterator[SamLocal]:
    """Run it on a free port, and wait until it is ready."""
    with starting(folder) as sam:
        announced = sam.folder / "dev.json"
        until(lambda: announced.exists() or sam.process.poll() is not None, START_SECONDS)
        assert sam.process.poll() is None, sam.output.read_text()
        yield sam

"""`python -m bench.peers`: afterword on the embedded stack beside queues that teams build.

Each peer is a FastAPI application with a queue behind it and a worker that runs 50 jobs at once:
arq with Redis, Celery with Redis, procrastinate with PostgreSQL. All are on this machine, ask the
same model, which takes 200 ms, and have the same client, which submits all at once and polls. The
table says how long the last text took, how long an acceptance took (half of them), and the CPU time
of all processes but the model's and the client's.

A peer whose server is not on this machine (`redis-server`, `postgres`) is named and left out.
"""

import argparse
import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

import httpx
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from bench.cases import ROOT
from bench.results import write_results
from bench.stack_burst import slow_model
from local.stack import Stack, run
from local.tenants import MAIL_FLOW

PYTHON = ROOT / ".venv" / "peers" / "bin" / "python"
COUNTS = (50, 500)
"""The texts that are asked for at once."""
FIRST_POLL, POLL_GROWTH, LAST_POLL = 0.1, 1.3, 1.0
"""The seconds until a client polls, the growth of that time, and its bound."""
PATIENCE = 300.0
"""The seconds after which a text counts as lost."""
WARM_UP = 10
"""Texts before the first measurement."""
SERVER_FOLDERS = (Path("/usr/lib/postgresql"), Path("/usr/local/pgsql"))
"""Where PostgreSQL's programs are, if not on PATH."""


class Service(NamedTuple):
    """A running service: how to submit and read there, and the processes that it is made of."""

    client: httpx.AsyncClient
    path: str
    body: Mapping[str, object]
    processes: Sequence[int]


class Run(NamedTuple):
    """The figures of one count of texts.

    Seconds until the last one, half of the acceptances in ms, CPU ms for each.
    """

    texts: int
    makespan: float
    accepted_p50: float
    cpu_each: float


# --- the client ----------------------------------------------------------------------------------


async def measure(service: Service, texts: int) -> Run:
    """Submit so many texts at once, and poll for each until it is there."""
    cpu, began = cpu_seconds(service.processes), time.monotonic()
    accepted = await asyncio.gather(*(_ask(service) for _ in range(texts)))
    makespan = time.monotonic() - began
    used = cpu_seconds(service.processes) - cpu
    return Run(texts, makespan, median(accepted) * 1e3, used * 1e3 / texts)


async def _ask(service: Service) -> float:
    """Ask for one text and wait for it; return the seconds until it was accepted."""
    began = time.monotonic()
    response = await service.client.post(service.path, json=service.body)
    response.raise_for_status()
    accepted = time.monotonic() - began
    wait, path = FIRST_POLL, f"{service.path}/{response.json()['id']}"
    while time.monotonic() - began < PATIENCE:
        await asyncio.sleep(wait)
        answer = (await service.client.get(path)).raise_for_status().json()
        if answer.get("output") is not None:
            return accepted
        wait = min(LAST_POLL, wait * POLL_GROWTH)
    raise TimeoutError(f"{path}: no text in {PATIENCE:.0f} s.")


def cpu_seconds(roots: Sequence[int]) -> float:
    """Return the CPU seconds of processes and of all their children, ended ones too (Linux)."""
    ticks, parents = dict[int, int](), dict[int, int]()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        pid = int(path.parent.name)
        ticks[pid], parents[pid] = sum(map(int, fields[11:15])), int(fields[1])
    counted, new = set[int](), set(roots)
    while new:
        counted |= new
        new = {pid for pid, parent in parents.items() if parent in new} - counted
    return sum(ticks.get(pid, 0) for pid in counted) / os.sysconf("SC_CLK_TCK")


def _client(url: str, headers: Mapping[str, str]) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=50)
    return httpx.AsyncClient(base_url=url, headers=headers, timeout=PATIENCE, limits=limits)


# --- the peers -----------------------------------------------------------------------------------


class MissingServerError(Exception):
    """A program that a peer needs is not on this machine."""


@contextmanager
def redis(folder: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Run Redis, which writes each second to disk what it has taken."""
    port = free_port()
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "yes"]
    with process([find_server("redis-server"), *options, "--dir", str(folder)], {}) as pid:
        wait_for(port)
        yield pid, {"REDIS_URL": f"redis://127.0.0.1:{port}/0"}


@contextmanager
def postgres(folder: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Run PostgreSQL with its defaults, as nobody where this is root."""
    user = "nobody" if os.geteuid() == 0 else None
    if user is not None:
        shutil.chown(folder, user)
    data, port = str(folder / "data"), free_port()
    subprocess.run(  # noqa: S603 - the server's own program # nosec B603
        [find_server("initdb"), "-D", data, "-U", "peers", "-A", "trust", "-N"],
        check=True, stdout=subprocess.DEVNULL, user=user, cwd=folder,
    )  # fmt: skip
    command = [find_server("postgres"), "-D", data, "-h", "127.0.0.1", "-p", str(port)]
    with process([*command, "-k", str(folder)], {}, user) as pid:
        wait_for(port)
        dsn = f"host=127.0.0.1 port={port} user=peers dbname=postgres"
        yield pid, {"POSTGRES_DSN": dsn}


class Peer(NamedTuple):
    """A peer's server, its worker's arguments of Python, and what is run before it."""

    server: Callable[[Path], AbstractContextManager[tuple[int, Mapping[str, str]]]]
    worker: Sequence[str]
    prepare: Sequence[str] = ()


def _run_of_procrastinate(function: str) -> list[str]:
    module = "bench.peers.apps.procrastinate_queue"
    return ["-c", f"import asyncio, {module} as queue; asyncio.run(queue.{function}())"]


PEERS = {
    "arq": Peer(redis, ("-m", "arq", "bench.peers.apps.arq_queue.Worker")),
    "celery": Peer(
        redis,
        (
            *("-m", "celery", "-A", "bench.peers.apps.celery_queue", "worker"),
            *("--pool", "threads", "--concurrency", "50", "--loglevel", "WARNING"),
        ),
    ),
    "procrastinate": Peer(
        postgres, _run_of_procrastinate("work"), _run_of_procrastinate("prepare")
    ),
}


@asynccontextmanager
async def peer(name: str, model: str) -> AsyncIterator[Service]:
    """Run a peer: its server, its worker and its API."""
    server, worker, prepare = PEERS[name]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        pid, address = stack.enter_context(server(folder))
        environment = {"PEER": name, "MODEL_URL": model, **address}
        if prepare:
            its = {**os.environ, **environment}
            subprocess.run([PYTHON, *prepare], check=True, env=its, cwd=ROOT)  # noqa: ASYNC221, S603 - before all else # nosec B603
        worker_pid = stack.enter_context(process([str(PYTHON), *worker], environment))
        port = free_port()
        command = [str(PYTHON), "-m", "uvicorn", "bench.peers.apps.api:app", "--port", str(port)]
        quiet = ["--log-level", "warning", "--no-access-log"]
        api = stack.enter_context(process([*command, *quiet], environment))
        await asyncio.to_thread(wait_for, port)
        async with _client(f"http://127.0.0.1:{port}", {}) as client:
            body = {"text": "When does my policy end?"}
            yield Service(client, "/generations", body, (pid, worker_pid, api))


@contextmanager
def process(
    command: Sequence[str], environment: Mapping[str, str], user: str | None = None
) -> Iterator[int]:
    """Run a program until the end of the block; give its process id."""
    child = subprocess.Popen(  # noqa: S603 - the programs named here # nosec B603
        command,
        cwd=None if user else ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        user=user,
    )
    try:
        yield child.pid
    finally:
        child.terminate()
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def find_server(name: str) -> str:
    """Return the path of a server's program; raise MissingServerError without one."""
    found = shutil.which(name) or next(
        (str(path) for folder in SERVER_FOLDERS for path in folder.glob(f"**/bin/{name}")), None
    )
    if found is None:
        raise MissingServerError(f"{name} is not on this machine")
    return found


def free_port() -> int:
    """Return a port of loopback that nothing listens on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


def wait_for(port: int, seconds: float = 60.0) -> None:
    """Wait until something listens on a port; raise TimeoutError if nothing does in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(f"nothing listens on port {port}")


# --- all of it -----------------------------------------------------------------------------------


async def measure_peer(name: str, counts: Sequence[int]) -> list[Run]:
    """Return the runs of a peer."""
    with slow_model() as model:
        async with peer(name, model) as service:
            await measure(service, WARM_UP)
            return [await measure(service, count) for count in counts]


async def measure_afterword(counts: Sequence[int]) -> list[Run]:
    """Return the runs of afterword on an embedded stack of its own."""
    runs: list[Run] = []

    async def use(stack: Stack) -> int:
        headers = {"Authorization": f"Bearer {stack.tenants[0]['api_key']}"}
        body = {"flow": MAIL_FLOW.id, "inputs": {"text": "When does my policy end?"}}
        async with _client(stack.url, headers) as client:
            service = Service(client, "/v1/generations", body, (stack.pids["aws"],))
            await measure(service, WARM_UP)
            runs.extend([await measure(service, count) for count in counts])
        return 0

    with slow_model() as url:
        kept = {name: value for name, value in os.environ.items() if "AFTERWORD" not in name}
        await run(0, use, announce=False, environ={**kept, "AFTERWORD_MODEL_URL": url})
    return runs


def main() -> None:
    """Print the table, and write its figures beside it as JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--texts", type=int, nargs="+", default=COUNTS, help="at once (50 500)")
    arguments = parser.parse_args()
    if not PYTHON.exists():
        sys.exit(f"{PYTHON.relative_to(ROOT)} is missing: run this with `make peers`.")
    console = Console()
    rows: dict[str, list[Run]] = {}
    for name in PEERS:
        console.print(f"measuring {name}")
        try:
            rows[name] = asyncio.run(measure_peer(name, arguments.texts))
        except MissingServerError as error:
            console.print(f"{name} is left out: {error}. Install it to have its row.")
    console.print("measuring afterword on the embedded stack")
    rows["afterword"] = asyncio.run(measure_afterword(arguments.texts))
    table = Table("", "texts", "makespan, s", "accepted p50, ms", "CPU a text, ms", box=SIMPLE)
    for name, runs in rows.items():
        for each in runs:
            figures = (f"{each.makespan:.2f}", f"{each.accepted_p50:.0f}", f"{each.cpu_each:.1f}")
            table.add_row(name, str(each.texts), *figures)
    console.print(table)
    write_results("peers", {f"{name}": _name_figures(runs) for name, runs in rows.items()})


def _name_figures(runs: Sequence[Run]) -> dict[str, float]:
    figures: dict[str, float] = {}
    for each in runs:
        figures[f"{each.texts} at once: seconds to the last"] = each.makespan
        figures[f"{each.texts} at once: ms of half the acceptances"] = each.accepted_p50
        figures[f"{each.texts} at once: CPU ms a text"] = each.cpu_each
    return figures


if __name__ == "__main__":
    main()

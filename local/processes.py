"""The processes of the stack: each leads a process group, and none outlives this one."""

import asyncio
import ctypes
import os
import signal
import socket
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from local.places import ROOT
from local.terminal import LocalError

LAUNCH = ROOT / "local" / "launch.py"
LOOPBACK = "127.0.0.1"
SET_CHILD_SUBREAPER = 36  # prctl(2)


def hold_port(port: int, *, shared: bool = False) -> socket.socket:
    """Take a loopback port, 0 for any free one, before the process that serves it is started.

    The socket listens already, so that nobody else can take the port. A `shared` one is bound only,
    for a server that must bind the port itself. Raises LocalError when the port cannot be had.
    """
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        held.bind((LOOPBACK, port))
        if not shared:
            held.listen()
    except (OSError, OverflowError) as error:
        held.close()
        reason = getattr(error, "strerror", None) or "not a port number"
        raise LocalError(
            f"port {port} cannot be used ({reason}): choose another with PORT="
        ) from error
    return held


def port_of(held: socket.socket) -> int:
    """Return the port of a socket that hold_port bound."""
    port: int = held.getsockname()[1]
    return port


def adopt_orphans() -> None:
    """Become the parent of what our children leave behind, to see it end (Linux; else init's)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@dataclass
class Child:
    """A running process and its group."""

    name: str
    process: asyncio.subprocess.Process
    log: Path
    stopped: bool = False
    started: float = field(default_factory=time.monotonic)

    @property
    def pid(self) -> int:
        """The process's id, which is its group's as well."""
        return self.process.pid

    def age(self) -> float:
        """Return the seconds since it was started."""
        return time.monotonic() - self.started

    async def ended(self) -> str:
        """Wait for the process to end and say how: "exit code 1" or "SIGKILL"."""
        code = await self.process.wait()
        return f"exit code {code}" if code >= 0 else signal.Signals(-code).name

    async def stop(self) -> None:
        """Kill the whole group at once (its state is not kept) and wait until it is gone."""
        if self.stopped:
            return
        self.stopped = True
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        await self.process.wait()
        with suppress(ChildProcessError):
            while True:  # the rest of the group: ours since adopt_orphans, and killed
                reaped, _ = os.waitpid(-self.pid, os.WNOHANG)  # noqa: ASYNC222 - does not wait
                if not reaped:
                    await asyncio.sleep(0.01)

    def output(self) -> str:
        """Return the output of the process."""
        return self.log.read_text(errors="replace")

    def last_line(self) -> str:
        """Return the last line of the log that says something, "" if none does."""
        lines = self.output().splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


class Nursery:
    """Starts processes and stops them all at the end."""

    def __init__(self) -> None:
        self._children: list[Child] = []
        self._our_end, self._their_end = 0, 0

    async def __aenter__(self) -> Self:
        self._their_end, self._our_end = os.pipe()
        adopt_orphans()
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(child.stop() for child in self._children))
        os.close(self._our_end)
        os.close(self._their_end)

    async def start(  # noqa: PLR0913 - what a process is started with
        self,
        name: str,
        command: Iterable[str | Path],
        *,
        env: Mapping[str, str],
        log: Path,
        answer: Path | None = None,
        sockets: Iterable[socket.socket] = (),
    ) -> Child:
        """Start a command that cannot outlive this process; its output goes to `log`.

        Its standard output goes to `answer` instead, if that is given.
        """
        with log.open("ab") as output, (answer or log).open("ab") as printed:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", LAUNCH, *command),
                stdin=self._their_end,
                stdout=printed,
                stderr=output,
                env=env,
                cwd=ROOT,
                process_group=0,
                pass_fds=[held.fileno() for held in sockets],
            )
        child = Child(name, process, log)
        self._children.append(child)
        return child

"""The embedded stack: dev runs it, demo shows one reply, logs follows its logs, build builds.

sam-local runs the API's functions in Lambda's own containers, invoke-all each function once.
"""

import argparse
import asyncio
import errno
import importlib
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any

from local.terminal import LocalError

PORTS = {"dev": 8080, "demo": 0, "logs": 0, "build": 0, "sam-local": 3000, "invoke-all": 0}
ENDED_BY_SIGNAL = ("dev", "logs", "sam-local")
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Run one command; one line on standard error and exit code 1 when it cannot be done.

    A signal ends commands that wait for one with exit code 0, and all others with 1.
    """
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    parser.add_argument("command", choices=PORTS)
    parser.add_argument("--port", type=int, help="of the HTTP API; 0 for any free one")
    arguments = parser.parse_args()
    port = PORTS[arguments.command] if arguments.port is None else arguments.port
    stopped = 0 if arguments.command in ENDED_BY_SIGNAL else 1
    for number in STOPPING:
        signal.signal(number, lambda *_: sys.exit(stopped))
    try:
        # Each command imports only its own modules: those that deploy take a second.
        module = importlib.import_module(f"local.{arguments.command.replace('-', '_')}")
        return asyncio.run(until_signal(module.command(port), stopped))
    except LocalError as error:
        problem = str(error)
    except OSError as error:
        if error.errno is None:
            raise
        place = f" ({error.filename})" if error.filename else ""
        problem = f"{os.strerror(error.errno)}{place}"
        if error.errno == errno.ENOSPC:
            problem += ": make room and start again"
    print(f"afterword: {' '.join(problem.split())}", file=sys.stderr)
    return 1


async def until_signal(work: Coroutine[Any, Any, int], stopped: int) -> int:
    """Return the work's result, or `stopped` once a signal has ended it."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for number in STOPPING:
            loop.add_signal_handler(number, lambda: None)  # stopping is under way already
        task.cancel()

    for number in STOPPING:
        loop.add_signal_handler(number, stop)
    try:
        return await task
    except asyncio.CancelledError:
        return stopped


if __name__ == "__main__":
    sys.exit(main())

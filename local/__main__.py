"""The embedded stack: dev runs one, demo shows one reply, logs follows the logs of one, build builds."""

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

DEFAULT_PORTS = {"dev": 8080, "demo": 0, "logs": 0, "build": 0}
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Run one command; one line on standard error and exit code 1 when it cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    parser.add_argument("command", choices=DEFAULT_PORTS)
    parser.add_argument("--port", type=int, help="of the HTTP API; 0 for any free one")
    arguments = parser.parse_args()
    port = DEFAULT_PORTS[arguments.command] if arguments.port is None else arguments.port
    # Each command imports only what it needs: what deploys takes a second.
    work = importlib.import_module(f"local.{arguments.command}").command(port)
    try:
        return asyncio.run(until_signal(work))
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


async def until_signal(work: Coroutine[Any, Any, int]) -> int:
    """Return what the work returns, or 0 once it has stopped because a signal asked for it."""
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
        return 0


if __name__ == "__main__":
    sys.exit(main())

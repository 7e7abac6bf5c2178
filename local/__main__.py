"""`python -m local dev|demo|logs`."""

import argparse
import asyncio
import errno
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any

from local.demo import demo
from local.dev import dev
from local.logs import follow
from local.terminal import LocalError

DEFAULT_PORT = 8080
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Run one command; one line on standard error and exit code 1 when it cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("dev", help="run the embedded stack until Ctrl-C")
    command.add_argument("--port", type=int, default=DEFAULT_PORT)
    commands.add_parser("demo", help="start a stack, generate one reply, stop")
    command = commands.add_parser("logs", help="follow the functions' logs of a running stack")
    command.add_argument("--port", type=int, help="the stack's port; default: the one started last")
    arguments = parser.parse_args()
    match arguments.command:
        case "dev":
            work = dev(arguments.port)
        case "demo":
            work = demo()
        case _:
            work = follow(arguments.port)
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

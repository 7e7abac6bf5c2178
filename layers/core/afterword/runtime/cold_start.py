"""The start of a process in Lambda: the work that is done once, before any caller waits.

Init has a whole processor, whatever memory the function has; the first request has a share of one.
So in Lambda, and in no other program, the connections of the first request are opened as soon as
the handler is built (docs/decisions/0083-first-answer.md).

The garbage collector: imports make hundreds of thousands of objects, which all stay; collections
among them take about a tenth of a cold start (bench/README.md). So the collector pauses from the
first import of this package until the handler is built. All objects up to then are exempt from
collection.
"""

import gc
import sys
import threading
from collections.abc import Callable, Iterable

CONNECT_SECONDS = 2.0
"""The most that a start waits for its connections, of the 10 s that Lambda gives it."""

type Connect = Callable[[], object]
"""A call that opens a connection."""


def begin() -> None:
    """Pause the collector in a Lambda runtime, and in no other program."""
    if "awslambdaric" in sys.modules:
        gc.disable()


def end(prepare: Callable[[], Iterable[Connect]] = tuple) -> None:
    """Finish the start of a process in Lambda; in another program, do nothing.

    `prepare` builds what requests need, and returns the calls that open connections. These run at
    once, for at most CONNECT_SECONDS. A failure fails no function, and is logged: the first request
    meets it again, and answers for it. All objects become exempt from collection.
    """
    if gc.isenabled():
        return
    _attempt(lambda: _run_at_once(prepare()))
    gc.freeze()
    gc.enable()


def _run_at_once(calls: Iterable[Connect]) -> None:
    """Run each call in a thread; leave those behind that take too long."""
    threads = [threading.Thread(target=_attempt, args=(call,), daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(CONNECT_SECONDS / len(threads))


def _attempt(call: Callable[[], object]) -> None:
    try:
        call()
    except Exception:  # noqa: BLE001 - the start of a function goes on without its connections
        from afterword.runtime import telemetry

        telemetry.logger().exception("could not prepare the first request")

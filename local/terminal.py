"""The lines that the embedded stack prints for its user."""

import time

STARTED = time.monotonic()


class LocalError(Exception):
    """The stack cannot start or go on; the message is one line, the problem and its remedy."""


def say(text: str) -> None:
    """Print one line of progress with the seconds since the command began."""
    print(f"{time.monotonic() - STARTED:6.1f}s  {text}", flush=True)

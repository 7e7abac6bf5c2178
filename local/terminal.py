"""What the embedded stack says to the person in front of it."""

import time

STARTED = time.monotonic()


class LocalError(Exception):
    """The stack cannot start or go on; the message is one line: what is wrong and what to do."""


def say(text: str) -> None:
    """Print one line of progress with the seconds since the command began."""
    print(f"{time.monotonic() - STARTED:6.1f}s  {text}", flush=True)

"""Deadlines: the end of the time that an invocation, or a part of its work, may take."""

import time
from typing import NamedTuple


class Deadline(NamedTuple):
    """A moment of the monotonic clock; `min` of two is the one that passes first."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """Return the deadline that passes in so many seconds."""
        return cls(time.monotonic() + seconds)

    def remaining(self) -> float:
        """Return the seconds until the deadline, below zero once it has passed."""
        return self.at - time.monotonic()

    @property
    def passed(self) -> bool:
        """Whether no time remains."""
        return self.remaining() <= 0

    def earlier(self, seconds: float) -> "Deadline":
        """Return the deadline that passes so many seconds before this one."""
        return Deadline(self.at - seconds)

    def share(self, fraction: float) -> "Deadline":
        """Return the deadline after that fraction of the remaining time."""
        return Deadline.after(self.remaining() * fraction)

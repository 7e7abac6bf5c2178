"""Deadlines of the monotonic clock."""

from types import SimpleNamespace

import pytest

from afterword.runtime import deadline
from afterword.runtime.deadline import Deadline


@pytest.fixture
def monotonic(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Return a clock whose `now` a test sets."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(deadline, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def test_a_deadline_passes_with_its_time(monotonic: SimpleNamespace) -> None:
    """The remaining time falls to zero, at which the deadline has passed, and below."""
    minute = Deadline.after(60)
    assert (minute.remaining(), minute.passed) == (60.0, False)
    monotonic.now += 60
    assert (minute.remaining(), minute.passed) == (0.0, True)
    monotonic.now += 1
    assert (minute.remaining(), minute.passed) == (-1.0, True)


def test_an_earlier_deadline_leaves_time_for_the_rest(monotonic: SimpleNamespace) -> None:
    """A part of the work may have a deadline before the whole, which passes first."""
    minute = Deadline.after(60)
    monotonic.now += 10
    assert minute.earlier(5).remaining() == 45.0
    assert min(minute, minute.earlier(5), Deadline.after(70)) == Deadline(1055.0)


def test_a_share_is_of_the_remaining_time(monotonic: SimpleNamespace) -> None:
    """Half of what remains after ten seconds of a minute is twenty-five seconds."""
    minute = Deadline.after(60)
    monotonic.now += 10
    assert minute.share(1 / 2).remaining() == 25.0

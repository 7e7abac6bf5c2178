"""A model without time for hours: a generation that waits costs what the backoff alone costs."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from afterword.engine import attempts
from afterword.generations import Status
from afterword.generations.claims import Claim
from afterword.generations.store import GenerationStore
from tests.simulation.conftest import Simulate
from tests.simulation.promises import BrokenError
from tests.simulation.saturated import HOUR, Saturated

MEAN_SECONDS = attempts.MAX_BACKOFF_SECONDS / 2


def saturated(after: float | None = None, lasts: float = 1.0, more: int = 0) -> type[Saturated]:
    """Return a world whose model asks for a time, for so many hours, with further messages."""

    class One(Saturated):
        hours = lasts
        retry_after = after
        twins = more

    return One


def run(simulate: Simulate, kind: type[Saturated]) -> Saturated:
    """Run a saturated world."""
    world = simulate(0, kind=kind)
    assert isinstance(world, Saturated)
    return world


def check(world: Saturated) -> None:
    """Check that each refusal has led to one message, and that waiting is not in flight."""
    assert world.sent == 1 + len(world.asked_at)
    assert world.seen["generate ended"] == world.sent
    assert world.seen[Status.SUCCEEDED] == 1
    assert {look.messages for look in world.looks} <= {0, 1}
    assert sum(look.in_flight for look in world.looks) <= 0.1 * len(world.looks)


def check_twins(world: Saturated) -> None:
    """Check that further messages were sent again a few times, and are gone in the end."""
    assert world.sent - 1 - len(world.asked_at) <= 2 * world.twins
    assert {look.messages for look in world.looks[-8:]} <= {0, 1}


@pytest.mark.parametrize(
    ("after", "least", "most"), [(None, 90, 150), (600.0, 6, 6), (1_000.0, 4, 4)]
)
def test_an_hour_without_time_has_one_message_for_each_try(
    simulate: Simulate, after: float | None, least: int, most: int
) -> None:
    """With the sweeper running, calls and messages are those of the backoff, or of Retry-After."""
    world = run(simulate, saturated(after))
    check(world)
    assert least <= len(world.asked_at) <= most


@pytest.mark.long
@pytest.mark.parametrize("after", [None, 600.0, 1_000.0])
def test_six_hours_without_time_have_one_message_for_each_try(
    simulate: Simulate, after: float | None
) -> None:
    """Nothing adds up until the longest deadline."""
    world = run(simulate, saturated(after, lasts=5.5))
    check(world)
    hours = [sum(at // HOUR == hour for at in world.asked_at) for hour in range(1, 5)]
    expected = HOUR / max(MEAN_SECONDS, after or 0.0)
    assert all(0.7 * expected <= hour <= 1.3 * expected for hour in hours)


def test_of_several_messages_one_is_left(simulate: Simulate) -> None:
    """Messages of one generation that meet become one, and ask the model no more often."""
    world = run(simulate, saturated(lasts=0.25, more=4))
    check_twins(world)
    assert world.seen[Status.SUCCEEDED] == 1


def forget_the_next_try(patch: pytest.MonkeyPatch) -> None:
    """Let a requeue store nothing of the wait."""
    requeue = GenerationStore.requeue

    def broken(self: GenerationStore, claim: Claim, *, failed: bool, **_: object) -> bool:
        return requeue(self, claim, failed=failed)

    patch.setattr(GenerationStore, "requeue", broken)


@pytest.mark.parametrize(
    ("kind", "checked", "fault"),
    [
        pytest.param(
            saturated(600.0, lasts=0.2),
            check,
            forget_the_next_try,
            id="a next try that is not written down",
        ),
        pytest.param(
            saturated(600.5, lasts=0.2),
            check,
            lambda patch: patch.setattr(attempts, "math", SimpleNamespace(ceil=int)),
            id="a Retry-After that is rounded down",
        ),
        pytest.param(
            saturated(1_000.0, lasts=0.3),
            check,
            lambda patch: patch.setattr(attempts, "MAX_DELAY_SECONDS", 9_999),
            id="a message with a longer delay than there is",
        ),
        pytest.param(
            saturated(lasts=0.25, more=4),
            check_twins,
            lambda patch: patch.setattr(attempts, "EARLY_SECONDS", 9_999.0),
            id="messages that all wait",
        ),
    ],
)
def test_a_fault_is_noticed(
    simulate: Simulate,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[Saturated],
    checked: Callable[[Saturated], None],
    fault: Callable[[pytest.MonkeyPatch], None],
) -> None:
    """A fault in the waiting makes more messages, earlier calls, or an error."""
    fault(monkeypatch)
    with pytest.raises((AssertionError, BrokenError)):
        checked(run(simulate, kind))

"""The promises of afterword, in simulated worlds with faults."""

from collections import Counter

import pytest

from afterword.generations import Reason, Status
from tests.harness.seeds import SEEDS
from tests.simulation.conftest import Simulate
from tests.simulation.world import World

FIXED = range(40)
"""Seeds of the long form; beside them one that is new."""
FEW = (38, 6, 22, 14)
"""Seeds that come across everything in the short form; when the code has changed, others may."""
HAPPENS = {
    "answered 200",
    "answered 429",
    "answered 503",
    "answer lost",
    "call failed",
    "crashed before a call",
    "crashed after a call",
    "cancel crashed",
    "count crashed",
    "deliver crashed",
    "generate crashed",
    "submit crashed",
    "sweep crashed",
    "dead-letter ended",
    "model hangs",
    "model throttles",
    "model times out",
    "taken by a worker that ran",
    Status.SUCCEEDED,
    Status.CANCELED,
    Reason.DEADLINE,
    Reason.DEAD_LETTER,
    Reason.EMPTY_OUTPUT,
    Reason.REFUSED_CONTENT,
    Reason.TIMED_OUT,
    Reason.WORKER_LOST,
}
"""Events that a simulation must come across to be worth something."""


class Forgetful(World):
    """A world in which many answers to writes are lost, so that botocore repeats the writes."""

    forgets = 0.25


@pytest.mark.long
@pytest.mark.parametrize("seed", [*range(8), SEEDS[-1]])
def test_every_promise_holds_when_writes_are_repeated(simulate: Simulate, seed: int) -> None:
    """A writer knows its own write, whose answer was lost, from the write of another."""
    simulate(seed, kind=Forgetful)


@pytest.mark.long
@pytest.mark.parametrize("seed", [*FIXED, SEEDS[-1]])
def test_every_promise_holds_whatever_fails(simulate: Simulate, seed: int) -> None:
    """Every promise holds under crashes, losses, delays, repetitions and disorder."""
    simulate(seed)


@pytest.mark.long
def test_a_seed_is_one_run(simulate: Simulate) -> None:
    """The same seed gives the same steps, so that what a failed run has shown can be seen again."""
    steps = simulate(FIXED[0]).steps
    assert len(steps) > 200
    assert simulate(FIXED[0]).steps == steps


def test_every_promise_holds_in_some_runs(simulate: Simulate) -> None:
    """Every promise holds in two runs, and a worker takes messages itself in one of them."""
    seen = sum((simulate(seed).seen for seed in FEW[:2]), Counter[str]())
    assert "taken by a worker that ran" in seen


@pytest.mark.long  # until each event has come, which takes some twenty seeds
def test_everything_happens(simulate: Simulate) -> None:
    """The first seeds come across every fault and every end there is, and every promise holds."""
    seen: Counter[str] = Counter()
    for seed in (*FEW, *FIXED):
        seen += simulate(seed).seen
        if seen.keys() >= HAPPENS:
            return
    assert seen.keys() >= HAPPENS

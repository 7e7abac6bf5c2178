"""The simulated workers: a top-up saves billed seconds, and no message waits for one."""

import pytest

from bench.workers import Deployment, Outcome, simulate, wait_always

SEED = 17
DEFAULT = Deployment(workers=500, generations=50)
"""The template's own, for an account of 1,000 concurrent executions."""
TWO = Deployment(workers=2, generations=50)
OFF = Deployment(workers=500, generations=10)


def run(deployment: Deployment, rate: float) -> Outcome:
    """Return an hour at a rate, with answers after 5 s."""
    return simulate(deployment, rate, wait_always(5.0), SEED)


@pytest.mark.parametrize(
    ("deployment", "rate", "billed"),
    [
        (DEFAULT, 1.0, 0.65),
        (DEFAULT, 5.0, 0.2),
        pytest.param(DEFAULT, 20.0, 0.08, marks=pytest.mark.long),
        (TWO, 1.0, 0.5),
        (TWO, 5.0, 0.1),
    ],
)
def test_a_top_up_saves_billed_seconds(deployment: Deployment, rate: float, billed: float) -> None:
    """Workers are billed for a part of one message an invocation, and no message waits for one."""
    found = run(deployment, rate)
    assert found.billed <= billed
    assert found.wait_p99 <= 0.1


@pytest.mark.parametrize("rate", [1.0, 5.0])
def test_without_a_top_up_batches_stay_small(rate: float) -> None:
    """The mapping alone has almost one invocation for each message."""
    assert run(OFF, rate).billed > 0.9


def test_a_ceiling_is_a_ceiling() -> None:
    """Two workers of 50 end no 20.6 generations a second, of 5.15 s each, and those wait."""
    assert run(TWO, 20.6).wait_p99 > 60

"""How tests over generated inputs run: quickly, the same for the same seed, and without trace.

A seed stands in its test's name, so a failure shows the one to run again.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import hypothesis
from hypothesis import Phase
from hypothesis.configuration import set_hypothesis_home_dir
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test
from hypothesis.strategies import SearchStrategy

from tests.harness import seeds

SEEDS = (seeds.SEEDS[0], seeds.SEEDS[-1])
"""One that is always the same, and one that is new in each run."""


def check[T](
    test: Callable[[T], None], inputs: SearchStrategy[T], seed: int, examples: int
) -> None:
    """Run a test with that many inputs, and report the smallest that fails."""

    def run(value: T) -> None:
        test(value)

    decorated = hypothesis.given(inputs)(run)
    with _home():
        hypothesis.seed(seed)(_settings(examples)(decorated))()


def check_machine(
    machine: type[RuleBasedStateMachine],
    seed: int,
    examples: int,
    steps: int,
    *,
    shrink: bool = True,
) -> None:
    """Run a state machine that often, each time for so many steps.

    Without `shrink` it ends at the first failure, however long the way to it.
    """
    settings = hypothesis.settings(_settings(examples), stateful_step_count=steps)
    if not shrink:
        phases = (Phase.explicit, Phase.generate)
        settings = hypothesis.settings(settings, phases=phases, report_multiple_bugs=False)
    with _home():
        run_state_machine_as_test(hypothesis.seed(seed)(machine), settings=settings)


def _settings(examples: int) -> hypothesis.settings:
    """Return settings under which nothing depends on earlier runs or on the machine's speed."""
    return hypothesis.settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=False,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
    )


@contextmanager
def _home() -> Iterator[None]:
    """Keep what Hypothesis writes to disk, such as the constants of our modules, out of here."""
    with tempfile.TemporaryDirectory() as home:
        set_hypothesis_home_dir(home)
        try:
            yield
        finally:
            set_hypothesis_home_dir(None)

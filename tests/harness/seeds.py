"""Seeds for tests over random inputs: fixed ones, and one that is new in each run.

A seed stands in its test's name, so a failure shows the one to run again: FRESH_SEED=… pytest ….
"""

import os
import random
import secrets

import pytest

# In the environment, so that the processes which share a run's tests agree on their names.
SEEDS = (*range(9), int(os.environ.setdefault("FRESH_SEED", str(secrets.randbits(32)))))

SHORT = 3
SEED_PARAMS = (
    *SEEDS[:SHORT],
    *(pytest.param(seed, marks=pytest.mark.long) for seed in SEEDS[SHORT:]),
)
"""The parameters of a test over random inputs: three fixed seeds, the others in its long form."""


def seeded(seed: int) -> random.Random:
    """Return a random generator that gives the same for the same seed."""
    return random.Random(seed)  # noqa: S311 - makes inputs, guards nothing

"""Seeds for tests over random inputs: fixed ones, and one that is new in each run.

A seed stands in its test's name, so a failure shows the one to run again.
"""

import random
import secrets

SEEDS = (*range(9), secrets.randbits(32))


def seeded(seed: int) -> random.Random:
    """Return a random generator that gives the same for the same seed."""
    return random.Random(seed)  # noqa: S311 - makes inputs, guards nothing

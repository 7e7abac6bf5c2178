"""Seeds for tests over random inputs: fixed ones, and one that is new in each run.

A seed stands in its test's name, so a failure shows the one to run again.
"""

import secrets

SEEDS = (*range(20), secrets.randbits(32))

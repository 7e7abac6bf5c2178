"""A text whose request is an item of its own: too long for its generation's, not for the table."""

from tests.harness.seeds import seeded

LONG = "".join(map(chr, seeded(1).choices(range(0x4E00, 0x9FA5), k=1_000)))
"""Characters of 3 KB, which cannot be compressed by much."""

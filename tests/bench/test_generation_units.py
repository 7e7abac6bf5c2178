"""The write units of a generation, by DynamoDB's rules, from the writes of the real handlers."""

import zlib
from collections.abc import Mapping

import pytest

from bench import units
from bench.units import Cost

MOST: Mapping[tuple[str, int], int] = {
    ("plain", 4): 12,
    ("with limits", 4): 16,
    ("with event bus", 4): 14,
    ("plain", 12): 15,
    ("with limits", 12): 19,
    ("with event bus", 12): 17,
}
"""The write units by kind and KB that go in; 2 KB come out."""


@pytest.fixture(scope="module")
def costs() -> Mapping[tuple[str, int], Cost]:
    """Run a generation of each kind and size."""
    return units.measure()


@pytest.mark.parametrize(("kind", "kilobytes"), MOST)
def test_a_generation_takes_no_more_units(
    costs: Mapping[tuple[str, int], Cost], kind: str, kilobytes: int
) -> None:
    """Item, indexes and quotas together, from the submission to the last write."""
    assert costs[kind, kilobytes].writes <= MOST[kind, kilobytes]


def test_the_prose_is_compressed_as_texts_are() -> None:
    """The measured texts are no better compressed than prose is, to two fifths at best."""
    for kilobytes in (*units.SIZES, units.ANSWERED):
        prose = units.read_prose(kilobytes).encode()
        assert len(prose) == kilobytes * 1_024
        assert 0.38 < len(zlib.compress(prose)) / len(prose) < 0.55

"""The clock, and times as they are stored."""

from datetime import UTC, datetime, timedelta

import pytest

from afterword import clock
from tests.harness.seeds import SEED_PARAMS, seeded


def test_the_clock_is_aware_and_in_utc() -> None:
    """The present time is of UTC, and it is the present."""
    now = clock.now()
    assert now.tzinfo is UTC
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=1)


@pytest.mark.parametrize("seed", SEED_PARAMS)
def test_milliseconds_are_kept(seed: int) -> None:
    """A stored time is read back as it was, to the millisecond."""
    millis = seeded(seed).randrange(4_102_444_800_000)
    moment = clock.from_millis(millis)
    assert moment.tzinfo is UTC
    assert clock.to_millis(moment) == millis


def test_a_time_is_written_to_the_millisecond_in_utc() -> None:
    """Every time of an API has one form, with three digits of a second and a Z."""
    assert clock.to_rfc3339(datetime(2026, 11, 10, 9, tzinfo=UTC)) == "2026-11-10T09:00:00.000Z"
    assert clock.to_rfc3339(clock.from_millis(1_794_301_203_500)) == "2026-11-10T09:00:03.500Z"

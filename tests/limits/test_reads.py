"""The limit of reads: counted in the process, added up in steps, refused above."""

from collections.abc import Callable

import pytest

from afterword.limits import Allowance, LimitedError
from afterword.limits.reads import MAX_STEP, STEP_TIME, ReadMeter
from afterword.services import services
from tests.conftest import Call, SetClock

LIMIT = 600


@pytest.fixture
def meter(aws: None, set_clock: SetClock) -> ReadMeter:  # noqa: ARG001 - for their effect
    """Return the meter of one process."""
    return another_process()


def another_process() -> ReadMeter:
    """Return the meter of another process, which knows nothing yet."""
    return ReadMeter(services().quotas)


def read(meter: ReadMeter, limit: int = LIMIT) -> bool:
    """Read once; return whether that was allowed."""
    try:
        meter.check("demo", limit)
    except LimitedError:
        return False
    meter.count("demo", limit)
    return True


def counted() -> int:
    """Return the requests of this minute, as all processes know them."""
    return services().quotas.get_status("demo").reads


def test_ten_reads_take_one_write(meter: ReadMeter, calls: list[Call]) -> None:
    """A process adds its first request at once, and then each ten."""
    for _ in range(1 + 3 * MAX_STEP):
        assert read(meter)
    assert [call.operation for call in calls if "reads" in str(call.params)] == [
        "dynamodb.UpdateItem"
    ] * (2 + 3)
    assert counted() == 1 + 3 * MAX_STEP


def test_a_count_is_added_after_a_while(meter: ReadMeter, set_clock: SetClock) -> None:
    """A process with few requests adds them at the first one after STEP_TIME."""
    for _ in range(3):
        read(meter)
    assert counted() == 1
    set_clock.advance(seconds=STEP_TIME.total_seconds())
    read(meter)
    assert counted() == 4


def test_reads_above_the_limit_are_refused(
    meter: ReadMeter, set_clock: SetClock, calls: list[Call]
) -> None:
    """Above the limit each request is refused until the minute ends, without any call."""
    set_clock.advance(seconds=40)
    assert sum(read(meter, 60) for _ in range(100)) == 60
    calls.clear()
    with pytest.raises(LimitedError, match=r"^The limit of reads a minute is 60\.$") as refused:
        meter.check("demo", 60)
    assert refused.value.retry_after == 20
    rest = Allowance(name="reads-per-minute", limit=60, left=0, window=60, resets=20)
    assert refused.value.allowances == (rest,)
    assert calls == []
    set_clock.advance(seconds=20)
    assert read(meter, 60)


def test_processes_share_a_limit_but_for_a_step_each(meter: ReadMeter) -> None:
    """Of several processes' requests a step for each is let through above the limit at most."""
    meters = [meter, *(another_process() for _ in range(4))]
    allowed = sum(read(each) for _ in range(LIMIT) for each in meters)
    assert LIMIT <= allowed <= LIMIT + len(meters) * MAX_STEP


def test_small_limits_are_counted_one_by_one(meter: ReadMeter) -> None:
    """Below 60 a minute each request is added at once, so two processes do not exceed the limit."""
    other = another_process()
    allowed = sum(read(each, 5) for _ in range(5) for each in (meter, other))
    assert allowed <= 5 + 1


def test_storage_out_of_reach_refuses_no_read(
    meter: ReadMeter, cut_off: Callable[[str], None]
) -> None:
    """A count that cannot be written is lost, and the request goes on."""
    cut_off("dynamodb.UpdateItem")
    assert read(meter)


def test_the_meter_forgets_tenants_within_bounds(
    meter: ReadMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process keeps the counts of so many tenants and no more."""
    monkeypatch.setattr("afterword.limits.reads._CACHE_SIZE", 2)
    for number in range(5):
        meter.count(f"tenant-{number}", LIMIT)
    assert len(meter._known) <= 2  # noqa: SLF001 - what is kept

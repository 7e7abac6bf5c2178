"""The counts of flows and keys with a limit of their own."""

import pytest

from afterword.limits import Allowance, LimitedError
from afterword.limits.quotas import Quotas
from afterword.limits.requests import RequestMeter
from afterword.runtime.clients import clients
from tests.conftest import Call, SetClock
from tests.harness.deployment import REFERENCES
from tests.harness.stand_in_aws import read_items
from tests.harness.units import write_units

LONGEST = "t" * 64
"""The longest id of a tenant and of a flow."""


@pytest.fixture
def meter(aws: None, set_clock: SetClock) -> RequestMeter:  # noqa: ARG001 - for their effect
    """Return the meter, as one process has it."""
    return another_process()


def another_process() -> RequestMeter:
    """Return the meter as another process has it."""
    return RequestMeter(Quotas(clients().dynamodb, REFERENCES["QuotasTable"]))


def test_requests_of_a_minute_are_counted_by_all_processes(
    meter: RequestMeter, set_clock: SetClock
) -> None:
    """One request too many is refused by every process until the minute of the clock is over."""
    set_clock.advance(seconds=39)
    for process in (meter, another_process()):
        process.count_key("demo", "k", 2)
    for process in (meter, another_process()):
        with pytest.raises(LimitedError) as refused:
            process.count_key("demo", "k", 2)
        assert str(refused.value) == "The limit of requests of this API key a minute is 2."
        assert refused.value.retry_after == 21
        assert refused.value.allowances == (
            Allowance(name="key-requests-per-minute", limit=2, left=0, window=60, resets=21),
        )
    set_clock.advance(seconds=21)
    meter.count_key("demo", "k", 2)


def test_a_refusal_names_the_flows_limit(meter: RequestMeter) -> None:
    """A flow's refusal says that the limit is the flow's, and when the minute is over."""
    meter.count_flow("demo", "f", 1)
    with pytest.raises(LimitedError) as refused:
        meter.count_flow("demo", "f", 1)
    assert str(refused.value) == "The limit of submissions to this flow a minute is 1."
    assert refused.value.retry_after == 60
    assert [each.name for each in refused.value.allowances] == ["flow-requests-per-minute"]


def test_each_flow_and_key_has_a_count_of_its_own(meter: RequestMeter) -> None:
    """Neither another flow, nor a key or a tenant of the same name, uses up a limit."""
    for tenant in ("demo", "other"):
        for name in ("a", "b"):
            meter.count_flow(tenant, name, 1)
            meter.count_key(tenant, name, 1)
    with pytest.raises(LimitedError):
        meter.count_flow("demo", "a", 1)


def test_a_raised_limit_holds_at_once(meter: RequestMeter) -> None:
    """Counted requests stay counted when the limit changes within the minute."""
    meter.count_flow("demo", "f", 1)
    meter.count_flow("demo", "f", 2)
    with pytest.raises(LimitedError):
        meter.count_flow("demo", "f", 1)


def test_without_a_limit_nothing_is_called(meter: RequestMeter, calls: list[Call]) -> None:
    """A flow or a key without a limit costs nothing."""
    meter.count_flow("demo", "f", None)
    meter.count_key("demo", "k", None)
    assert calls == []


def test_a_count_is_one_unit_and_expires(
    meter: RequestMeter, calls: list[Call], set_clock: SetClock
) -> None:
    """A request is one write of one unit, in a new minute too, and its item expires in an hour."""
    for _ in range(2):
        meter.count_flow(LONGEST, LONGEST, 1_000_000)
        meter.count_key(LONGEST, "k" * 12, 1_000_000)
        set_clock.advance(minutes=1)
    assert [call.operation for call in calls] == ["dynamodb.UpdateItem"] * 4
    items = read_items("QuotasTable")
    assert len(items) == 4
    for item in items:
        assert write_units({**item, "requests": {"N": "999999"}}) == 1
        left = int(item["expires_at"]["N"]) - set_clock().timestamp()
        assert 0 < left <= 3_600

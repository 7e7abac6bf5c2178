"""Waiting for ends, and the places that a tenant's waits need."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace

import pytest

from afterword.engine import waiting
from afterword.engine.waiting import FREE_SECONDS, PLACE_TIME, Waiter
from afterword.generations import Submission, SubmissionOptions, new_id
from afterword.limits import DEFAULT_WAITS, Limits
from afterword.runtime import deadline
from afterword.runtime.deadline import Deadline
from afterword.services import services
from tests.conftest import Call, SetClock, Tenant

SUBMISSION = Submission(
    dialect="native", flow="mail-reply", inputs={"body": "Hello"}, template=None, external={}
)
UPDATE = "dynamodb.UpdateItem"


@dataclass
class Time:
    """The time that passes while a client waits; an end comes after so many seconds."""

    seconds: float = 1_000.0
    ends_after: float = 1_000.0
    end: Callable[[], object] = object

    def monotonic(self) -> float:
        """Return the time."""
        return self.seconds

    def sleep(self, seconds: float) -> None:
        """Let time pass, and the generation end when it is time."""
        self.seconds += seconds
        if self.seconds - 1_000.0 >= self.ends_after:
            self.end()


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    """Return the time that passes while a client waits."""
    time = Time()
    monkeypatch.setattr(waiting, "time", time)
    monkeypatch.setattr(deadline, "time", SimpleNamespace(monotonic=time.monotonic))
    return time


@pytest.fixture
def waiter(tenant: Tenant, set_clock: SetClock, time: Time) -> Waiter:  # noqa: ARG001 - for effect
    """Return the waiter, whose tenant has a generation of each id that it waits for."""
    return services().waiter


def submitted() -> str:
    """Queue a generation; return its id."""
    generation_id = new_id()
    options = SubmissionOptions(flow_version=1, retention=timedelta(days=30))
    services().store.put("demo", generation_id, SUBMISSION, options)
    return generation_id


def hold_all(places: int) -> None:
    """Take all places for waiting, as other functions do."""
    for _ in range(places):
        assert services().quotas.take_wait("demo", places, PLACE_TIME) is not None


def test_a_short_wait_needs_no_place(waiter: Waiter, time: Time, calls: list[Call]) -> None:
    """An end within FREE_SECONDS is waited for without a write, however many wait."""
    generation_id = submitted()
    time.ends_after = 0.4
    time.end = lambda: services().outbox.cancel("demo", generation_id)
    hold_all(DEFAULT_WAITS)
    calls.clear()
    generation, whole = waiter.wait("demo", generation_id, Deadline.after(26))
    assert (generation.status.terminal, whole) == (True, True)
    assert "quotas" not in {call.params.get("TableName") for call in calls}


def test_a_longer_wait_takes_a_place_and_gives_it_back(
    waiter: Waiter, time: Time, calls: list[Call]
) -> None:
    """A wait costs two writes beside its reads, and holds no place afterwards."""
    generation_id = submitted()
    calls.clear()
    generation, whole = waiter.wait("demo", generation_id, Deadline.after(26))
    assert (generation.status.terminal, whole) == (False, True)
    assert time.seconds == pytest.approx(1_026.0)
    on_quotas = [call.operation for call in calls if call.params["TableName"] == "quotas"]
    assert on_quotas == [UPDATE] * 2
    assert services().quotas.get_status("demo").waits == 0


def test_a_wait_above_the_bound_ends_at_once(waiter: Waiter, time: Time) -> None:
    """With as many waits as the bound, the next one ends after FREE_SECONDS at most."""
    hold_all(DEFAULT_WAITS)
    generation, whole = waiter.wait("demo", submitted(), Deadline.after(26))
    assert (generation.status.terminal, whole) == (False, False)
    assert time.seconds - 1_000.0 <= FREE_SECONDS


def test_a_tenant_may_have_another_bound(waiter: Waiter) -> None:
    """A limit of the tenant's own takes the place of the default."""
    services().registry.set_limits("demo", Limits(waits_at_once=2))
    hold_all(2)
    assert not waiter.wait("demo", submitted(), Deadline.after(26)).whole


def test_the_places_of_processes_that_died_come_back(waiter: Waiter, set_clock: SetClock) -> None:
    """A place that nobody gives back is free when no wait can last that long."""
    hold_all(DEFAULT_WAITS)
    set_clock.advance(seconds=PLACE_TIME.total_seconds() + 1)
    assert waiter.wait("demo", submitted(), Deadline.after(26)).whole


def test_storage_out_of_reach_ends_a_wait_and_loses_nothing(
    waiter: Waiter, cut_off: Callable[[str], None]
) -> None:
    """Without a place to be had the generation is answered as it stands."""
    generation_id = submitted()
    cut_off(UPDATE)
    generation, whole = waiter.wait("demo", generation_id, Deadline.after(26))
    assert (generation.id, whole) == (generation_id, False)


def test_a_place_that_is_not_given_back_spoils_no_answer(
    waiter: Waiter, time: Time, cut_off: Callable[[str], None]
) -> None:
    """An end that was waited for is answered, though the place cannot be given back."""
    generation_id = submitted()

    def end() -> None:
        services().outbox.cancel("demo", generation_id)
        cut_off(UPDATE)

    time.ends_after, time.end = 5.0, end
    generation, whole = waiter.wait("demo", generation_id, Deadline.after(26))
    assert (generation.status.terminal, whole) == (True, True)

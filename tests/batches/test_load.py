"""Batches beside other requests, in virtual time, over the stand-ins of tests.harness.batch_world.

The worker's queue is first in, first out. So another request waits behind all open lines; SQS's
fair queues, which serve it before them, are not relied on.
"""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from afterword import clock
from afterword.batches import MAX_LINES, Batch, State, Window, runner, window
from afterword.generations import Status
from tests.conftest import START
from tests.harness.batch_world import SQS_SECONDS, Model, Request, World, waits

DAY = 24 * 3600.0
LONGER = 0.01
"""A little more than a wait of exactly one call."""

type Begin = Callable[..., World]
"""A function of a model that returns its world, whose clock is everybody's."""


@pytest.fixture
def begin(monkeypatch: pytest.MonkeyPatch) -> Begin:
    """Return a function that makes a world."""

    def make(model: Model, **options: Any) -> World:  # noqa: ANN401 - the world's own
        world = World(model, **options)
        monkeypatch.setattr(clock, "now", world.clock)
        monkeypatch.setattr(runner, "MAX_SUBMITTERS", 1)  # the order of lines is the same each time
        return world

    return make


def ran(world: World, lines: int, until: float = DAY + 3600) -> tuple[Batch, list[Request]]:
    """Run a batch of a tenant beside its own and another tenant's requests; return them."""
    batch_id = world.put("demo", lines)
    others = [world.ask(tenant, every=10, until=until) for tenant in ("demo", "other")]
    world.run(until)
    return world.batch("demo", batch_id), [each for asked in others for each in asked]


def longest(requests: list[Request]) -> float:
    """Return the longest wait of requests for their first claim, without the way to the queue."""
    return max(waits(requests)) - SQS_SECONDS


@pytest.mark.parametrize("seed", [1, 2, pytest.param(3, marks=pytest.mark.long)])
def test_other_requests_wait_for_one_call_at_most(begin: Begin, seed: int) -> None:
    """Of 2,000 lines at 10 a second all succeed, and no other request waits longer than a call."""
    model = Model(places=10, seconds=1.0)
    world = begin(model, seed=seed)
    batch, others = ran(world, 2_000)
    assert (batch.state, batch.counts.succeeded) == (State.FINISHED, 2_000)
    assert len(others) > 30
    assert longest(others) <= model.seconds + LONGER
    assert world.now < 300


def test_without_a_window_other_requests_wait_for_the_whole_batch(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check bites: with all lines open at once, others wait behind hundreds of them."""
    monkeypatch.setattr(runner, "Window", partial(Window, size=MAX_LINES))
    monkeypatch.setattr(window, "adjust", lambda known, *_: known)
    world = begin(Model(places=10, seconds=1.0))
    _, others = ran(world, 500)
    assert longest(others) > 30


@pytest.mark.parametrize(
    ("model", "lines", "calls", "times"),
    [
        pytest.param(Model(1, 1.0), 100, 5.0, 2.0, id="1 a second"),
        pytest.param(Model(20, 2.0), 500, 1.1, 1.4, id="10 a second, calls of 2 s"),
        pytest.param(Model(100, 10.0), 500, 1.1, 3.0, id="10 a second, calls of 10 s"),
        pytest.param(Model(100, 1.0), 2_000, 1.0, 2.0, id="100 a second"),
        pytest.param(Model(10, 1.0, shares=True), 500, 0.1, 1.5, id="a model with its own queue"),
    ],
)
def test_a_batch_finds_its_pace_with_any_model(
    begin: Begin, model: Model, lines: int, calls: float, times: float
) -> None:
    """All lines succeed in a fair time, and others wait for about a call."""
    world = begin(model)
    batch, others = ran(world, lines)
    assert batch.counts.succeeded == lines
    assert longest(others) <= calls * model.seconds + LONGER
    assert world.now < times * lines / model.rate()


def test_a_queue_that_is_slow_by_itself_slows_no_batch(begin: Begin) -> None:
    """A wait that one line has as well is not the batch's, and does not keep its window small."""
    world = begin(Model(places=10, seconds=0.2, slow_queue=1.5))
    batch, _ = ran(world, 500)
    assert batch.counts.succeeded == 500
    assert world.now < 200


def test_a_model_that_refuses_is_left_room(begin: Begin) -> None:
    """Beside a batch, a model that takes ten at once refuses few of the other requests."""
    world = begin(Model(10, 1.0, throttles=True))
    batch, others = ran(world, 1_000)
    assert batch.counts.succeeded == 1_000
    assert sum(each.attempts > 1 for each in others) <= len(others) / 5
    assert sum(each.attempts - 1 for each in world.lines()) < 100


def test_a_model_that_is_dead_for_ten_minutes_costs_no_line(begin: Begin) -> None:
    """While nothing ends hardly a line is submitted, and all succeed afterwards."""
    world = begin(Model(10, 1.0, dead=(30, 630)))
    batch_id = world.put("demo", 1_000)
    world.run(29)
    before = world.batch("demo", batch_id).read
    world.run(629)
    assert world.batch("demo", batch_id).read - before < 60
    world.run(DAY)
    assert world.batch("demo", batch_id).counts.succeeded == 1_000
    assert world.now < 900


def test_a_batch_leaves_a_slot_to_the_other_requests_of_its_tenant(begin: Begin) -> None:
    """Of five slots a batch takes four, and the tenant's other requests are never refused."""
    world = begin(Model(10, 1.0), limits={"demo": 5})
    batch_id = world.put("demo", 100)
    most = 0

    def watch() -> None:
        nonlocal most
        most = max(most, world.open_lines("demo"))
        world.after(0.1, watch)

    watch()
    world.run(DAY)
    assert world.batch("demo", batch_id).counts.succeeded == 100
    assert most == 4
    assert world.now < 60


def test_batches_share_a_model(begin: Begin) -> None:
    """Two batches of a tenant come to an end together, and others wait for two calls at most."""
    world = begin(Model(10, 1.0))
    first, second = (world.put("demo", 500, name) for name in ("first", "second"))
    others = world.ask("other", every=10, until=DAY)
    world.run(60)
    halves = [world.batch("demo", each).counts.ended for each in (first, second)]
    assert min(halves) > 0.3 * max(halves)
    world.run(DAY)
    for each in (first, second):
        assert world.batch("demo", each).counts.succeeded == 500
    assert longest(others) <= 2.0 + LONGER


def test_batches_of_ten_tenants_share_a_model(begin: Begin) -> None:
    """No tenant's batch waits for another's, and other requests wait for a few calls."""
    world = begin(Model(10, 1.0))
    tenants = [f"tenant-{number}" for number in range(10)]
    ids = {tenant: world.put(tenant, 60) for tenant in tenants}
    others = world.ask("other", every=10, until=DAY)
    world.run(30)
    ends = [world.batch(tenant, ids[tenant]).counts.ended for tenant in tenants]
    assert min(ends) > 0.2 * max(ends)
    world.run(DAY)
    assert Counter(each.status for each in world.lines()) == {Status.SUCCEEDED: 600}
    assert longest(others) <= 4.0


def test_a_batch_ends_at_its_deadline_with_what_it_has(begin: Begin) -> None:
    """With a model too slow the batch ends at its time, and each line has a result."""
    world = begin(Model(1, 600.0), hours=2)
    batch_id = world.put("demo", 100)
    world.run(DAY)
    batch = world.batch("demo", batch_id)
    assert (batch.state, batch.deadline_at) == (State.FINISHED, START + timedelta(hours=2))
    assert batch.counts.succeeded >= 10
    assert batch.counts.canceled >= 1
    assert batch.counts.ended + batch.unsubmitted == 100
    assert world.now < 2 * 3600 + 10
    assert all(each.status.terminal for each in world.lines())
    results = world.read(batch.results_key, 0, 1_000_000).decode().splitlines()
    assert len(results) == 100
    assert sum(result.endswith("cut off") for result in results) == batch.unsubmitted


def test_a_turn_costs_few_calls(begin: Begin) -> None:
    """Beside the submissions themselves, a thousand lines cost a few hundred calls at most."""
    world = begin(Model(20, 2.0))
    ran(world, 1_000)
    other = {name: number for name, number in world.calls.items() if name not in {"put", "send"}}
    assert sum(other.values()) < 550, other
    assert other["write batch"] <= 2 * world.turns + 2
    assert world.biggest < 1_024


@pytest.mark.long
@pytest.mark.parametrize("places", [10, 100])
def test_fifty_thousand_lines_are_possible(begin: Begin, places: int) -> None:
    """The biggest batch comes to its end, in turns whose items stay small."""
    world = begin(Model(places, 1.0))
    batch, others = ran(world, MAX_LINES)
    assert batch.counts.succeeded == MAX_LINES
    assert longest(others) <= 2.0
    assert world.biggest < 2_048
    assert world.turns < MAX_LINES / 8

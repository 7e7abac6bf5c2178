"""Tests of the simulated load's own rules: partitions, instances, mappings, and whole runs."""

from collections.abc import Mapping

import pytest

from bench.load.recording import Path, Recording, Step
from bench.load.simulation import (
    Bucket,
    EventSource,
    Instances,
    Load,
    Outcome,
    Settings,
    Simulation,
    percentile,
)
from bench.load.units import Charge

FLOW = Charge("generations.by_flow", "{tenant}#{flow}", 1, 0)
DUE = Charge("generations.by_due", "{shard}", 1, 0)
FUNCTIONS = ("submit_generation", "get_generation", "generate", "deliver", "send_webhook")


def path(function: str, *charges: Charge, sends: tuple[str, ...] = ()) -> Path:
    """Return a path of two calls, of which the first has all charges."""
    steps = (Step(1.0, "dynamodb.UpdateItem", charges), Step(1.0, "dynamodb.UpdateItem", charges))
    return Path(function, steps, 3.0, 100, sends)


def recording(*charges: Charge) -> Recording:
    """Return a recording in which a submission has these charges in its first call."""
    kinds = ("native", "limits", "webhooks", "keyed", "big")
    submit = Path(
        "submit_generation", (Step(1.0, "dynamodb.PutItem", charges),), 2.0, 100, ("Queue",)
    )
    paths: dict[str, Path] = {}
    for turn in ("first", "warm"):
        paths |= {f"submit:{kind}:{turn}": submit for kind in kinds}
        paths |= {
            f"generate:{kind}:{turn}": path("generate") for kind in ("plain", "limits", "big")
        }
        paths[f"generate:webhooks:{turn}"] = path("generate", sends=("NotifyQueue",))
        paths[f"poll:native:{turn}"] = path("get_generation")
        paths[f"deliver:{turn}"] = path("deliver")
        paths[f"send_webhook:{turn}"] = path("send_webhook")
    return Recording(paths, {("generations.by_due", "{shard}"): 8}, {"generate": 2.0}, {})


def settings(**changes: float) -> Settings:
    """Return settings of 512 MB, batches of ten, and enough of all else."""
    return Settings(
        api_requests=changes.get("api_requests", 10_000),
        concurrency=int(changes.get("concurrency", 3_000)),
        memory=dict.fromkeys(FUNCTIONS, 512),
        batch=dict.fromkeys(FUNCTIONS, 10),
        maximum=dict.fromkeys(FUNCTIONS, int(changes.get("maximum", 1_000))),
    )


def run(load: Load, seed: int = 1, its: Recording | None = None, **changes: float) -> Outcome:
    """Run a load."""
    return Simulation(its or recording(FLOW, DUE), settings(**changes), load, seed).run()


def test_a_partition_has_a_thousand_units_a_second_and_no_more() -> None:
    """The tokens of a bucket come back at its rate, up to its size."""
    bucket = Bucket(1_000, 1_000)
    assert all(bucket.take(100, 5.0) for _ in range(10))
    assert not bucket.take(1, 5.0)
    assert bucket.take(125, 5.125)
    assert not bucket.take(1, 5.125)
    assert bucket.take(1_000, 60.0)
    assert not bucket.take(1, 60.0)
    assert bucket.peak == 1_125


def test_an_instance_is_used_again_until_it_was_idle_for_too_long() -> None:
    """A free instance is warm, a second request at once takes a new one, and so does a late one."""
    instances = Instances(concurrency=10)
    first = instances.start(0.0, "generate")
    assert first == (1, True)
    instances.occupy("generate", 1, 1.0)
    assert instances.start(0.5, "generate") == (2, True)
    instances.occupy("generate", 2, 1.5)
    assert instances.start(2.0, "generate") == (2, False)
    instances.occupy("generate", 2, 2.5)
    assert instances.start(900.0, "generate") == (3, True)


def test_no_more_run_at_once_than_the_accounts_concurrency() -> None:
    """All functions share one concurrency; a request beyond it gets no instance."""
    instances = Instances(concurrency=2)
    for function in ("generate", "get_generation"):
        started = instances.start(0.0, function)
        assert started is not None
        instances.occupy(function, started[0], 1.0)
    assert instances.start(0.5, "generate") is None
    assert instances.start(1.0, "generate") is not None


def test_a_function_gets_at_most_a_thousand_new_instances_in_ten_seconds() -> None:
    """Lambda's scaling refuses the next new instance, and allows a hundred a second later."""
    instances = Instances(concurrency=10_000)

    def begin(at: float) -> bool:
        started = instances.start(at, "generate")
        if started is not None:
            instances.occupy("generate", started[0], 1e6)
        return started is not None

    assert sum(begin(0.0) for _ in range(1_500)) == 1_000
    assert sum(begin(1.0) for _ in range(500)) == 100


def test_a_mapping_begins_with_five_batches_and_adds_three_hundred_a_minute() -> None:
    """Pollers are added while messages are left, up to the maximum, and go when not used."""
    mapping = EventSource("generate", maximum=200, size=10)
    mapping.queue.extend((0.0, number) for number in range(100_000))
    for second in range(1, 31):
        while mapping.has_poller():
            mapping.take()
        mapping.grow(second)
    assert mapping.busy == 150
    for second in range(31, 61):
        while mapping.has_poller():
            mapping.take()
        mapping.grow(second)
    assert mapping.allowed == 200
    mapping.queue.clear()
    mapping.busy = 3
    mapping.grow(120)
    mapping.grow(180)
    assert mapping.allowed == 5


def test_messages_in_flight_are_those_of_the_batches_that_run() -> None:
    """A batch's messages are in flight until it is done."""
    mapping = EventSource("generate", maximum=200, size=10)
    mapping.queue.extend((0.0, number) for number in range(14))
    assert [len(mapping.take()), len(mapping.take())] == [10, 4]
    assert (mapping.in_flight, mapping.busy) == (14, 2)
    mapping.done(10)
    assert (mapping.in_flight, mapping.busy) == (4, 1)


def test_a_seed_decides_everything() -> None:
    """Two runs with one seed are equal; another seed gives another run."""
    load = Load(20, 100, seconds=15, ramp=5)
    one, same, other = run(load), run(load), run(load, seed=2)
    assert list(one.ages) == list(same.ages)
    assert (one.paths, one.gb_seconds) == (same.paths, same.gb_seconds)
    assert list(one.ages) != list(other.ages)


def test_polls_that_an_end_counts_are_those_of_the_events() -> None:
    """Both ways have the same polls a generation, invocations and GB-seconds, within a tenth."""
    load = Load(30, 1, seconds=40, ramp=15)
    each = Simulation(recording(), settings(), load, 1, each_poll=True).run()
    counted = Simulation(recording(), settings(), load, 1, each_poll=False).run()
    polls = [its.invocations["get_generation"] / its.done for its in (each, counted)]
    assert polls[1] == pytest.approx(polls[0], rel=0.1)
    assert counted.gb_seconds == pytest.approx(each.gb_seconds, rel=0.1)
    assert counted.requests == pytest.approx(each.requests, rel=0.1)


def test_one_flow_takes_a_thousand_submissions_a_second_and_refuses_the_rest() -> None:
    """The index of a flow's list is one partition: beyond it submissions are throttled."""
    outcome = run(Load(1_500, 1, seconds=2, ramp=2))
    assert outcome.throttled["generations.by_flow"] > 0
    assert outcome.partitions["generations.by_flow", FLOW.key][0] > 1_000
    spread = run(Load(1_500, 100, seconds=1, ramp=2))
    assert spread.throttled["generations.by_flow"] == 0


def test_more_requests_than_the_api_takes_are_refused() -> None:
    """API Gateway answers requests above its rate with 429, and they are not accepted."""
    outcome = run(Load(50, 1, seconds=20, ramp=5), api_requests=20)
    assert outcome.refused["API requests"] > 0
    assert outcome.accepted < 50 * 20 * 0.6


def test_a_backlog_waits_for_the_mapping_to_grow() -> None:
    """At once from nothing, a queue grows first; after a rise it does not."""
    at_once = run(Load(100, 1, seconds=15, ramp=0))
    risen = run(Load(100, 1, seconds=15, ramp=40))
    late = [percentile(sorted(its.ages), 0.99) for its in (at_once, risen)]
    assert late[0] > 2 > late[1]
    assert max(waiting for _, waiting in at_once.backlog) > 100


def test_every_accepted_generation_ends_when_the_load_has_room() -> None:
    """As many end as are accepted, but for those that run at the end."""
    outcome = run(Load(20, 100, seconds=40, ramp=10))
    assert outcome.accepted == pytest.approx(outcome.done, abs=20 * 8)
    assert not outcome.refused


def _mapping(load: Load) -> Mapping[str, EventSource]:
    return run(load).mappings


def test_ends_with_webhooks_pass_through_both_queues() -> None:
    """An end of a tenant with webhooks is delivered once and sent once; another's is not."""
    mappings = _mapping(Load(20, 100, seconds=30, ramp=10))
    assert mappings["deliver"].messages > 0
    assert mappings["send_webhook"].messages == pytest.approx(mappings["deliver"].messages, abs=5)
    assert mappings["deliver"].messages < mappings["generate"].messages / 5

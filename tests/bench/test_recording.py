"""Tests of the recorded paths: their partitions at the aimed load, and the replay beside them."""

from collections import Counter
from types import SimpleNamespace

import pytest

from afterword.generations import items
from afterword.generations.ends import DUE_SHARDS
from afterword.limits import shards
from afterword.tenants import authentication, flow_cache, rules
from bench.load import documented, recording
from bench.load.crosscheck import Totals, check
from bench.load.recording import LIMITS, Path, Recording
from bench.load.runs import RAISED, settings
from bench.load.simulation import Load, Simulation, percentile

RATE, TENANTS = 1_000, 100
QUOTA_CREATION = 3 + shards.count_shards(LIMITS)
"""The writes that make a tenant's quotas: its first submission, and each shard's first slot."""


@pytest.fixture(scope="module")
def recorded() -> Recording:
    """Record all paths, without CPU times."""
    return recording.record(timed=False, samples=16)


def paths_of(its: Recording, kind: str) -> list[Path]:
    """Return the paths of one generation of a kind of tenant, from submission to webhook."""
    worker = "plain" if kind in {"native", "keyed"} else kind
    names = [f"submit:{kind}:warm", f"generate:{worker}:warm"]
    if kind == "webhooks":
        names += ["deliver:warm", "send_webhook:warm"]
    return [its.paths[name] for name in names]


@pytest.mark.parametrize("kind", ["native", "limits", "webhooks", "keyed", "big"])
def test_a_thousand_a_second_of_a_hundred_tenants_keep_below_every_partition(
    recorded: Recording, kind: str
) -> None:
    """All of one kind, the units of no partition reach two thirds of its limit, averaged."""
    used: Counter[tuple[str, str]] = Counter()
    for path in paths_of(recorded, kind):
        for charge in (charge for step in path.steps for charge in step.charges):
            if "{id}" not in charge.key:
                used[charge.table, charge.key] += charge.write  # type: ignore[assignment]
    assert used
    for (table, key), units in used.items():
        tenants = TENANTS if "{tenant}" in key else 1
        shards = recorded.shards.get((table, key), 1)
        a_second = RATE * units / tenants / shards
        assert a_second < documented.PARTITION_WRITES * 2 / 3, (table, key, a_second)


def test_every_shard_of_an_index_is_seen(recorded: Recording) -> None:
    """The recording knows the shards of what is due and of what has ended, but for two at most."""
    assert recorded.shards["generations.by_due", "{shard}"] >= DUE_SHARDS - 2
    assert recorded.shards["generations.by_end", "{hour}#{shard}"] >= items.END_SHARDS - 2


def test_a_path_has_its_calls_in_their_order(recorded: Recording) -> None:
    """A submission reads its flow, stores its item and sends its message; a poll is one read."""
    submit = [step.operation for step in recorded.paths["submit:native:warm"].steps]
    assert submit.index("dynamodb.PutItem") < submit.index("sqs.SendMessage")
    assert [step.operation for step in recorded.paths["poll:native:warm"].steps] == [
        "dynamodb.GetItem"
    ]
    assert "s3.PutObject" in recorded.paths["submit:big:warm"].operations()
    assert "sqs.SendMessage" in recorded.paths["sweep:lost"].operations()


def test_the_aimed_load_keeps_the_queue_age_and_the_partitions(recorded: Recording) -> None:
    """A few seconds of the aimed load: p99 under two seconds, no partition above its limit."""
    load = Load(RATE / 20, TENANTS, seconds=20, ramp=60)
    outcome = Simulation(recorded, settings(RAISED, documented.CONCURRENCY), load, 1).run()
    assert percentile(sorted(outcome.ages), 0.99) < 2
    assert not outcome.refused
    assert not outcome.throttled


@pytest.mark.long
def test_the_aimed_load_holds_at_its_full_rate(recorded: Recording) -> None:
    """Two minutes at a thousand a second of a hundred tenants, after a rise of five."""
    load = Load(RATE, TENANTS, seconds=120)
    outcome = Simulation(recorded, settings(RAISED, documented.CONCURRENCY), load, 1).run()
    assert percentile(sorted(outcome.ages), 0.99) < 2
    assert not outcome.refused
    assert not outcome.throttled
    for writes, reads in outcome.partitions.values():
        assert writes <= documented.PARTITION_WRITES
        assert reads <= documented.PARTITION_READS


def compare(simulated: Totals, real: Totals, limited: int) -> None:
    """Compare what the replay says with what the handlers did.

    Quotas differ: a tenant's first submission makes them, and they may grow with what runs.
    """
    assert simulated.invocations == real.invocations
    for name in ("generations", "generations.by_due", "generations.by_end", "generations.by_flow"):
        assert simulated.writes[name] == real.writes[name], name
        assert simulated.reads[name] == real.reads[name], name
    assert simulated.writes["webhooks"] == real.writes["webhooks"]
    for operation in {*simulated.calls, *real.calls}:
        difference = abs(simulated.calls[operation] - real.calls[operation])
        allowed = limited * QUOTA_CREATION + real.calls[operation] * 0.01
        assert difference <= allowed, (operation, simulated.calls, real.calls)


@pytest.fixture
def lasting_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let caches outlast the run, since their time is that of a machine which may be slow."""
    for module in (authentication, rules):
        monkeypatch.setattr(module, "CACHE_SECONDS", 1e9)
    monkeypatch.setattr(flow_cache, "time", SimpleNamespace(monotonic=lambda: 0.0))


@pytest.mark.usefixtures("lasting_caches")
def test_the_replay_makes_the_calls_that_the_handlers_make(recorded: Recording) -> None:
    """A second or two at ten a second, each request really run: the same calls and units."""
    its = settings(RAISED, documented.CONCURRENCY)
    simulated, real = check(recorded, its, Load(10, 5, seconds=1, ramp=1), 1)
    compare(simulated, real, limited=1)


@pytest.mark.long
@pytest.mark.usefixtures("lasting_caches")
def test_the_replay_makes_the_calls_that_the_handlers_make_for_a_minute(
    recorded: Recording,
) -> None:
    """Fifty seconds at ten a second of twenty tenants, each request really run."""
    its = settings(RAISED, documented.CONCURRENCY)
    simulated, real = check(recorded, its, Load(10, 20, seconds=50, ramp=5), 1)
    compare(simulated, real, limited=2)

"""The calls of AWS and the capacity units of a delivery, counted by DynamoDB's rules."""

from collections import Counter

import pytest

from afterword.webhooks import OPEN_AFTER, Circuit
from tests.conftest import START
from tests.harness.webhook_traffic import Traffic, alive

FIRST_TRY = Counter(Query=1, PutItem=1, BatchGetItem=1, UpdateItem=2)
"""Endpoints, put; the delivery with its endpoint and circuit, claim, result."""


@pytest.fixture
def traffic(monkeypatch: pytest.MonkeyPatch) -> Traffic:
    """Return a world with a tenant whose receiver answers."""
    traffic = Traffic()
    traffic.install(monkeypatch)
    traffic.add("demo", alive)
    return traffic


def forget(traffic: Traffic) -> None:
    """Count from now on."""
    for counter in (traffic.db.calls, traffic.db.units, traffic.messages):
        counter.clear()


def test_a_delivery_at_the_first_try_costs_three_writes(traffic: Traffic) -> None:
    """Put, claim and result are a write unit each, and no index has the delivery."""
    forget(traffic)
    traffic.end("demo")
    traffic.run(60)
    assert traffic.delivered.total() == 1
    assert traffic.db.calls == FIRST_TRY
    assert (traffic.db.units["write"], traffic.messages.total()) == (3, 1)


def test_a_parked_delivery_costs_eight_writes(traffic: Traffic) -> None:
    """The index costs one to park and one to end, and the release an update with two of them."""
    circuit = Circuit(tenant="demo", name="wh_00000000000000000000")
    failing = traffic.circuits.count_failure(circuit, OPEN_AFTER)
    assert traffic.circuits.open(failing, START, probe=None)
    forget(traffic)
    traffic.end("demo")
    traffic.run(60)
    assert (traffic.db.units["write"], traffic.messages.total()) == (2, 0)
    traffic.circuits.close(traffic.circuits.read("demo", circuit.name))
    forget(traffic)
    traffic.sweep_each_minute(61)
    traffic.run(110)
    assert traffic.delivered.total() == 1
    circuits = 3
    assert (traffic.db.units["write"], traffic.messages.total()) == (6 + circuits, 1)


def test_a_run_of_the_sweeper_with_nothing_to_do_is_nine_queries(traffic: Traffic) -> None:
    """Each partition of the index is asked once, for half a read unit."""
    forget(traffic)
    traffic.sweep_each_minute(1)
    traffic.run(1)
    assert traffic.db.calls == Counter(Query=9)

"""The calls of AWS and the capacity units of a delivery, counted by DynamoDB's rules."""

from collections import Counter
from dataclasses import replace

import pytest

from afterword.webhooks import OPEN_AFTER, Circuit
from afterword.webhooks.deliveries import build_test_delivery
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


def test_a_log_of_hundreds_of_pages_has_each_delivery_once(traffic: Traffic) -> None:
    """Each page is one call, and the pages together are the log, newest first."""
    (endpoint,) = traffic.store.read_endpoints("demo")
    for number in range(900):
        test = build_test_delivery(endpoint)
        traffic.store.add(replace(test, id=f"msg_019a6f3e-7c00-8000-8000-{number:012}"))
    forget(traffic)
    seen, after = [], None
    while True:
        page = traffic.store.list_deliveries("demo", endpoint.id, 3, after)
        seen += [delivery.id for delivery in page.items]
        after = page.after
        if after is None:
            break
    assert seen == sorted(seen, reverse=True)
    assert len(set(seen)) == len(seen) == 900
    assert traffic.db.calls["Query"] <= 301

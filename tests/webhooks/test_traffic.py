"""Many deliveries in virtual time: a dead receiver harms no other tenant.

The table, the queue and the receivers are stand-ins with modelled costs (`webhook_traffic.py`);
deliveries, circuits, sender and sweeper are the product's.
"""

from contextlib import nullcontext

import pytest

from afterword.webhooks.circuits import MAX_PACE
from tests.harness.seeds import SEEDS
from tests.harness.webhook_traffic import Receive, Traffic, alive, hanging


@pytest.mark.parametrize(
    "parked", [500, pytest.param(200_000, marks=pytest.mark.long)], ids=["few", "many"]
)
def test_a_dead_receiver_delays_no_other_tenant(
    parked: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With 200,000 deliveries parked another tenant's are sent within 10 s; few are in flight.

    Once the dead receiver answers again, each delivery reaches it once, at a bounded pace.
    """
    traffic = Traffic()
    traffic.install(monkeypatch)
    rate, dies = 20.0, 30.0
    recovers = dies + parked / rate
    ends = recovers + 1_500 + 2 * parked / MAX_PACE * 60

    def receive(at: float) -> tuple[float, int | None]:
        return hanging(at) if dies <= at < recovers else alive(at)

    endpoint = traffic.add("dead", receive)
    traffic.add("neighbour", alive)
    traffic.sweep_each_minute(ends)
    traffic.every(1 / rate, lambda: traffic.end("dead"), recovers)
    traffic.every(7.0, lambda: traffic.end("neighbour"), ends)
    traffic.run(recovers)
    waiting, tries = traffic.parked(endpoint), traffic.posts["dead"]
    messages, in_flight = traffic.messages["dead"], traffic.most_in_flight
    traffic.run(ends)
    with capsys.disabled() if parked > 10_000 else nullcontext():
        print(  # noqa: T201 - figures
            f"\n  {waiting:,} parked; {tries:,} tries and {messages:,} messages of the dead until"
            f" it was back; {in_flight} in flight at most, {traffic.most_in_flight} afterwards;"
            f" the neighbour waited {max(traffic.waited['neighbour']):.1f} s at most;"
            f" {max(traffic.minutes.values()):,} a minute at most"
            f" {dict(traffic.db.units)}, {dict(traffic.db.calls)}"
        )
    assert waiting > 0.85 * parked
    assert traffic.most_in_flight < 10_000
    assert max(traffic.waited["neighbour"]) < 10
    assert set(traffic.statuses()) == {"delivered"}
    assert set(traffic.delivered.values()) == {1}
    assert traffic.parked(endpoint) == 0


def failing(until: float) -> Receive:
    """Return a receiver that refuses until a time, and then answers."""
    return lambda at: (0.1, 500 if at < until else 204)


def live(dies_at: int, monkeypatch: pytest.MonkeyPatch) -> Traffic:
    """Let a receiver be down for a while and come back, while a process dies before one call."""
    traffic = Traffic(dies_at=dies_at)
    traffic.install(monkeypatch)
    traffic.add("demo", failing(2_000))
    traffic.sweep_each_minute(8_000)
    traffic.every(7.0, lambda: traffic.end("demo"), 91)
    traffic.later(3_000, lambda: traffic.end("demo"))
    traffic.run(8_000)
    return traffic


@pytest.mark.parametrize(
    "step", [191, pytest.param(7, marks=pytest.mark.long)], ids=["some", "many"]
)
def test_a_death_before_any_call_loses_no_delivery(
    step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever call a sender, a sweeper or the deliverer dies at, each end is delivered.

    The first call adds the endpoint; the fresh seed chooses the first of those that are tried.
    """
    calls = live(0, monkeypatch).made
    for number in range(2 + SEEDS[-1] % step, calls + 1, step):
        traffic = live(number, monkeypatch)
        assert traffic.statuses() == {"delivered": 15}, number
        assert traffic.in_flight == 0, number

"""The sweeper of deliveries, and the circuits that it looks after: handlers under moto."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from afterword import clock
from afterword.errors import ConflictError
from afterword.runtime.clients import clients
from afterword.services import services
from afterword.webhooks import (
    OPEN_AFTER,
    SUBMISSIONS,
    Circuit,
    CircuitState,
    Delivery,
    DeliveryStatus,
    Waiting,
)
from afterword.webhooks.circuits import FIRST_PACE, MAX_PACE
from afterword.webhooks.sweeping import in_turns
from tests.conftest import START, Call, SetClock
from tests.harness.deployment import REFERENCES
from tests.harness.webhooks import Queue, Receiver, Webhooks
from tests.webhooks.test_webhooks import ENDED

FAILED = DeliveryStatus.FAILED
READS = {"dynamodb.Query", "dynamodb.BatchGetItem"}


def circuit(webhook: str) -> Circuit:
    """Return an endpoint's circuit as it is stored."""
    return services().webhook_circuits.read("demo", webhook)


def opened(
    webhooks: Webhooks, receiver: Receiver, queue: Queue, failures: int = 1
) -> tuple[str, list[Delivery]]:
    """Let a receiver fail until its circuit is open; return its webhook and the deliveries.

    The failures before these are counted without a try.
    """
    webhook = webhooks.created()["id"]
    receiver.answers = [500]
    deliveries = [webhooks.tested(webhook) for _ in range(failures)]
    services().webhook_circuits.count_failure(circuit(webhook), OPEN_AFTER - failures)
    for delivery in deliveries:
        queue.deliver(delivery)
    assert circuit(webhook).is_open
    return webhook, deliveries


def open_circuit(webhook: str) -> None:
    """Open the circuit of an endpoint, without a probe."""
    failed = services().webhook_circuits.count_failure(circuit(webhook), OPEN_AFTER)
    services().webhook_circuits.open(failed, clock.now() + timedelta(minutes=15), probe=None)


def parked(webhooks: Webhooks, webhook: str) -> Delivery:
    """Return a new delivery that waits for an open circuit, without a message."""
    delivery = webhooks.tested(webhook)
    found = services().webhook_circuits.read("demo", webhook)
    assert services().webhook_store.wait(delivery, clock.now(), due_in=found.parking)
    services().webhook_circuits.open(
        found, clock.now() + timedelta(minutes=15), probe=None, by=delivery.id
    )
    return delivery


def test_ten_failures_in_a_row_open_a_circuit(
    webhooks: Webhooks, receiver: Receiver, webhook_queue: Queue, set_clock: SetClock
) -> None:
    """Afterwards the delivery that opened it is tried alone, and the others wait untried."""
    webhook, deliveries = opened(webhooks, receiver, webhook_queue, OPEN_AFTER)
    assert circuit(webhook).probe == deliveries[-1].id
    set_clock.advance(seconds=5)
    assert webhook_queue.deliver(*deliveries[:-1]) == []
    assert len(receiver.posts) == OPEN_AFTER
    assert webhook_queue.hidden_for == []
    webhook_queue.deliver(deliveries[-1])
    assert len(receiver.posts) == OPEN_AFTER + 1
    found = {each.id: each.try_count for each in webhooks.log(webhook)}
    assert found == {**{each.id: 1 for each in deliveries}, deliveries[-1].id: 2}


def test_one_success_keeps_a_circuit_closed(
    webhooks: Webhooks, receiver: Receiver, webhook_queue: Queue
) -> None:
    """Failures count in a row alone."""
    webhook = webhooks.created()["id"]
    services().webhook_circuits.count_failure(circuit(webhook), OPEN_AFTER - 1)
    receiver.answers = [200, 500]
    for _ in range(2):
        webhook_queue.deliver(webhooks.tested(webhook))
    assert (circuit(webhook).state, circuit(webhook).failures) == ("closed", 1)


def test_an_open_circuit_is_shown(
    webhooks: Webhooks, receiver: Receiver, webhook_queue: Queue
) -> None:
    """The owner sees since when deliveries wait, in the endpoint and in the list."""
    webhook, _ = opened(webhooks, receiver, webhook_queue)
    expected = {
        "host": None,
        "state": "open",
        "failures": OPEN_AFTER,
        "opened_at": "2026-11-10T09:00:00.000Z",
    }
    assert webhooks.call("get_webhook", webhook)["body"]["circuits"] == [expected]
    (shown,) = webhooks.call("list_webhooks")["body"]["webhooks"]
    assert shown["circuits"] == [expected]
    assert webhooks.call("rotate_webhook", webhook)["body"]["circuits"] == [expected]


def test_ends_for_an_open_circuit_take_no_message(
    webhooks: Webhooks,
    receiver: Receiver,
    webhook_queue: Queue,
    calls: list[Call],
) -> None:
    """A delivery to a dead receiver is parked at once, and found there when it is back."""
    webhook, _ = opened(webhooks, receiver, webhook_queue)
    calls.clear()
    deliveries = services().webhook_deliveries
    deliveries.start_deliveries(ENDED, deliveries.read_endpoints("demo"))
    assert "sqs.SendMessage" not in [call.operation for call in calls]
    newest = next(each for each in webhooks.log(webhook) if each.generation is not None)
    assert newest.due_in == circuit(webhook).parking


@pytest.mark.parametrize("place", ["lost", "parked"])
def test_a_delivery_without_a_message_is_parked_once_its_circuit_is_open(
    webhooks: Webhooks, calls: list[Call], place: str
) -> None:
    """An end that comes again, since its deliverer died before the message, loses no delivery."""
    webhook = webhooks.created()["id"]
    if place == "parked":
        open_circuit(webhook)
    deliveries = services().webhook_deliveries
    deliveries.start_deliveries(ENDED, deliveries.read_endpoints("demo"))
    open_circuit(webhook)
    calls.clear()
    deliveries.start_deliveries(ENDED, deliveries.read_endpoints("demo"))
    (delivery,) = webhooks.log(webhook)
    assert (delivery.due_in, delivery.due_at) == (circuit(webhook).parking, delivery.next_at)
    update = ["dynamodb.UpdateItem"] if place == "lost" else []
    writes = [call.operation for call in calls if call.operation not in READS]
    assert writes == ["dynamodb.PutItem", *update]


def test_a_delivery_that_is_tried_is_not_parked(webhooks: Webhooks) -> None:
    """An end that comes again leaves a delivery as it is that a sender has, or has ended."""
    webhook = webhooks.created()["id"]
    deliveries, store = services().webhook_deliveries, services().webhook_store
    deliveries.start_deliveries(ENDED, deliveries.read_endpoints("demo"))
    (delivery,) = webhooks.log(webhook)
    open_circuit(webhook)
    claimed = store.claim(delivery, clock.now() + timedelta(minutes=1))
    assert claimed is not None
    for _ in range(2):
        deliveries.start_deliveries(ENDED, deliveries.read_endpoints("demo"))
        assert webhooks.log(webhook)[0].due_in is None
        store.record_end(claimed, DeliveryStatus.DELIVERED, None)


def test_the_sweeper_chooses_a_probe_every_quarter_of_an_hour(
    webhooks: Webhooks, receiver: Receiver, webhook_queue: Queue, set_clock: SetClock
) -> None:
    """The parked delivery that was due first is tried; its failure keeps the circuit open."""
    webhook, deliveries = opened(webhooks, receiver, webhook_queue)
    services().webhook_store.give_up(deliveries[-1])
    first, second = parked(webhooks, webhook), parked(webhooks, webhook)
    services().webhook_circuits.open(
        circuit(webhook), clock.now() + timedelta(minutes=15), probe=None, by=deliveries[-1].id
    )
    posts = len(receiver.posts)
    set_clock.advance(minutes=13)
    assert "probed" not in webhook_queue.sweep()
    set_clock.advance(minutes=2)
    assert webhook_queue.sweep()["probed"] == 1
    probe = circuit(webhook).probe
    assert probe in {first.id, second.id}
    webhook_queue.deliver(first, second)
    assert len(receiver.posts) == posts + 1
    assert circuit(webhook).is_open


def test_a_success_closes_a_circuit_and_the_parked_leave_at_a_pace(
    webhooks: Webhooks, receiver: Receiver, webhook_queue: Queue, set_clock: SetClock
) -> None:
    """Messages are spread over minutes, and the circuit is off the index once none is left."""
    webhook, deliveries = opened(webhooks, receiver, webhook_queue)
    waiting = [parked(webhooks, webhook) for _ in range(3)]
    services().webhook_circuits.appoint(circuit(webhook), deliveries[-1].id)
    receiver.answers = [200]
    set_clock.advance(seconds=5)
    webhook_queue.deliver(deliveries[-1])
    found = circuit(webhook)
    assert (found.state, found.failures, found.pace) == ("releasing", 0, FIRST_PACE)
    webhook_queue.delayed.clear()
    webhook_queue.delayed_for.clear()
    assert webhook_queue.sweep() == {"released": 3}
    assert (set(webhook_queue.delayed), webhook_queue.delayed_for) == (
        {each.id for each in waiting},
        [0, 20, 40],
    )
    assert circuit(webhook).pace == min(2 * FIRST_PACE, MAX_PACE)
    set_clock.advance(minutes=1)
    webhook_queue.deliver(*waiting)
    assert {each.status for each in webhooks.log(webhook)} == {"delivered"}
    webhook_queue.sweep()
    assert circuit(webhook).state is CircuitState.CLOSED
    set_clock.advance(minutes=3)
    webhook_queue.sweep()
    assert circuit(webhook).due_at is None


def test_a_late_parked_delivery_is_found(
    webhooks: Webhooks, receiver: Receiver, webhook_queue: Queue, set_clock: SetClock
) -> None:
    """One that is parked by a process that saw the circuit open is released after it has closed."""
    webhook, deliveries = opened(webhooks, receiver, webhook_queue)
    receiver.answers = [200]
    set_clock.advance(seconds=5)
    webhook_queue.deliver(deliveries[-1])
    webhook_queue.sweep()
    assert circuit(webhook).state is CircuitState.CLOSED
    late = webhooks.tested(webhook)
    assert services().webhook_store.wait(late, clock.now(), due_in=circuit(webhook).parking)
    set_clock.advance(minutes=2)
    assert webhook_queue.sweep()["released"] == 1
    webhook_queue.deliver(late)
    assert webhooks.log(webhook)[0].status == "delivered"


@pytest.mark.parametrize("how", ["disabled", "removed"])
def test_parked_deliveries_of_an_endpoint_that_is_no_more_fail(
    webhooks: Webhooks,
    receiver: Receiver,
    webhook_queue: Queue,
    set_clock: SetClock,
    how: str,
) -> None:
    """Deliveries end without a try, some with each run."""
    webhook, _ = opened(webhooks, receiver, webhook_queue)
    waiting = parked(webhooks, webhook)
    if how == "removed":
        webhooks.call("delete_webhook", webhook)
    else:
        webhooks.call("update_webhook", webhook, enabled=False)
    set_clock.advance(minutes=20)
    assert webhook_queue.sweep()["failed"] == 2
    store = services().webhook_store
    found = store.get_delivery("demo", webhook, waiting.id)
    assert (found.status, found.due_in, found.next_at) == (FAILED, None, None)
    for _ in range(3):
        set_clock.advance(minutes=3)
        webhook_queue.sweep()
    assert circuit(webhook).due_at is None


def test_an_enabled_or_moved_endpoint_begins_anew(
    webhooks: Webhooks, receiver: Receiver, webhook_queue: Queue
) -> None:
    """A change of the address releases what is parked."""
    webhook, _ = opened(webhooks, receiver, webhook_queue)
    changed = webhooks.call("update_webhook", webhook, url="https://new.example.com/")["body"]
    assert [each["state"] for each in changed["circuits"]] == ["releasing"]
    assert webhook_queue.sweep()["released"] == 1


def test_the_owners_test_is_a_probe(
    webhooks: Webhooks, receiver: Receiver, webhook_queue: Queue
) -> None:
    """A test, or a replay, of an endpoint with an open circuit is tried at once."""
    webhook, _ = opened(webhooks, receiver, webhook_queue)
    receiver.answers = [200]
    webhook_queue.deliver(webhooks.tested(webhook))
    assert circuit(webhook).state is CircuitState.RELEASING


def test_a_parked_delivery_waits_five_days_at_most(
    webhooks: Webhooks, receiver: Receiver, webhook_queue: Queue, set_clock: SetClock
) -> None:
    """Where the endpoint is not disabled, as with addresses of submissions, it fails by itself."""
    webhook, deliveries = opened(webhooks, receiver, webhook_queue)
    set_clock.advance(days=5, minutes=1)
    assert webhook_queue.sweep()["failed"] == 1
    found = services().webhook_store.get_delivery("demo", webhook, deliveries[-1].id)
    assert found.status == FAILED


def test_probes_disable_an_endpoint_after_five_days(
    webhooks: Webhooks, receiver: Receiver, webhook_queue: Queue, set_clock: SetClock
) -> None:
    """A probe counts though it is its delivery's first try."""
    webhook, _ = opened(webhooks, receiver, webhook_queue)
    set_clock.advance(days=5, minutes=1)
    late = webhooks.tested(webhook)
    webhook_queue.deliver(late)
    assert webhooks.endpoint(webhook).disabled_reason == "failing"
    assert services().webhook_store.get_delivery("demo", webhook, late.id).status == FAILED


def test_hosts_of_submissions_have_circuits_of_their_own(
    webhooks: Webhooks, receiver: Receiver, webhook_queue: Queue
) -> None:
    """A dead host parks its own deliveries, and an address that is refused opens nothing."""
    hosts = ["dead.example.com", "well.example.com", "refuses.example.com"]
    services().webhook_endpoints.set_hosts("demo", hosts)
    store, endpoint = services().webhook_store, webhooks.endpoint(SUBMISSIONS)

    def begun(number: int, host: str) -> Delivery:
        delivery = Delivery(
            tenant="demo",
            endpoint=SUBMISSIONS,
            id=f"msg_019a6f3e-7c00-8000-8000-{number:012}",
            event=endpoint.events[0],
            generation=None,
            url=f"https://{host}/",
            body="{}",
            status=DeliveryStatus.PENDING,
            created_at=START,
            next_at=START,
        )
        store.add(delivery)
        return delivery

    receiver.answers = [500]
    for number, host in enumerate(["dead.example.com", "refuses.example.com"]):
        name = f"{SUBMISSIONS}#{host}:443"
        services().webhook_circuits.count_failure(circuit(name), OPEN_AFTER - 1)
        for delivery in (begun(number, host), begun(10 + number, host)):
            webhook_queue.deliver(delivery)
        receiver.answers = [404]
    dead, *others = [url for url, _, _ in receiver.posts]
    assert dead == "https://dead.example.com/"
    assert others == ["https://refuses.example.com/"] * 2
    receiver.answers = [200]
    webhook_queue.deliver(begun(50, "well.example.com"))
    shown = webhooks.call("get_webhook", SUBMISSIONS)["body"]["circuits"]
    assert [(each["host"], each["state"]) for each in shown] == [
        ("dead.example.com:443", "open"),
        ("refuses.example.com:443", "closed"),
    ]
    assert store.get_delivery("demo", SUBMISSIONS, begun(50, "x").id).status == "delivered"


def test_two_sweepers_do_no_harm(
    webhooks: Webhooks, receiver: Receiver, webhook_queue: Queue, set_clock: SetClock
) -> None:
    """A second sweeper that read the same entries sends nothing twice."""
    opened(webhooks, receiver, webhook_queue, 3)
    set_clock.advance(minutes=15)
    store, circuits = services().webhook_store, services().webhook_circuits
    before = clock.now() + timedelta(minutes=1)
    due = list(store.list_due(before, 100))
    (open_one,) = circuits.list_due(before, 100)
    assert webhook_queue.sweep() == {"probed": 1, "sent": 2}
    assert not any(store.wait(each, before) for each in due)
    assert not circuits.look(open_one, before)


def test_a_run_goes_on_after_an_item_that_cannot_be_read(
    webhooks: Webhooks,
    receiver: Receiver,
    webhook_queue: Queue,
    set_clock: SetClock,
    log_lines: Callable[[], list[dict[str, Any]]],
) -> None:
    """An entry of another version is counted and logged, and the others are sent."""
    receiver.answers = [500]
    for _ in range(2):
        webhook_queue.deliver(webhooks.tested(webhooks.created()["id"]))
    clients().dynamodb.put_item(
        TableName=REFERENCES["WebhooksTable"],
        Item={
            "pk": {"S": "demo"},
            "sk": {"S": "circuit#wh_x"},
            "state": {"S": "ajar"},
            "due_in": {"S": "circuits"},
            "due_at": {"N": "1"},
            "expires_at": {"N": "99999999999"},
        },
    )
    set_clock.advance(minutes=15)
    counts = webhook_queue.sweep()
    assert counts["sent"] == 2
    assert "swept deliveries" in [line["message"] for line in log_lines()]


def test_aws_out_of_reach_leaves_a_delivery_for_a_later_run(
    webhooks: Webhooks,
    receiver: Receiver,
    webhook_queue: Queue,
    set_clock: SetClock,
    cut_off: Callable[[str], None],
) -> None:
    """A run that cannot write sends nothing, and says so."""
    receiver.answers = [500]
    webhook_queue.deliver(webhooks.tested(webhooks.created()["id"]))
    set_clock.advance(minutes=15)
    webhook_queue.delayed.clear()
    cut_off("dynamodb.UpdateItem")
    assert webhook_queue.sweep() == {"unsent": 1}
    assert webhook_queue.delayed == []


def test_a_claim_whose_answer_was_lost_is_recognised(webhooks: Webhooks) -> None:
    """The SDK's second call of a claim, or of a replay, meets the first one's write."""
    delivery = webhooks.tested(webhooks.created()["id"])
    store, lease = services().webhook_store, clock.now() + timedelta(seconds=45)
    first = store.claim(delivery, lease)
    assert first is not None
    assert store.claim(delivery, lease) == first
    assert store.claim(delivery, lease + timedelta(seconds=1)) is None
    with pytest.raises(ConflictError):
        store.restart(delivery)
    assert store.record_end(first, FAILED, None)
    failed = store.get_delivery("demo", delivery.endpoint, delivery.id)
    assert store.restart(failed) == store.restart(failed)


def test_the_first_of_each_tenant_comes_before_the_second_of_any() -> None:
    """A run goes by turns of tenants, and of a tenant by turns of endpoints."""
    names = [*[("a", "A")] * 3, *[("a", "B")] * 2, *[("b", "C")] * 2, ("c", "D")]
    due = [
        Waiting(tenant, endpoint, str(number), "due/0", START, None)
        for number, (tenant, endpoint) in enumerate(names)
    ]
    assert [each.tenant + each.endpoint for each in in_turns(due)] == [
        *("aA", "bC", "cD"),
        *("aB", "bC"),
        *("aA", "aB", "aA"),
    ]

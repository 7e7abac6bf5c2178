"""The webhooks' function: the handler with its event, and a receiver instead of the internet."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, NoReturn

import pytest
import standardwebhooks
import svix

from afterword import clock
from afterword.runtime.addresses import FetchError
from afterword.runtime.clients import clients
from afterword.runtime.outbound import Fetcher
from afterword.services import services
from afterword.webhooks import (
    OPEN_AFTER,
    SUBMISSIONS,
    Circuit,
    Delivery,
    DeliveryStatus,
    Disabled,
    Try,
    sending,
)
from tests.conftest import START, Call, SetClock
from tests.harness.deployment import REFERENCES
from tests.harness.webhooks import URL, Queue, Receiver, Webhooks

RETRIES = [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000]
"""Seconds after each try that fails, as the issue has them."""
FAILED, PENDING = DeliveryStatus.FAILED, DeliveryStatus.PENDING

pytestmark = pytest.mark.usefixtures("real_time")


@pytest.fixture
def real_time(set_clock: SetClock) -> None:
    """Set the clock to now: the oracles take no webhook that is older than five minutes."""
    set_clock.moment = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def begun(webhooks: Webhooks) -> Delivery:
    """Return a delivery that waits for its first try."""
    return webhooks.tested(webhooks.created()["id"])


def only(webhooks: Webhooks, delivery: Delivery) -> Delivery:
    """Return a delivery as it is in the log, which has no other."""
    (found,) = webhooks.log(delivery.endpoint)
    assert found.id == delivery.id
    return found


def test_a_webhook_is_what_outside_libraries_verify(
    webhooks: Webhooks, receiver: Receiver, webhook_queue: Queue
) -> None:
    """The bytes that are sent are signed as Standard Webhooks says, and the log has them."""
    created = webhooks.created()
    delivery = webhooks.tested(created["id"])
    assert webhook_queue.deliver(delivery) == []
    ((url, body, headers),) = receiver.posts
    assert url == URL
    assert headers["webhook-id"] == delivery.id
    assert headers["webhook-timestamp"] == str(int(clock.now().timestamp()))
    assert headers["content-type"] == "application/json"
    for oracle in (standardwebhooks.Webhook, svix.Webhook):
        oracle(created["secret"]).verify(body, headers)
        with pytest.raises(
            (standardwebhooks.WebhookVerificationError, svix.WebhookVerificationError)
        ):
            oracle(created["secret"]).verify(body + b" ", headers)
    assert json.loads(body) == {
        "type": "webhook.test",
        "timestamp": delivery.created_at.isoformat(timespec="milliseconds")[:-6] + "Z",
        "data": {"webhook": created["id"]},
    }
    found = only(webhooks, delivery)
    assert (found.status, found.next_at, found.body.encode()) == ("delivered", None, body)
    assert [(tried.status, tried.note) for tried in found.tries] == [(204, "")]


def test_both_secrets_sign_for_a_day(
    webhooks: Webhooks, receiver: Receiver, webhook_queue: Queue, set_clock: SetClock
) -> None:
    """A receiver that knows the old secret alone goes on for 24 hours, and not longer."""
    created = webhooks.created()
    old = created["secret"]
    new = webhooks.call("rotate_webhook", created["id"])["body"]["secret"]
    taken = []
    for hours in (0, 23.9, 0.2):
        set_clock.advance(hours=hours)
        webhook_queue.deliver(webhooks.tested(created["id"]))
        _, body, headers = receiver.posts[-1]
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body.decode()}"
        moment = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
        signatures = headers["webhook-signature"].split(" ")
        assert signed
        taken.append(
            [
                standardwebhooks.Webhook(secret).sign(headers["webhook-id"], moment, body.decode())
                in signatures
                for secret in (new, old)
            ]
        )
        assert len(signatures) == sum(taken[-1])
    assert taken == [[True, True], [True, True], [True, False]]


def test_a_webhook_is_retried_as_the_schedule_says(
    webhooks: Webhooks,
    begun: Delivery,
    receiver: Receiver,
    webhook_queue: Queue,
    set_clock: SetClock,
) -> None:
    """Seven more tries follow, after 5 s up to 10 h; then the delivery has failed."""
    receiver.answers = [500]
    for wait in RETRIES:
        assert webhook_queue.deliver(begun) == []
        assert only(webhooks, begun).next_at == clock.now() + timedelta(seconds=wait)
        if wait <= 900:
            assert webhook_queue.delayed_for[-1] == wait
        set_clock.advance(seconds=wait)
    assert webhook_queue.deliver(begun) == []
    assert len(receiver.posts) == 8
    assert len({(headers["webhook-id"], body) for _, body, headers in receiver.posts}) == 1
    assert len({headers["webhook-timestamp"] for _, _, headers in receiver.posts}) == 8
    found = only(webhooks, begun)
    assert (found.status, found.next_at, found.try_count) == (FAILED, None, 8)
    assert {tried.note for tried in found.tries} == {"the host answered with status 500"}
    assert webhook_queue.deliver(begun) == []
    assert len(receiver.posts) == 8


def test_a_delivery_that_waits_is_not_in_flight(
    begun: Delivery, receiver: Receiver, webhook_queue: Queue, set_clock: SetClock
) -> None:
    """A wait of up to 15 minutes is a delayed message, and a longer one is in the table alone."""
    receiver.answers = [500]
    for wait in RETRIES:
        assert webhook_queue.deliver(begun) == []
        set_clock.advance(seconds=wait)
    assert webhook_queue.hidden_for == []
    assert webhook_queue.delayed_for == [5, 300]


def test_the_sweeper_sends_a_delivery_to_the_second(
    webhooks: Webhooks,
    begun: Delivery,
    receiver: Receiver,
    webhook_queue: Queue,
    set_clock: SetClock,
) -> None:
    """A message whose time falls before the next run is delayed by the rest, and sent once."""
    receiver.answers = [(503, {"retry-after": "3000"}), 200]
    webhook_queue.deliver(begun)
    assert webhook_queue.delayed == []
    set_clock.advance(seconds=2_939)
    assert webhook_queue.sweep() == {}
    set_clock.advance(seconds=29.5)
    assert webhook_queue.sweep() == {"sent": 1}
    assert (webhook_queue.delayed, webhook_queue.delayed_for) == ([begun.id], [32])
    assert webhook_queue.sweep() == {}
    set_clock.advance(seconds=31.5)
    assert webhook_queue.deliver(begun) == []
    assert only(webhooks, begun).status == "delivered"
    set_clock.advance(days=1)
    assert webhook_queue.sweep() == {}


def test_a_lost_message_is_sent_again(
    webhooks: Webhooks,
    begun: Delivery,
    receiver: Receiver,
    webhook_queue: Queue,
    set_clock: SetClock,
) -> None:
    """A delivery whose message stays away comes up after 15 minutes, then ever later."""
    receiver.answers = [500, 200]
    webhook_queue.deliver(begun)
    sent, passed = [], 0
    for minute in (14, 15, 16, 29, 30, 31, 58, 59, 60):
        set_clock.advance(minutes=minute - passed)
        passed = minute
        if webhook_queue.sweep():
            sent.append(minute)
    assert sent == [15, 30, 59]
    webhook_queue.deliver(begun)
    assert only(webhooks, begun).status == "delivered"


@pytest.mark.parametrize("status", [300, 301, 302, 307, 308, 400, 401, 404, 429, 503])
def test_any_other_status_is_a_failure(
    webhooks: Webhooks, begun: Delivery, receiver: Receiver, webhook_queue: Queue, status: int
) -> None:
    """Any status but a success is tried again, a redirect as well."""
    receiver.answers = [(status, {"location": "https://elsewhere.example/"})]
    assert webhook_queue.deliver(begun) == []
    found = only(webhooks, begun)
    assert (found.status, [tried.status for tried in found.tries]) == (PENDING, [status])


def test_a_receiver_that_cannot_be_reached(
    webhooks: Webhooks, begun: Delivery, receiver: Receiver, webhook_queue: Queue
) -> None:
    """The log says in a few words why there was no answer."""
    receiver.answers = ["the host was not found on the public internet", 200]
    assert webhook_queue.deliver(begun) == []
    (tried,) = only(webhooks, begun).tries
    assert (tried.status, tried.note) == (None, "the host was not found on the public internet")


@pytest.mark.parametrize(
    ("asked", "waited"),
    [
        ("120", 120),
        ("2", 5),
        ("0", 5),
        ("999999", 43_200),
        ("99999999", 5),  # more than a month is none
        ("tomorrow", 5),
        ("-1", 5),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 5),
        ("in an hour", 3_600),
    ],
)
def test_who_asks_for_more_time_gets_it(  # noqa: PLR0913, PLR0917 - fixtures
    webhooks: Webhooks,
    begun: Delivery,
    receiver: Receiver,
    webhook_queue: Queue,
    set_clock: SetClock,
    asked: str,
    waited: int,
) -> None:
    """Retry-After puts a try off, up to 12 hours, and never brings it forward."""
    set_clock.moment = set_clock.moment.replace(microsecond=0)
    if asked == "in an hour":
        asked = format_datetime(clock.now() + timedelta(hours=1), usegmt=True)
    receiver.answers = [(503, {"retry-after": asked})]
    assert webhook_queue.deliver(begun) == []
    assert only(webhooks, begun).next_at == clock.now() + timedelta(seconds=waited)
    assert webhook_queue.delayed_for == ([waited] if waited <= 900 else [])


def test_a_message_that_comes_early_waits(
    begun: Delivery, receiver: Receiver, webhook_queue: Queue, set_clock: SetClock
) -> None:
    """A second message of a delivery makes no second try before its time."""
    receiver.answers = [500, 200]
    webhook_queue.deliver(begun)
    set_clock.advance(seconds=2)
    assert webhook_queue.deliver(begun) == []
    assert webhook_queue.delayed_for == [5, 3]
    assert len(receiver.posts) == 1


def test_two_messages_become_one(
    begun: Delivery, receiver: Receiver, webhook_queue: Queue, set_clock: SetClock
) -> None:
    """A second message far ahead of the next try is dropped, for the delivery has another."""
    receiver.answers = [500]
    webhook_queue.deliver(begun)
    set_clock.advance(seconds=5)
    webhook_queue.deliver(begun)
    assert webhook_queue.delayed_for == [5, 300]
    assert webhook_queue.deliver(begun) == []
    assert webhook_queue.delayed_for == [5, 300]


@pytest.mark.parametrize("wait", [600, 18_000])
@pytest.mark.usefixtures("receiver")
def test_a_delivery_of_the_version_before_goes_on(
    webhooks: Webhooks,
    begun: Delivery,
    webhook_queue: Queue,
    set_clock: SetClock,
    wait: int,
) -> None:
    """An early message of a delivery that is not on the index is put off, or kept in the table."""
    clients().dynamodb.update_item(
        TableName=REFERENCES["WebhooksTable"],
        Key={"pk": {"S": f"demo#{begun.endpoint}"}, "sk": {"S": begun.id}},
        UpdateExpression="SET next_at = :next REMOVE due_in, due_at",
        ExpressionAttributeValues={
            ":next": {"N": str(clock.to_millis(clock.now() + timedelta(seconds=wait)))}
        },
    )
    assert webhook_queue.deliver(begun) == []
    assert webhook_queue.delayed_for == ([wait] if wait <= 900 else [])
    set_clock.advance(seconds=wait)
    webhook_queue.sweep()
    assert webhook_queue.delayed == [begun.id]
    webhook_queue.deliver(begun)
    assert only(webhooks, begun).status == "delivered"


def test_one_delivery_is_sent_by_one_sender_at_a_time(
    begun: Delivery, receiver: Receiver, webhook_queue: Queue, set_clock: SetClock
) -> None:
    """While a sender has it another leaves it alone, and takes it when the first has died."""
    claimed = services().webhook_store.claim(begun, clock.now() + timedelta(seconds=45))
    assert claimed is not None
    assert webhook_queue.deliver(begun) == [begun.id]
    assert (receiver.posts, webhook_queue.hidden_for) == ([], [45])
    set_clock.advance(seconds=46)
    assert webhook_queue.deliver(begun) == []
    assert len(receiver.posts) == 1
    late = Try(clock.now(), 500, "the host answered with status 500", 1.0)
    store = services().webhook_store
    assert not store.record_try(claimed, late, clock.now(), due_at=clock.now())
    assert not store.record_end(claimed, FAILED, late)
    (found,) = services().webhook_store.list_deliveries("demo", begun.endpoint, 10).items
    assert found.status == "delivered"


def test_who_read_a_delivery_before_a_try_does_not_send_it(
    begun: Delivery, receiver: Receiver, webhook_queue: Queue
) -> None:
    """A second message that read the delivery before its first try ended does not repeat it."""
    receiver.answers = [500]
    webhook_queue.deliver(begun)
    lease = clock.now() + timedelta(seconds=45)
    assert services().webhook_store.claim(begun, lease) is None
    (found,) = services().webhook_store.list_deliveries("demo", begun.endpoint, 10).items
    assert (found.try_count, found.attempt) == (1, 1)
    assert services().webhook_store.claim(found, lease) is not None


def test_a_batch_is_sent_at_once(
    webhooks: Webhooks, receiver: Receiver, webhook_queue: Queue
) -> None:
    """Each delivery of a batch is on its own: those that fail come again, and no others."""
    deliveries = [webhooks.tested(webhooks.created()["id"]) for _ in range(10)]
    receiver.answers = [200, 500, 200, 500, 200, 500, 200, 500, 200, 200]
    assert webhook_queue.deliver(*deliveries) == []
    assert (len(receiver.posts), webhook_queue.delayed_for) == (10, [5] * 4)


def test_a_try_that_hangs_is_cut_off_once_its_circuit_is_open(
    webhooks: Webhooks,
    begun: Delivery,
    webhook_queue: Queue,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A try counts before its end, and the tenth that hangs ends all of them."""
    circuits, circuit = services().webhook_circuits, Circuit(tenant="demo", name=begun.endpoint)
    circuits.count_failure(circuit, OPEN_AFTER - 1)
    monkeypatch.setattr(sending, "SLOW_SECONDS", 0.05)

    def post(_fetcher: Fetcher, *sent: Any) -> NoReturn:  # noqa: ANN401 - of a post
        hung = threading.Event()
        sent[4](hung.set)
        assert hung.wait(10)
        raise FetchError("the connection to the host broke")

    monkeypatch.setattr(Fetcher, "post", post)
    assert webhook_queue.deliver(begun) == []
    assert circuits.read("demo", begun.endpoint).is_open
    found = only(webhooks, begun)
    assert [tried.note for tried in found.tries] == [sending.CUT_OFF]
    assert (found.status, webhook_queue.delayed_for) == (PENDING, [5])


def test_a_poisoned_delivery_harms_no_other(
    webhooks: Webhooks, receiver: Receiver, webhook_queue: Queue
) -> None:
    """An item that cannot be read makes its own message come again, and the batch goes on."""
    deliveries = [webhooks.tested(webhooks.created()["id"]) for _ in range(3)]
    poisoned = deliveries[1]
    clients().dynamodb.update_item(
        TableName=REFERENCES["WebhooksTable"],
        Key={"pk": {"S": f"demo#{poisoned.endpoint}"}, "sk": {"S": poisoned.id}},
        UpdateExpression="REMOVE body",
    )
    assert webhook_queue.deliver(*deliveries) == [poisoned.id]
    assert len(receiver.posts) == 2


def published(calls: list[Call]) -> list[dict[str, Any]]:
    """Return the entries that were given to EventBridge."""
    return [entry for call in calls for entry in call.params.get("Entries", [])]


def test_gone_disables_an_endpoint(  # noqa: PLR0913, PLR0917 - fixtures
    webhooks: Webhooks,
    begun: Delivery,
    receiver: Receiver,
    webhook_queue: Queue,
    monkeypatch: pytest.MonkeyPatch,
    calls: list[Call],
    log_lines: Callable[[], list[dict[str, Any]]],
) -> None:
    """410 disables it at once: its owner is told on the bus and in the log, and sees it."""
    monkeypatch.setenv("AFTERWORD_EVENT_BUS", "company")
    clients().events.create_event_bus(Name="company")
    receiver.answers = [410]
    assert webhook_queue.deliver(begun) == []
    assert only(webhooks, begun).status == FAILED
    shown = webhooks.call("get_webhook", begun.endpoint)["body"]
    assert (shown["enabled"], shown["disabled_reason"]) == (False, "gone")
    (entry,) = published(calls)
    assert (entry["EventBusName"], entry["DetailType"]) == ("company", "WebhookEndpointDisabled")
    detail = json.loads(entry["Detail"])
    assert (detail["tenant"], detail["id"], detail["reason"]) == ("demo", begun.endpoint, "gone")
    assert "disabled a webhook endpoint" in [line["message"] for line in log_lines()]
    assert URL not in entry["Detail"]


def test_five_days_of_failures_disable_an_endpoint(
    webhooks: Webhooks, receiver: Receiver, webhook_queue: Queue, set_clock: SetClock
) -> None:
    """An endpoint whose tries fail for five days is disabled, and what waits for it is failed."""
    webhook = webhooks.created()["id"]
    receiver.answers = [500]
    for _ in range(5):
        delivery = webhooks.tested(webhook)
        webhook_queue.deliver(delivery)
        set_clock.advance(days=1)
    waiting = webhooks.tested(webhook)
    webhook_queue.deliver(waiting)
    assert webhooks.endpoint(webhook).enabled
    set_clock.advance(seconds=5)
    assert webhook_queue.deliver(waiting) == []
    endpoint = webhooks.endpoint(webhook)
    assert (endpoint.enabled, endpoint.disabled_reason) == (False, Disabled.FAILING)
    posts = len(receiver.posts)
    assert webhook_queue.deliver(delivery) == []
    assert len(receiver.posts) == posts
    assert {each.status for each in webhooks.log(webhook)} == {FAILED, PENDING}


def test_an_endpoint_that_answers_again_begins_anew(
    webhooks: Webhooks, receiver: Receiver, webhook_queue: Queue, set_clock: SetClock
) -> None:
    """One success ends the count of days."""
    webhook = webhooks.created()["id"]
    receiver.answers = [500, 200, 500]
    for _ in range(2):
        webhook_queue.deliver(webhooks.tested(webhook))
        set_clock.advance(days=4)
    assert webhooks.endpoint(webhook).failing_since is None
    delivery = webhooks.tested(webhook)
    for _ in range(3):
        webhook_queue.deliver(delivery)
        set_clock.advance(minutes=40)
    assert webhooks.endpoint(webhook).enabled


def test_a_hiccup_after_days_of_silence_disables_nothing(
    webhooks: Webhooks, receiver: Receiver, webhook_queue: Queue, set_clock: SetClock
) -> None:
    """A first try that fails, long after another, is not five days of failures."""
    webhook = webhooks.created()["id"]
    receiver.answers = [500, 500, 200]
    webhook_queue.deliver(webhooks.tested(webhook))
    set_clock.advance(days=30)
    delivery = webhooks.tested(webhook)
    assert webhook_queue.deliver(delivery) == []
    set_clock.advance(seconds=5)
    assert webhook_queue.deliver(delivery) == []
    assert webhooks.endpoint(webhook).enabled


@pytest.mark.parametrize("how", ["removed", "disabled"])
def test_what_waits_for_an_endpoint_that_is_no_more(
    webhooks: Webhooks, begun: Delivery, receiver: Receiver, webhook_queue: Queue, how: str
) -> None:
    """Nothing more is sent to an endpoint that its owner removes or disables."""
    if how == "removed":
        webhooks.call("delete_webhook", begun.endpoint)
    else:
        webhooks.call("update_webhook", begun.endpoint, enabled=False)
    assert webhook_queue.deliver(begun) == []
    assert receiver.posts == []
    assert only(webhooks, begun).status == FAILED


def test_a_submissions_own_address_is_never_disabled(
    receiver: Receiver, webhook_queue: Queue, webhooks: Webhooks
) -> None:
    """410 from one submission's address ends its delivery, and no other submission's."""
    services().webhook_endpoints.set_hosts("demo", ["hooks.example.com"])
    endpoint = webhooks.endpoint(SUBMISSIONS)
    assert endpoint.enabled
    receiver.answers = [410]
    delivery = Delivery(
        tenant="demo",
        endpoint=SUBMISSIONS,
        id="msg_019a6f3e-7c00-8000-8000-000000000001",
        event=endpoint.events[0],
        generation=None,
        url=URL,
        body="{}",
        status=PENDING,
        created_at=START,
        next_at=START,
    )
    services().webhook_store.add(delivery)
    assert webhook_queue.deliver(delivery) == []
    assert webhooks.endpoint(SUBMISSIONS).enabled
    assert only(webhooks, delivery).status == FAILED


def test_what_aws_does_not_let_it_do_comes_again(
    begun: Delivery,
    receiver: Receiver,
    webhook_queue: Queue,
    cut_off: Callable[[str], None],
) -> None:
    """Without its secrets a webhook is not sent, and its message comes again."""
    cut_off("ssm.GetParameter")
    assert webhook_queue.deliver(begun) == [begun.id]
    assert receiver.posts == []


def test_a_message_of_nothing_is_done_with(
    begun: Delivery, receiver: Receiver, webhook_queue: Queue, set_clock: SetClock
) -> None:
    """A delivery that has expired is not sent."""
    set_clock.advance(days=31)
    assert webhook_queue.deliver(begun) == []
    assert receiver.posts == []

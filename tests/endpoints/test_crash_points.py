"""Every call of AWS on a generation's way, as the point where the process dies.

A process dies before a call, or between its effect and its answer, and makes no call any
more. Then the others recover. The client sends its request again with the same idempotency key. The
sweeper runs every minute, and other functions take the messages in the queues. At the end each
generation has one end, which is dispatched: its tokens are counted and its end made known.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from afterword.engine.attempts import MAX_FAILURES
from afterword.generations import Reason, Status
from afterword.limits import Limits, shards
from afterword.limits.quotas import Quotas
from afterword.runtime.clients import clients
from afterword.runtime.payloads import INLINE_BYTES
from afterword.services import services
from tests.conftest import Event, LambdaContext, SetClock
from tests.harness.api import invoke
from tests.harness.deployment import REFERENCES
from tests.harness.fake_model import FakeModel, completion

TEXT = "Dear Jean, " * INLINE_BYTES
"""A reply too big for the item, so that S3 is on its way too."""
MINUTES = 90
LIMITS = Limits(running_at_once=2, requests_per_minute=10, tokens_per_month=10_000)
TOKENS = completion(TEXT).tokens_in + completion(TEXT).tokens_out

pytestmark = pytest.mark.parametrize(
    "moment", [pytest.param("before-call", marks=pytest.mark.long), "after-call"]
)


@dataclass(frozen=True)
class Calls:
    """How many calls of AWS each process makes; `stored` are the submission's up to its item."""

    submission: int
    stored: int
    worker: int
    sweeper: int
    dead_letter: int
    deliver: int


CALLS = {
    # the key, the flow, the limits, the big text, the item, the message;
    # the claim, the big request, the flow, the big text, the result;
    # eight shards, the item, its next due time, the message;
    # the end, its dispatch
    "plain": Calls(submission=6, stored=5, worker=5, sweeper=11, dead_letter=2, deliver=0),
    # between limits and big text: whether it is there, and a slot: refused since the tenant has no
    # usage yet, made with it;
    # after an end: the slot and the tokens, the message; the deliverer: the end, the webhooks,
    # the event, the dispatch
    "limited": Calls(submission=9, stored=8, worker=7, sweeper=11, dead_letter=3, deliver=4),
    # after the first count, the number of shards; the slot: refused since the shard is not there,
    # made with it
    "spread": Calls(submission=12, stored=11, worker=7, sweeper=11, dead_letter=3, deliver=4),
    # no slot, the number of shards; after an end: the tokens with their receipt
    "tokens": Calls(submission=10, stored=9, worker=7, sweeper=11, dead_letter=2, deliver=4),
}
"""For a tenant without limits whose generations' ends nobody wants to know, and for others.

Others have limits: with all slots in one item, with slots in another shard, and without slots.
"""

each = pytest.mark.parametrize("tenancy", CALLS)


def each_call(process: str) -> pytest.MarkDecorator:
    """Run a test with each call of a process as its last.

    A tenant with limits makes the calls of one without, too: the others are left to the long form.
    """
    return pytest.mark.parametrize(
        ("tenancy", "calls"),
        [
            pytest.param(tenancy, call, marks=[pytest.mark.long] if tenancy != "limited" else [])
            for tenancy, calls in CALLS.items()
            for call in range(getattr(calls, process))
        ],
    )


class Death(BaseException):
    """The end of a process: no `except Exception` outlives it."""


@dataclass
class Fate:
    """Lets a process live through some calls of AWS, and die at the next one and all after it."""

    calls: int | None = None
    struck: bool = False

    def __call__(self, event_name: str, **_: object) -> None:
        """Count a call of the process, or let it die."""
        if self.calls is None or event_name.endswith(".ReceiveMessage"):  # that is Lambda's
            return
        if self.calls == 0:
            self.struck = True
            raise Death
        self.calls -= 1

    def strikes(self, calls: int, run: Callable[[], object]) -> bool:
        """Run a process that lives through so many calls; return whether one more came."""
        self.calls, self.struck = calls, False
        try:
            run()
        except Death:
            assert self.struck
        finally:
            self.calls = None
        return self.struck


@pytest.fixture
def fate(aws: None, moment: str) -> Fate:  # noqa: ARG001 - asked for its effect
    """Return the fate of all that calls AWS, which strikes at that moment of a call."""
    fate = Fate()
    for client in (clients().dynamodb, clients().sqs, clients().s3, clients().events):
        client.meta.events.register(moment, fate)
    return fate


@dataclass
class World:
    """One client, the queue, and the functions that Lambda runs, each under a fate or without."""

    fate: Fate
    event: Event
    sweep_event: Event
    clock: SetClock
    published: list[str] = field(default_factory=list)

    def submit(self) -> dict[str, Any]:
        """Send the client's request, or send it again."""
        return invoke("submit_mail_generation", self.event)

    def sweep(self) -> None:
        """Run the sweeper once."""
        invoke("sweep", self.sweep_event)

    def work(self) -> bool:
        """Run a worker with a batch from the queue; return whether there was one."""
        return self._consume("generate", REFERENCES["Queue"])

    def deliver(self) -> bool:
        """Make known the ends in the notify queue; return whether there were any."""
        return self._consume("deliver", REFERENCES["NotifyQueue"])

    @staticmethod
    def _consume(function: str, queue: str) -> bool:
        taken = (
            clients()
            .sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
            .get("Messages", [])
        )
        records = [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
            }
            for message in taken
        ]
        if records:
            invoke(function, {"Records": records}, LambdaContext(milliseconds=300_000))
        return bool(records)

    def lose_messages(self) -> None:
        """Empty the queue: a received message is out of sight for longer than a test takes."""
        while clients().sqs.receive_message(QueueUrl=REFERENCES["Queue"]).get("Messages"):
            pass

    def ids(self) -> list[str]:
        """Return the ids of all generations."""
        items = clients().dynamodb.scan(TableName=REFERENCES["GenerationsTable"])["Items"]
        return [item["id"]["S"] for item in items]

    def recover(self) -> None:
        """Let the minutes pass, with live workers and a live sweeper, until all is dispatched."""
        for _ in range(MINUTES):
            while self.work() or self.deliver():
                pass
            ends = [services().store.get_end("demo", generation_id) for generation_id in self.ids()]
            if all(ended is not None and ended.dispatched for ended in ends):
                return
            self.clock.advance(minutes=1)
            self.sweep()
        pytest.fail(f"it is not finished after {MINUTES} minutes")


@pytest.fixture
def world(  # noqa: PLR0913, PLR0917 - all that a world is made of
    fate: Fate,
    submission_event: Event,
    load_event: Callable[[str], Event],
    set_clock: SetClock,
    use_model: Callable[[FakeModel], None],
    monkeypatch: pytest.MonkeyPatch,
    tenancy: str,
) -> World:
    """Return a world with a model that answers, and a mail too big for an item."""
    use_model(FakeModel(lambda _: completion(TEXT)))
    mail = {"subject": "A claim", "body": "x" * 2 * INLINE_BYTES, "external_ref": "case-457"}
    submission_event["body"] = json.dumps(mail)
    submission_event["headers"]["idempotency-key"] = "case-457"
    world = World(fate, submission_event, load_event("sweep"), set_clock)
    if tenancy != "plain":
        monkeypatch.setenv("AFTERWORD_EVENT_BUS", "default")
        limits = replace(LIMITS, running_at_once=None) if tenancy == "tokens" else LIMITS
        services().registry.set_limits("demo", limits)
    if tenancy == "spread":
        monkeypatch.setattr(shards, "MAIN_SLOTS", 0)

    def note(params: Mapping[str, Any], **_: object) -> None:
        details = [json.loads(entry["Detail"]) for entry in params["Entries"]]
        world.published += [detail["id"] for detail in details]

    clients().events.meta.events.register("before-parameter-build.eventbridge.PutEvents", note)
    return world


def only_generation(world: World) -> tuple[Status, str | None]:
    """Return status and text of the one generation, which the client's request still stands for."""
    (generation_id,) = world.ids()
    assert json.loads(world.submit()["body"]) == {"process_cuid": generation_id}
    generation = services().store.get("demo", generation_id)
    spent = 0 if generation.completion is None else TOKENS
    if services().registry.get_limits("demo").any:
        usage = Quotas(clients().dynamodb, REFERENCES["QuotasTable"]).get_status("demo")
        assert (usage.running, usage.tokens) == (0, spent)
        assert set(world.published) == {generation_id}
    else:
        assert world.published == []
    return generation.status, generation.completion.text if generation.completion else None


@each_call("submission")
def test_a_submission_that_dies_anywhere_is_one_generation_once_it_is_sent_again(
    world: World, calls: int
) -> None:
    """Whichever call the submission dies at, the client's second try makes or finds the one."""
    assert world.fate.strikes(calls, world.submit)
    assert world.submit()["statusCode"] == 200
    world.recover()
    assert only_generation(world) == (Status.SUCCEEDED, TEXT)


@each
def test_a_submission_that_dies_after_its_item_needs_no_second_try(
    world: World, moment: str, tenancy: str
) -> None:
    """From the put of the item on, the generation comes to its end though its client is gone."""
    last = CALLS[tenancy].stored - (moment == "after-call")
    assert world.fate.strikes(last, world.submit)
    world.recover()
    assert only_generation(world) == (Status.SUCCEEDED, TEXT)


@each_call("worker")
def test_a_worker_that_dies_anywhere_is_replaced(world: World, calls: int) -> None:
    """Whichever call the worker dies at, the generation ends with one result, by another worker."""
    world.submit()
    assert world.fate.strikes(calls, world.work)
    world.recover()
    assert only_generation(world) == (Status.SUCCEEDED, TEXT)


@each
def test_a_worker_that_dies_again_and_again_is_the_generations_end(world: World) -> None:
    """When three workers died on it, the generation fails instead of killing a fourth."""
    world.submit()
    lost = 0
    while lost < MAX_FAILURES:
        after_claim = 2 if lost else 1  # taking over takes two calls
        lost += world.fate.strikes(after_claim, world.work)
        world.clock.advance(minutes=1)
        world.sweep()
    world.recover()
    generation = services().store.get("demo", world.ids()[0])
    assert (generation.status, generation.reason) == (Status.FAILED, Reason.WORKER_LOST)


@each_call("sweeper")
def test_a_sweeper_that_dies_anywhere_is_made_up_for_by_the_next(world: World, calls: int) -> None:
    """Whichever call a sweeper dies at, a later one sends what it did not."""
    world.submit()
    world.lose_messages()
    world.clock.advance(minutes=3)
    assert world.fate.strikes(calls, world.sweep)
    world.recover()
    assert only_generation(world) == (Status.SUCCEEDED, TEXT)


@each_call("dead_letter")
def test_a_dead_letters_function_that_dies_comes_again(
    world: World, load_event: Callable[[str], Event], calls: int
) -> None:
    """A dead letter whose function died is delivered again, and fails the generation once."""
    world.submit()
    world.lose_messages()
    letter = load_event("dead_letter")
    letter["Records"][0]["body"] = json.dumps({"tenant": "demo", "id": world.ids()[0]})
    assert world.fate.strikes(calls, lambda: invoke("dead_letter", letter))
    assert invoke("dead_letter", letter) == {"batchItemFailures": []}
    world.recover()
    assert only_generation(world) == (Status.FAILED, None)


@each_call("deliver")
def test_an_end_message_whose_function_dies_is_repeated(world: World, calls: int) -> None:
    """Whichever call the deliverer dies at, the end is made known all the same."""
    world.submit()
    world.work()
    assert world.fate.strikes(calls, world.deliver)
    world.recover()
    assert only_generation(world) == (Status.SUCCEEDED, TEXT)


@pytest.mark.parametrize("tenancy", ["limited"])
def test_a_slot_comes_back_from_a_submission_that_died_before_its_item(
    world: World, moment: str
) -> None:
    """When all slots are taken by lost submissions, the next refused one gives them back."""
    for taken in (6, 3):  # the slot is the sixth call, and later the third
        world.event["headers"]["idempotency-key"] = f"lost-{taken}"
        assert world.fate.strikes(taken - (moment == "after-call"), world.submit)
    world.event["headers"]["idempotency-key"] = "case-457"
    assert world.submit()["statusCode"] == 429
    assert world.ids() == []
    world.clock.advance(seconds=61)
    assert world.submit()["statusCode"] == 200
    world.recover()
    assert only_generation(world) == (Status.SUCCEEDED, TEXT)


@each
def test_there_are_no_other_calls(
    world: World, load_event: Callable[[str], Event], tenancy: str
) -> None:
    """The tests above strike at every call that there is."""
    calls = CALLS[tenancy]
    assert not world.fate.strikes(calls.submission, world.submit)
    assert not world.fate.strikes(calls.worker, world.work)
    assert not world.fate.strikes(calls.deliver, world.deliver)
    world.event["headers"]["idempotency-key"] = "case-458"
    cuid = json.loads(world.submit()["body"])["process_cuid"]
    world.clock.advance(minutes=3)
    assert not world.fate.strikes(calls.sweeper, world.sweep)
    letter = load_event("dead_letter")
    letter["Records"][0]["body"] = json.dumps({"tenant": "demo", "id": cuid})
    assert not world.fate.strikes(calls.dead_letter, lambda: invoke("dead_letter", letter))

"""Every call of AWS on a generation's way, as the place where the process dies.

A process dies before a call, or after the call has taken effect but before its answer is there;
from then on it makes no call. Then others recover: the client sends its request again with the same
idempotency key, the sweeper runs every minute, and other workers take what is in the queue.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from afterword import clients, services
from afterword.generations import Reason, Status
from afterword.payloads import INLINE_BYTES
from afterword.worker import MAX_FAILURES
from functions.dead_letter.app import handler as dead_letter
from functions.generate.app import handler as generate
from functions.submit_mail_generation.app import handler as submit
from functions.sweep.app import handler as sweep
from tests.conftest import Event, LambdaContext, SetClock
from tests.deployment import REFERENCES
from tests.fake_model import FakeModel, completion

TEXT = "Dear Jean, " * INLINE_BYTES
"""A reply too big for the item, so that S3 is on its way too."""
MINUTES = 90

pytestmark = pytest.mark.parametrize("moment", ["before-call", "after-call"])


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
        """Run a process that lives through so many calls; return whether it came to one more."""
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
    for client in (clients.dynamodb(), clients.sqs(), clients.s3()):
        client.meta.events.register(moment, fate)
    return fate


@dataclass
class World:
    """One client, the queue, and the functions that Lambda runs, each under a fate or without."""

    fate: Fate
    event: Event
    sweep_event: Event
    clock: SetClock

    def submit(self) -> dict[str, Any]:
        """Send the client's request, or send it again."""
        return submit(self.event, LambdaContext())

    def sweep(self) -> None:
        """Run the sweeper once."""
        sweep(self.sweep_event, LambdaContext())

    def work(self) -> bool:
        """Run a worker with a batch from the queue; return whether there was one."""
        taken = (
            clients.sqs()
            .receive_message(QueueUrl=REFERENCES["Queue"], MaxNumberOfMessages=10)
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
            generate({"Records": records}, LambdaContext(milliseconds=300_000))
        return bool(records)

    def lose_messages(self) -> None:
        """Empty the queue: what is received is out of sight for longer than a test takes."""
        while clients.sqs().receive_message(QueueUrl=REFERENCES["Queue"]).get("Messages"):
            pass

    def ids(self) -> list[str]:
        """Return the ids of all generations."""
        items = clients.dynamodb().scan(TableName=REFERENCES["GenerationsTable"])["Items"]
        return [item["id"]["S"] for item in items]

    def recover(self) -> None:
        """Let the minutes pass, with workers and a sweeper that live, until all is finished."""
        for _ in range(MINUTES):
            while self.work():
                pass
            store = services.store()
            if all(store.get("demo", generation).status.terminal for generation in self.ids()):
                return
            self.clock.advance(minutes=1)
            self.sweep()
        pytest.fail(f"it is not finished after {MINUTES} minutes")


@pytest.fixture
def world(
    fate: Fate,
    submission_event: Event,
    load_event: Callable[[str], Event],
    set_clock: SetClock,
    use_model: Callable[[FakeModel], None],
) -> World:
    """Return a world with a model that answers, and a mail too big for an item."""
    use_model(FakeModel(lambda _: completion(TEXT)))
    mail = {"subject": "A claim", "body": "x" * 2 * INLINE_BYTES, "external_ref": "case-457"}
    submission_event["body"] = json.dumps(mail)
    submission_event["headers"]["idempotency-key"] = "case-457"
    return World(fate, submission_event, load_event("sweep"), set_clock)


def only_generation(world: World) -> tuple[Status, str | None]:
    """Return status and text of the one generation, which the client's request still stands for."""
    (generation_id,) = world.ids()
    assert json.loads(world.submit()["body"]) == {"process_cuid": generation_id}
    generation = services.store().get("demo", generation_id)
    return generation.status, generation.completion.text if generation.completion else None


# the key, the flow, the big text, the item, the message
SUBMISSION_CALLS = 5
# the claim, the big request, the flow, the big text, the result
WORKER_CALLS = 5
# eight shards, the item, its next due time, the message
SWEEPER_CALLS = 11


@pytest.mark.parametrize("calls", range(SUBMISSION_CALLS))
def test_a_submission_that_dies_anywhere_is_one_generation_once_it_is_sent_again(
    world: World, calls: int
) -> None:
    """Whichever call the submission dies at, the client's second try makes or finds the one."""
    assert world.fate.strikes(calls, world.submit)
    assert world.submit()["statusCode"] == 200
    world.recover()
    assert only_generation(world) == (Status.SUCCEEDED, TEXT)


def test_a_submission_that_dies_after_its_item_needs_no_second_try(
    world: World, moment: str
) -> None:
    """From the put of the item on, the generation comes to its end though its client is gone."""
    assert world.fate.strikes(3 if moment == "after-call" else 4, world.submit)
    world.recover()
    assert only_generation(world) == (Status.SUCCEEDED, TEXT)


@pytest.mark.parametrize("calls", range(WORKER_CALLS))
def test_a_worker_that_dies_anywhere_is_replaced(world: World, calls: int) -> None:
    """Whichever call the worker dies at, the generation ends with one result, by another worker."""
    world.submit()
    assert world.fate.strikes(calls, world.work)
    world.recover()
    assert only_generation(world) == (Status.SUCCEEDED, TEXT)


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
    generation = services.store().get("demo", world.ids()[0])
    assert (generation.status, generation.reason) == (Status.FAILED, Reason.WORKER_LOST)


@pytest.mark.parametrize("calls", range(SWEEPER_CALLS))
def test_a_sweeper_that_dies_anywhere_is_made_up_for_by_the_next(world: World, calls: int) -> None:
    """Whichever call a sweeper dies at, a later one sends what it did not."""
    world.submit()
    world.lose_messages()
    world.clock.advance(minutes=3)
    assert world.fate.strikes(calls, world.sweep)
    world.recover()
    assert only_generation(world) == (Status.SUCCEEDED, TEXT)


def test_a_dead_letters_function_that_dies_comes_again(
    world: World, load_event: Callable[[str], Event]
) -> None:
    """A dead letter whose function died is delivered again, and fails the generation once."""
    world.submit()
    letter = load_event("dead_letter")
    letter["Records"][0]["body"] = json.dumps({"tenant": "demo", "id": world.ids()[0]})
    assert world.fate.strikes(0, lambda: dead_letter(letter, LambdaContext()))
    assert dead_letter(letter, LambdaContext()) == {"batchItemFailures": []}
    assert only_generation(world) == (Status.FAILED, None)


def test_there_are_no_other_calls(world: World) -> None:
    """The tests above strike at every call that there is."""
    assert not world.fate.strikes(SUBMISSION_CALLS, world.submit)
    assert not world.fate.strikes(WORKER_CALLS, world.work)
    world.event["headers"]["idempotency-key"] = "case-458"
    world.submit()
    world.clock.advance(minutes=3)
    assert not world.fate.strikes(SWEEPER_CALLS, world.sweep)

"""The top-up: which messages a running worker takes, and their fate."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from afterword.engine import attempts, top_up
from afterword.generations import Completion, Status
from afterword.models import Prompt
from afterword.runtime.clients import clients
from afterword.runtime.dynamodb import time_of
from afterword.runtime.queue import Message, Queue
from tests.conftest import START, Call, SetClock
from tests.harness.deployment import QUEUE_NAME, REFERENCES
from tests.harness.fake_model import FakeModel, completion, saying
from tests.harness.stand_in_aws import count_messages
from tests.harness.work import SECONDS, Work

OWN = 1
"""The message of the batch, which Lambda deletes."""


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Poll from the start, and without a wait."""
    monkeypatch.setattr(top_up, "POLL_SECONDS", 0)


class Crowd(FakeModel):
    """A model that answers once so many prompts are with it; `most` were with it at one time."""

    def __init__(self, size: int) -> None:
        super().__init__(self._wait)
        self.most = 0
        self._inside = 0
        self._lock = threading.Lock()
        self._all_there = threading.Barrier(size)

    def _wait(self, prompt: Prompt) -> Completion:
        with self._lock:
            self._inside += 1
            self.most = max(self.most, self._inside)
        self._all_there.wait(timeout=20)
        with self._lock:
            self._inside -= 1
        return completion(f"about {prompt.user}")


def receives(calls: list[Call]) -> list[Call]:
    """Return the receives of the worker."""
    return [
        call
        for call in calls
        if call.operation == "sqs.ReceiveMessage" and "VisibilityTimeout" in call.params
    ]


@pytest.mark.usefixtures("at_once")
def test_a_worker_takes_messages_while_it_waits_for_its_model(work: Work) -> None:
    """Twenty generations of the queue run beside that of the batch, in one invocation."""
    message = work.submit("mail 0")
    taken = [work.send(f"mail {number}") for number in range(1, 21)]
    assert work.run(Crowd(21), message, most=25) == []
    for number, generation_id in enumerate([message.id, *taken]):
        text = f"about <subject>A claim</subject>\n<body>mail {number}</body>"
        assert work.store.get("demo", generation_id).completion == completion(text)
    assert count_messages(QUEUE_NAME) == OWN


@pytest.mark.usefixtures("at_once")
def test_no_more_run_at_once_than_the_setting_says(work: Work) -> None:
    """A full worker takes the next message when a generation has ended."""
    message = work.submit()
    taken = [work.send("another") for _ in range(23)]
    model = Crowd(12)
    assert work.run(model, message, most=12) == []
    assert model.most == 12
    assert {work.store.get("demo", each).status for each in taken} == {Status.SUCCEEDED}
    assert count_messages(QUEUE_NAME) == OWN


@pytest.mark.usefixtures("at_once")
def test_the_top_up_can_be_turned_off(work: Work, calls: list[Call]) -> None:
    """With as many generations as a batch has messages, a worker runs those of its batch alone."""
    message, left = work.submit(), work.send("another")
    assert work.run(saying("Hi"), message, most=10) == []
    assert work.get(message).status is Status.SUCCEEDED
    assert work.store.get("demo", left).status is Status.QUEUED
    assert receives(calls) == []


@pytest.mark.parametrize(("resident", "left"), [(127, 40), (129, 0)])
def test_a_worker_with_half_of_its_memory_taken_takes_nothing_more(
    monkeypatch: pytest.MonkeyPatch, resident: int, left: int
) -> None:
    """Big texts leave the rest of the memory to what runs, and later to further messages."""
    monkeypatch.setattr(top_up, "read_resident", lambda: resident * 1024 * 1024)
    assert top_up.Room(50, 256).left(10) == left
    assert top_up.Room(50).left(10) == 40


def test_a_process_knows_its_memory() -> None:
    """The memory of this process is some megabytes, and grows with what it keeps."""
    before = top_up.read_resident()
    kept = b"x" * 64_000_000
    assert before > 10_000_000
    assert top_up.read_resident() - before > 50_000_000
    assert len(kept) == 64_000_000


def test_an_invocation_of_quick_answers_is_not_prolonged(work: Work, calls: list[Call]) -> None:
    """In the first second no poll begins that would outlast the answer."""
    assert work.run(saying("Hi"), work.submit()) == []
    assert receives(calls) == []


@pytest.mark.parametrize(
    ("ages", "seconds"),
    [
        ([0.0], 0.0),
        ([3.9], 0.0),
        ([4.1], 1.9),
        ([4.1, 5.5], 0.5),
        ([0.0, 5.5], 0.0),
        ([6.0], 0.0),
        ([4.5, 30.0], 0.0),
    ],
)
def test_no_poll_begins_while_all_attempts_are_about_to_end(
    ages: list[float], seconds: float
) -> None:
    """A poll needs an attempt that has a second left, or one that has taken longer than usual."""
    pace = top_up.Pace()
    for usual in (5.0, 5.0):
        pace.note(usual)
    assert pace.seconds_to_poll(ages) == pytest.approx(seconds)


def test_the_usual_time_follows_the_last_attempts() -> None:
    """A process that has learned of slow answers forgets them within some quick ones."""
    pace = top_up.Pace()
    assert pace.seconds_to_poll([0.5]) == 0.5
    pace.note(60.0)
    assert pace.seconds_to_poll([0.5]) == 0.0
    for _ in range(30):
        pace.note(0.2)
    assert pace.seconds_to_poll([0.5]) == pytest.approx(0.7, abs=0.01)


def test_a_worker_stops_taking_long_before_its_deadline(
    work: Work,
    calls: list[Call],
    monkeypatch: pytest.MonkeyPatch,
    at_once: None,  # noqa: ARG001
) -> None:
    """Once the time for taking is over, no message is taken, and each has the time that is left."""
    monkeypatch.setattr(top_up, "TAKING_SHARE", 0.0)
    message, left = work.submit(), work.send("another")
    assert work.run(saying("Hi"), message) == []
    assert work.store.get("demo", left).status is Status.QUEUED
    assert receives(calls) == []


@pytest.mark.usefixtures("at_once")
def test_a_message_that_comes_after_the_last_end_is_run(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message of the last poll is run, though nothing else of the invocation runs any more."""
    message, late = work.submit("first"), work.submit("late")
    polls = iter([[late]])

    def receive(_: Queue, *__: int) -> list[Message]:
        while not work.get(message).status.terminal:
            pass
        return next(polls, [])

    monkeypatch.setattr(Queue, "receive", receive)
    assert work.run(saying("Hi"), message) == []
    assert work.get(late).status is Status.SUCCEEDED


@pytest.mark.usefixtures("at_once")
def test_a_taken_message_is_hidden_until_a_lost_worker_can_be_replaced(
    work: Work, calls: list[Call], read_item: Callable[[str, str], dict[str, Any]]
) -> None:
    """The message of a worker that died comes back when its lease has run out by every clock."""
    message, taken = work.submit(), work.send("another")
    leases = []

    class Reading(Crowd):
        def generate(self, prompt: Prompt, timeout: float) -> Completion:
            if "another" in prompt.user:
                leases.append(time_of(read_item("demo", taken), "lease_until"))
            return super().generate(prompt, timeout)

    work.run(Reading(2), message)
    (lease,) = leases
    hidden = receives(calls)[0].params["VisibilityTimeout"]
    assert hidden >= (lease - START).total_seconds() + attempts.EARLY_SECONDS - 1


@pytest.mark.usefixtures("at_once")
def test_a_taken_message_whose_attempt_breaks_comes_again(work: Work, set_clock: SetClock) -> None:
    """A bug in an attempt leaves its message where it is, hidden for the time of its lease."""
    message, taken = work.submit("fine"), work.send("breaks")

    class Breaking(Crowd):
        def generate(self, prompt: Prompt, timeout: float) -> Completion:
            answer = super().generate(prompt, timeout)
            if "breaks" in prompt.user:
                raise RuntimeError("a bug")
            return answer

    assert work.run(Breaking(2), message) == []
    assert work.get(message).status is Status.SUCCEEDED
    assert work.store.get("demo", taken).status is Status.RUNNING
    assert count_messages(QUEUE_NAME) == OWN + 1
    set_clock.advance(seconds=SECONDS + attempts.HIDDEN_SECONDS)
    assert work.run(saying("Hi"), work.message(taken)) == []
    assert work.store.get("demo", taken).status is Status.SUCCEEDED


@pytest.mark.usefixtures("at_once")
def test_a_foreign_message_is_dropped(
    work: Work, log_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    """A message that names no generation is deleted, and harms no other."""
    message = work.submit("fine")
    clients().sqs.send_message(
        QueueUrl=REFERENCES["Queue"], MessageBody="[]", MessageGroupId="demo"
    )
    taken = work.send("another")
    assert work.run(Crowd(2), message) == []
    assert work.store.get("demo", taken).status is Status.SUCCEEDED
    assert count_messages(QUEUE_NAME) == OWN
    assert [line["level"] for line in log_lines()].count("ERROR") == 1


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("operation", ["sqs.ReceiveMessage", "sqs.DeleteMessageBatch"])
def test_a_queue_out_of_reach_stops_no_generation(
    work: Work,
    cut_off: Callable[[str], None],
    log_lines: Callable[[], list[dict[str, Any]]],
    operation: str,
) -> None:
    """A worker that cannot receive takes nothing more; a message not deleted comes again."""
    message, other = work.submit(), work.send("another")
    cut_off(operation)
    there = 1 if "Receive" in operation else 2
    assert work.run(Crowd(there), message) == []
    assert work.get(message).status is Status.SUCCEEDED
    ended = work.store.get("demo", other).status
    assert ended is (Status.QUEUED if "Receive" in operation else Status.SUCCEEDED)
    assert count_messages(QUEUE_NAME) == OWN + 1
    warnings = [line["message"] for line in log_lines() if line["level"] == "WARNING"]
    assert warnings == ["could not receive" if there == 1 else "could not delete messages"]


@pytest.mark.usefixtures("at_once")
def test_a_taken_generation_out_of_time_is_requeued(work: Work) -> None:
    """A taken generation that outlasts the invocation gets a message for its next try alone."""
    message, stuck = work.submit("quick"), work.send("stuck")
    go_on = threading.Event()

    class Stuck(Crowd):
        def generate(self, prompt: Prompt, timeout: float) -> Completion:
            answer = super().generate(prompt, timeout)
            if "stuck" in prompt.user:
                assert go_on.wait(timeout=20)
            return answer

    try:
        assert work.run(Stuck(2), message, seconds=4.0) == []
        assert work.get(message).status is Status.SUCCEEDED
        assert work.store.get("demo", stuck).status is Status.QUEUED
        assert count_messages(QUEUE_NAME) == OWN + 1
    finally:
        go_on.set()

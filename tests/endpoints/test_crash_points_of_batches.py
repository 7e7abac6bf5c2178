"""Every call of AWS in a batch's life, as the point where the process of its turn dies.

The message of the turn comes again, and so do messages that were sent. In the end each line has one
result, in order, and one generation.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from afterword.batches import Batch, Counts, State, line_id, runner
from afterword.runtime.clients import clients
from afterword.runtime.queue import Queue
from afterword.services import services
from tests.conftest import Event, SetClock, Stored, Tenant
from tests.endpoints.test_crash_points import Death, Fate
from tests.harness.batches import BUCKET, KEY, MAIL, Inbox, created, file

LINES = (MAIL, "{", *[MAIL] * 5)
BAD = 2
CALLS = 39
"""The calls of the batch's turns, when none dies."""
SHORT = range(5, CALLS, 12)
"""The calls of the short form: one in twelve."""

pytestmark = pytest.mark.parametrize(
    "moment", [pytest.param("before-call", marks=pytest.mark.long), "after-call"]
)


@pytest.fixture
def fate(aws: None, moment: str, monkeypatch: pytest.MonkeyPatch) -> Fate:  # noqa: ARG001 - asked for its effect
    """Return the fate of the turns, which strikes at that moment of a call."""
    monkeypatch.setattr(runner, "MAX_SUBMITTERS", 1)  # one call after the other
    fate = Fate()
    for client in (clients().dynamodb, clients().sqs, clients().s3):
        client.meta.events.register(moment, fate)
    return fate


@pytest.fixture
def sent(moment: str, monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """Return the messages of turns that were sent; SQS has one whose sender died afterwards."""
    messages: list[Event] = []
    send_later = Queue.send_later

    def send(queue: Queue, tenant: str, message: Mapping[str, Any], seconds: int) -> None:
        try:
            send_later(queue, tenant, message, seconds)
        except Death:
            if moment == "after-call":
                messages.append(dict(message))
            raise
        messages.append(dict(message))

    monkeypatch.setattr(Queue, "send_later", send)
    return messages


class Life(Inbox):
    """A batch's life in turns, one of which dies at a call."""

    def __init__(self, sample: Event, fate: Fate, sent: list[Event], clock: SetClock) -> None:
        super().__init__(sample)
        self._fate = fate
        self._sent = sent
        self._clock = clock
        self.left: int | None = None
        self.died = False

    def run(self, calls: int) -> Batch:
        """Run turns until none is left, the first of them with a file; die at a call."""
        self.left = calls
        message: Event = created(KEY, file(*LINES))
        known = 0
        for _ in range(40):
            died = self._turn(message)
            self._clock.advance(minutes=10)  # a lease ends, and a message comes again
            batch = self._batch()
            if batch is not None:
                self._end_lines(batch)
            if died:
                continue
            if known == len(self._sent):
                assert batch is not None
                return batch
            message, known = self._sent[known], known + 1
        raise AssertionError("The batch does not end.")

    def _turn(self, message: Event) -> bool:
        """Run a turn; True for one that died."""
        try:
            assert self.take(message) == []
        except Death:
            self.left, self.died = None, True
            return True
        finally:
            if self.left is not None:
                self.left = self._fate.calls
            self._fate.calls = None
        return False

    def _received(self, text: str) -> str:  # type: ignore[override]
        """Receive a message; calls from then on are the turn's."""
        handle = super()._received(text)
        self._fate.calls = self.left
        return handle

    @staticmethod
    def _batch() -> Batch | None:
        table = services().settings.batches_table
        items = clients().dynamodb.scan(TableName=table)["Items"]
        ids = [item["id"]["S"] for item in items if "state" in item]
        return services().batches.get("demo", ids[0]) if ids else None

    @staticmethod
    def _end_lines(batch: Batch) -> None:
        """End the first two of the open lines."""
        ids = [line_id("demo", batch.id, line) for line in range(1, len(LINES) + 1)]
        progress = services().store.get_progress("demo", ids)
        ready = [each for each, found in progress.items() if found and not found.status.terminal]
        for generation_id in ready[:2]:
            services().outbox.cancel("demo", generation_id)


@pytest.mark.parametrize(
    "calls",
    [
        pytest.param(calls, marks=[] if calls in SHORT else [pytest.mark.long])
        for calls in range(CALLS + 1)
    ],
)
def test_each_line_has_one_result_wherever_a_turn_dies(  # noqa: PLR0913, PLR0917 - a whole life
    tenant: Tenant,
    load_event: Callable[[str], Event],
    fate: Fate,
    sent: list[Event],
    set_clock: SetClock,
    stored: Callable[[], Stored],
    calls: int,
) -> None:
    """A batch ends with all its lines, in order and once, wherever the process of a turn dies."""
    life = Life(load_event("intake"), fate, sent, set_clock)
    batch = life.run(calls)
    assert life.died == (calls < CALLS)
    assert batch.state is State.FINISHED
    assert batch.counts == Counts(accepted=len(LINES) - 1, bad=1, canceled=len(LINES) - 1)
    assert stored().items == len(LINES) - 1
    written = clients().s3.get_object(Bucket=BUCKET, Key=batch.results_key)["Body"].read()
    rows = [json.loads(row) for row in written.decode().splitlines()]
    assert [row["line"] for row in rows] == list(range(1, len(LINES) + 1))
    assert Counter(row.get("status") for row in rows) == {"canceled": len(LINES) - 1, None: 1}
    assert rows[BAD - 1]["error"]["reason"] == "bad_line"
    assert tenant.id == "demo"

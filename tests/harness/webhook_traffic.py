"""Webhooks of many deliveries in virtual time: a stand-in queue, table and receivers.

The code that decides is the product's: deliveries, store, circuits, sender and sweeper. The
stand-ins have modelled costs: SECONDS for a call of AWS, a number of sender's invocations of up to
ten messages, and one queue in plain order, the worst case of a fair queue.
"""

import heapq
import itertools
import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

import pytest

from afterword import clock
from afterword.generations import Status
from afterword.generations.ends import End
from afterword.runtime import telemetry
from afterword.runtime.deadline import Deadline
from afterword.runtime.outbound import Reply
from afterword.runtime.queue import Message, MessageOutcome, Queue
from afterword.webhooks import (
    SEND_SECONDS,
    SUBSCRIBABLE_EVENTS,
    DeliveryStatus,
    Endpoint,
    Secret,
)
from afterword.webhooks.circuits import CircuitStore
from afterword.webhooks.deliveries import WebhookDeliveries
from afterword.webhooks.sending import SLOW_SECONDS, Sender, Sending
from afterword.webhooks.store import WebhookStore
from afterword.webhooks.sweeping import DeliverySweeper
from tests.conftest import START
from tests.harness.deployment import parsed_template
from tests.harness.memory_dynamodb import MemoryDynamoDB

SECONDS = 0.008
"""A call of AWS, within its region."""
RETRIES = (5, 300, 1_800, 7_200, 18_000, 36_000, 36_000)
BATCH = 10
BAD = 400
VISIBILITY = 360
"""Seconds until the message of a process that died is seen again."""

type Receive = Callable[[float], tuple[float, int | None]]
"""A receiver: the seconds of its answer and its status at a time; None without an answer."""


def alive(_at: float) -> tuple[float, int | None]:
    """Answer well and soon."""
    return 0.2, 204


def hanging(_at: float) -> tuple[float, int | None]:
    """Answer nothing until the sender hangs up."""
    return SEND_SECONDS, None


class _Secrets:
    def get(self, _tenant: str, _endpoint: str, _version: int) -> tuple[Secret, ...]:
        return (Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", None),)


class DiedError(BaseException):
    """A process that ends before a call of AWS."""


@dataclass
class Traffic:
    """The world: senders, sweeper and receivers around one table and one queue."""

    senders: int = 12
    at: float = 0.0
    receivers: dict[str, Receive] = field(default_factory=dict)
    posts: Counter[str] = field(default_factory=Counter)
    """Tries by tenant."""
    waited: dict[str, list[float]] = field(default_factory=dict)
    """Seconds from each end to its delivery, by tenant."""
    delivered: Counter[tuple[str, str]] = field(default_factory=Counter)
    minutes: Counter[int] = field(default_factory=Counter)
    """Deliveries of the tenants that were ever parked, by minute."""
    in_flight: int = 0
    most_in_flight: int = 0
    messages: Counter[str] = field(default_factory=Counter)
    """Messages sent, by tenant."""
    made: int = 0
    """Calls of AWS so far."""
    dies_at: int = 0
    """The number of the call that a process dies before."""

    def __post_init__(self) -> None:
        """Begin with an empty table."""
        self._spent = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._ready: deque[Message] = deque()
        self._free = self.senders
        self._began: dict[tuple[str, str], float] = {}
        definition = parsed_template()["Resources"]["WebhooksTable"]["Properties"]
        self.db = MemoryDynamoDB(definition, self._spend)
        client = cast("Any", self.db)
        self.store, circuits = WebhookStore(client, "webhooks"), CircuitStore(client, "webhooks")
        self.circuits = circuits
        queue = cast("Queue", self)
        nothing = cast("Any", None)
        self.deliveries = WebhookDeliveries(nothing, self.store, circuits, queue)
        self.sender = Sender(
            self.store,
            circuits,
            cast("Any", _Secrets()),
            nothing,
            queue,
            retries=RETRIES,
            publish_disabled=lambda _: None,
        )
        self.sweeper = DeliverySweeper(self.store, circuits, queue, threads=1)

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make the world's time the product's, and log nothing."""
        quiet = logging.getLogger("quiet")
        quiet.setLevel(logging.CRITICAL)
        monkeypatch.setattr(telemetry, "logger", lambda: quiet)
        monkeypatch.setattr(clock, "now", lambda: START + timedelta(seconds=self.at + self._spent))

    def _spend(self, _operation: str) -> None:
        self._spent += SECONDS
        self.made += 1
        if self.made == self.dies_at:
            raise DiedError

    # --- the queue -------------------------------------------------------------------------------

    def send(self, tenant: str, delivery_id: str) -> None:
        """Send a message."""
        self._spend("sqs.SendMessage")
        self._put(tenant, delivery_id, 0)

    def send_later(self, tenant: str, message: Mapping[str, str], seconds: int) -> None:
        """Send a delayed message."""
        self._spend("sqs.SendMessage")
        self._put(tenant, message["id"], seconds)

    def _put(self, tenant: str, delivery_id: str, seconds: int) -> None:
        self.messages[tenant] += 1
        number = str(next(self._numbers))
        message = Message(tenant, delivery_id, number, number)
        self.later(self._spent + seconds, lambda: self._ready.append(message))

    def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        """Keep a message in flight."""
        self._spend("sqs.ChangeMessageVisibility")
        self._hidden[receipt_handle] = seconds

    # --- time ------------------------------------------------------------------------------------

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Let something happen after so many seconds."""
        heapq.heappush(self._events, (self.at + seconds, next(self._numbers), act))

    def run(self, until: float) -> None:
        """Let time pass, with a run of the sweeper each minute."""
        while self._events and self._events[0][0] <= until:
            self.at, _, act = heapq.heappop(self._events)
            self._spent = 0.0
            act()
            while self._free and self._ready:
                self._invoke()
        self.at = until

    def every(self, seconds: float, act: Callable[[], None], until: float) -> None:
        """Let something happen again and again."""

        def again() -> None:
            act()
            if self.at + seconds <= until:
                self.later(seconds, again)

        self.later(0, again)

    def sweep_each_minute(self, until: float) -> None:
        """Run the sweeper each minute, ten calls at once."""

        def sweep() -> None:
            with suppress(DiedError):
                self.sweeper.sweep(Deadline.after(3_600))

        self.every(60, sweep, until)

    # --- ends and receivers ----------------------------------------------------------------------

    def add(self, tenant: str, receive: Receive) -> Endpoint:
        """Add a tenant with one endpoint."""
        number = len(self.receivers)
        endpoint = Endpoint(
            tenant=tenant,
            id=f"wh_{number:020}",
            url=f"https://{tenant}.example.com/",
            label="",
            events=SUBSCRIBABLE_EVENTS,
            created_at=START,
            secret_version=1,
        )
        self.store.add_endpoint(endpoint)
        self.receivers[tenant] = receive
        self.waited[tenant] = []
        return endpoint

    def end(self, tenant: str) -> None:
        """Let a generation of a tenant end, and its deliveries begin."""
        now = clock.now()
        ended = End(
            tenant=tenant,
            id=f"019a6f3e-7c00-7000-8000-{next(self._numbers):012}",
            dialect="native",
            flow="mail-reply",
            flow_version=3,
            status=Status.SUCCEEDED,
            reason=None,
            attempt=1,
            created_at=now,
            finished_at=now,
            tokens=10,
            slot=None,
            notify=True,
            dispatched=False,
        )
        self._began[tenant, ended.id] = self.at
        self._deliver(ended)

    def _deliver(self, ended: End) -> None:
        """Begin deliveries; the message of an end comes again where that dies."""
        try:
            endpoints = self.deliveries.read_endpoints(ended.tenant)
            self.deliveries.start_deliveries(ended, endpoints)
        except DiedError:
            self.later(150, lambda: self._deliver(ended))

    # --- the sender's invocations ----------------------------------------------------------------

    def _invoke(self) -> None:
        """Begin an invocation with what is in the queue."""
        batch = [self._ready.popleft() for _ in range(min(BATCH, len(self._ready)))]
        self._free -= 1
        self.in_flight += len(batch)
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self._hidden: dict[str, int] = {}
        left = [len(batch)]
        for message in batch:
            self._begin(message, left)

    def _begin(self, message: Message, left: list[int]) -> None:
        self._spent = 0.0  # a thread for each
        try:
            sending = self.sender.prepare(message)
        except DiedError:
            self._done(left, message, VISIBILITY)
            return
        if isinstance(sending, MessageOutcome):
            hidden = self._hidden.get(message.receipt_handle)
            redelivered = sending is MessageOutcome.REDELIVER
            self.later(self._spent, lambda: self._done(left, message, hidden if redelivered else 0))
            return
        tenant = message.tenant
        self.posts[tenant] += 1
        seconds, status = self.receivers[tenant](self.at)
        self._answer(message, sending, status, (self._spent, seconds, 0.0), left)

    def _answer(
        self,
        message: Message,
        sending: Sending,
        status: int | None,
        times: tuple[float, float, float],
        left: list[int],
    ) -> None:
        """Let an answer come, or note every few seconds that none has come."""
        spent, seconds, passed = times
        if seconds - passed <= SLOW_SECONDS:
            rest = spent + seconds - passed
            self.later(rest, lambda: self._settle(message, sending, status, seconds, left))
            return

        def look() -> None:
            try:
                is_open = self.sender.note_slow(sending)
            except DiedError:
                self._done(left, message, VISIBILITY)
                return
            if is_open:
                self._settle(message, sending, None, passed + SLOW_SECONDS, left)
            else:
                then = (spent, seconds, passed + SLOW_SECONDS)
                self._answer(message, sending, status, then, left)

        self.later(SLOW_SECONDS, look)

    def _settle(
        self,
        message: Message,
        sending: Sending,
        status: int | None,
        seconds: float,
        left: list[int],
    ) -> None:
        reply = None if status is None else Reply(status, {})
        why = "" if status is not None else "the host took longer than 15 seconds"
        is_success = status is not None and status < BAD
        if is_success:
            key = (message.tenant, str(sending.delivery.generation))
            self.delivered[key] += 1
            self.waited[message.tenant].append(self.at - self._began[key])
            self.minutes[int(self.at // 60)] += 1
        try:
            self.sender.settle(sending, reply, why, seconds)
        except DiedError:
            self._done(left, message, VISIBILITY)
            return
        self.later(self._spent, lambda: self._done(left, message, 0))

    def _done(self, left: list[int], message: Message, hidden: int | None) -> None:
        left[0] -= 1
        if not hidden:
            self.in_flight -= 1
        else:

            def show() -> None:
                self.in_flight -= 1
                self._ready.append(message)

            self.later(hidden, show)
        if left[0] == 0:
            self._free += 1

    def parked(self, endpoint: Endpoint) -> int:
        """Return the number of deliveries that are parked for an endpoint."""
        return self.db.count("by_due", f"{endpoint.tenant}#{endpoint.id}")

    def statuses(self) -> Counter[str]:
        """Return the number of deliveries by status."""
        return Counter(item["status"]["S"] for item in self.db.items() if "status" in item)


PENDING = DeliveryStatus.PENDING.value

"""The simulated world: clients, queues, a model, and AWS that fails, around the real functions.

A run has a time of chaos, then a calm one that is long enough for every deadline. Everything that
happens follows from the seed.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError
from moto.core.botocore_stubber import MockRawResponse
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends

from afterword.generations import Completion, Reason, Status
from afterword.limits.quotas import Quotas
from afterword.models import (
    STOP,
    ModelRefusedError,
    ModelTimedOutError,
    ModelUnavailableError,
    Prompt,
)
from afterword.runtime.clients import clients
from afterword.runtime.payloads import INLINE_BYTES
from afterword.runtime.queue import Message as QueueMessage
from afterword.services import services
from functions.count_usage.app import handler as count_usage
from functions.dead_letter.app import handler as dead_letter
from functions.deliver.app import handler as deliver
from functions.generate.app import handler as generate
from functions.submit_mail_generation.app import handler as submit
from functions.sweep.app import handler as sweep
from tests.conftest import START, Event, Tenant
from tests.harness.deployment import REFERENCES, REGION
from tests.harness.seeds import seeded
from tests.simulation.messages import Message, Queue
from tests.simulation.promises import BrokenError, Promise, Promises, attempt, status
from tests.simulation.scheduler import Crash, Debt, Process, Scheduler, Thread

if TYPE_CHECKING:
    from concurrent.futures import Future

    from botocore.awsrequest import AWSPreparedRequest

CHAOS = 360.0
CALM = 4_200.0
PROBE = 400.0
"""Seconds: of chaos, until all must have ended, and for what is submitted after that."""
SKEW = 4.9
COUNT_FAULTS = 0.02
CAP = 3
REQUESTS = 12
KINDS = ("answers", "throttles", "times out", "hangs", "refuses", "says nothing")
MOODS = ((60, 8, 5, 19, 4, 4), (25, 65, 2, 2, 3, 3), (20, 5, 40, 35, 0, 0))
"""How likely a model does what: a good one, a busy one, and a slow one."""
GENERATIONS, USAGE = REFERENCES["GenerationsTable"], REFERENCES["QuotasTable"]
STATISTICS = REFERENCES["StatisticsTable"]
BEGIN = START - timedelta(minutes=3)
"""An hour ends in the middle of the chaos."""

type Answer = Callable[[], object]


@dataclass
class Request:
    """A client's request, and the number of times that it has to be sent."""

    tenant: Tenant
    marker: str
    event: Event
    key: str | None
    tries: int = 0


@dataclass
class Context:
    """The context that Lambda passes to a handler beside the event."""

    aws_request_id: str
    milliseconds: int

    def get_remaining_time_in_millis(self) -> int:
        """Return the rest of the invocation's time, as of its begin."""
        return self.milliseconds


class World:
    """Everything around the functions, the model too. `steps` is what has happened, a line each.

    `seen` counts what kinds of things have happened. `forgets` is how likely the answer to a write
    is lost, beside all other faults.
    """

    documents: Collection[str] = ()
    skew = SKEW
    visibilities: Sequence[int] = (40, 56, 56, 300)
    receives: Sequence[int] = (1, 1, 8)
    forgets = 0.0

    def __init__(self, seed: int, tenants: Sequence[Tenant], submission: Event) -> None:
        self.steps: list[str] = []
        self.seen: Counter[str] = Counter()
        self.scheduler = Scheduler()
        self._random = seeded(seed)
        self._submission = submission
        self._calm = False
        self._faults = self._random.choice((0.01, 0.02, 0.05))
        self._mood = self._random.choice(MOODS)
        self._lost_workers = self._random.random() < 0.2
        self._poison = f"mail-{self._random.randint(1, 2 * REQUESTS)}"
        self._labels: dict[str, str] = {}
        self._processes = Counter[str]()
        self._limited, self._free = tenants
        self.promises = Promises(
            self._limited.id, CAP, lambda: self.scheduler.now, self._label, self.skew
        )
        self._dead = self._queue("dead-letter", dead_letter, 25, visibility=60, receives=1_000)
        self._work = self._queue(
            "generate",
            generate,
            60,
            visibility=self._random.choice(self.visibilities),
            receives=self._random.choice(self.receives),
            dead=self._dead,
        )
        self._end_messages = self._queue("deliver", deliver, 25, visibility=60, receives=3)
        self._queues = {
            REFERENCES["Queue"]: self._work,
            REFERENCES["NotifyQueue"]: self._end_messages,
        }

    # --- a run

    def run(self) -> None:
        """Let it all happen; raise BrokenError when a promise is broken."""
        at, random = self.scheduler.at, self._random
        for queue in (self._work, self._end_messages, self._dead):
            queue.chance = 0.15
        for number in range(1, REQUESTS + 1):
            self._plan_request(number)
        for _ in range(4):
            at(random.uniform(5, CHAOS), self._cancel_one)
        at(CHAOS, self._calm_down)
        at(60, self._sweep)
        at(120, self._count)
        try:
            self.scheduler.run(CALM)
            self._check_end()
            self._probe()
            self.scheduler.run(CALM + PROBE)
            self._check_end()
            self._check_usage()
            self._check_statistics()
            self._count_ends()
        finally:
            self.scheduler.close()

    def _calm_down(self) -> None:
        self._calm = True
        for queue in (self._work, self._end_messages, self._dead):
            queue.chance = 0.0
        self._note("calm")

    def _check_end(self) -> None:
        items = self._items()
        self.promises.all_done(items)
        for pk, item in items.items():
            generation = services().store.get(*pk.split("#"))
            if generation.gone:
                self.promises.broken(Promise.OWN_TEXT, pk, "one of its texts is gone")
            if generation.completion is not None:
                self.promises.text_read(pk, generation.completion.text, attempt(item))

    def _count_ends(self) -> None:
        for end in self.promises.ends.values():
            self.seen[end["reason"]["S"] if "reason" in end else status(end)] += 1

    def _probe(self) -> None:
        """Submit as many generations as may be open at once: all must be admitted."""
        for number in range(CAP):
            request = self._request(self._limited, f"probe-{number}", key=None, deadline=None)
            request.tries = 99
            self._submit(request)

    def _check_usage(self) -> None:
        probes = [
            pk for pk, item in self.promises.accepted.items() if "probe-" in item["external"]["S"]
        ]
        if len(probes) != CAP:
            raise BrokenError(Promise.PLACES_BACK, f"{len(probes)} of {CAP} were let in")
        for tenant in (self._limited.id, self._free.id):
            if services().registry.get_limits(tenant).any:
                used = Quotas(clients().dynamodb, USAGE).get_status(tenant)
                self.promises.usage_is(tenant, used.running, used.tokens, self._items())

    def _check_statistics(self) -> None:
        day = self.clock().date()
        for tenant in (self._limited, self._free):
            used = services().statistics.get_tallies(tenant.id, day, day)
            self.promises.counted(tenant.id, used.values())

    # --- clients

    def _plan_request(self, number: int) -> None:
        random = self._random
        tenant = self._limited if random.random() < 0.6 else self._free
        key = f"key-{number}" if random.random() < 0.6 else None
        deadline = random.choice((None, None, random.randint(10, 90), random.randint(60, 400)))
        request = self._request(tenant, f"mail-{number}", key, deadline)
        moment = random.uniform(0, CHAOS * 0.6)
        self.scheduler.at(moment, lambda: self._submit(request))
        if key is not None and random.random() < 0.4:
            twin = Request(tenant, request.marker, request.event, key)
            later = moment + random.choice((random.uniform(0, 1), random.uniform(0, 60)))
            self.scheduler.at(later, lambda: self._submit(twin))

    def _request(
        self, tenant: Tenant, marker: str, key: str | None, deadline: int | None
    ) -> Request:
        event = deepcopy(self._submission)
        event["pathParameters"]["companyCuid"] = tenant.id
        event["headers"]["authorization"] = f"Bearer {tenant.key}"
        if key is not None:
            event["headers"]["idempotency-key"] = key
        if deadline is not None:
            event["headers"]["afterword-deadline"] = str(deadline)
        body = f"{marker} " + "x" * self._random.choice((10, 10, INLINE_BYTES))
        event["body"] = json.dumps({"subject": "", "body": body, "external_ref": marker})
        return Request(tenant, marker, event, key)

    def _submit(self, request: Request) -> None:
        request.tries += 1
        self._invoke(
            "submit",
            lambda context: submit(request.event, context),
            25,
            lambda future: self._submitted(request, future),
        )

    def _submitted(self, request: Request, answer: "Future[object]") -> None:
        """Take the answer as its client does, and ask again for one that did not come."""
        if answer.exception() is None:
            result = answer.result()
            assert isinstance(result, dict)
            code = result["statusCode"]
            self._note(f"client of {request.marker} is answered {code}")
            self.seen[f"answered {code}"] += 1
            if code == 200:
                found = json.loads(result["body"])["process_cuid"]
                self.promises.answered_to_client(request.tenant.id, found, request.key)
                if not self._strikes(10):
                    return
        if request.tries < 5:
            delay = self._random.uniform(0.5, 30)
            self.scheduler.at(self.scheduler.now + delay, lambda: self._submit(request))

    def _cancel_one(self) -> None:
        if not self.promises.accepted:
            return
        pk = self._random.choice(list(self.promises.accepted))
        tenant, generation_id = pk.split("#")

        def canceled(answer: "Future[object]") -> None:
            if answer.exception() is None:
                where = answer.result()
                assert isinstance(where, Status)
                item = self._item(GENERATIONS, pk)
                assert item is not None
                self._note(f"cancel of {self._label(pk)} is answered {where}")
                self.promises.cancel_answered(pk, where, item)

        self._invoke(
            "cancel", lambda _: services().outbox.cancel(tenant, generation_id), 25, canceled
        )

    # --- functions

    def _invoke(
        self,
        kind: str,
        handler: Callable[[Context], object],
        seconds: float,
        then: Callable[["Future[object]"], None],
    ) -> None:
        self._processes[kind] += 1
        name = f"{kind}-{self._processes[kind]}"
        process = Process(
            name=name,
            kind=kind,
            skew=self._random.uniform(-self.skew, self.skew),
            ends=self.scheduler.now + seconds,
            mortal=kind != "generate" or self._random.random() < 0.5,
        )
        thread = Thread(process, name)
        self._note(f"{name} begins, clock {process.skew:+.1f} s")

        def ended(future: "Future[object]") -> None:
            error = future.exception()
            self._note(f"{name} ends: {type(error).__name__ if error else 'returned'}")
            self.seen[f"{kind} crashed" if isinstance(error, Crash) else f"{kind} ended"] += 1
            self.promises.thread_ended(thread)
            then(future)

        context = Context(name, int(seconds * 1000))
        self.scheduler.start(thread, lambda: handler(context), ended)

    def _queue(  # noqa: PLR0913 - settings of SQS and Lambda for a queue
        self,
        name: str,
        handler: Callable[[Mapping[str, Any], Context], dict[str, Any]],
        seconds: float,
        *,
        visibility: float,
        receives: int,
        dead: Queue | None = None,
    ) -> Queue:
        def consume(batch: Sequence[Message]) -> None:
            event = {"Records": [_record(message) for message in batch]}
            ids = [message.id for message in batch]

            def done(answer: "Future[object]") -> None:
                if answer.exception() is None:
                    result = answer.result()
                    assert isinstance(result, dict)
                    again = [each["itemIdentifier"] for each in result["batchItemFailures"]]
                    queue.delete([each for each in ids if each not in again])

            about = ", ".join(self._about(message.body) for message in batch)
            self._note(f"{name} queue delivers {about}")
            self._invoke(name, lambda context: handler(event, context), seconds, done)

        queue = Queue(
            name,
            self.scheduler,
            self._random,
            visibility=visibility,
            max_receives=receives,
            dead=dead,
            consumer=consume,
        )
        return queue

    def _sweep(self) -> None:
        """Run the sweeper each minute, unless there is nothing that it would see."""
        self.scheduler.at(self.scheduler.now + 60, self._sweep)
        latest = _millis(self.scheduler.now + SKEW)
        due = any(
            int(item["due_at"]["N"]) <= latest
            for item in self._items().values()
            if "due_at" in item
        )
        if due and not self._strikes(10):
            for _ in range(self._random.choice((1, 2))):
                self._invoke("sweep", lambda context: sweep({}, context), 60, lambda _: None)

    def _count(self) -> None:
        """Sum up, twice at once now and then, and more often than is needed."""
        self.scheduler.at(self.scheduler.now + 240, self._count)
        for _ in range(self._random.choice((1, 2))):
            self._invoke("count", lambda context: count_usage({}, context), 60, lambda _: None)

    # --- the clock, the model, AWS

    def clock(self) -> datetime:
        """Return the time by the clock of whoever asks."""
        thread = self.scheduler.current
        skew = 0.0 if thread is None else thread.process.skew
        return BEGIN + timedelta(seconds=self.scheduler.now + skew)

    def monotonic(self) -> float:
        """Return seconds that go on at the same speed for everybody."""
        return self.scheduler.now

    def sleep(self, seconds: float) -> None:
        """Wait; botocore does before it tries again."""
        self.scheduler.pause(seconds)

    def begun(self, thread: Thread, message: object) -> None:
        """Note which generation a worker's thread is about."""
        assert isinstance(message, QueueMessage)
        thread.pk = f"{message.tenant}#{message.id}"
        thread.name = f"{thread.process.name}/{self._label(thread.pk)}"

    def describe_adaptations(self, _model: str) -> tuple[str, ...]:
        """Return nothing: the model refuses no part of a request."""
        return ()

    def generate(self, prompt: Prompt, timeout: float) -> Completion:
        """Be the model: answer, now or too late, or not."""
        marker = re.search(r"<body>(\S+)", prompt.user)
        assert marker is not None
        name = self._guarded(lambda: self.promises.model_asked(self.scheduler.running(), marker[1]))
        random = self._random
        kind = "answers" if self._calm else random.choices(KINDS, self._mood)[0]
        if marker[1] == self._poison or (self._lost_workers and self._strikes(80)):
            self._step(f"crashes while it asks for {name}")
            self.scheduler.die()
        self._step(f"model: {name} {kind}")
        self.seen[f"model {kind}"] += 1
        quick = random.uniform(0.2, 8)
        match kind:
            case "throttles":
                self.scheduler.pause(quick)
                self.throttle(random.choice((None, None, 5.0, 40.0)))
            case "times out":
                self.scheduler.pause(max(0.0, timeout))
                raise ModelTimedOutError("The model took too long.")
            case "refuses":
                self.scheduler.pause(quick)
                raise ModelRefusedError(Reason.REFUSED_CONTENT, "No.")
            case "hangs":
                self.scheduler.pause(timeout + random.uniform(0, 90))
            case _:
                self.scheduler.pause(quick)
        text = f"{name} to {marker[1]} " + "y" * len(prompt.user)  # a big mail gets a big reply
        return Completion(
            text=" " if kind == "says nothing" else text,
            model="test-model",
            stop_reason=STOP,
            tokens_in=random.randint(10, 200),
            tokens_out=random.randint(1, 300),
        )

    def throttle(self, seconds: float | None) -> NoReturn:
        """Be a model that has no time, and let nobody ask again before so many seconds."""
        self.promises.model_throttled(self.scheduler.running(), seconds or 0.0)
        raise ModelUnavailableError("Slow down.", seconds)

    def call(self, operation: str, request: "AWSPreparedRequest", answer: Answer) -> object:
        """Be the way to AWS and back, for each try of a call."""
        thread = self.scheduler.current
        if thread is None:
            return answer()
        if thread.process.dead:
            raise Crash
        self._settle(thread, operation, request)
        self.scheduler.pause(self._delay())
        self._on_the_way(thread, operation)
        response = self._guarded(lambda: self._effect(thread, operation, request, answer))
        self.scheduler.pause(self._delay())
        self._on_the_way_back(thread, operation)
        return response

    def gave_up(self, **_: object) -> None:
        """See that botocore gives a call up, and tells the code so."""
        if self.scheduler.current is not None:
            self.scheduler.current.debts.clear()

    @staticmethod
    def _settle(thread: Thread, operation: str, request: "AWSPreparedRequest") -> None:
        """Strike out the debts that a call pays, whatever comes of the call."""
        match operation:
            case "sqs.SendMessage":
                sent = json.loads(_sent(request)["MessageBody"])
                thread.debts.pop(f"{sent['tenant']}#{sent['id']}", None)
            case "dynamodb.UpdateItem":
                sent = _sent(request)
                fenced = "#attempt = " in sent.get("ConditionExpression", "")
                paid = Debt.DISPATCH if sent["TableName"] == USAGE else Debt.ATTEMPT
                if sent["TableName"] == USAGE or fenced:
                    for pk in [pk for pk, debt in thread.debts.items() if debt is paid]:
                        del thread.debts[pk]
            case _:
                pass

    def _on_the_way(self, thread: Thread, operation: str) -> None:
        """Let a call fail, or its process die, before it takes effect."""
        if thread.unreachable:
            thread.unreachable -= 1
            self._fail(operation, "fails")
        if self._faulty():
            match self._random.choice(("crash", "fail", "outage")):
                case "crash":
                    self._step(f"{operation}: crashes before it")
                    self.seen["crashed before a call"] += 1
                    self.scheduler.die()
                case "fail":
                    self._fail(operation, "fails")
                case "outage":
                    thread.unreachable = 2
                    self._fail(operation, "is out of reach")

    def _on_the_way_back(self, thread: Thread, operation: str) -> None:
        """Lose a call's answer, or let its process die, after it has taken effect."""
        forgets = self.forgets if self.scheduler.now < CALM else 0.0
        if forgets and "Update" in operation and self._random.random() < forgets:
            self._lose(operation)
        if self._faulty():
            match self._random.choice(("crash", "lost", "lost for good")):
                case "crash":
                    self._step(f"{operation}: crashes after it")
                    self.seen["crashed after a call"] += 1
                    self.scheduler.die()
                case "lost":
                    self._lose(operation)
                case "lost for good":
                    thread.unreachable = 2
                    self._lose(operation)

    def _effect(
        self, thread: Thread, operation: str, request: "AWSPreparedRequest", answer: Answer
    ) -> object:
        match operation:
            case "sqs.SendMessage":
                sent = _sent(request)
                after = f", after {sent['DelaySeconds']} s" if "DelaySeconds" in sent else ""
                self._step(f"{operation} {self._about(sent['MessageBody'])}{after}")
                queue, delay = self._queues[sent["QueueUrl"]], sent.get("DelaySeconds", 0)
                return _answer(request, {"MessageId": queue.send(sent["MessageBody"], delay)})
            case "sqs.ReceiveMessage":
                return _answer(request, {"Messages": self._poll(_sent(request))})
            case "sqs.DeleteMessageBatch":
                entries = _sent(request)["Entries"]
                self._step(f"{operation} of {len(entries)}")
                self._work.delete([each["ReceiptHandle"] for each in entries])
                return _answer(request, {"Successful": [{"Id": each["Id"]} for each in entries]})
            case "eventbridge.PutEvents" | "events.PutEvents":
                return _answer(request, self._publish(_sent(request)["Entries"]))
            case "dynamodb.PutItem" | "dynamodb.UpdateItem":
                return self._write(thread, operation, _sent(request), answer)
            case _:
                self._step(operation)
                return answer()

    def _poll(self, sent: Mapping[str, Any]) -> list[Mapping[str, object]]:
        """Wait for messages like a worker's long poll."""
        until = self.scheduler.now + sent["WaitTimeSeconds"]
        queue = self._queues[sent["QueueUrl"]]
        while True:
            taken = queue.receive(sent["MaxNumberOfMessages"], sent["VisibilityTimeout"])
            if taken or self.scheduler.now >= until:
                break
            self.scheduler.pause(0.2)
        if taken:
            self.seen["taken by a worker that ran"] += len(taken)
        about = ", ".join(self._about(message.body) for message in taken)
        self._step(f"takes {about or 'nothing'}")
        return [
            {"MessageId": each.id, "ReceiptHandle": each.id, "Body": each.body} for each in taken
        ]

    def _publish(self, entries: Sequence[Mapping[str, str]]) -> Mapping[str, object]:
        results: list[Mapping[str, str]] = []
        for entry in entries:
            detail = json.loads(entry["Detail"])
            pk = f"{detail['tenant']}#{detail['id']}"
            if self._faulty():
                results.append({"ErrorCode": "InternalFailure", "ErrorMessage": ""})
                self._step(f"PutEvents refuses {self._label(pk)}")
                continue
            self._step(f"PutEvents {self._label(pk)} {detail['status']}")
            self.promises.event_published(detail, self._item(GENERATIONS, pk))
            results.append({"EventId": "1"})
        failed = sum("ErrorCode" in result for result in results)
        return {"FailedEntryCount": failed, "Entries": results}

    def _write(
        self, thread: Thread, operation: str, sent: Mapping[str, Any], answer: Answer
    ) -> object:
        table = sent["TableName"]
        if table == STATISTICS:
            self._step(f"{operation} statistics: {sent['ExpressionAttributeValues']}")
            return answer()
        pk = (sent["Key"] if "Key" in sent else sent["Item"])["pk"]["S"]
        before = self._item(table, pk)
        response = answer()
        after = self._item(table, pk)
        if after is None or before == after:
            self._step(f"{operation} {self._label(pk)}: no change")
        elif table == GENERATIONS:
            was = "" if before is None else f"{status(before)}#{attempt(before)} → "
            due = f", due {after['due_at']['N']}" if "due_at" in after else ""
            self._step(f"{operation} {self._label(pk)}: {was}{status(after)}#{attempt(after)}{due}")
            if thread.pk == pk and before is not None and attempt(before) != attempt(after):
                thread.failures = int(after["failures"]["N"])
            self.promises.generation_written(thread, pk, before, after)
            if before is None:
                self.promises.opened(self._items())
        else:
            tenant = pk.partition("#")[0]
            held = self._held_slots(tenant)
            self._step(f"{operation} usage of {pk}: {held} open")
            self.promises.usage_written(tenant, held)
        return response

    # --- faults

    def _faulty(self) -> bool:
        """Whether something fails now; in calm times too while hours are summed up."""
        thread = self.scheduler.current
        counts = thread is not None and thread.process.kind == "count"
        faults = COUNT_FAULTS if counts else self._faults
        return (counts or not self._calm) and self._random.random() < faults

    def _strikes(self, percent: int) -> bool:
        return not self._calm and self._random.random() * 100 < percent

    def _delay(self) -> float:
        random = self._random
        if self._calm:
            return random.uniform(0.005, 0.02)
        draw = random.random()
        if draw < 0.9:
            return random.uniform(0.002, 0.1)
        if draw < 0.985:
            return random.uniform(0.1, 3)
        return random.uniform(3, 100)

    def _fail(self, operation: str, how: str) -> NoReturn:
        self._step(f"{operation} {how}")
        self.seen["call failed"] += 1
        raise EndpointConnectionError(endpoint_url="https://aws.invalid")

    def _lose(self, operation: str) -> NoReturn:
        self._step(f"{operation}: its answer is lost")
        self.seen["answer lost"] += 1
        raise ReadTimeoutError(endpoint_url="https://aws.invalid")

    def _guarded[T](self, check: Callable[[], T]) -> T:
        """Do what must not be taken for a fault of AWS when it raises."""
        try:
            return check()
        except Exception as error:
            self.scheduler.error = error
            raise Crash from error

    # --- what is stored, and what is told

    @staticmethod
    def _item(table: str, pk: str) -> dict[str, Any] | None:
        """Return an item as it is, without a call."""
        backend = dynamodb_backends[DEFAULT_ACCOUNT_ID][REGION]
        item = backend.get_item(table, {"pk": {"S": pk}})
        return None if item is None else item.to_json()["Attributes"]

    def _held_slots(self, tenant: str) -> int:
        """Return the slots of a tenant that are taken, over all shards."""
        names = (tenant, *(f"{tenant}#{shard}" for shard in range(1, CAP)))
        items = (self._item(USAGE, name) or {} for name in names)
        return sum(len(item["open"]["M"]) for item in items if "open" in item)

    def _items(self) -> dict[str, dict[str, Any]]:
        """Return all generations as they are, in the order in which they were accepted."""
        items = {pk: self._item(GENERATIONS, pk) for pk in self.promises.accepted}
        return {pk: item for pk, item in items.items() if item is not None}

    def _label(self, pk: str) -> str:
        return self._labels.setdefault(pk, f"g{len(self._labels) + 1}") if "#" in pk else pk

    def _about(self, body: str) -> str:
        message = json.loads(body)
        return self._label(f"{message['tenant']}#{message['id']}")

    def _step(self, what: str) -> None:
        self._note(f"{self.scheduler.running().name}: {what}")

    def _note(self, what: str) -> None:
        self.steps.append(f"{self.scheduler.now:9.3f}  {what}")


def _record(message: Message) -> Mapping[str, object]:
    return {
        "messageId": message.id,
        "receiptHandle": message.id,
        "body": message.body,
        "attributes": {
            "ApproximateReceiveCount": str(message.received),
            "SentTimestamp": str(_millis(message.sent_at)),
            "ApproximateFirstReceiveTimestamp": str(_millis(message.first_received_at)),
        },
    }


def _sent(request: "AWSPreparedRequest") -> dict[str, Any]:
    assert isinstance(request.body, bytes | str)
    body: dict[str, Any] = json.loads(request.body)
    return body


def _answer(request: "AWSPreparedRequest", body: Mapping[str, object]) -> AWSResponse:
    raw = MockRawResponse(json.dumps(body))
    headers = HTTPHeaders.from_dict({"content-type": "application/json"})
    return AWSResponse(request.url, 200, headers, raw)


def _millis(seconds: float) -> int:
    return round((BEGIN.timestamp() + seconds) * 1000)

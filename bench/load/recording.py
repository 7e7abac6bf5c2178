"""The recording: each path of a generation once through the real handlers, over moto.

A path is one invocation: its calls of AWS in order, each with the units that DynamoDB charges, and
the CPU time before each. The calls are recorded over moto with the template's tables. The CPU time
is that of repetitions whose calls are answered from the recording, so that moto's time is in none.
The model and the receiver of webhooks are `bench.stub`, a process of its own.
"""

import importlib
import json
import os
import re
import sys
import threading
import time
import uuid
from base64 import b64decode
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from io import StringIO
from itertools import pairwise
from logging import StreamHandler
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import patch

from botocore.awsrequest import AWSResponse
from moto.backends import get_backend
from moto.core.botocore_stubber import MockRawResponse
from moto.core.models import DEFAULT_ACCOUNT_ID, botocore_stubber
from moto.dynamodb.models.dynamo_type import DynamoType

from afterword import clock
from afterword.flows.drafts import Flow
from afterword.generations.items import END_SHARDS, end_shard, partition_key
from afterword.limits import Limits
from afterword.models import ModelUnavailableError
from afterword.runtime import telemetry
from afterword.runtime.clients import clients
from afterword.services import services
from afterword.tenants.keys import Scope
from afterword.webhooks import Event as WebhookEvent
from bench.cases import ROOT
from bench.load.units import Charge, Schema
from bench.runs import stub
from tests.harness.deployment import REFERENCES, REGION, Deployment, parsed_template
from tests.harness.stand_in_aws import TABLES, put_items, read_items, stand_in_aws

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest

FLOW = "mail-reply"
FLOW_CACHE = {"FlowCacheSeconds": "60"}
"""Flows are cached as keys and limits are, so that one turn of a process reads all three."""
BIG_TEXT = "The same question again, at length. " * 700
"""An input above the size that an item keeps."""
LIMITS = Limits(requests_per_minute=60_000, running_at_once=1_000, tokens_per_month=10**9)
"""The limits of a limited tenant, which nothing reaches."""
SAMPLES = 64
"""Generations whose shards are looked at; their ids follow from idempotency keys."""
OPEN_BEFORE = 25
"""Generations that a limited tenant has open while its submission is recorded."""
ENDED = 200
"""Ended generations that a count of usage is recorded with."""
REPETITIONS = 15
"""Repetitions that the CPU time is the least of: in the others something else ran too."""
QUEUES = {REFERENCES[name]: name for name in ("Queue", "NotifyQueue", "WebhookQueue")}
INPUT = "Good morning. " + "My contract ends next month, and I have not heard from you. " * 12
"""The text of a submission: a mail of 740 characters."""
SUBMISSIONS = {
    "native": "submit_generation",
    "dialonce": "submit_mail_generation",
    "genai_stack": "create_text_generation",
    "unless": "submit_query",
}
"""The function that submits in each dialect."""
POLLS = {
    "native": "get_generation",
    "dialonce": "get_mail_generation",
    "genai_stack": "get_text_generation",
    "unless": "get_answer",
}
_HOUR = re.compile(r"\d{4}-\d\d-\d\dT\d\d")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_LONG_HEX = re.compile(r"\b[0-9a-f]{8,}\b")
_SHARD = re.compile(r"(?<!\w)\d+$")

type Event = dict[str, Any]


class Step(NamedTuple):
    """A call of AWS: CPU milliseconds from the step before, the operation and its charges."""

    cpu: float
    operation: str
    charges: tuple[Charge, ...]


@dataclass(frozen=True)
class Path:
    """One invocation's calls. `cpu` is all its CPU milliseconds, `log` the bytes that it logs.

    `sends` are the queues that it sends a message to, in order.
    """

    function: str
    steps: tuple[Step, ...]
    cpu: float
    log: int
    sends: tuple[str, ...] = ()

    def units(self) -> tuple[float, float]:
        """Return the write units and the read units of all calls."""
        charges = [charge for step in self.steps for charge in step.charges]
        return sum(each.write for each in charges), sum(each.read for each in charges)

    def operations(self) -> Counter[str]:
        """Return the number of calls by operation."""
        return Counter(step.operation for step in self.steps)


@dataclass(frozen=True)
class Recording:
    """All paths by name, and the observed shards by table and key.

    `batch_cpu` are the CPU milliseconds of one more message in a batch, by function. `imports` are
    those of a function's imports in a new process.
    """

    paths: Mapping[str, Path]
    shards: Mapping[tuple[str, str], int]
    batch_cpu: Mapping[str, float]
    imports: Mapping[str, float]
    counted: int = ENDED


@dataclass
class Context:
    """Lambda's context object, as far as functions look at it."""

    aws_request_id: str = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
    milliseconds: int = 60_000

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds left of the invocation."""
        return self.milliseconds


@dataclass
class _Call:
    operation: str
    request: Mapping[str, Any]
    charges: tuple[Charge, ...]
    cpu: float


@dataclass
class Tape:
    """The calls of AWS since the last `begin`; with `answers` they are answered from there."""

    schemas: Mapping[str, Schema]
    calls: list[_Call] = field(default_factory=list)
    answers: "dict[str, list[tuple[int, Any, bytes]]] | None" = None
    _kept: dict[str, list[tuple[int, Any, bytes]]] = field(default_factory=dict)
    _taken: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, *, replayed: bool = False) -> None:
        """Forget the calls; with `replayed` answer the next ones like the last recorded ones."""
        self.calls = []
        self._taken = Counter()
        if replayed:
            self.answers = self.answers or self._kept
        else:
            self.answers, self._kept = None, {}

    def send(self, request: "AWSPreparedRequest", event_name: str, **_: object) -> AWSResponse:
        """Answer a request of botocore, as the handler of its event `before-send`."""
        cpu = time.process_time()
        operation = event_name.removeprefix("before-send.")
        with self._lock:
            if self.answers is not None:
                self.calls.append(_Call(operation, {}, (), cpu))
                status, headers, body = self._recorded(operation, request)
                raw: Any = MockRawResponse(body)
                return AWSResponse(request.url, status, headers, raw)
            body = _body(request)
            parsed = json.loads(body) if body[:1] == b"{" else {}
            before = self._items(operation, parsed)
            # botocore calls all handlers of the event, moto's too, which is disabled: never twice.
            processed = botocore_stubber.process_request(request)
            if processed is None:
                raise LookupError(f"moto has no {operation}.")
            status, headers, content = processed
            its_headers: Any = headers
            if isinstance(content, str):
                content = content.encode()
            after = self._items(operation, parsed)
            charges = tuple(self._charges(operation, parsed, content, before, after))
            self.calls.append(_Call(operation, parsed, charges, cpu))
            for key in _answer_keys(operation, body):
                self._kept.setdefault(key, []).append((status, headers, content))
            raw = MockRawResponse(content)
            return AWSResponse(request.url, status, its_headers, raw)

    def _recorded(self, operation: str, request: "AWSPreparedRequest") -> tuple[int, Any, bytes]:
        """Return the answer to the same request, or to the next one of the same operation."""
        answers = self.answers or {}
        for key in _answer_keys(operation, _body(request)):
            if key in answers:
                number = self._taken[key] % len(answers[key])
                self._taken[key] += 1
                return answers[key][number]
        raise LookupError(f"{operation} was not recorded.")

    def _items(self, operation: str, request: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
        """Return the tables, the keys and the items that a write is about, as they stand."""
        found = []
        for write in _writes(operation, request):
            table, attributes = write["TableName"], write.get("Key") or write["Item"]
            key = {name: attributes[name] for name in self.schemas[table].keys}
            backend: Any = get_backend("dynamodb")[DEFAULT_ACCOUNT_ID][REGION]
            item = backend.get_item(table, key)
            stored = None if item is None else _with_bytes(item.to_json()["Attributes"])
            found.append((table, key, stored))
        return found

    def _charges(
        self,
        operation: str,
        request: Mapping[str, Any],
        content: bytes,
        before: Sequence[tuple[str, Any, Any]],
        after: Sequence[tuple[str, Any, Any]],
    ) -> Iterator[Charge]:
        factor = 2 if operation == "dynamodb.TransactWriteItems" else 1
        for (table, key, old), (_, _, new) in zip(before, after, strict=True):
            yield from self.schemas[table].write(key, old, new, factor=factor)
        answer = json.loads(content) if operation.startswith("dynamodb.") else {}
        match operation:
            case "dynamodb.GetItem":
                schema = self.schemas[request["TableName"]]
                consistent = request.get("ConsistentRead", False)
                item = _with_bytes(answer["Item"]) if "Item" in answer else None
                yield schema.get(request["Key"], item, consistent=consistent)
            case "dynamodb.BatchGetItem":
                for table, asked in request["RequestItems"].items():
                    schema, found = self.schemas[table], answer["Responses"].get(table, [])
                    items = {_key_of(schema, item): _with_bytes(item) for item in found}
                    for key in asked["Keys"]:
                        item = items.get(_key_of(schema, key))
                        consistent = asked.get("ConsistentRead", False)
                        yield schema.get(key, item, consistent=consistent)
            case "dynamodb.Query":
                schema = self.schemas[request["TableName"]]
                yield schema.query(
                    request.get("IndexName"),
                    _queried_key(request),
                    answer["Items"],
                    consistent=request.get("ConsistentRead", False),
                )
            case _:
                pass


class Recorder:
    """The handlers over moto, whose calls are on a tape."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self._names: dict[str, str] = {FLOW: "{flow}"}
        self._shards: dict[tuple[str, str], set[str]] = defaultdict(set)

    # --- tenants ---------------------------------------------------------------------------------

    def make_tenant(
        self, name: str, limits: Limits | None = None, webhook: str | None = None
    ) -> str:
        """Create a tenant with a flow, and perhaps limits or a webhook; return a key string."""
        registry = services().registry
        registry.create_tenant(name, "A tenant")
        step = {"name": "reply", "instructions": "Answer the mail politely.", "max_tokens": 300}
        flow = Flow.model_validate({"id": FLOW, "name": "Replies", "steps": [step]})
        registry.put_flow(name, FLOW, flow.model_dump_json())
        if limits is not None:
            registry.set_limits(name, limits)
        if webhook is not None:
            endpoint = services().webhook_endpoints.create(
                name, webhook, "load", (WebhookEvent.FINISHED,)
            )[0]
            self._names[endpoint.id] = "{endpoint}"
        key, string = registry.create_key(name, [Scope.SUBMIT, Scope.READ], "load", FLOW)
        self._names |= {name: "{tenant}", key.id: "{key}"}
        return string

    # --- invocations -----------------------------------------------------------------------------

    def invoke(self, function: str, event: Event, milliseconds: int = 60_000) -> dict[str, Any]:
        """Invoke a handler, with its calls on the tape."""
        handler: Callable[[Event, Context], dict[str, Any]] = importlib.import_module(
            f"functions.{function}.app"
        ).handler
        return handler(event, Context(milliseconds=milliseconds))

    def record(self, function: str, event: Event, *, timed: bool = True) -> Path:
        """Invoke a handler, and return what it did; CPU times are 0 unless `timed`."""
        self.tape.begin()
        with quiet_log() as written:
            answer = self.invoke(function, event)
        if answer.get("statusCode", 200) >= 400 or answer.get("batchItemFailures"):  # noqa: PLR2004
            print(f"{function}: {answer} {written.getvalue()[-1500:]}", file=sys.stderr)
        calls = self.tape.calls
        log = len(written.getvalue().encode())
        cpu, steps_cpu = self._time(function, event, len(calls)) if timed else (0.0, [0.0] * 99)
        steps = tuple(
            Step(cpu, call.operation, tuple(map(self._normalised, call.charges)))
            for cpu, call in zip(steps_cpu, calls, strict=False)
        )
        self.tape.calls = calls
        return Path(function, steps, cpu, log, tuple(queue for queue, _ in self.sent()))

    def sent(self) -> list[tuple[str, str]]:
        """Return the messages that the calls on the tape have sent: the queue and the body."""
        return [
            (QUEUES.get(call.request["QueueUrl"], "other"), call.request["MessageBody"])
            for call in self.tape.calls
            if call.operation == "sqs.SendMessage" and call.request
        ]

    def _time(self, function: str, event: Event, calls: int) -> tuple[float, list[float]]:
        """Return the CPU milliseconds of an invocation, and those before each of its calls."""
        totals: list[float] = []
        before: list[list[float]] = []
        for _ in range(REPETITIONS):
            self.tape.begin(replayed=True)
            with quiet_log():
                started = time.process_time()
                self.invoke(function, event)
                ended = time.process_time()
            totals.append((ended - started) * 1e3)
            times = [started, *(call.cpu for call in self.tape.calls)]
            if len(times) == calls + 1:
                before.append([(b - a) * 1e3 for a, b in pairwise(times)])
        self.tape.answers = None
        steps = [min(each) for each in zip(*before, strict=True)] or [0.0] * calls
        return min(totals), steps

    def _normalised(self, charge: Charge) -> Charge:
        """Replace tenants, ids, hours and shards in a key by their kinds; note the shards."""
        key = charge.key
        for name in sorted(self._names, key=len, reverse=True):
            key = key.replace(name, self._names[name])
        key = _LONG_HEX.sub("{id}", _UUID.sub("{id}", _HOUR.sub("{hour}", key)))
        if "{id}" not in key and (shard := _SHARD.search(key)):
            key = _SHARD.sub("{shard}", key)
            self._shards[charge.table, key].add(shard.group())
        return charge._replace(key=key)

    def forget(self, resource: str, item: Mapping[str, Any]) -> None:
        """Delete an item, without a call on the tape."""
        table: Any = get_backend("dynamodb")[DEFAULT_ACCOUNT_ID][REGION].tables
        its: Any = table[REFERENCES[resource]]
        names = self.tape.schemas[REFERENCES[resource]].keys
        keys = [DynamoType(item[name]) for name in names]
        its.delete_item(keys[0], keys[1] if keys[1:] else None)

    def shards(self) -> dict[tuple[str, str], int]:
        """Return the number of shards that were seen, by table and key."""
        return {place: len(seen) for place, seen in self._shards.items()}


# --- the paths -----------------------------------------------------------------------------------


def record(
    say: Callable[[str], None] = lambda _: None, *, timed: bool = True, samples: int = SAMPLES
) -> Recording:
    """Record all paths, and the shards of so many samples.

    Without `timed` CPU times are 0, and the recording takes seconds.
    """
    with recorder() as (its, url):
        say("repairs")
        paths = _record_repairs(its, timed=timed)
        say("submissions")
        paths |= _record_submissions(its, timed=timed)
        say("the worker")
        paths |= _record_worker(its, timed=timed)
        say("webhooks")
        paths |= _record_webhooks(its, url, timed=timed)
        say("shards")
        _sample_shards(its, samples)
        shards = its.shards()
        say("batches of ten")
        batch_cpu = _time_batches(its, paths) if timed else {}
        say("the count of usage")
        paths["count_usage"] = _record_count(its, timed=timed)
    functions = ["submit_generation", "get_generation", "generate", "deliver", "send_webhook"]
    say("imports")
    imports = {name: _time_imports(name) for name in functions} if timed else {}
    return Recording(paths, shards, batch_cpu, imports)


def _record_submissions(its: Recorder, *, timed: bool) -> dict[str, Path]:
    """Record submissions and polls of all kinds, each in a new process and once more in it."""
    paths: dict[str, Path] = {}
    for dialect, function in SUBMISSIONS.items():
        tenant = f"tenant-{dialect}"
        key = its.make_tenant(tenant)
        event = submission(function, tenant, key)
        paths |= _record_turns(its, f"submit:{dialect}", function, _always(event), timed)
        generation = json.loads(its.sent()[0][1])["id"]
        poll = request(POLLS[dialect], tenant, key, generation)
        paths |= _record_turns(its, f"poll:{dialect}", POLLS[dialect], _always(poll), timed)
    function, tenant = "submit_generation", "tenant-options"
    key = its.make_tenant(tenant)
    paths |= _record_turns(
        its,
        "submit:keyed",
        function,
        lambda turn: submission(function, tenant, key, idempotency=turn),
        timed,
    )
    event = submission(function, tenant, key, idempotency="warm")
    paths["submit:repeated:warm"] = its.record(function, event, timed=timed)
    big = submission(function, tenant, key, text=BIG_TEXT)
    paths |= _record_turns(its, "submit:big", function, _always(big), timed)
    return paths


def _record_turns(
    its: Recorder,
    name: str,
    function: str,
    event: Callable[[str], Event],
    timed: bool,  # noqa: FBT001
) -> dict[str, Path]:
    """Record a tenant's first request to a process, and one after it."""
    services.cache_clear()
    first = its.record(function, event("first"), timed=False)
    warm = its.record(function, event("warm"), timed=timed)
    return {f"{name}:first": replace(first, cpu=warm.cpu), f"{name}:warm": warm}


def _record_worker(its: Recorder, *, timed: bool) -> dict[str, Path]:
    """Record the worker's messages: plain ones, big texts, limits, and a throttled model."""
    paths: dict[str, Path] = {}
    for kind, limits, text, open_before in (
        ("plain", None, INPUT, 0),
        ("big", None, BIG_TEXT, 0),
        ("limits", LIMITS, INPUT, OPEN_BEFORE),
    ):
        tenant = f"tenant-worker-{kind}"
        key = its.make_tenant(tenant, limits)
        event = submission("submit_generation", tenant, key, text=text)
        for _ in range(open_before):
            its.record("submit_generation", event, timed=False)
        if limits is not None:
            paths |= _record_turns(
                its, f"submit:{kind}", "submit_generation", _always(event), timed
            )
        services.cache_clear()
        for turn in ("first", "warm"):
            its.record("submit_generation", event, timed=False)
            paths[f"generate:{kind}:{turn}"] = _run_sent(its, timed=timed and turn == "warm")[0]
    its.record("submit_generation", event, timed=False)
    message = [body for _, body in its.sent()]
    with patch.object(type(services().model), "generate", side_effect=_unavailable):
        its.tape.begin()
        paths["generate:requeue"] = _quietly(its, "generate", batch(message))
    return _with_cpu(paths)


def _record_webhooks(its: Recorder, url: str, *, timed: bool) -> dict[str, Path]:
    """Record the way of an end to a webhook, from the submission on."""
    paths: dict[str, Path] = {}
    key = its.make_tenant("tenant-webhooks", webhook=f"{url}/hook")
    event = submission("submit_generation", "tenant-webhooks", key)
    services.cache_clear()
    for turn in ("first", "warm"):
        timed_now = timed and turn == "warm"
        paths[f"submit:webhooks:{turn}"] = its.record("submit_generation", event, timed=timed_now)
        paths[f"generate:webhooks:{turn}"], ends = _run_sent(its, timed=timed_now)
        paths[f"deliver:{turn}"] = its.record("deliver", batch(ends), timed=timed_now)
        sent = [body for _, body in its.sent()]
        paths[f"send_webhook:{turn}"] = its.record("send_webhook", batch(sent), timed=timed_now)
    return _with_cpu(paths)


def _always(event: Event) -> Callable[[str], Event]:
    """Return a function of a turn that gives the same event for each."""
    return lambda _: event


def _with_cpu(paths: Mapping[str, Path]) -> dict[str, Path]:
    """Give a first turn the CPU time of the turn after it."""
    return {
        name: replace(path, cpu=paths[name.replace(":first", ":warm")].cpu)
        for name, path in paths.items()
    }


def _run_sent(its: Recorder, *, timed: bool) -> tuple[Path, list[str]]:
    """Run the worker with the message that was just sent; return its path and its messages."""
    messages = [body for queue, body in its.sent() if queue == "Queue"]
    path = its.record("generate", batch(messages), timed=timed)
    return path, [body for queue, body in its.sent() if queue == "NotifyQueue"]


def _quietly(its: Recorder, function: str, event: Event) -> Path:
    """Invoke a handler that reports failures, as it does for a generation that it requeues."""
    with quiet_log() as written:
        its.invoke(function, event)
    steps = tuple(
        Step(0.0, call.operation, tuple(map(its._normalised, call.charges)))  # noqa: SLF001
        for call in its.tape.calls
    )
    return Path(function, steps, 0.0, len(written.getvalue().encode()))


def _unavailable(*_: object) -> None:
    raise ModelUnavailableError("The model is busy.")


def _sample_shards(its: Recorder, samples: int) -> None:
    """Submit and run generations of known ids, so that all shards of the indexes are seen."""
    key = its.make_tenant("tenant-shards")
    messages: list[str] = []
    for number in range(samples):
        event = submission("submit_generation", "tenant-shards", key, idempotency=f"key-{number}")
        its.record("submit_generation", event, timed=False)
        messages += [body for _, body in its.sent()]
    for begin in range(0, samples, 10):
        its.record("generate", batch(messages[begin : begin + 10]), timed=False)


def _record_repairs(its: Recorder, *, timed: bool) -> dict[str, Path]:
    """Record the sweeper with nothing to do, and with one lost message."""
    key = its.make_tenant("tenant-lost")
    paths = {"sweep:idle": its.record("sweep", _schedule("sweep"), timed=timed)}
    its.record("submit_generation", submission("submit_generation", "tenant-lost", key))
    later = clock.now() + timedelta(minutes=3)
    with patch.object(clock, "now", lambda: later):
        paths["sweep:lost"] = its.record("sweep", _schedule("sweep"), timed=False)
    return paths


def _record_count(its: Recorder, *, timed: bool) -> Path:
    """Record the count of an hour with ENDED generations: one that ended, and copies of it."""
    for item in read_items("GenerationsTable"):
        its.forget("GenerationsTable", item)
    key = its.make_tenant("tenant-counted")
    event = submission("submit_generation", "tenant-counted", key)
    its.record("submit_generation", event, timed=False)
    _run_sent(its, timed=False)
    (ended,) = read_items("GenerationsTable")
    hour = ended["ended_in"]["S"].partition("#")[0]
    copies = []
    for number in range(1, ENDED):
        generation = f"{uuid.UUID(int=number)}"
        shard = end_shard(datetime.fromisoformat(f"{hour}:00:00+00:00"), number % END_SHARDS)
        pk = {"S": partition_key("tenant-counted", generation)}
        copies.append({**ended, "pk": pk, "id": {"S": generation}, "ended_in": {"S": shard}})
    put_items("GenerationsTable", copies)
    _mark_counted(datetime.fromisoformat(f"{hour}:00:00+00:00"))
    later = datetime.fromisoformat(f"{hour}:15:00+00:00") + timedelta(hours=1)
    with patch.object(clock, "now", lambda: later):
        return its.record("count_usage", _schedule("count_usage"), timed=timed)


def _mark_counted(until: datetime) -> None:
    """Note that the hours before are counted, as they are while the count runs."""
    item = {
        "pk": {"S": "#"},
        "sk": {"S": "counted"},
        "until": {"N": str(clock.to_millis(until))},
    }
    clients().dynamodb.put_item(TableName=REFERENCES["StatisticsTable"], Item=item)


def _time_batches(its: Recorder, paths: Mapping[str, Path]) -> dict[str, float]:
    """Return the CPU milliseconds of each further message in a batch of ten, by function."""
    key = its.make_tenant("tenant-batches")
    messages: list[str] = []
    for _ in range(10):
        event = submission("submit_generation", "tenant-batches", key)
        its.record("submit_generation", event, timed=False)
        messages += [body for _, body in its.sent()]
    ten = its.record("generate", batch(messages), timed=True)
    one = paths["generate:plain:warm"]
    further = max(0.0, (ten.cpu - one.cpu) / 9)
    return {"generate": min(further, one.cpu)}


def _time_imports(function: str) -> float:
    """Return the CPU milliseconds of a function's imports in a new process."""
    import subprocess  # noqa: PLC0415 - only here # nosec B404

    code = (
        "import time; begun = time.process_time()\n"
        f"import functions.{function}.app\n"
        "print((time.process_time() - begun) * 1e3)"
    )
    found = []
    for _ in range(2):
        done = subprocess.run(  # noqa: S603 - our own code # nosec B603
            [sys.executable, "-c", code],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, **environment(Deployment(parsed_template(), {}))},
        )
        found.append(float(done.stdout))
    return min(found)


# --- events --------------------------------------------------------------------------------------


def submission(
    function: str, tenant: str, key: str, *, text: str = INPUT, idempotency: str | None = None
) -> Event:
    """Return the sample event of a function that submits, with a tenant's key and text in it."""
    event = request(function, tenant, key)
    if function == "submit_generation":
        event["body"] = json.dumps({"flow": FLOW, "inputs": {"text": text}})
    if idempotency is not None:
        event["headers"]["idempotency-key"] = idempotency
    return event


def request(function: str, tenant: str, key: str, generation: str | None = None) -> Event:
    """Return a function's sample event with a tenant's key, and the id of its generation."""
    written = (ROOT / "events" / f"{function}.json").read_text()
    written = written.replace("API_KEY", key).replace('"demo"', f'"{tenant}"')
    if generation is not None:
        written = _UUID.sub(generation, written)
    event: Event = json.loads(written)
    return event


def batch(bodies: Sequence[str]) -> Event:
    """Return an event of SQS with these messages."""
    records = [
        {
            "messageId": f"059f36b4-87a3-44ab-83d2-{number:012d}",
            "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
            "body": body,
            "attributes": {
                "ApproximateReceiveCount": "1",
                "SentTimestamp": "1794301200000",
                "ApproximateFirstReceiveTimestamp": "1794301200010",
            },
        }
        for number, body in enumerate(bodies)
    ]
    return {"Records": records}


def _schedule(function: str) -> Event:
    event: Event = json.loads((ROOT / "events" / f"{function}.json").read_text())
    return event


# --- AWS and the environment ---------------------------------------------------------------------


def environment(deployment: Deployment) -> dict[str, str]:
    """Return the environment of all functions, with nobody's credentials."""
    variables = {
        "AWS_ACCESS_KEY_ID": "load",
        "AWS_SECRET_ACCESS_KEY": "load",  # moto takes any # nosec B105
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    for function in deployment.functions.values():
        variables |= function.environment
    return variables


@contextmanager
def recorder(further: Mapping[str, str] = MappingProxyType({})) -> Iterator[tuple[Recorder, str]]:
    """Start AWS under moto, the stub of the model, and a tape; give the recorder and the URL.

    `further` are parameters of the template beside those of the model.
    """
    with ExitStack() as stack:
        url = stack.enter_context(stub()).plain
        parameters = {
            "ModelProvider": "openai",
            "ModelId": "instant",
            "ModelBaseUrl": f"{url}/v1",
            "FetchAllowed": url.removeprefix("http://"),
            **FLOW_CACHE,
            **further,
        }
        deployment = Deployment(parsed_template(), parameters)
        stack.enter_context(patch.dict(os.environ, environment(deployment)))
        for cached in (services, telemetry.logger):
            cached.cache_clear()
            stack.callback(cached.cache_clear)
        stack.enter_context(stand_in_aws())
        botocore_stubber.enabled = False  # the tape asks moto
        resources = parsed_template()["Resources"]
        tables = {REFERENCES[name]: resources[name]["Properties"] for name in TABLES}
        tape = Tape({name: Schema(name, definition) for name, definition in tables.items()})
        its = clients()
        for client in (its.dynamodb, its.sqs, its.s3, its.events, its.ssm, its.secrets_manager):
            events = client.meta.events
            handler: Any = tape.send
            events.register_first("before-send", handler)
            stack.callback(partial(events.unregister, "before-send", handler))
        yield Recorder(tape), url


@contextmanager
def quiet_log() -> Iterator[StringIO]:
    """Collect the lines of the log, and the metrics, which go to standard output."""
    handler = telemetry.logger().registered_handler
    written = StringIO()
    if not isinstance(handler, StreamHandler):
        yield written
        return
    before = handler.setStream(written)
    try:
        with redirect_stdout(written):
            yield written
    finally:
        handler.setStream(before)


def _body(request: "AWSPreparedRequest") -> bytes:
    body = request.body or b""
    return (
        body.encode()
        if isinstance(body, str)
        else bytes(body)
        if isinstance(body, bytes | bytearray)
        else b""
    )


def _answer_keys(operation: str, body: bytes) -> tuple[str, ...]:
    """Return the keys of a recorded answer, the most exact one first."""
    parsed = json.loads(body) if body[:1] == b"{" else {}
    key, table = parsed.get("Key"), parsed.get("TableName")
    return f"{operation} {table} {json.dumps(key)}", f"{operation} {table}", operation


def _with_bytes(value: Any) -> Any:  # noqa: ANN401 - an item, or a part of one
    """Return an item as JSON has it with its binary values as bytes, which moto has already."""
    if not isinstance(value, Mapping):
        return value
    return {
        name: b64decode(each) if name == "B" and isinstance(each, str) else _with_bytes(each)
        for name, each in value.items()
    }


def _writes(operation: str, request: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    match operation:
        case "dynamodb.PutItem" | "dynamodb.UpdateItem" | "dynamodb.DeleteItem":
            return [request]
        case "dynamodb.TransactWriteItems":
            return [next(iter(each.values())) for each in request["TransactItems"]]
        case "dynamodb.BatchWriteItem":
            return [
                {"TableName": table, **each["PutRequest"]}
                for table, writes in request["RequestItems"].items()
                for each in writes
            ]
        case _:
            return []


def _key_of(schema: Schema, item: Mapping[str, Any]) -> str:
    return json.dumps([item[name] for name in schema.keys])


def _queried_key(request: Mapping[str, Any]) -> str:
    """Return the partition key of a query, the first attribute that must be equal to a value."""
    found = re.search(r"#\w+ = (:\d+)", request["KeyConditionExpression"])
    return "" if found is None else str(request["ExpressionAttributeValues"][found[1]].get("S"))

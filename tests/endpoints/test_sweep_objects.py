"""The sweep of objects after processes that died at any call of AWS: no text is left behind.

A process dies before a call, or between its effect and its answer. Afterwards the clients repeat
their requests and other workers take the messages. Two days later the sweep has deleted each object
that no item names, and no other.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from afterword import clock, generations
from afterword.files import SubmittedFile
from afterword.generations import Submission, SubmissionOptions, items
from afterword.knowledge import Change, Draft
from afterword.models import Prompt
from afterword.runtime.clients import clients
from afterword.runtime.payloads import INLINE_BYTES
from afterword.services import services
from tests.conftest import FLOW, Event, LambdaContext, SetClock, Tenant
from tests.endpoints.test_crash_points import Fate
from tests.harness.api import invoke
from tests.harness.deployment import REFERENCES
from tests.harness.fake_model import FakeModel, completion
from tests.harness.native_generations import Native
from tests.harness.stand_in_aws import read_items

BIG = "x" * 2 * INLINE_BYTES
FILE = SubmittedFile(input="f", name="a.txt", media_type="text/plain", content=b"Hello")
STEPS = [{"name": "draft", "prompt": "{{text}}"}, {"name": "reply", "prompt": "{{draft}}"}]

type Run = Callable[[Callable[[str], object], Callable[[str], object]], int]


@pytest.fixture(params=[pytest.param("before-call", marks=pytest.mark.long), "after-call"])
def fate(native: Native, set_clock: SetClock, request: pytest.FixtureRequest) -> Fate:
    """Return the fate of all that calls AWS, with a tenant and the clock of the objects' times."""
    assert native
    set_clock.moment = datetime.now(UTC)
    fate = Fate()
    for client in (clients().dynamodb, clients().sqs, clients().s3):
        client.meta.events.register(request.param, fate)
    return fate


@pytest.fixture
def die_at_each_call(fate: Fate) -> Run:
    """Return a function that lets a process die at each of its calls, with a new record each time.

    Its arguments run the process for a record, and recover afterwards. Returned is the number of
    the process's calls.
    """

    def run(process: Callable[[str], object], recover: Callable[[str], object]) -> int:
        for calls in count():
            record = str(calls)
            struck = fate.strikes(calls, lambda record=record: process(record))  # type: ignore[misc] # a lambda of one
            recover(record)
            if not struck:
                return calls
        raise AssertionError

    return run


def put(generation_id: str, **fields: Any) -> None:  # noqa: ANN401 - of a submission
    """Store a queued generation with big texts and a file."""
    given = {"inputs": {"text": BIG}, "external": {"metadata": f'"{BIG}"'}, "files": (FILE,)}
    submission = Submission(dialect="native", flow=FLOW, template=None, **{**given, **fields})
    version = services().registry.get_flow("demo", FLOW).version
    options = SubmissionOptions(flow_version=version, retention=timedelta(days=30))
    services().store.put("demo", generation_id, submission, options)


def keys(bucket: str) -> set[str]:
    """Return the keys of all objects of a bucket."""
    listed = clients().s3.list_objects_v2(Bucket=REFERENCES[bucket]).get("Contents", [])
    return {each["Key"] for each in listed}


def named_by_generations() -> set[str]:
    """Return the keys that generations name, the files of requests in the bucket included."""
    named: set[str] = set()
    for item in read_items("GenerationsTable"):
        named |= set(items.payload_keys(item))
        if "request_key" in item:
            answer = clients().s3.get_object(
                Bucket=REFERENCES["Bucket"], Key=item["request_key"]["S"]
            )
            request = json.loads(answer["Body"].read())
            named |= {file["key"] for file in request.get("files", ())}
    return named


def named_by_contents() -> set[str]:
    """Return the keys that contents name, each with its metadata file."""
    named = {item["object"]["S"] for item in read_items("ContentsTable") if "object" in item}
    return named | {f"{key}.metadata.json" for key in named}


def sweep(clock: SetClock) -> Mapping[str, int]:
    """Run the sweep of objects two days later."""
    clock.advance(days=2)
    return invoke("sweep_objects", {}, LambdaContext(milliseconds=900_000))


def message(generation_id: str) -> Event:
    """Return an invocation of the worker with the message of a generation."""
    body = json.dumps({"tenant": "demo", "id": generation_id})
    return {"Records": [{"messageId": "1", "receiptHandle": "", "body": body}]}


def work(generation_id: str) -> None:
    """Run a worker on a generation's message."""
    invoke("generate", message(generation_id), LambdaContext(milliseconds=60_000))


def test_a_deletion_that_dies_anywhere_leaves_no_text(
    die_at_each_call: Run, native: Native, set_clock: SetClock
) -> None:
    """Whichever call a deletion dies at, the repeated one and the sweep leave nothing."""
    ids: dict[str, str] = {}

    def prepare(record: str) -> str:
        ids[record] = generations.new_id()
        put(ids[record])
        claim = services().store.claim("demo", ids[record], clock.now() + timedelta(minutes=1))
        assert claim is not None
        claim = services().store.finish_step(claim, completion(BIG))
        assert claim is not None
        assert services().outbox.succeed(claim, completion(BIG))
        return ids[record]

    prepared = [prepare(str(number)) for number in range(6)]
    calls = die_at_each_call(
        lambda record: native.ask("delete_generation", ids[record]),
        lambda record: native.ask("delete_generation", ids[record]),
    )
    assert calls == 4  # the item, its request, the tombstone, the objects
    sweep(set_clock)
    left = {key.split("/")[1] for key in keys("Bucket")}
    assert left == set(prepared[calls + 1 :])
    assert keys("Bucket") == named_by_generations()


def test_a_cancellation_that_dies_anywhere_leaves_no_text(
    die_at_each_call: Run, native: Native, set_clock: SetClock
) -> None:
    """A running generation that is canceled, deleted, and finished too late leaves nothing."""
    ids = {str(number): generations.new_id() for number in range(9)}
    claims = {}
    for record, generation_id in ids.items():
        put(generation_id)
        until = clock.now() + timedelta(minutes=1)
        claims[record] = services().store.claim("demo", generation_id, until)

    def recover(record: str) -> None:
        native.ask("cancel_generation", ids[record])
        native.ask("delete_generation", ids[record])
        claim = claims[record]
        assert claim is not None
        assert services().store.finish_step(claim, completion(BIG)) is None
        assert not services().outbox.succeed(claim, completion(BIG))

    calls = die_at_each_call(lambda record: native.ask("cancel_generation", ids[record]), recover)
    assert calls >= 3
    left = {key.split("/")[1] for key in keys("Bucket")}
    assert left == set(list(ids.values())[calls + 1 :])  # without a sweep: the writer deletes
    sweep(set_clock)
    assert keys("Bucket") == named_by_generations()


@pytest.mark.parametrize(
    "gone",
    [
        pytest.param(True, id="erased meanwhile"),
        pytest.param(False, id="kept", marks=pytest.mark.long),
    ],
)
def test_a_worker_that_dies_anywhere_leaves_no_text(
    die_at_each_call: Run,
    fate: Fate,
    set_clock: SetClock,
    use_model: Callable[[FakeModel], None],
    *,
    gone: bool,
) -> None:
    """Whichever call a worker dies at, its texts are those of the item, or are deleted."""
    flow = json.dumps({"id": FLOW, "name": "Two steps", "steps": STEPS})
    services().registry.put_flow("demo", FLOW, flow)
    ids: dict[str, str] = {}
    current = ""

    def answer(_: Prompt) -> object:
        if gone and services().store.get_end("demo", current) is None:
            calls, fate.calls = fate.calls, None
            services().outbox.cancel("demo", current)
            services().store.delete("demo", current)
            fate.calls = calls
        return completion(BIG)

    use_model(FakeModel(answer))  # type: ignore[arg-type] # it returns one

    def process(record: str) -> None:
        nonlocal current
        calls, fate.calls = fate.calls, None
        ids[record] = current = generations.new_id()
        put(current, inputs={"text": BIG}, files=())
        fate.calls = calls
        work(current)

    def recover(record: str) -> None:
        for _ in range(3):
            set_clock.advance(minutes=2)
            work(ids[record])
        assert services().store.get_end("demo", ids[record]) is not None

    calls = die_at_each_call(process, recover)
    assert calls >= 3
    swept = sweep(set_clock)
    assert swept["deleted"] >= 1
    assert keys("Bucket") == named_by_generations()
    assert bool(keys("Bucket")) is not gone


@pytest.mark.long
def test_a_submission_that_dies_anywhere_leaves_no_text(
    die_at_each_call: Run, native: Native, set_clock: SetClock
) -> None:
    """Neither a refused submission nor one that died before its item leaves a text."""
    body = {"flow": FLOW, "inputs": {"text": BIG}, "metadata": {"a": "b" * 15_000}}

    def submit(record: str, text: str = BIG) -> object:
        sent = {**body, "inputs": {"text": text}}
        return native.submit(sent, idempotency_key=f"case-{record}")

    calls = die_at_each_call(submit, submit)
    assert calls >= 3
    die_at_each_call(lambda record: submit(record, BIG + "y"), submit)
    sweep(set_clock)
    assert keys("Bucket") == named_by_generations()
    assert len(keys("Bucket")) == calls + 1


@pytest.mark.long
def test_a_content_that_dies_anywhere_leaves_no_text(
    die_at_each_call: Run, set_clock: SetClock
) -> None:
    """Whichever call a change or a removal of a content dies at, its texts are the stored ones."""
    contents = services().contents

    def create(record: str) -> None:
        if contents.find("demo", record) is None:
            draft = Draft(name="A", text=BIG, folder="F", external_id=record)
            contents.create("demo", draft)

    def update(record: str) -> None:
        content = contents.get("demo", record)
        contents.update("demo", content.id, Change(text=BIG + "y", folder="G"))

    def remove(record: str) -> None:
        content = contents.find("demo", record)
        if content is not None:
            contents.remove("demo", content.id)

    made = die_at_each_call(create, create)
    for record in range(made + 1, 12):
        create(str(record))
    die_at_each_call(update, update)
    removed = die_at_each_call(remove, remove)
    sweep(set_clock)
    assert keys("ContentsBucket") == named_by_contents()
    assert len(keys("ContentsBucket")) == 2 * (12 - removed - 1)


def test_a_fate_strikes(fate: Fate, tenant: Tenant) -> None:
    """The processes above do die: a fate lets none outlive its last call."""
    assert fate.strikes(0, lambda: services().store.get(tenant.id, generations.new_id()))

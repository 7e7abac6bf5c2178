"""Every call of AWS on the way of a form with a file, through two steps, as the last one.

Like test_crash_points, for the differences: the file in the bucket, the request that is an item of
its own, and the steps' results.
"""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from afterword.generations import Status
from afterword.runtime.clients import clients
from afterword.services import services
from tests.conftest import Event, LambdaContext, SetClock
from tests.endpoints.test_crash_points import Fate
from tests.harness.api import invoke
from tests.harness.deployment import REFERENCES
from tests.harness.fake_model import FakeModel, completion
from tests.harness.genai_stack import Client
from tests.harness.long_texts import LONG

STEPS = [
    {"name": "ideas", "prompt": "Ideas: {{topic}} {{paper}}", "output": "array"},
    {"name": "letter", "prompt": "Letter: {{ideas}}"},
]
FLOW = {
    "id": "letters",
    "name": "Letters",
    "inputs": [{"name": "topic"}, {"name": "paper", "kind": "file"}],
    "steps": STEPS,
}
BOUNDARY = "b"
FORM = (
    b'--b\r\nContent-Disposition: form-data; name="topic"\r\n\r\n' + LONG.encode() + b"\r\n"
    b'--b\r\nContent-Disposition: form-data; name="paper"; filename="a.txt"\r\n\r\n'
    b"Lyon\r\n--b--\r\n"
)
# the key, the flow, the limits, the file, the request, the item, the message
SUBMISSION_CALLS = 7
# the claim, the request, the flow, the file, the first result, the second
WORKER_CALLS = 6

moments = pytest.mark.parametrize("moment", ["before-call", "after-call"])


@pytest.fixture
def fate(aws: None, moment: str) -> Fate:  # noqa: ARG001 - asked for its effect
    """Return the fate of all that calls AWS, which strikes at that moment of a call."""
    fate = Fate()
    for client in (clients().dynamodb, clients().sqs, clients().s3):
        client.meta.events.register(moment, fate)
    return fate


@pytest.fixture
def asked(use_model: Callable[[FakeModel], None]) -> Counter[str]:
    """Return how often the model was asked for each step."""
    counted: Counter[str] = Counter()

    def answer(prompt: Any) -> Any:  # noqa: ANN401 - a prompt, a completion
        step = prompt.user.partition(":")[0]
        counted[step] += 1
        return completion(json.dumps({"items": ["Lyon"]}) if step == "Ideas" else "Dear Lyon,")

    use_model(FakeModel(answer))
    return counted


@pytest.fixture
def event(client: Client) -> Event:
    """Return a submission of the form, with an idempotency key."""
    services().registry.put_flow(client.tenant, "letters", json.dumps(FLOW))
    scopes = services().registry.list_keys(client.tenant)[0].scopes
    key = services().registry.create_key(client.tenant, scopes, flow="letters")[1]
    bound = Client(client.load, client.tenant, "letters", key)
    event = bound.event("create_text_generation")
    event["headers"] |= {
        "content-type": f"multipart/form-data; boundary={BOUNDARY}",
        "idempotency-key": "case-457",
    }
    return event | {"body": FORM.decode(), "isBase64Encoded": False}


def ids() -> list[str]:
    """Return the ids of all generations."""
    items = clients().dynamodb.scan(TableName=REFERENCES["GenerationsTable"])["Items"]
    return [item["id"]["S"] for item in items if "id" in item]


def run_worker() -> bool:
    """Run a worker with what is in the queue; return whether there was anything."""
    taken = clients().sqs.receive_message(QueueUrl=REFERENCES["Queue"]).get("Messages", [])
    records = [
        {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
        }
        for message in taken
    ]
    if records:
        invoke("generate", {"Records": records}, LambdaContext(milliseconds=300_000))
    return bool(records)


def recover(set_clock: SetClock, sweep_event: Event) -> None:
    """Let the minutes pass until the one generation is finished."""
    (generation_id,) = ids()
    for _ in range(90):
        while run_worker():
            pass
        if services().store.get("demo", generation_id).status.terminal:
            return
        set_clock.advance(minutes=1)
        invoke("sweep", sweep_event)
    pytest.fail("it is not finished after 90 minutes")


def text() -> str:
    """Return the text of the one generation, which has succeeded."""
    (generation_id,) = ids()
    generation = services().store.get("demo", generation_id)
    assert generation.status is Status.SUCCEEDED
    assert generation.completion is not None
    return generation.completion.text


@moments
@pytest.mark.parametrize("calls", range(SUBMISSION_CALLS))
def test_a_form_that_dies_anywhere_is_one_generation(  # noqa: PLR0913, PLR0917 - a whole life
    fate: Fate,
    event: Event,
    asked: Counter[str],
    set_clock: SetClock,
    load_event: Callable[[str], Event],
    calls: int,
) -> None:
    """Whichever call the submission dies at, the client's second try makes or finds the one."""
    assert fate.strikes(calls, lambda: invoke("create_text_generation", event))
    assert invoke("create_text_generation", event)["statusCode"] == 200
    recover(set_clock, load_event("sweep"))
    assert text() == "Dear Lyon,"
    assert asked == {"Ideas": 1, "Letter": 1}


@moments
@pytest.mark.parametrize("calls", range(WORKER_CALLS))
def test_a_worker_that_dies_anywhere_pays_for_no_stored_step_again(  # noqa: PLR0913, PLR0917 - a life
    fate: Fate,
    event: Event,
    asked: Counter[str],
    set_clock: SetClock,
    load_event: Callable[[str], Event],
    calls: int,
    moment: str,
) -> None:
    """Whichever call a worker dies at, another goes on with the first step that is not stored."""
    invoke("create_text_generation", event)
    assert fate.strikes(calls, run_worker)
    recover(set_clock, load_event("sweep"))
    assert text() == "Dear Lyon,"
    not_stored = {("before-call", 4): ["Ideas"], ("before-call", 5): ["Letter"]}
    assert asked == Counter(["Ideas", "Letter", *not_stored.get((moment, calls), ())])


@pytest.mark.parametrize("moment", ["before-call"])
def test_there_are_no_other_calls(fate: Fate, event: Event, asked: Counter[str]) -> None:
    """The tests above strike at every call that there is."""
    assert not fate.strikes(SUBMISSION_CALLS, lambda: invoke("create_text_generation", event))
    assert not fate.strikes(WORKER_CALLS, run_worker)
    assert asked == {"Ideas": 1, "Letter": 1}

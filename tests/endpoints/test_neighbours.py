"""One worker runs ten generations: a hostile flow or answer takes no time from its neighbours."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest

from afterword.flows import outputs, schemas
from afterword.generations import Completion, Generation, Reason, Status, Submission
from afterword.knowledge import Draft
from afterword.models import Prompt
from afterword.runtime.clients import clients
from afterword.services import services
from tests.conftest import FLOW, FLOW_DOCUMENT, Event, LambdaContext, SetClock, Tenant
from tests.harness.api import invoke
from tests.harness.deployment import REFERENCES
from tests.harness.fake_model import FakeModel, completion

MAX_GAP = 1.0
"""Seconds that a neighbour's thread may stand still, on a busy machine."""
DEEP: dict[str, object] = {
    "type": "object",
    "properties": {"a": {"anyOf": [{"$ref": "#"}, {"type": "string"}]}},
}


def doubling(levels: int) -> dict[str, object]:
    """Return a schema in which each level asks twice for the next one."""
    steps: dict[str, object] = {
        f"d{level}": {"anyOf": [{"$ref": f"#/$defs/d{level + 1}"}] * 2} for level in range(levels)
    }
    return {
        "type": "object",
        "$defs": {**steps, f"d{levels}": {"type": "string"}},
        "properties": {"a": {"$ref": "#/$defs/d0"}},
    }


class Hostile(NamedTuple):
    """A step, a text of the caller, an answer of the model, and how the generation ends."""

    step: Mapping[str, object]
    answer: str
    reason: Reason | None
    text: str = "Hello"


def with_schema(schema: Mapping[str, object]) -> Mapping[str, object]:
    """Return a step with a schema."""
    return {"prompt": "{{text}}", "output": "json", "output_schema": schema}


def only_a(keywords: Mapping[str, object]) -> Mapping[str, object]:
    """Return a step whose schema has one property."""
    return with_schema({"type": "object", "properties": {"a": keywords}})


HOSTILE: Mapping[str, Hostile] = {
    "a pattern": Hostile(
        only_a({"pattern": "^(a+)+$"}),
        json.dumps({"a": "a" * 40 + "!"}),
        Reason.INVALID_OUTPUT,
    ),
    "an older flow's pattern": Hostile(
        only_a({"pattern": "^(?=a)(a+)+$"}),
        json.dumps({"a": "a" * 40 + "!"}),
        Reason.INVALID_OUTPUT,
    ),
    "a pattern in names": Hostile(
        with_schema({"type": "object", "patternProperties": {"^(a+)+$": {"type": "string"}}}),
        json.dumps({"a" * 40 + "!": ""}),
        None,
    ),
    "references": Hostile(with_schema(doubling(60)), '{"a": 1}', Reason.INVALID_OUTPUT),
    "equal hashes": Hostile(
        only_a({"uniqueItems": True}),
        json.dumps({"a": [number * (2**61 - 1) for number in range(30_000)]}),
        None,
    ),
    "a depth": Hostile(with_schema(DEEP), '{"a":' * 400 + '""' + "}" * 400, Reason.INVALID_OUTPUT),
    "a divisor": Hostile(only_a({"multipleOf": 0.5}), json.dumps({"a": 10**400}), None),
    "a huge answer": Hostile(
        with_schema({"type": "object"}),
        '{"a": [' + "[]," * outputs.MAX_ANSWER + "[]]}",
        Reason.INVALID_OUTPUT,
    ),
    "a name a thousand times": Hostile(
        {"prompt": "{{text}}" * 10_000}, "", Reason.TOO_LONG, text="a" * 100_000
    ),
    "marks of an answer": Hostile(
        {"prompt": "{{text}}", "context": {"required": False}},
        "The red house a" + "\u0301\u0323" * 200_000,
        None,
        text="The red house",
    ),
    "marks of a question": Hostile(
        {"prompt": "{{text}}", "context": {"required": False}},
        "Yes.",
        None,
        text="The red house a" + "\u0301\u0323" * 200_000,
    ),
}


class Watch:
    """A neighbour's call of the model, which notes how long its thread stands still at most."""

    def __init__(self) -> None:
        self.gap = 0.0
        self._over = threading.Event()

    def __call__(self, answered: threading.Event) -> Completion:
        """Answer some time after the hostile generation has got its answer."""
        answered.wait(timeout=30)
        last = time.monotonic()
        for _ in range(40):
            self._over.wait(0.005)
            now = time.monotonic()
            self.gap, last = max(self.gap, now - last), now
        return completion("I am well.")


SHORT = {"a pattern", "references", "marks of an answer", "a name a thousand times"}


@pytest.mark.parametrize(
    "name",
    [name if name in SHORT else pytest.param(name, marks=pytest.mark.long) for name in HOSTILE],
)
def test_a_neighbours_time_is_unchanged(
    name: str,
    tenant: Tenant,
    set_clock: SetClock,  # noqa: ARG001 - asked for its effect
    use_model: Callable[[FakeModel], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A hostile generation ends with a reason or a result, and its neighbour does not wait."""
    monkeypatch.setattr(schemas, "MAX_STEPS", 400_000)
    hostile = HOSTILE[name]
    registry = services().registry
    document = {"id": "hostile", "name": "Hostile", "steps": [{"name": "x", **hostile.step}]}
    registry.put_flow(tenant.id, "hostile", json.dumps(document))
    if "context" in hostile.step:
        services().contents.create(
            tenant.id, Draft(name="Houses", text="The red house is old.", folder="all")
        )
    registry.create_tenant("other", "Other")
    registry.put_flow("other", FLOW, FLOW_DOCUMENT)
    own = submit(tenant.id, "hostile", hostile.text)
    neighbour = submit("other", FLOW, "How are you?")
    answered, watch = threading.Event(), Watch()

    def answer(prompt: Prompt) -> Completion:
        if "How are you?" in prompt.user:
            return watch(answered)
        answered.set()
        return completion(hostile.answer)

    if hostile.reason is Reason.TOO_LONG:
        answered.set()  # the model is not asked
    use_model(FakeModel(answer))
    received = clients().sqs.receive_message(QueueUrl=REFERENCES["Queue"], MaxNumberOfMessages=10)
    event: Event = {"Records": [record(message) for message in received["Messages"]]}
    assert invoke("generate", event, LambdaContext(milliseconds=120_000)) == {
        "batchItemFailures": []
    }
    assert watch.gap < MAX_GAP
    assert (neighbour().status, neighbour().attempt) == (Status.SUCCEEDED, 1)
    assert own().reason == hostile.reason
    assert own().status is (Status.FAILED if hostile.reason else Status.SUCCEEDED)


def test_an_older_flows_pattern_says_what_to_do(
    tenant: Tenant,
    context: LambdaContext,
    use_model: Callable[[FakeModel], None],
) -> None:
    """A stored flow with a pattern that cannot be matched any more fails with a way out."""
    document = {
        "id": "old",
        "name": "Old",
        "steps": [{"name": "x", **only_a({"pattern": "(?!b)a"})}],
    }
    services().registry.put_flow(tenant.id, "old", json.dumps(document))
    generation = submit(tenant.id, "old", "Hello")
    use_model(FakeModel(lambda _: completion('{"a": "a"}')))
    received = clients().sqs.receive_message(QueueUrl=REFERENCES["Queue"])
    invoke("generate", {"Records": [record(received["Messages"][0])]}, context)
    assert generation().message == (
        "The output_schema of the flow's step x must have patterns without flags and look-around,"
        " unlike (?!b)a: save the flow anew with such a schema."
    )


def submit(tenant: str, flow: str, text: str) -> Callable[[], Generation]:
    """Submit a text; return a function that reads its generation."""
    submission = Submission(
        dialect="native", flow=flow, inputs={"text": text}, template=None, external={}
    )
    generation_id = services().submitter.submit(tenant, submission)
    return lambda: services().store.get(tenant, generation_id)


def record(message: Any) -> dict[str, Any]:  # noqa: ANN401 - a message of SQS
    """Return a received message as Lambda passes it on."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": {"ApproximateReceiveCount": "1"},
        "eventSource": "aws:sqs",
    }

"""Promptitude's generation: submits and waits; the handler with its event, under moto."""

import json
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from afterword.engine import waiting
from afterword.generations import Reason, Status, id_for_key
from afterword.limits import DEFAULT_WAITS, Limits
from afterword.models import ModelRefusedError, ModelUnavailableError
from afterword.runtime import deadline
from afterword.runtime.deadline import Deadline
from afterword.services import services
from afterword.tenants.keys import Scope
from tests.conftest import Event, LambdaContext, SetClock, Stored, Tenant
from tests.harness.api import invoke
from tests.harness.fake_model import FakeModel, raising, saying
from tests.harness.promptitude import (
    REQUEST,
    TEXT,
    answer,
    generation_event,
    log_id,
    put_flow,
    read,
)

CONTEXT = LambdaContext(milliseconds=29_000)
NOTHING = Stored(items=0, messages=0, objects=0)

type Generate = Callable[..., Mapping[str, Any]]


class Time:
    """The seconds that a client waits; the worker takes the message after some of them."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []
        self.work_after = 1.0
        self.work: Callable[[], object] = lambda: None

    def monotonic(self) -> float:
        """Return the time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass, and the worker run once when it is time."""
        before = self.now
        self.pauses.append(seconds)
        self.now += seconds
        if before - 1000.0 < self.work_after <= self.now - 1000.0:
            self.work()


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    """Return the time that passes while a client waits."""
    time = Time()
    monkeypatch.setattr(waiting, "time", time)
    monkeypatch.setattr(deadline, "time", time)
    return time


@pytest.fixture
def generate(  # noqa: PLR0913, PLR0917 - all that a generation touches
    tenant: Tenant,
    set_clock: SetClock,  # noqa: ARG001 - asked for its effect
    load_event: Callable[[str], Event],
    message_event: Callable[[str], Event],
    use_model: Callable[[FakeModel], None],
    time: Time,
) -> Generate:
    """Return a function that generates with a model, and with the seed's request by default."""
    put_flow(tenant)

    def send(
        model: FakeModel | None = None, body: object = REQUEST, **headers: str
    ) -> Mapping[str, Any]:
        use_model(model or saying(TEXT))
        key = "a-key"
        time.work = lambda: invoke("generate", message_event(id_for_key("demo", key)))
        event = generation_event(load_event("generate_flow"), tenant, body)
        event["headers"] |= {"idempotency-key": key, **headers}
        return invoke("generate_flow", event, CONTEXT)

    return send


def test_the_seeds_example_is_answered(generate: Generate) -> None:
    """The request of the documentation has the answer of the documentation."""
    model = saying(TEXT)
    result = generate(model)
    assert read(result) == answer(200, "OK", {"result": TEXT, "logId": log_id(result)})
    assert [prompt.user for prompt in model.prompts] == ["Tell a joke about Andres Lopez."]


def test_who_asks_is_stored_and_never_told_to_the_model(generate: Generate) -> None:
    """The user's id is kept as it was given, and is in no prompt."""
    model = saying(TEXT)
    generation = services().store.get("demo", log_id(generate(model)))
    assert generation.external == {"userId": f'"{REQUEST["userId"]}"'}
    assert str(REQUEST["userId"]) not in repr(model.prompts)


def test_a_client_waits_more_and_more_slowly(generate: Generate, time: Time) -> None:
    """The item is read after 0.1 seconds, then half as long again each time, up to a second."""
    time.work_after = 10.0
    assert generate()["statusCode"] == 200
    assert time.pauses[:4] == pytest.approx([0.1, 0.15, 0.225, 0.3375])
    assert time.pauses[-1] == 1.0
    assert 10.0 <= time.now - 1000.0 <= 11.0


def test_what_takes_too_long_goes_on(generate: Generate, time: Time) -> None:
    """After 26 seconds the answer is 504 with the id, and the work is still to be done."""
    time.work_after = 100.0
    result = generate()
    cuid = log_id(result)
    message = f"The run takes longer: its result will be at /v1/logs/{cuid}."
    assert read(result) == answer(504, message, {"logId": cuid})
    assert time.now - 1000.0 == pytest.approx(waiting.WAIT_SECONDS)
    assert services().store.get("demo", cuid).status is Status.QUEUED


def test_above_the_bound_of_waits_the_answer_comes_at_once(generate: Generate, time: Time) -> None:
    """With all of a tenant's places taken the answer is 504 with the id, and the work goes on."""
    time.work_after = 100.0
    for _ in range(DEFAULT_WAITS):
        services().quotas.take_wait("demo", DEFAULT_WAITS, waiting.PLACE_TIME)
    result = generate()
    assert result["statusCode"] == 504
    assert time.now - 1000.0 <= waiting.FREE_SECONDS
    assert services().store.get("demo", log_id(result)).status is Status.QUEUED


@pytest.mark.parametrize(
    ("output", "said", "result"),
    [
        ("array", '{"items": ["a", "b"]}', ["a", "b"]),
        ("json", '{"size": 7}', {"size": 7}),
        ("string", '["no list"]', '["no list"]'),
    ],
)
def test_a_result_is_of_the_flows_type(
    generate: Generate, tenant: Tenant, output: str, said: str, result: object
) -> None:
    """A flow's result is a string, an array or JSON, as its last step says."""
    step = {"name": "step1", "prompt": "Tell.", "output": output}
    if output == "json":
        step |= {"output_schema": {"type": "object"}}  # type: ignore[dict-item] # a schema
    put_flow(tenant, steps=[step])
    assert json.loads(generate(saying(said))["body"])["results"]["result"] == result


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ModelRefusedError(Reason.REFUSED_CONTENT, "The model refused."), 422),
        (ModelRefusedError(Reason.TOO_LONG, "The prompt is too long."), 422),
        (ModelRefusedError(Reason.MODEL_NOT_FOUND, "There is no such model."), 502),
    ],
)
def test_a_failure_is_told_with_its_reason(
    generate: Generate, error: ModelRefusedError, code: int
) -> None:
    """A failure that the caller can change is a 422, the rest a 502; both with the id."""
    result = generate(raising(error))
    message = f"{error.reason}: {error}"
    assert read(result) == answer(code, message, {"logId": log_id(result)})


def test_a_busy_model_is_waited_for(generate: Generate, time: Time) -> None:
    """A model that is throttled makes the client wait, not fail."""
    result = generate(raising(ModelUnavailableError("Busy.")))
    assert result["statusCode"] == 504
    assert time.now - 1000.0 == pytest.approx(waiting.WAIT_SECONDS)


def test_a_canceled_generation_is_a_conflict(generate: Generate, time: Time) -> None:
    """A caller that waits for a canceled generation is told so at once."""
    time.work_after = 100.0
    sleep = time.sleep
    assert services().store

    def cancel(seconds: float) -> None:
        sleep(seconds)
        services().outbox.cancel("demo", id_for_key("demo", "a-key"))

    time.sleep = cancel  # type: ignore[method-assign] # for once
    result = generate()
    assert read(result) == answer(409, "The run was canceled.", {"logId": log_id(result)})


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ("", 400, "The body is not JSON"),
        ("[]", 400, "The body must be a JSON object."),
        ({"flow": []}, 422, "flow: must be a JSON object."),
        ({"flow": {"inputs": "x"}}, 422, "flow.inputs: must be a JSON object."),
        ({}, 422, "name: must be sent."),
        ({"flow": {"inputs": {"name": None}}}, 422, "name: must be sent."),
        ({"flow": {"inputs": {"name": " "}}}, 422, "name: must not be empty."),
        ({"flow": {"inputs": {"name": "a", "age": 1}}}, 422, "age: must be one of"),
        ({"flow": {"inputs": {"name": ["a", "b"]}}}, 422, "name: must be sent once, not 2 times"),
        ({"flow": {"inputs": {"name": {"a": 1}}}}, 400, "flow.inputs: must have strings"),
        ({**REQUEST, "userId": 7}, 422, "userId: must be a string"),
        ({**REQUEST, "userId": "x" * 256}, 422, "userId: must be a string"),
        (
            {**REQUEST, "steps": {"step9": {}}},
            422,
            'steps: must be of: step1; not "step9".',
        ),
        (
            {**REQUEST, "steps": {"step1": {"context": {"folders": {"ids": ["a"]}}}}},
            422,
            "steps.step1.context: must be left out: this step chooses no context.",
        ),
    ],
)
def test_a_bad_request_names_what_is_wrong(
    generate: Generate, stored: Callable[[], Stored], body: object, code: int, message: str
) -> None:
    """Each error has the code of its status and a message; nothing is stored."""
    result = read(generate(body=body))
    assert result["body"].keys() == {"code", "message", "error"}
    assert (result["statusCode"], result["body"]["code"], result["body"]["error"]) == (
        code,
        code,
        True,
    )
    assert result["body"]["message"].startswith(message)
    assert stored() == NOTHING


def test_values_that_look_like_names_stay_as_they_are(generate: Generate) -> None:
    """A name inside a caller's value is never expanded."""
    model = saying(TEXT)
    body = {"flow": {"inputs": {"name": "{{lastName}} [x]", "lastName": "{{name}}"}}}
    generate(model, body)
    assert model.prompts[0].user == "Tell a joke about {{lastName}} [x] {{name}}."


def test_numbers_and_truth_are_texts(generate: Generate, tenant: Tenant) -> None:
    """Values of JSON's own types reach the flow as they are written."""
    inputs = [{"name": "count", "kind": "number"}, {"name": "short", "kind": "boolean"}]
    step = {"name": "step1", "prompt": "{{count}} {{short}}"}
    put_flow(tenant, inputs=inputs, steps=[step])
    model = saying(TEXT)
    generate(model, {"flow": {"inputs": {"count": 3, "short": True}}})
    assert model.prompts[0].user == "3 true"


def test_an_unknown_flow_is_not_found(
    tenant: Tenant, other_tenant: Tenant, load_event: Callable[[str], Event], time: Time
) -> None:
    """A flow that is absent, another tenant's, or not the key's own is a 404."""
    assert time.now
    put_flow(other_tenant)
    event = generation_event(load_event("generate_flow"), tenant, REQUEST)
    absent = read(invoke("generate_flow", event, CONTEXT))
    assert absent == answer(404, "There is no flow joke.")
    put_flow(tenant)
    _, key = services().registry.create_key(tenant.id, [Scope.SUBMIT], flow="mail-reply")
    event["headers"]["authorization"] = f"Bearer {key}"
    assert read(invoke("generate_flow", event, CONTEXT)) == answer(404, "There is no such flow.")


def test_a_key_is_needed(generate: Generate, tenant: Tenant) -> None:
    """Without a key, or with one that may only read, nothing is generated."""
    refused = generate(authorization="Bearer nonsense")
    assert read(refused)["body"]["code"] == refused["statusCode"] == 401
    reader = tenant.key_with(Scope.READ)
    assert generate(authorization=f"Bearer {reader}")["statusCode"] == 403


def test_limits_hold_here_too(generate: Generate, stored: Callable[[], Stored]) -> None:
    """Over the limit the answer is 429 with Retry-After, and nothing is stored."""
    services().registry.set_limits("demo", Limits(tokens_per_month=1))
    assert generate()["statusCode"] == 200
    before = stored()
    refused = generate(**{"idempotency-key": "another"})
    assert (refused["statusCode"], refused["headers"].keys() >= {"retry-after"}) == (429, True)
    assert stored() == before


def test_the_same_key_waits_for_the_same_result(
    generate: Generate, stored: Callable[[], Stored]
) -> None:
    """A client that lost its answer gets it again, and nothing is paid twice."""
    model = saying(TEXT)
    first = generate(model)
    assert generate(model) == first
    assert (stored().items, len(model.prompts)) == (1, 1)
    another = {**REQUEST, "userId": "somebody"}
    assert read(generate(body=another))["body"]["code"] == 422


@pytest.mark.usefixtures("aws")
def test_waiting_ends_with_the_first_look_at_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """An end that is there is seen at once, without another pause."""
    time = Time()
    monkeypatch.setattr(waiting, "time", time)
    monkeypatch.setattr(deadline, "time", time)
    generation: Any = object()
    store: Any = SimpleNamespace(get_end=lambda *_: generation, get=lambda *_: generation)
    waiter = waiting.Waiter(store, services().quotas, services().rules)
    assert waiter.wait("demo", "id", Deadline(1026.0)) == (generation, True)
    assert time.pauses == [0.1]

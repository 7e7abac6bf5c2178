"""Promptitude's generation by a prompt, which waits: the handler with its event, under moto."""

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from afterword import clock
from afterword.engine import waiting
from afterword.generations import ContextFilter, Status, id_for_key
from afterword.knowledge import Draft, folder_id, tag_id
from afterword.limits import Limits
from afterword.services import services
from afterword.tenants.keys import Scope
from tests.conftest import Event, SetClock, Stored, Tenant
from tests.endpoints.test_generate_flow import CONTEXT, NOTHING, Time, time
from tests.harness.api import invoke
from tests.harness.fake_model import FakeModel, saying
from tests.harness.promptitude import TEXT, answer, log_id, put_flow, read

__all__ = ["time"]
PROMPT_ID = "65a6sdf56f7asd6a7ssdasds"
PROMPT = {
    "id": PROMPT_ID,
    "inputs": [{"name": "variable1"}, {"name": "variable2", "required": False}],
    "steps": [{"name": "step1", "prompt": "{{variable1}}, {{variable2}}"}],
}
REQUEST: Mapping[str, Any] = {
    "prompt": {
        "promptId": PROMPT_ID,
        "inputs": {"variable1": "value1", "variable2": "value2"},
    },
    "endUserId": "raeyBqUgKtPXDDt0psFrREVjF902",
}
"""The documentation's example, with its commas put right."""

type Generate = Callable[..., Mapping[str, Any]]


def sent(inputs: object = None, **more: object) -> dict[str, object]:
    """Return a request with other inputs, and with more members."""
    return {"prompt": {"promptId": PROMPT_ID, "inputs": inputs or {"variable1": "a"}}, **more}


def prompt_event(event: Event, key: str, body: object) -> Event:
    """Return the sample event with a key and a body."""
    headers = {**event["headers"], "authorization": f"Bearer {key}"}
    text = body if isinstance(body, str) else json.dumps(body)
    return {**event, "headers": headers, "body": text}


@pytest.fixture
def generate(  # noqa: PLR0913, PLR0917 - all that a generation touches
    tenant: Tenant,
    set_clock: SetClock,  # noqa: ARG001 - asked for its effect
    load_event: Callable[[str], Event],
    message_event: Callable[[str], Event],
    use_model: Callable[[FakeModel], None],
    time: Time,
) -> Generate:
    """Return a function that runs the prompt, with the documentation's request by default."""
    put_flow(tenant, **PROMPT)

    def send(
        model: FakeModel | None = None, body: object = REQUEST, **headers: str
    ) -> Mapping[str, Any]:
        use_model(model or saying(TEXT))
        time.work = lambda: invoke("generate", message_event(id_for_key("demo", "a-key")))
        event = prompt_event(load_event("generate_prompt"), tenant.key, body)
        event["headers"] |= {"idempotency-key": "a-key", **headers}
        return invoke("generate_prompt", event, CONTEXT)

    return send


def test_the_documentations_example_is_answered(generate: Generate) -> None:
    """The request of the documentation has the answer of the documentation."""
    model = saying(TEXT)
    result = generate(model)
    assert read(result) == answer(200, "OK", {"result": TEXT, "logId": log_id(result)})
    assert [prompt.user for prompt in model.prompts] == ["value1, value2"]


def test_the_end_user_is_in_the_log_and_never_in_the_prompt(
    generate: Generate, tenant: Tenant, load_event: Callable[[str], Event]
) -> None:
    """The log shows the `endUserId` as `userId`, and the model never sees it."""
    model = saying(TEXT)
    run = log_id(generate(model))
    event = load_event("get_flow_log")
    event["pathParameters"]["logId"] = run
    event["headers"]["authorization"] = f"Bearer {tenant.key}"
    user = REQUEST["endUserId"]
    shown = {"result": TEXT, "logId": run, "flowId": PROMPT_ID, "userId": user, "rating": 0}
    assert read(invoke("get_flow_log", event, CONTEXT)) == answer(200, "OK", shown)
    assert user not in repr(model.prompts)


def test_a_prompt_needs_no_inputs_and_no_user(generate: Generate, tenant: Tenant) -> None:
    """A prompt without inputs is run by its id alone."""
    inputs = [{"name": "variable1", "required": False}]
    step = {"name": "step1", "prompt": "Tell a joke {{variable1}}."}
    put_flow(tenant, **PROMPT | {"inputs": inputs, "steps": [step]})
    assert generate(body={"prompt": {"promptId": PROMPT_ID}})["statusCode"] == 200


def test_what_takes_too_long_goes_on(
    generate: Generate,
    time: Time,
) -> None:
    """After 26 seconds the answer is 504 with the id, and the work is still to be done."""
    time.work_after = 100.0
    result = generate()
    message = f"The run takes longer: its result will be at /v1/logs/{log_id(result)}."
    assert read(result) == answer(504, message, {"logId": log_id(result)})
    assert time.now - 1000.0 == pytest.approx(waiting.WAIT_SECONDS)
    assert services().store.get("demo", log_id(result)).status is Status.QUEUED


def test_the_same_key_waits_for_the_same_result(
    generate: Generate, stored: Callable[[], Stored]
) -> None:
    """A repeated request is answered by the same run; another with the same key is a 422."""
    model = saying(TEXT)
    first = generate(model)
    assert generate(model) == first
    assert (stored().items, len(model.prompts)) == (1, 1)
    assert read(generate(body={**REQUEST, "endUserId": "somebody"}))["statusCode"] == 422


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ("", 400, "The body is not JSON"),
        ("[]", 400, "The body must be a JSON object."),
        ({}, 422, "prompt.promptId: must be a string."),
        ({"prompt": "x"}, 422, "prompt: must be a JSON object."),
        ({"prompt": {"promptId": None}}, 422, "prompt.promptId: must be a string."),
        ({"prompt": {"promptId": 7}}, 422, "prompt.promptId: must be a string."),
        ({"prompt": {"promptId": ""}}, 404, "There is no such flow."),
        ({"prompt": {"promptId": "a b"}}, 404, "There is no such flow."),
        ({"prompt": {"promptId": "x" * 100_000}}, 404, "There is no such flow."),
        ({"prompt": {"promptId": "absent"}}, 404, "There is no flow absent."),
        (sent(inputs="x"), 422, "prompt.inputs: must be a JSON object."),
        (sent(inputs={"variable1": {"a": 1}}), 400, "prompt.inputs: must have strings"),
        (sent(inputs={"variable1": " "}), 422, "variable1: must not be empty."),
        (sent(inputs={"variable2": "b"}), 422, "variable1: must be sent."),
        (sent(inputs={"variable1": "a", "age": 1}), 422, "age: must be one of"),
        (sent(endUserId=7), 422, "endUserId: must be a string of up to 255 characters."),
        (sent(endUserId="x" * 256), 422, "endUserId: must be a string of up to 255 characters."),
        (sent(context=[]), 422, "context: must be a JSON object."),
        (
            sent(context={"folders": {"names": ["Terms"]}}),
            422,
            "context: must be left out: this prompt chooses no context.",
        ),
    ],
)
def test_a_bad_request_names_what_is_wrong(
    generate: Generate, stored: Callable[[], Stored], body: object, code: int, message: str
) -> None:
    """Each error has the code of its status and a message; nothing is stored."""
    result = read(generate(body=body))
    told = result["body"]["message"]
    assert told.startswith(message)
    assert result == answer(code, told)
    assert stored() == NOTHING


def test_the_longest_user_is_taken(generate: Generate) -> None:
    """An `endUserId` has up to 255 characters."""
    assert generate(body={**REQUEST, "endUserId": "x" * 255})["statusCode"] == 200


@pytest.fixture
def with_contexts(tenant: Tenant, generate: Generate) -> Generate:
    """Return the same function, for a prompt of which two steps of three have a context."""
    draft = Draft(name="A", text="Refunds take two weeks.", folder="Terms", tags=("money",))
    services().contents.create(tenant.id, draft)
    steps = [
        {"name": "one", "prompt": "{{variable1}}", "context": {"folders": ["Other"]}},
        {"name": "two", "prompt": "{{one}}"},
        {"name": "three", "prompt": "{{two}} {{variable2}}", "context": {}},
    ]
    put_flow(tenant, **PROMPT | {"steps": steps})
    return generate


@pytest.mark.parametrize(
    ("context", "folders", "tags"),
    [
        ({"folders": {"names": ["terms"]}}, (folder_id("demo", "Terms"),), None),
        ({"tags": {"ids": [tag_id("demo", "money")]}}, None, (tag_id("demo", "money"),)),
        ({"folders": {"ids": []}}, (), None),
    ],
)
def test_a_context_is_that_of_each_step_with_one(
    with_contexts: Generate,
    time: Time,
    context: object,
    folders: tuple[str, ...] | None,
    tags: tuple[str, ...] | None,
) -> None:
    """The chosen folders and tags replace those of the steps that have a context."""
    time.work_after = 100.0
    run = log_id(with_contexts(body={**REQUEST, "context": context}))
    claim = services().store.claim("demo", run, clock.now() + timedelta(minutes=1))
    assert claim is not None
    chosen = ContextFilter(folders=folders, tags=tags)
    assert claim.context == {"one": chosen, "three": chosen}


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"folders": {"names": ["None"]}}, 'context.folders: must exist, and there is no folder "'),
        ({"tags": {"names": ["None"]}}, 'context.tags: must exist, and there is no tag "None".'),
        ({"folder": {}}, "context.folder: must be one of: folders, tags."),
        ({"folders": []}, "context.folders: must be a JSON object."),
        ({"folders": {"names": "x"}}, "context.folders.names: must be a list of up to 100 texts."),
        ({"tags": {"ids": ["x"] * 101}}, "context.tags.ids: must be a list of up to 100 texts."),
    ],
)
def test_a_context_that_does_not_fit_is_named(
    with_contexts: Generate, stored: Callable[[], Stored], context: object, message: str
) -> None:
    """A context's fault is a 422 with its field, and nothing is stored."""
    result = read(with_contexts(body={**REQUEST, "context": context}))
    assert result["statusCode"] == 422
    assert result["body"]["message"].startswith(message)
    assert stored() == NOTHING


def test_a_foreign_prompt_looks_absent(
    tenant: Tenant, other_tenant: Tenant, load_event: Callable[[str], Event]
) -> None:
    """Another tenant's prompt is a 404, and so is one that is not the key's own."""
    put_flow(other_tenant, **PROMPT)
    event = load_event("generate_prompt")
    absent = read(invoke("generate_prompt", prompt_event(event, tenant.key, REQUEST), CONTEXT))
    assert absent == answer(404, f"There is no flow {PROMPT_ID}.")
    put_flow(tenant, **PROMPT)
    _, key = services().registry.create_key(tenant.id, [Scope.SUBMIT], flow="mail-reply")
    refused = read(invoke("generate_prompt", prompt_event(event, key, REQUEST), CONTEXT))
    assert refused == answer(404, "There is no such flow.")


def test_above_a_limit_nothing_is_stored(generate: Generate, stored: Callable[[], Stored]) -> None:
    """Over the tenant's limits the answer is 429 with Retry-After, and nothing is stored."""
    services().registry.set_limits("demo", Limits(tokens_per_month=1))
    assert generate()["statusCode"] == 200
    before = stored()
    refused = generate(**{"idempotency-key": "another"})
    assert (refused["statusCode"], refused["headers"].keys() >= {"retry-after"}) == (429, True)
    assert stored() == before

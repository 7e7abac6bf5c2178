"""Limits of a flow (GenAI Stack's app) and of each key (its user), in every dialect."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from afterword.engine import waiting
from afterword.limits import Limits
from afterword.services import services
from afterword.tenants.keys import Scope
from tests.conftest import FLOW, FLOW_DOCUMENT, ROOT, Call, SetClock, Stored, Tenant
from tests.endpoints.conftest import ClientFor
from tests.harness import api as apis
from tests.harness.api import Api
from tests.harness.belongings import generation_parameters, submitted
from tests.harness.chats import Chats
from tests.harness.classes import CLASSES_DOCUMENT
from tests.harness.genai_stack import CHAT, CHAT_DOCUMENT, body_of
from tests.harness.refusals import refusal
from tests.harness.stand_in_aws import read_items
from tests.harness.units import write_units

OF_FLOW = "The limit of submissions to this flow a minute is 2."
OF_KEY = "The limit of requests of this API key a minute is 2."
PATHS = {function: route for route, function in apis.routes().items()}
RETRYING = "retry_generation"
"""The function that submits nothing without an earlier generation, and has a test of its own."""
SUBMITTING = sorted(
    app.parent.name
    for app in (ROOT / "functions").glob("*/app.py")
    if "submits=True" in app.read_text() and app.parent.name != RETRYING
)
"""The other functions whose requests count under the limit of their key."""
DOCUMENTS = {
    "submit_mail_classification": json.dumps(json.loads(CLASSES_DOCUMENT) | {"id": FLOW}),
}
"""The documents of FLOW that are not FLOW_DOCUMENT, by function."""
BODIES = {"generate_prompt": {"prompt": {"promptId": FLOW, "inputs": {"text": "Why?"}}}}
"""The bodies that name FLOW, where the sample event's does not."""


def put_flow(limit: int | None, document: str = FLOW_DOCUMENT) -> None:
    """Save a flow with a limit."""
    flow = json.loads(document) | {"requests_per_minute": limit}
    services().registry.put_flow("demo", flow["id"], json.dumps(flow))


def put_flow_for(function: str, limit: int | None) -> None:
    """Save FLOW with a limit, as the requests of a function need it."""
    put_flow(limit, DOCUMENTS.get(function, FLOW_DOCUMENT))


def submit(api: Api, function: str) -> dict[str, Any]:
    """Submit to FLOW through a function, and return its result."""
    return api.call(function, BODIES.get(function))


@pytest.fixture
def api(tenant: Tenant, set_clock: SetClock, monkeypatch: pytest.MonkeyPatch) -> Api:
    """Return a client with a key for the flow, which waits for nothing, at 20 s past a minute."""
    monkeypatch.setattr(waiting, "WAIT_SECONDS", 0.0)
    set_clock.advance(seconds=20)
    key = services().registry.create_key(tenant.id, [Scope.SUBMIT, Scope.READ], flow=FLOW)[1]
    names = {"companyCuid": "demo", "orchestratorCuid": FLOW, "flowId": FLOW}
    names["chat_session_id"] = services().chat_sessions.create(tenant.id, FLOW, None).id
    return Api(key, names)


def limited(function: str, message: str, kind: str) -> dict[str, object]:
    """Return the whole refusal of a function, 40 seconds before the minute is over."""
    expected = refusal(PATHS[function], 429, message, retry_after="40")
    if function == "submit_generation":
        name = f"{kind}-requests-per-minute"
        expected["headers"] |= {
            "ratelimit-policy": f'"{name}";q=2;w=60',
            "ratelimit": f'"{name}";r=0;t=40',
        }
        expected["body"] |= {
            "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
            "title": "A limit of the tenant is reached",
            "violated-policies": [name],
        }
    return expected


@pytest.mark.parametrize("function", SUBMITTING)
def test_a_flows_limit_holds_in_every_dialect(
    api: Api, set_clock: SetClock, stored: Callable[[], Stored], function: str
) -> None:
    """Above it a submission is refused in the dialect's shape until the minute is over."""
    put_flow_for(function, 2)
    for _ in range(2):
        assert submit(api, function)["statusCode"] in {200, 202, 504}
    before = stored()
    assert submit(api, function) == limited(function, OF_FLOW, "flow")
    assert stored() == before
    set_clock.advance(seconds=40)
    assert submit(api, function)["statusCode"] in {200, 202, 504}


@pytest.mark.parametrize("function", SUBMITTING)
def test_a_keys_limit_holds_in_every_dialect(
    api: Api, stored: Callable[[], Stored], function: str
) -> None:
    """Above it a request of this key is refused, accepted or not before, and no other key's."""
    put_flow_for(function, None)
    services().registry.set_limits("demo", Limits(key_requests_per_minute=2))
    assert api.call(function, body="{")["statusCode"] in {400, 422}
    assert submit(api, function)["statusCode"] in {200, 202, 504}
    before = stored()
    assert submit(api, function) == limited(function, OF_KEY, "key")
    assert stored() == before
    other = services().registry.create_key("demo", [Scope.SUBMIT, Scope.READ], flow=FLOW)[1]
    assert submit(api.with_key(other), function)["statusCode"] in {200, 202, 504}


def test_the_owner_sets_a_flows_limit_with_the_flow(api: Api, tenant: Tenant) -> None:
    """The native API takes the limit with the flow and shows it, and a new version ends it."""
    owner = api.with_key(services().registry.create_key(tenant.id, list(Scope))[1])
    document = {"name": "Replies", "steps": [{"name": "reply", "instructions": "Answer."}]}
    saved = owner.call("put_flow", body=document | {"requests_per_minute": 1})
    assert saved["statusCode"] in {200, 201}, saved
    assert owner.call("get_flow")["body"]["flow"]["requests_per_minute"] == 1
    assert api.call("submit_generation")["statusCode"] == 202
    assert api.call("submit_generation")["statusCode"] == 429
    assert owner.call("put_flow", body=document)["statusCode"] in {200, 201}
    assert api.call("submit_generation")["statusCode"] == 202
    wrong = owner.call("put_flow", body=document | {"requests_per_minute": 0})
    assert (wrong["statusCode"], wrong["body"]["errors"][0]["field"]) == (
        422,
        "requests_per_minute",
    )


def test_new_chat_sessions_count_too(chats: Chats) -> None:
    """A new chat session counts under the limits of its app and of its key, as GenAI Stack's do."""
    put_flow(2, CHAT_DOCUMENT)
    for _ in range(2):
        chats.created()
    refused = chats.create()
    assert (refused["statusCode"], json.loads(refused["body"])) == (429, {"detail": OF_FLOW})
    put_flow(None, CHAT_DOCUMENT)
    services().registry.set_limits("demo", Limits(key_requests_per_minute=2))
    services.cache_clear()
    for _ in range(2):
        chats.created()
    refused = chats.create()
    assert (refused["statusCode"], json.loads(refused["body"])) == (429, {"detail": OF_KEY})
    assert "retry-after" in refused["headers"]


def test_a_retry_counts_too(api: Api, tenant: Tenant) -> None:
    """A retry is a submission to its flow, and a request of its key."""
    generation_id = submitted(tenant)
    services().outbox.cancel(tenant.id, generation_id)
    put_flow(1)
    about = api.naming(**generation_parameters(generation_id))
    assert api.call("submit_generation")["statusCode"] == 202
    assert about.call(RETRYING)["body"]["detail"] == OF_FLOW.replace("2", "1")
    put_flow(None)
    services().registry.set_limits("demo", Limits(key_requests_per_minute=1))
    services.cache_clear()
    assert api.call("submit_generation")["statusCode"] == 202
    assert about.call(RETRYING)["body"]["detail"] == OF_KEY.replace("2", "1")


def test_a_batch_counts_under_no_limit_of_a_key(api: Api) -> None:
    """A key that is above its limit may still hand in a batch."""
    services().registry.set_limits("demo", Limits(key_requests_per_minute=1))
    assert api.call("submit_generation")["statusCode"] == 202
    assert api.call("submit_generation")["statusCode"] == 429
    assert api.call("create_batch")["statusCode"] == 202


def test_a_repeated_submission_counts_once_for_its_flow(api: Api) -> None:
    """A submission that is there already takes nothing of its flow's limit."""
    put_flow(1)
    headers = {"idempotency-key": "case-457"}
    for _ in range(3):
        assert api.call("submit_generation", headers=headers)["statusCode"] == 202
    assert api.call("submit_generation")["statusCode"] == 429


def test_reads_count_under_no_limit_of_a_key(api: Api) -> None:
    """Reading and listing take nothing of a key's limit."""
    services().registry.set_limits("demo", Limits(key_requests_per_minute=1))
    for _ in range(3):
        assert api.call("list_text_generations")["statusCode"] == 200
        assert api.call("list_chat_sessions")["statusCode"] == 200
    assert api.call("submit_generation")["statusCode"] == 202


def test_other_flows_and_tenants_are_not_limited(
    api: Api, tenant: Tenant, other_tenant: Tenant, client_for: ClientFor
) -> None:
    """A flow above its limit keeps neither another flow nor another tenant's from accepting."""
    put_flow(1)
    services().registry.put_flow(tenant.id, CHAT, CHAT_DOCUMENT)
    assert api.call("create_text_generation")["statusCode"] == 200
    assert api.call("create_text_generation")["statusCode"] == 429
    body_of(client_for(tenant, CHAT).submit(("question", "Why?")))
    body_of(client_for(other_tenant).submit(("text", "Why?")))


def test_limits_of_flow_and_key_are_a_unit_each(api: Api, calls: list[Call]) -> None:
    """Limits of a flow and of a key add a unit each to the two at most of their tenant's limits.

    A tenant with few slots has one (test_quotas.py has the other case).
    """
    put_flow(1_000)
    limits = Limits(
        requests_per_minute=1_000,
        running_at_once=12,
        tokens_per_month=10**9,
        key_requests_per_minute=1_000,
    )
    services().registry.set_limits("demo", limits)
    assert api.call("create_text_generation")["statusCode"] == 200
    calls.clear()
    assert api.call("create_text_generation")["statusCode"] == 200
    items = {item["pk"]["S"]: item for item in read_items("QuotasTable")}
    written = [
        write_units(items[call.params["Key"]["pk"]["S"]])
        for call in calls
        if call.operation == "dynamodb.UpdateItem" and call.params["TableName"] == "quotas"
    ]
    assert written == [1, 1, 1]


def test_a_flow_of_another_version_is_read(api: Api) -> None:
    """A flow that was saved before there were limits has none."""
    documents = [
        item["document"]["S"] for item in read_items("RegistryTable") if "document" in item
    ]
    assert documents
    assert not [each for each in documents if "requests_per_minute" in each]
    for _ in range(3):
        assert api.call("submit_generation")["statusCode"] == 202

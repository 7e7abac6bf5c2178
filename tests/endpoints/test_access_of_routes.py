"""Access to every route: without a key, without its scope, with another flow's, to foreign ids.

A new endpoint needs a line in ROUTES; its parameters are named in tests/harness/belongings.py.
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from afterword.engine import waiting
from afterword.knowledge import Draft
from afterword.runtime import deadline
from afterword.services import services
from afterword.tenants.keys import Scope
from tests.conftest import FLOW, FLOW_DOCUMENT, SetClock, Tenant
from tests.harness import api as apis
from tests.harness.api import Api
from tests.harness.belongings import generation_parameters, make_belongings, submitted
from tests.harness.classes import give_classes, submit_classification
from tests.harness.refusals import dialect_of, refusal
from tests.harness.stand_in_aws import made_once, read_everything

PUBLIC = {
    "$default": 404,
    "GET /": 200,
    "GET /docs": 200,
    "GET /docs/{file}": 200,
    "GET /health": 200,
    "GET /openapi.json": 200,
}
"""The statuses of routes that answer without a key, and show nothing that is not in the source."""
ABSENT = "019a6f3e-7c00-7000-8000-000000000009"
ONE_FLOW_ALONE = (403, "The API key is for one flow alone.")
ANOTHER_FLOW = (403, "The API key is for another flow.")
NO_FLOW = (404, "There is no such flow.")
NO_GENERATION = (404, "There is no such generation.")
NO_SESSION = (404, "There is no such chat session.")
NO_CHAT = (409, "The app has no chat sessions: its flow must have the type chat.")
NO_BATCH = (404, "There is no such batch.")
NOT_THE_WEBSITE = (403, "The API key is not for this account and website.")


@dataclass(frozen=True)
class Route:
    """The access to a route.

    `scopes` are the scopes that its key needs. `other` is the refusal of a key for another flow.
    None where no request names a flow: such a key has its own flow's things.
    """

    scopes: Collection[Scope]
    other: tuple[int, str] | None


ROUTES: Mapping[str, Route] = {
    "submit_mail_generation": Route({Scope.SUBMIT}, NO_FLOW),
    "get_mail_generation": Route({Scope.READ}, NO_FLOW),
    "submit_mail_classification": Route({Scope.SUBMIT}, NO_FLOW),
    "get_mail_classification": Route({Scope.READ}, NO_FLOW),
    "get_stack_app": Route({Scope.READ}, None),
    "create_text_generation": Route({Scope.SUBMIT}, None),
    "list_text_generations": Route({Scope.READ}, None),
    "get_text_generation": Route({Scope.READ}, NO_GENERATION),
    "update_text_generation": Route({Scope.SUBMIT, Scope.READ}, NO_GENERATION),
    "create_chat_session": Route({Scope.SUBMIT}, NO_CHAT),
    "list_chat_sessions": Route({Scope.READ}, None),
    "get_chat_session": Route({Scope.READ}, NO_SESSION),
    "send_chat_message": Route({Scope.SUBMIT, Scope.READ}, NO_SESSION),
    "submit_query": Route({Scope.SUBMIT}, NOT_THE_WEBSITE),
    "get_answer": Route({Scope.READ}, NOT_THE_WEBSITE),
    "answer_query": Route({Scope.SUBMIT, Scope.READ}, NOT_THE_WEBSITE),
    "give_feedback": Route({Scope.SUBMIT, Scope.READ}, NOT_THE_WEBSITE),
    "generate_flow": Route({Scope.SUBMIT}, NO_FLOW),
    "generate_prompt": Route({Scope.SUBMIT}, NO_FLOW),
    "get_flow_log": Route({Scope.READ}, NO_GENERATION),
    "rate_flow_log": Route({Scope.SUBMIT, Scope.READ}, NO_GENERATION),
    "create_content": Route({Scope.ADMIN}, ONE_FLOW_ALONE),
    "update_content": Route({Scope.ADMIN}, ONE_FLOW_ALONE),
    "remove_content": Route({Scope.ADMIN}, ONE_FLOW_ALONE),
    "delete_content": Route({Scope.ADMIN}, ONE_FLOW_ALONE),
    "list_folders": Route({Scope.READ}, ONE_FLOW_ALONE),
    "list_folder_contents": Route({Scope.READ}, ONE_FLOW_ALONE),
    "list_named_folder_contents": Route({Scope.READ}, ONE_FLOW_ALONE),
    "submit_generation": Route({Scope.SUBMIT}, ANOTHER_FLOW),
    "get_generation": Route({Scope.READ}, NO_GENERATION),
    "list_generations": Route({Scope.READ}, ANOTHER_FLOW),
    "cancel_generation": Route({Scope.SUBMIT, Scope.READ}, NO_GENERATION),
    "delete_generation": Route({Scope.SUBMIT, Scope.READ}, NO_GENERATION),
    "retry_generation": Route({Scope.SUBMIT, Scope.READ}, NO_GENERATION),
    "create_batch": Route({Scope.SUBMIT}, None),
    "get_batch": Route({Scope.READ}, NO_BATCH),
    "list_flows": Route({Scope.READ}, None),
    "get_flow": Route({Scope.READ}, ANOTHER_FLOW),
    "put_flow": Route({Scope.ADMIN}, ANOTHER_FLOW),
    "list_flow_versions": Route({Scope.READ}, ANOTHER_FLOW),
    "list_keys": Route({Scope.ADMIN}, ONE_FLOW_ALONE),
    "create_key": Route({Scope.ADMIN}, ONE_FLOW_ALONE),
    "revoke_key": Route({Scope.ADMIN}, ONE_FLOW_ALONE),
    "get_usage": Route({Scope.READ}, None),
    "create_webhook": Route({Scope.ADMIN}, ONE_FLOW_ALONE),
    "list_webhooks": Route({Scope.ADMIN}, ONE_FLOW_ALONE),
    "get_webhook": Route({Scope.ADMIN}, ONE_FLOW_ALONE),
    "update_webhook": Route({Scope.ADMIN}, ONE_FLOW_ALONE),
    "delete_webhook": Route({Scope.ADMIN}, ONE_FLOW_ALONE),
    "rotate_webhook": Route({Scope.ADMIN}, ONE_FLOW_ALONE),
    "test_webhook": Route({Scope.ADMIN}, ONE_FLOW_ALONE),
    "list_deliveries": Route({Scope.ADMIN}, ONE_FLOW_ALONE),
    "replay_deliveries": Route({Scope.ADMIN}, ONE_FLOW_ALONE),
    "replay_delivery": Route({Scope.ADMIN}, ONE_FLOW_ALONE),
}
"""By function, in the order of the dialects."""
PATHS = {function: route for route, function in apis.routes().items()}
"""The routes of the functions, by their events (tests/template shows that none is missing)."""
NO_NAMES = {"limit", "from", "to", "by", "file"}
"""Parameters that name nothing which a tenant owns."""
NAMED = [
    (function, name)
    for function in ROUTES
    if function != "put_flow"  # whose id may be new
    for event in [apis.load_event(function)]
    for name in event.get("pathParameters", {}) | event.get("queryStringParameters", {})
    if name not in NO_NAMES
]
"""The parameters that name what a tenant owns."""

FILTERED = {"list_generations"}
"""Functions whose parameter is a filter: nothing passes one with an unknown name."""

OF_CLASSES = {"submit_mail_classification", "get_mail_classification"}
"""Functions whose flow has classes."""
OF_ENDED = {"delete_generation", "give_feedback", "retry_generation"}
"""Functions that a generation must have ended for."""
OF_CHATS = {"create_chat_session"}
"""Functions of an app whose flow has the type chat."""
IDS = {"text_gen_id", "chat_session_id"}
"""Parameters that must be UUIDs."""
MALFORMED = ("nonsense", "x#y", "a b", "é", "0" * 3_000)
WRITES = ("PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchWriteItem")

type KeyWith = Callable[..., str]


@pytest.fixture
def key_with(tenant: Tenant) -> KeyWith:
    """Return a function that creates a key with scopes, for one flow or for all."""

    def create(*scopes: Scope, flow: str | None = None) -> str:
        return services().registry.create_key(tenant.id, scopes, flow=flow)[1]

    return create


@pytest.fixture
def all_items(aws: None) -> Callable[[], object]:  # noqa: ARG001 - asked for its effect
    """Return a function that reads all items, the objects' keys and the number of messages."""
    return read_everything


@pytest.fixture
def api(
    tenant: Tenant,
    set_clock: SetClock,
    no_internet: None,  # noqa: ARG001 - asked for its effect
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Api:
    """Return a client without a key, of a tenant who has one of each thing."""
    waited = SimpleNamespace(
        monotonic=lambda: set_clock().timestamp(),
        sleep=lambda seconds: set_clock.advance(seconds=seconds),
    )
    monkeypatch.setattr(waiting, "time", waited)
    monkeypatch.setattr(deadline, "time", waited)
    function = request.node.callspec.params.get("function")
    has_ended, has_classes = function in OF_ENDED, function in OF_CLASSES
    is_chat = function in OF_CHATS

    def make() -> dict[str, str]:
        if has_classes:
            give_classes(tenant)
        if is_chat:
            chat = json.dumps(json.loads(FLOW_DOCUMENT) | {"type": "chat"})
            services().registry.put_flow(tenant.id, FLOW, chat)
        generation_id = submit_classification(tenant) if has_classes else submitted(tenant)
        if has_ended:
            services().outbox.cancel(tenant.id, generation_id)
        return make_belongings(tenant) | generation_parameters(generation_id)

    return Api("", made_once((tenant.key, has_ended, has_classes, is_chat), make))


def own_flow(function: str) -> str | None:
    """Return the flow that a key must be for, to find what a function is asked for."""
    return FLOW if dialect_of(PATHS[function]) == "genai_stack" else None


def test_every_route_is_here() -> None:
    """The table has every route but the public ones, and no other."""
    assert {PATHS[function] for function in ROUTES} == set(PATHS.values()) - PUBLIC.keys()


@pytest.mark.parametrize("function", ROUTES)
def test_without_a_key_every_route_refuses(
    api: Api, all_items: Callable[[], object], function: str
) -> None:
    """Without a key each route answers 401 in its dialect's shape, and leaves no trace."""
    before = all_items()
    expected = refusal(PATHS[function], 401, "An API key is needed.", www_authenticate="Bearer")
    assert api.call(function) == expected
    assert api.call(function, body="no JSON") == expected
    assert all_items() == before


@pytest.mark.parametrize("route", sorted(PUBLIC))
def test_what_is_public_needs_no_key(route: str) -> None:
    """The public routes answer without a key."""
    function = apis.routes()[route]
    assert apis.invoke(function, Api().event(function))["statusCode"] == PUBLIC[route]


@pytest.mark.parametrize("function", ROUTES)
def test_every_route_needs_its_scope(
    api: Api, key_with: KeyWith, all_items: Callable[[], object], function: str
) -> None:
    """A key without one of its scopes is refused, and leaves no trace; with them it is good."""
    for needed in ROUTES[function].scopes:
        others = [scope for scope in Scope if scope is not needed]
        message = f"The API key does not have the scope '{needed}'."
        refused = api.with_key(key_with(*others, flow=own_flow(function)))
        before = all_items()
        assert refused.call(function) == refusal(PATHS[function], 403, message)
        assert refused.call(function, body="no JSON") == refusal(PATHS[function], 403, message)
        assert all_items() == before
    good = api.with_key(key_with(*ROUTES[function].scopes, flow=own_flow(function)))
    answer = good.call(function)
    assert answer["statusCode"] not in {401, 403}, answer


@pytest.mark.parametrize("function", ROUTES)
def test_a_key_for_another_flow(
    api: Api, key_with: KeyWith, tenant: Tenant, all_items: Callable[[], object], function: str
) -> None:
    """A key for another flow is refused, but where the route shows it its own flow's things."""
    services().registry.put_flow(tenant.id, "second", FLOW_DOCUMENT)
    client, other = api.with_key(key_with(*Scope, flow="second")), ROUTES[function].other
    before = all_items()
    answer = client.call(function)
    if other is None:
        assert answer["statusCode"] < 400
        assert api.parameters["id"] not in json.dumps(answer)
    else:
        assert answer == refusal(PATHS[function], *other)
        assert all_items() == before
    own = api.with_key(key_with(*Scope, flow=FLOW)).call(function)
    if other == ONE_FLOW_ALONE:
        assert own == answer
    else:
        assert own["statusCode"] not in {401, 403}, own


@pytest.mark.parametrize(("function", "name"), NAMED)
def test_what_is_foreign_looks_like_what_is_not_there(  # noqa: PLR0913, PLR0917 - fixtures
    api: Api,
    key_with: KeyWith,
    other_tenant: Tenant,
    all_items: Callable[[], object],
    function: str,
    name: str,
) -> None:
    """Another tenant's id gets the answer of an absent one, and so does what is no id."""
    theirs = make_belongings(other_tenant) | generation_parameters(submitted(other_tenant))
    services().registry.put_flow(other_tenant.id, "theirs", FLOW_DOCUMENT)
    services().contents.create(other_tenant.id, Draft(name="A", text="B", folder="theirs"))
    theirs |= dict.fromkeys(("flow", "flowId", "orchestratorCuid", "folderName"), "theirs")
    client = api.with_key(key_with(*Scope, flow=own_flow(function)))
    before = all_items()

    def answer(value: str) -> Any:  # noqa: ANN401 - any JSON
        result = client.naming(**{name: value}).call(function)
        return json.loads(json.dumps(result).replace(value, "its id"))

    foreign = answer(theirs[name])
    assert foreign == answer(ABSENT if name not in {"flow", "flowId"} else "absent")
    assert foreign["statusCode"] == (200 if function in FILTERED else 404)
    if function not in FILTERED:
        for value in MALFORMED:
            status = client.naming(**{name: value}).call(function)["statusCode"]
            assert status == (400 if name in IDS else 404)
    assert all_items() == before


@pytest.mark.parametrize("function", ROUTES)
def test_out_of_reach_of_aws_every_route_asks_to_come_back(
    api: Api, key_with: KeyWith, cut_off: Callable[[str], None], function: str
) -> None:
    """Without AWS each route answers 503 in its dialect's shape, to a key that is cached, too."""
    client = with_cached_key(api, key_with(*Scope, flow=own_flow(function)))
    for service in ("dynamodb", "s3", "sqs", "ssm"):
        cut_off(service)
    expected = refusal(PATHS[function], 503, "Try again in a moment.", retry_after="1")
    assert client.call(function) == expected
    services.cache_clear()
    assert client.call(function) == expected


@pytest.mark.parametrize("function", [name for name in ROUTES if PATHS[name][:4] != "GET "])
def test_what_cannot_be_written_is_not_accepted(
    api: Api, key_with: KeyWith, cut_off: Callable[[str], None], function: str
) -> None:
    """With reads alone a route that writes answers 503 in its dialect's shape, too."""
    client = with_cached_key(api, key_with(*Scope, flow=own_flow(function)))
    for operation in WRITES:
        cut_off(f"dynamodb.{operation}")
    expected = refusal(PATHS[function], 503, "Try again in a moment.", retry_after="1")
    assert client.call(function) == expected


def with_cached_key(api: Api, key: str) -> Api:
    """Return a client with a key that was used before."""
    client = api.with_key(key)
    assert client.call("get_generation", id=ABSENT)["statusCode"] == 404
    return client

"""Tenants, their keys and their flows."""

import json
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest

from afterword import tenants
from afterword.errors import ConflictError, InvalidRequestError, NotFoundError
from afterword.limits import Limits
from afterword.runtime.clients import clients
from afterword.tenants import StoredFlow, Tenant, is_name, keys
from afterword.tenants.keys import ApiKey, Scope
from afterword.tenants.registry import Registry
from tests.conftest import START, Call, SetClock
from tests.harness.deployment import REFERENCES

TABLE = REFERENCES["RegistryTable"]


@pytest.fixture
def registry(registry: Registry, set_clock: SetClock) -> Registry:  # noqa: ARG001 - its clock
    """Return a registry with two tenants."""
    registry.create_tenant("demo", "Demo Ltd")
    registry.create_tenant("other", "Other Ltd")
    return registry


def everything() -> str:
    """Return the whole table as text."""
    return json.dumps(clients().dynamodb.scan(TableName=TABLE)["Items"])


def test_a_flows_document_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """All properties of a flow, however often they are read, take one parse of its document."""
    parsed: list[str] = []

    def loads(text: str) -> object:
        parsed.append(text)
        return json.loads(text)

    monkeypatch.setattr(tenants, "json", SimpleNamespace(loads=loads))
    steps = [{"name": "read"}, {"name": "choose", "classes": [{"name": "a"}]}]
    document = {"steps": steps, "deadline_seconds": 60, "requests_per_minute": 4}
    flow = StoredFlow("mail", 1, json.dumps(document), START)
    for _ in range(2):
        assert flow.deadline == timedelta(seconds=60)
        assert flow.has_classes
        assert flow.requests_per_minute == 4
    assert parsed == [flow.document]
    without = StoredFlow("mail", 1, json.dumps({"steps": steps[:1]}), START)
    assert (without.deadline, without.has_classes) == (None, False)
    assert without.requests_per_minute is None


def test_a_tenant_is_created_and_found(registry: Registry) -> None:
    """A tenant has an id, a name and the time of its making."""
    created = registry.create_tenant("acme", "Acme, Inc.")
    assert created == registry.get_tenant("acme") == Tenant("acme", "Acme, Inc.", START)


def test_a_tenant_is_created_once(registry: Registry) -> None:
    """An id that is taken is refused, and the tenant that has it stays as it is."""
    with pytest.raises(ConflictError) as refused:
        registry.create_tenant("demo", "Somebody else")
    assert str(refused.value) == "There is a tenant demo already."
    assert registry.get_tenant("demo").name == "Demo Ltd"


@pytest.mark.parametrize("text", ["", "-a", "_a", "a b", "a#b", "a/b", "é", "a" * 65, "a\n"])
def test_an_id_that_is_no_name_is_refused(registry: Registry, text: str) -> None:
    """Ids of tenants and flows are short plain names, for they stand in keys and paths."""
    before = everything()
    rule = "1 to 64 letters, digits, '-' or '_', the first a letter or digit"
    message = f"id: must be {rule}, not {text!r}."
    with pytest.raises(InvalidRequestError) as refused:
        registry.create_tenant(text, "Nobody")
    assert str(refused.value) == message
    with pytest.raises(InvalidRequestError) as refused:
        registry.put_flow("demo", text, "{}")
    assert str(refused.value) == message
    assert everything() == before


def test_an_absent_tenant_has_nothing(registry: Registry) -> None:
    """Nothing can be made for a tenant that is not there."""
    before = everything()
    for attempt in (
        lambda: registry.get_tenant("nobody"),
        lambda: registry.create_key("nobody", [Scope.READ]),
        lambda: registry.put_flow("nobody", "mail", "{}"),
    ):
        with pytest.raises(NotFoundError) as refused:
            attempt()
        assert str(refused.value) == "There is no tenant nobody."
    assert (registry.list_keys("nobody"), [*registry.list_flows("nobody")]) == ([], [])
    assert everything() == before


def test_a_key_is_created_and_found_by_its_id(registry: Registry) -> None:
    """A key's id leads to its tenant, scopes and label; the key string is shown once."""
    created, key_string = registry.create_key("demo", [Scope.READ, Scope.SUBMIT], "production")
    credential = keys.parse_key(key_string)
    assert credential is not None
    assert created == ApiKey(
        id=credential.key_id,
        tenant="demo",
        hash=keys.digest(credential.secret),
        scopes=frozenset({Scope.READ, Scope.SUBMIT}),
        label="production",
        created_at=START,
        revoked_at=None,
    )
    assert registry.get_key(created.id) == created
    assert registry.get_key("abcdefghijkl") is None


def test_a_secret_is_not_stored(registry: Registry) -> None:
    """The table has the hash of a key's secret, and neither the secret nor the key string."""
    created, key_string = registry.create_key("demo", [Scope.READ])
    credential = keys.parse_key(key_string)
    assert credential is not None
    table = everything()
    assert created.hash in table
    assert credential.secret not in table
    assert key_string not in table


def test_a_key_needs_a_scope(registry: Registry) -> None:
    """A key that may do nothing is refused."""
    before = everything()
    with pytest.raises(InvalidRequestError) as refused:
        registry.create_key("demo", [])
    assert str(refused.value) == "scopes: must be at least one."
    assert everything() == before


def test_keys_are_listed_oldest_first(registry: Registry, set_clock: SetClock) -> None:
    """A tenant's keys are listed, live and revoked, and no other tenant's."""
    made = []
    for _ in range(5):
        set_clock.advance(seconds=1)
        made.append(registry.create_key("demo", [Scope.READ])[0])
        registry.create_key("other", [Scope.READ])
    registry.revoke_key("demo", made[1].id)
    listed = registry.list_keys("demo")
    assert [key.id for key in listed] == [key.id for key in made]
    assert [key.revoked_at is not None for key in listed] == [False, True, False, False, False]


def test_a_key_is_revoked_once(registry: Registry, set_clock: SetClock) -> None:
    """A revoked key stays, with the time of its first revocation."""
    created, _ = registry.create_key("demo", [Scope.READ])
    set_clock.advance(minutes=1)
    registry.revoke_key("demo", created.id)
    set_clock.advance(minutes=1)
    registry.revoke_key("demo", created.id)
    revoked = registry.get_key(created.id)
    assert revoked is not None
    assert revoked.revoked_at == START + timedelta(minutes=1)


def test_a_foreign_key_is_absent(registry: Registry) -> None:
    """Another tenant's key cannot be revoked, and looks like one that is not there."""
    created, _ = registry.create_key("other", [Scope.READ])
    before = everything()
    for key_id in (created.id, "abcdefghijkl"):
        with pytest.raises(NotFoundError) as refused:
            registry.revoke_key("demo", key_id)
        assert str(refused.value) == f"Tenant demo has no key {key_id}."
    assert everything() == before


def test_a_flow_has_versions_that_stay(registry: Registry, set_clock: SetClock) -> None:
    """Saving a flow again makes its next version; the earlier ones stay to be read."""
    first = registry.put_flow("demo", "mail", '{"a": 1}')
    set_clock.advance(minutes=1)
    second = registry.put_flow("demo", "mail", '{"a": 2}')
    assert first == StoredFlow("mail", 1, '{"a": 1}', START)
    assert second == StoredFlow("mail", 2, '{"a": 2}', START + timedelta(minutes=1))
    assert registry.get_flow("demo", "mail") == second
    assert registry.get_flow("demo", "mail", 1) == first
    assert registry.get_flow("demo", "mail", 2) == second


@pytest.mark.parametrize(
    ("tenant", "flow", "version"),
    [
        ("demo", "absent", None),
        ("demo", "mail", 2),
        ("demo", "mail", 0),
        ("other", "mail", None),
        ("other", "mail", 1),
        ("demo", "mail#1", None),
        ("demo", "", None),
        ("demo", "x" * 3_000, None),
        ("demo", "\ud800", None),
    ],
)
def test_a_flow_that_is_absent_or_foreign_is_not_found(
    registry: Registry, tenant: str, flow: str, version: int | None
) -> None:
    """A foreign flow looks like an absent one; a text that can be no id is not repeated."""
    registry.put_flow("demo", "mail", "{}")
    with pytest.raises(NotFoundError) as refused:
        registry.get_flow(tenant, flow, version)
    named = f"There is no flow {flow}." if is_name(flow) else "There is no such flow."
    assert str(refused.value) == named


def test_the_newest_version_of_each_flow_is_listed(registry: Registry) -> None:
    """Flows are listed by id, each once, and no other tenant's."""
    for flow in ("mail", "answer", "mail", "mail-2"):
        registry.put_flow("demo", flow, "{}")
    registry.put_flow("other", "secret", "{}")
    assert [(flow.id, flow.version) for flow in registry.list_flows("demo")] == [
        ("answer", 1),
        ("mail", 2),
        ("mail-2", 1),
    ]


def test_two_who_save_a_flow_at_once_do_not_lose_one(registry: Registry) -> None:
    """When the same flow is saved in between, this save is refused and the other stays."""
    raced = False

    def save_in_between(**_: object) -> None:
        nonlocal raced
        if not raced:
            raced = True
            registry.put_flow("demo", "mail", '"theirs"')

    clients().dynamodb.meta.events.register(
        "before-call.dynamodb.TransactWriteItems", save_in_between
    )
    with pytest.raises(ConflictError) as refused:
        registry.put_flow("demo", "mail", '"ours"')
    assert str(refused.value) == "Another request saved flow mail: try again."
    assert (
        registry.get_flow("demo", "mail").version,
        registry.get_flow("demo", "mail").document,
    ) == (
        1,
        '"theirs"',
    )


def test_what_can_be_no_flow_costs_no_call(registry: Registry, calls: list[Call]) -> None:
    """A path's orchestrator that is no name, however long, is refused without asking the table."""
    for flow in ("", "mail#1", "é", "x" * 3_000):
        with pytest.raises(NotFoundError):
            registry.get_flow("demo", flow)
    assert calls == []


def test_a_tenant_has_no_limits_at_first(registry: Registry) -> None:
    """A new tenant, and one that is not there, has none."""
    assert registry.get_limits("demo") == registry.get_limits("absent") == Limits()


def test_limits_are_set_and_taken_away(registry: Registry) -> None:
    """Setting limits replaces them all, and leaves the tenant as it is."""
    tenant = registry.get_tenant("demo")
    every = Limits(
        requests_per_minute=60,
        running_at_once=5,
        tokens_per_month=1_000_000,
        reads_per_minute=600,
        waits_at_once=20,
        key_requests_per_minute=4,
    )
    for limits in (every, Limits(running_at_once=7), Limits()):
        registry.set_limits("demo", limits)
        assert registry.get_limits("demo") == limits
    assert registry.get_tenant("demo") == tenant


@pytest.mark.parametrize(
    ("limit", "of_key"),
    [
        ("reads_per_minute", "reads_per_minute"),
        ("key_requests_per_minute", "requests_per_minute"),
    ],
)
def test_each_key_repeats_the_limits_of_keys(registry: Registry, limit: str, of_key: str) -> None:
    """Keys from before and after a change have the limit, and lose it with the tenant."""
    before, _ = registry.create_key("demo", [Scope.READ])
    assert getattr(before, of_key) is None
    for most in (600, 60, None):
        registry.set_limits("demo", replace(Limits(), **{limit: most}))
        after, _ = registry.create_key("demo", [Scope.READ])
        found = [registry.get_key(key.id) for key in (before, after)]
        assert [getattr(key, of_key) for key in (*found, after)] == [most] * 3


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(registry: Registry, limit: int) -> None:
    """A tenant that may do nothing is one without a key."""
    with pytest.raises(InvalidRequestError, match="running_at_once: "):
        registry.set_limits("demo", Limits(running_at_once=limit))
    assert registry.get_limits("demo") == Limits()


def test_limits_are_a_tenants(registry: Registry) -> None:
    """Limits of a tenant that is not there are refused, and make none."""
    with pytest.raises(NotFoundError):
        registry.set_limits("absent", Limits(running_at_once=1))
    with pytest.raises(NotFoundError):
        registry.get_tenant("absent")


def test_a_key_may_be_for_one_flow(registry: Registry) -> None:
    """A key for a flow says so whenever it is found, and others are for none."""
    registry.put_flow("demo", "mail", "{}")
    bound, _ = registry.create_key("demo", [Scope.READ], "the app's", flow="mail")
    free, _ = registry.create_key("demo", [Scope.READ])
    assert (bound.flow, free.flow) == ("mail", None)
    assert registry.get_key(bound.id) == bound
    assert registry.get_key(free.id) == free
    registry.put_flow("demo", "mail", '{"name": "changed"}')
    registry.revoke_key("demo", bound.id)
    found = {key.id: (key.flow, key.revoked_at) for key in registry.list_keys("demo")}
    assert found == {bound.id: ("mail", START), free.id: (None, None)}


@pytest.mark.parametrize("flow", ["absent", "theirs", "", "mail#1", "Mail"])
def test_a_key_is_for_a_flow_that_is_there(registry: Registry, flow: str) -> None:
    """A key for a flow that is absent or another tenant's is refused, and none is made."""
    registry.put_flow("demo", "mail", "{}")
    registry.put_flow("other", "theirs", "{}")
    before = everything()
    with pytest.raises(NotFoundError) as refused:
        registry.create_key("demo", [Scope.READ], flow=flow)
    named = f"There is no flow {flow}." if is_name(flow) else "There is no such flow."
    assert str(refused.value) == named
    assert everything() == before


def test_what_is_saved_is_what_is_read(registry: Registry) -> None:
    """A flow and a key are returned with the times that they are read with later."""
    registry.create_tenant("saved", "Saved")
    flow = registry.put_flow("saved", "a", "{}")
    assert registry.get_flow("saved", "a") == flow
    key, _ = registry.create_key("saved", [Scope.READ])
    assert registry.get_key(key.id) == key

"""The caps of a tenant's flows, versions and keys."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from afterword.errors import ConflictError, NotFoundError
from afterword.runtime.clients import clients
from afterword.runtime.dynamodb import Table, TransactionCanceledError
from afterword.tenants import registry as registries
from afterword.tenants.keys import Scope
from afterword.tenants.registry import Registry
from tests.conftest import Call, SetClock
from tests.harness.deployment import REFERENCES

TABLE = REFERENCES["RegistryTable"]


@pytest.fixture
def registry(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Return a registry with a tenant, and low caps."""
    for name, cap in (
        ("MAX_FLOWS", 3),
        ("MAX_VERSIONS", 4),
        ("MAX_LIVE_KEYS", 3),
        ("MAX_KEYS", 5),
    ):
        monkeypatch.setattr(registries, name, cap)
    registry.create_tenant("demo", "Demo")
    return registry


def flows_counted() -> object:
    """Return the count of flows in the tenant's item."""
    key = {"pk": {"S": "tenant#demo"}, "sk": {"S": "tenant"}}
    return clients().dynamodb.get_item(TableName=TABLE, Key=key)["Item"].get("flows")


def test_the_caps_hold_what_documents_say() -> None:
    """A tenant has a thousand flows, versions of each and live keys, and two thousand keys."""
    caps = (registries.MAX_FLOWS, registries.MAX_VERSIONS, registries.MAX_LIVE_KEYS)
    assert (*caps, registries.MAX_KEYS) == (1_000, 1_000, 1_000, 2_000)


def test_flows_have_a_cap(registry: Registry) -> None:
    """One flow too many is refused with the cap and a way out; a new version is no new flow."""
    for name in ("a", "b", "c"):
        registry.put_flow("demo", name, "{}")
    with pytest.raises(ConflictError) as refused:
        registry.put_flow("demo", "d", "{}")
    assert str(refused.value) == (
        "A tenant has at most 3 flows: save a new version of one of them."
    )
    assert registry.put_flow("demo", "a", '{"name": "A"}').version == 2
    assert registry.list_flow_ids("demo") == ["a", "b", "c"]
    assert flows_counted() == {"N": "3"}


def test_flows_of_an_older_version_are_counted_once(registry: Registry, calls: list[Call]) -> None:
    """A tenant without a count gets one by a query; later flows need no query."""
    registry.put_flow("demo", "a", "{}")
    key = {"pk": {"S": "tenant#demo"}, "sk": {"S": "tenant"}}
    clients().dynamodb.update_item(TableName=TABLE, Key=key, UpdateExpression="REMOVE flows")
    registry.put_flow("demo", "b", "{}")
    assert flows_counted() == {"N": "2"}
    calls.clear()
    registry.put_flow("demo", "c", "{}")
    assert [call.operation for call in calls] == [
        "dynamodb.GetItem",
        "dynamodb.GetItem",
        "dynamodb.TransactWriteItems",
    ]


def transact_first(monkeypatch: pytest.MonkeyPatch, first: Callable[[], object]) -> None:
    """Let something happen between the reads of the next save and its transaction."""
    transact = Table.transact

    def after(self: Table, writes: Any) -> None:  # noqa: ANN401 - any writes
        monkeypatch.setattr(Table, "transact", transact)
        first()
        transact(self, writes)

    monkeypatch.setattr(Table, "transact", after)


def test_two_new_flows_at_once_pass_no_cap(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two new flows at the same moment, with room for one, one is refused."""
    for name in ("a", "b"):
        registry.put_flow("demo", name, "{}")
    transact_first(monkeypatch, lambda: registry.put_flow("demo", "c", "{}"))
    with pytest.raises(ConflictError, match="at most 3 flows"):
        registry.put_flow("demo", "d", "{}")
    assert registry.list_flow_ids("demo") == ["a", "b", "c"]


def test_flows_that_are_saved_at_once_are_all_saved(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction that meets the count of another new flow is repeated."""
    monkeypatch.setattr(registries, "CONFLICT_WAITS", (0.0, 0.0))
    left = ["TransactionConflict"] * 3

    def conflict() -> None:
        reasons = [{"Code": "None"}, {"Code": "None"}, {"Code": left.pop()}]
        response: Any = {"Error": {"Code": "T"}, "CancellationReasons": reasons}
        if left:
            transact_first(monkeypatch, conflict)
        raise TransactionCanceledError(response, "TransactWriteItems")

    left.pop()
    transact_first(monkeypatch, conflict)
    assert registry.put_flow("demo", "a", "{}").version == 1
    left[:] = ["TransactionConflict"] * 3
    transact_first(monkeypatch, conflict)
    with pytest.raises(ConflictError, match="Another request saved flow b: try again"):
        registry.put_flow("demo", "b", "{}")


def test_of_too_many_versions_the_oldest_goes(registry: Registry) -> None:
    """A flow keeps its newest versions, and an older one is not there any more."""
    for number in range(6):
        registry.put_flow("demo", "a", json.dumps({"name": str(number)}))
    assert [each.version for each in registry.list_versions("demo", "a")] == [6, 5, 4, 3]
    with pytest.raises(NotFoundError):
        registry.get_flow("demo", "a", 2)
    assert registry.get_flow("demo", "a").version == 6


def test_live_keys_have_a_cap(registry: Registry) -> None:
    """One live key too many is refused with the cap and a way out; a revoked one does not count."""
    made = [registry.create_key("demo", [Scope.READ])[0] for _ in range(3)]
    with pytest.raises(ConflictError) as refused:
        registry.create_key("demo", [Scope.READ])
    assert str(refused.value) == "A tenant has at most 3 live keys: revoke one of them first."
    registry.revoke_key("demo", made[0].id)
    assert registry.create_key("demo", [Scope.READ])


def test_of_too_many_keys_the_first_revoked_goes(registry: Registry, set_clock: SetClock) -> None:
    """A tenant keeps its live keys and its last revoked ones."""
    made = []
    for _ in range(6):
        made.append(registry.create_key("demo", [Scope.READ])[0].id)
        if len(made) > 1:
            registry.revoke_key("demo", made[-1])
        set_clock.advance(seconds=1)
    assert [key.id for key in registry.list_keys("demo")] == [made[0], *made[2:]]
    assert registry.get_key(made[1]) is None


def test_few_keys_are_not_read(registry: Registry, calls: list[Call]) -> None:
    """Below the cap of live keys, a new one costs a query more, and no read of the others."""
    registry.create_key("demo", [Scope.READ])
    calls.clear()
    registry.create_key("demo", [Scope.READ])
    assert [call.operation for call in calls] == [
        "dynamodb.GetItem",
        "dynamodb.Query",
        "dynamodb.TransactWriteItems",
    ]


def test_flows_come_in_pages(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages follow on each other in the order of ids, and end early for long documents."""
    monkeypatch.setattr(registries, "MAX_FLOWS", 100)
    names = ["A", "a", "a-b", "a_b", "ab", "b"]
    for name in names:
        registry.put_flow("demo", name, json.dumps({"name": "x" * 1_000}))

    def walk(limit: int) -> list[list[str]]:
        pages, after = [], None
        while True:
            page = registry.page_flows("demo", limit, after)
            pages.append([flow.id for flow in page.items])
            after = page.after
            if after is None:
                return pages

    stored = registry.list_flow_ids("demo")
    assert sorted(stored) == sorted(names)
    assert walk(4) == [stored[:4], stored[4:]]
    assert walk(6) == [stored]
    assert walk(1) == [[name] for name in stored]
    monkeypatch.setattr(registries, "MAX_PAGE_BYTES", 2_500)
    assert walk(6) == [stored[:2], stored[2:4], stored[4:]]

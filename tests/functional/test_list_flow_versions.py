"""Listing a flow's versions through the native API: the handler with its event, under moto."""

from collections.abc import Callable

from afterword.services import services
from afterword.tenants.keys import Scope
from tests.conftest import FLOW, FLOW_DOCUMENT, SetClock, Tenant
from tests.harness.administration import (
    NO_KEY,
    NO_SUCH_FLOW,
    OTHER_FLOW,
    OUT_OF_REACH,
    Administration,
    answer,
    no_flow,
    problem,
)


def test_versions_are_listed_newest_first(
    administration: Administration, set_clock: SetClock
) -> None:
    """All versions are there, by number and not as texts, and none of a flow of a like name."""
    services().registry.put_flow("demo", f"{FLOW}-2", FLOW_DOCUMENT)
    for _ in range(11):
        set_clock.advance(minutes=1)
        services().registry.put_flow("demo", FLOW, FLOW_DOCUMENT)
    versions = [
        {"version": number, "created_at": f"2026-11-10T09:{number - 1:02}:00.000Z"}
        for number in range(12, 0, -1)
    ]
    expected = answer(200, {"id": FLOW, "versions": versions})
    assert administration.call("list_flow_versions") == expected


def test_a_foreign_flow_looks_like_none(
    administration: Administration, other_tenant: Tenant
) -> None:
    """What is another tenant's, absent, or no id at all, gets the same answer."""
    services().registry.put_flow(other_tenant.id, "theirs", FLOW_DOCUMENT)
    for flow in ("theirs", "absent"):
        assert administration.call("list_flow_versions", flowId=flow) == no_flow(flow)
    for flow in ("no id", f"{FLOW}#1"):
        assert administration.call("list_flow_versions", flowId=flow) == NO_SUCH_FLOW


def test_who_may_list(
    administration_of: Callable[..., Administration],
    administration: Administration,
    tenant: Tenant,
) -> None:
    """A key with the scope `read` may, for its own flow if it is for one."""
    bound = administration_of(tenant, flow=FLOW)
    assert bound.call("list_flow_versions")["statusCode"] == 200
    assert bound.call("list_flow_versions", flowId="chat") == OTHER_FLOW
    refused = Administration(administration.load, tenant.key_with(Scope.ADMIN))
    forbidden = problem(403, "Forbidden", "The API key does not have the scope 'read'.")
    assert refused.call("list_flow_versions") == forbidden
    assert Administration(administration.load, "").call("list_flow_versions") == NO_KEY


def test_storage_out_of_reach(
    administration: Administration, cut_off: Callable[[str], None]
) -> None:
    """Without storage the client is asked to come back."""
    cut_off("dynamodb.Query")
    assert administration.call("list_flow_versions") == OUT_OF_REACH

"""Reading a flow through the native API: the handler with its event, under moto."""

import json
from collections.abc import Callable

import pytest

from afterword.services import services
from afterword.tenants.keys import Scope
from tests.conftest import FLOW, FLOW_DOCUMENT, SetClock, Tenant
from tests.harness.administration import (
    NO_KEY,
    NO_SUCH_FLOW,
    OTHER_FLOW,
    OUT_OF_REACH,
    STARTED,
    Administration,
    answer,
    invalid,
    no_flow,
    problem,
)

FIRST = {
    "id": FLOW,
    "version": 1,
    "created_at": STARTED,
    "flow": json.loads(FLOW_DOCUMENT),
}


def test_a_flow_is_shown_as_it_was_saved(
    administration: Administration, set_clock: SetClock
) -> None:
    """The newest version is shown by default, and every other by its number."""
    set_clock.advance(hours=1)
    changed = {**json.loads(FLOW_DOCUMENT), "name": "Replies"}
    services().registry.put_flow("demo", FLOW, json.dumps(changed))
    second = {
        "id": FLOW,
        "version": 2,
        "created_at": "2026-11-10T10:00:00.000Z",
        "flow": changed,
    }
    assert administration.call("get_flow") == answer(200, second)
    assert administration.call("get_flow", query={"version": "2"}) == answer(200, second)
    assert administration.call("get_flow", query={"version": "1"}) == answer(200, FIRST)


@pytest.mark.parametrize("version", ["", "one", "-1", "1.0", "²", "9" * 10])
def test_a_version_is_a_number(administration: Administration, version: str) -> None:
    """A version that is no number is refused by its name."""
    refused = administration.call("get_flow", query={"version": version})
    assert refused == invalid(("version", "must be a whole number from 1."))


def test_a_foreign_flow_looks_like_none(
    administration: Administration, other_tenant: Tenant
) -> None:
    """What is another tenant's, absent, or no id, gets the same answer; so does a version."""
    services().registry.put_flow(other_tenant.id, "theirs", FLOW_DOCUMENT)
    for flow in ("theirs", "absent"):
        assert administration.call("get_flow", flowId=flow) == no_flow(flow)
    for flow in ("no id", "x" * 3_000, "a#b"):
        assert administration.call("get_flow", flowId=flow) == NO_SUCH_FLOW
    for version in ("0", "7"):
        assert administration.call("get_flow", query={"version": version}) == no_flow(FLOW)


def test_a_bound_key_reads_its_flow_alone(
    administration: Administration,  # noqa: ARG001 - its clock
    administration_of: Callable[..., Administration],
    tenant: Tenant,
) -> None:
    """A key for one flow is refused any other, whether it is there or not."""
    services().registry.put_flow("demo", "chat", FLOW_DOCUMENT)
    bound = administration_of(tenant, flow=FLOW)
    assert bound.call("get_flow") == answer(200, FIRST)
    assert bound.call("get_flow", flowId="chat") == OTHER_FLOW
    assert bound.call("get_flow", flowId="absent") == OTHER_FLOW


def test_reading_is_enough(administration: Administration, tenant: Tenant) -> None:
    """A key with the scope `read` may read a flow, and no other."""
    refused = Administration(administration.load, tenant.key_with(Scope.ADMIN))
    forbidden = problem(403, "Forbidden", "The API key does not have the scope 'read'.")
    assert refused.call("get_flow") == forbidden
    assert Administration(administration.load, "").call("get_flow") == NO_KEY


def test_storage_out_of_reach(
    administration: Administration, cut_off: Callable[[str], None]
) -> None:
    """Without storage the client is asked to come back."""
    cut_off("dynamodb.GetItem")
    assert administration.call("get_flow") == OUT_OF_REACH

"""Listing flows through the native API: the handler with its event, under moto."""

import json
from collections.abc import Callable

from afterword.services import services
from afterword.tenants.keys import Scope
from tests.conftest import FLOW, FLOW_DOCUMENT, SetClock, Tenant
from tests.harness.administration import (
    NO_KEY,
    OUT_OF_REACH,
    STARTED,
    Administration,
    answer,
    problem,
)

MAILS = {
    "id": FLOW,
    "version": 1,
    "created_at": STARTED,
    "name": "Replies to customers",
    "type": "text_generation",
}


def test_flows_are_listed_in_their_newest_versions(
    administration: Administration, set_clock: SetClock, other_tenant: Tenant
) -> None:
    """Each of the tenant's flows is there once, by id, and no other tenant's."""
    services().registry.put_flow(other_tenant.id, "theirs", FLOW_DOCUMENT)
    chat = json.dumps({"id": "chat", "name": "Chat", "type": "chat", "steps": []})
    services().registry.put_flow("demo", "chat", chat)
    set_clock.advance(minutes=5)
    services().registry.put_flow("demo", "chat", chat)
    shown = {"id": "chat", "version": 2, "created_at": "2026-11-10T09:05:00.000Z"}
    assert administration.call("list_flows") == answer(
        200, {"flows": [{**shown, "name": "Chat", "type": "chat"}, MAILS]}
    )


def test_a_bound_key_sees_its_flow_alone(
    administration: Administration,  # noqa: ARG001 - its clock
    administration_of: Callable[..., Administration],
    tenant: Tenant,
) -> None:
    """A key for one flow lists that one."""
    services().registry.put_flow("demo", "chat", FLOW_DOCUMENT)
    bound = administration_of(tenant, flow=FLOW)
    assert bound.call("list_flows") == answer(200, {"flows": [MAILS]})


def test_reading_is_enough_to_list(administration: Administration, tenant: Tenant) -> None:
    """A key with the scope `read` may list, and no other."""
    may = Administration(administration.load, tenant.key_with(Scope.READ))
    assert may.call("list_flows")["statusCode"] == 200
    refused = Administration(administration.load, tenant.key_with(Scope.SUBMIT))
    forbidden = problem(403, "Forbidden", "The API key does not have the scope 'read'.")
    assert refused.call("list_flows") == forbidden
    assert Administration(administration.load, "").call("list_flows") == NO_KEY


def test_storage_out_of_reach(
    administration: Administration, cut_off: Callable[[str], None]
) -> None:
    """Without storage the client is asked to come back."""
    cut_off("dynamodb.Query")
    assert administration.call("list_flows") == OUT_OF_REACH

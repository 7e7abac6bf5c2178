"""Listing flows through the native API: the handler with its event, under moto."""

import json
from collections.abc import Callable

from afterword.services import services
from tests.conftest import FLOW, FLOW_DOCUMENT, SetClock, Tenant
from tests.harness.administration import (
    STARTED,
    Administration,
    answer,
)
from tests.harness.native_generations import LAST_PAGE

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
        200, {"flows": [{**shown, "name": "Chat", "type": "chat"}, MAILS], **LAST_PAGE}
    )


def test_a_bound_key_sees_its_flow_alone(
    administration: Administration,  # noqa: ARG001 - its clock
    administration_of: Callable[..., Administration],
    tenant: Tenant,
) -> None:
    """A key for one flow lists that one."""
    services().registry.put_flow("demo", "chat", FLOW_DOCUMENT)
    bound = administration_of(tenant, flow=FLOW)
    assert bound.call("list_flows") == answer(200, {"flows": [MAILS], **LAST_PAGE})

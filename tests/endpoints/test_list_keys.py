"""Listing keys through the native API: the handler with its event, under moto."""

from afterword.services import services
from afterword.tenants.keys import Scope
from tests.conftest import FLOW, SetClock, Tenant
from tests.harness.administration import (
    STARTED,
    Administration,
)


def test_keys_are_listed_without_their_secrets(
    administration: Administration, set_clock: SetClock, other_tenant: Tenant
) -> None:
    """The tenant's keys are there, live and revoked, the oldest first, and no other tenant's."""
    services().registry.create_key(other_tenant.id, [Scope.READ])
    set_clock.advance(minutes=1)
    made, secret = services().registry.create_key("demo", [Scope.READ], "dashboard", FLOW)
    services().registry.revoke_key("demo", made.id)
    result = administration.call("list_keys")
    assert result["statusCode"] == 200
    *before, last = result["body"]["keys"]
    assert sorted(key["scopes"] for key in before) == [["submit", "read"], list(Scope)]
    assert [key["created_at"] for key in before] == [STARTED, STARTED]
    assert last == {
        "id": made.id,
        "label": "dashboard",
        "scopes": ["read"],
        "flow": FLOW,
        "created_at": "2026-11-10T09:01:00.000Z",
        "revoked_at": "2026-11-10T09:01:00.000Z",
    }
    assert secret.split("_")[2] not in str(result)

"""Listing keys through the native API: the handler with its event, under moto."""

from collections.abc import Callable

from afterword.services import services
from afterword.tenants.keys import Scope
from tests.conftest import FLOW, SetClock, Tenant
from tests.harness.administration import (
    BOUND,
    NO_KEY,
    OUT_OF_REACH,
    STARTED,
    Administration,
    problem,
)


def test_keys_are_listed_without_their_secrets(
    administration: Administration, set_clock: SetClock, other_tenant: Tenant
) -> None:
    """The tenant's keys are there, live and revoked, the oldest first, and nobody else's."""
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


def test_only_an_administrator_may_list(
    administration_of: Callable[..., Administration],
    administration: Administration,
    tenant: Tenant,
) -> None:
    """A key with the scope `admin` may list, and none that is for one flow alone."""
    refused = Administration(administration.load, tenant.key)
    forbidden = problem(403, "Forbidden", "The API key does not have the scope 'admin'.")
    assert refused.call("list_keys") == forbidden
    assert administration_of(tenant, flow=FLOW).call("list_keys") == BOUND
    assert Administration(administration.load, "").call("list_keys") == NO_KEY


def test_storage_out_of_reach(
    administration: Administration, cut_off: Callable[[str], None]
) -> None:
    """Without storage the client is asked to come back."""
    cut_off("dynamodb.Query")
    assert administration.call("list_keys") == OUT_OF_REACH

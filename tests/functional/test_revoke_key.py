"""Revoking a key through the native API: the handler with its event, under moto."""

from collections.abc import Callable

from afterword.services import services
from afterword.tenants.keys import Scope
from tests.conftest import FLOW, SetClock, Tenant
from tests.harness.administration import (
    BOUND,
    NO_KEY,
    NO_SUCH_KEY,
    OUT_OF_REACH,
    Administration,
    problem,
)


def test_a_revoked_key_is_taken_no_more(
    administration: Administration, set_clock: SetClock
) -> None:
    """A key is revoked at once and for good; again changes nothing."""
    made, key = services().registry.create_key("demo", [Scope.READ])
    result = administration.call("revoke_key", keyId=made.id)
    assert (result["statusCode"], result["body"]) == (204, None)
    revoked = services().registry.get_key(made.id)
    set_clock.advance(minutes=1)
    assert administration.call("revoke_key", keyId=made.id) == result
    assert services().registry.get_key(made.id) == revoked
    assert revoked is not None
    assert revoked.revoked_at is not None
    refused = Administration(administration.load, key).call("list_flows")
    assert refused["body"]["detail"] == "The API key is revoked."


def test_a_foreign_key_looks_like_none(
    administration: Administration, other_tenant: Tenant
) -> None:
    """What is another tenant's, absent, or no id at all, gets the same answer; nothing changes."""
    theirs, _ = services().registry.create_key(other_tenant.id, [Scope.READ])
    for key_id in (theirs.id, "AbCdEfGhIjKl", "no id", "x" * 3_000):
        assert administration.call("revoke_key", keyId=key_id) == NO_SUCH_KEY
    assert services().registry.get_key(theirs.id) == theirs


def test_only_an_administrator_may_revoke(
    administration_of: Callable[..., Administration],
    administration: Administration,
    tenant: Tenant,
) -> None:
    """A key with the scope `admin` may revoke keys, and none that is for one flow alone."""
    refused = Administration(administration.load, tenant.key)
    forbidden = problem(403, "Forbidden", "The API key does not have the scope 'admin'.")
    assert refused.call("revoke_key") == forbidden
    assert administration_of(tenant, flow=FLOW).call("revoke_key") == BOUND
    assert Administration(administration.load, "").call("revoke_key") == NO_KEY


def test_storage_out_of_reach(
    administration: Administration, cut_off: Callable[[str], None]
) -> None:
    """Without storage the client is asked to come back."""
    cut_off("dynamodb.UpdateItem")
    assert administration.call("revoke_key") == OUT_OF_REACH

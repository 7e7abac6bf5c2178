"""Revoking a key through the native API: the handler with its event, under moto."""

from afterword.services import services
from afterword.tenants.keys import Scope
from tests.conftest import SetClock
from tests.harness.administration import (
    Administration,
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

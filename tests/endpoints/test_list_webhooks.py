"""Listing webhook endpoints: the handler with its event, under moto."""

from afterword.tenants.keys import Scope
from tests.conftest import SetClock, Tenant
from tests.harness.native_generations import LAST_PAGE
from tests.harness.webhooks import Webhooks


def test_endpoints_are_listed_oldest_first(webhooks: Webhooks, set_clock: SetClock) -> None:
    """Each is shown as when it was created, but for its secret."""
    created = []
    for number in range(3):
        created.append(webhooks.created(label=f"Number {number}"))
        set_clock.advance(seconds=1)
    for each in created:
        del each["secret"]
    result = webhooks.call("list_webhooks")
    assert (result["statusCode"], result["body"]) == (200, {"webhooks": created, **LAST_PAGE})


def test_each_tenant_has_its_own(webhooks: Webhooks, other_tenant: Tenant) -> None:
    """No tenant sees another's endpoints."""
    webhooks.created()
    webhooks.key = other_tenant.key_with(Scope.ADMIN)
    assert webhooks.call("list_webhooks")["body"] == {"webhooks": [], **LAST_PAGE}

"""Removing a webhook endpoint: the handler with its event, under moto."""

import pytest

from afterword.runtime.clients import clients
from afterword.services import services
from afterword.webhooks import SUBMISSIONS
from tests.harness.deployment import REFERENCES
from tests.harness.webhooks import NO_WEBHOOK, Webhooks, problem


def test_an_endpoint_is_removed(webhooks: Webhooks) -> None:
    """A removed endpoint is gone with its secrets, and submissions pay for webhooks no more."""
    created = webhooks.created()
    result = webhooks.call("delete_webhook", created["id"])
    assert (result["statusCode"], result["body"]) == (204, None)
    for name in ("get_webhook", "delete_webhook"):
        assert webhooks.call(name, created["id"]) == problem(404, NO_WEBHOOK)
    assert not services().registry.get_rules("demo").webhooks
    name = f"/afterword/{REFERENCES['WebhooksTable']}/demo/{created['id']}"
    with pytest.raises(clients().ssm.exceptions.ParameterNotFound):
        clients().ssm.get_parameter(Name=name)


def test_the_others_stay(webhooks: Webhooks) -> None:
    """A tenant with another endpoint has that still."""
    first, second = webhooks.created(), webhooks.created()
    webhooks.call("delete_webhook", first["id"])
    assert [each.id for each in services().webhook_store.read_endpoints("demo")] == [second["id"]]
    assert services().registry.get_rules("demo").webhooks


def test_the_submissions_endpoint_goes_with_the_hosts(webhooks: Webhooks) -> None:
    """The submissions' endpoint is there while hosts are allowed, and gone with the last host."""
    services().webhook_endpoints.set_hosts("demo", ["hooks.example.com"])
    refused = "This webhook exists as long as the tenant allows hosts for webhook_url."
    assert webhooks.call("delete_webhook", SUBMISSIONS) == problem(409, refused)
    services().webhook_endpoints.set_hosts("demo", [])
    assert webhooks.call("get_webhook", SUBMISSIONS) == problem(404, NO_WEBHOOK)

"""Creating a webhook endpoint: the handler with its event, under moto."""

import base64
import re
from collections.abc import Callable

import pytest

from afterword.runtime.clients import clients
from afterword.services import services
from afterword.webhooks import MAX_ENDPOINTS
from tests.harness.deployment import REFERENCES
from tests.harness.response_headers import NO_STORE
from tests.harness.webhooks import URL, Webhooks, problem

STARTED = "2026-11-10T09:00:00.000Z"
NOT_HTTPS = "must be an https address on port 443."
MALFORMED = "must be an address such as https://example.com/terms.pdf."


def test_an_endpoint_is_created(webhooks: Webhooks) -> None:
    """A new endpoint is shown with its secret and address, and defaults for absent fields."""
    result = webhooks.call("create_webhook", url=URL, label="Help desk")
    body = result["body"]
    assert re.fullmatch("wh_[a-z0-9]{20}", body["id"])
    secret = body.pop("secret")
    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32
    assert result == {
        "statusCode": 201,
        "headers": {
            "content-type": "application/json",
            **NO_STORE,
            "location": f"/v1/webhooks/{body['id']}",
        },
        "body": {
            "id": body["id"],
            "url": URL,
            "label": "Help desk",
            "events": ["generation.finished"],
            "enabled": True,
            "created_at": STARTED,
            "failing_since": None,
            "disabled_at": None,
            "disabled_reason": None,
        },
    }
    assert services().registry.get_rules("demo").webhooks


def test_a_secret_is_kept_encrypted_and_apart(webhooks: Webhooks) -> None:
    """The secret is a SecureString, and in no table."""
    created = webhooks.created()
    name = f"/afterword/{REFERENCES['WebhooksTable']}/demo/{created['id']}"
    found = clients().ssm.get_parameter(Name=name)["Parameter"]
    assert (found["Type"], found["Version"]) == ("SecureString", 1)
    assert found["Value"].startswith("kms:alias/aws/ssm:")  # as moto shows what is encrypted
    for table in ("WebhooksTable", "RegistryTable"):
        items = clients().dynamodb.scan(TableName=REFERENCES[table])["Items"]
        assert created["secret"].removeprefix("whsec_") not in str(items)


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        ("{}", "url", "must be present."),
        ('{"url": 1}', "url", "must be a text of 1 to 8000 characters."),
        ('{"url": "http://hooks.example.com/"}', "url", NOT_HTTPS),
        ('{"url": "https://hooks.example.com:8443/"}', "url", NOT_HTTPS),
        ('{"url": "http://169.254.169.254/latest/"}', "url", NOT_HTTPS),
        ('{"url": "file:///etc/passwd"}', "url", MALFORMED),
        ('{"url": "hooks"}', "url", MALFORMED),
        (
            '{"url": "https://127.0.0.1/"}',
            "url",
            "the host was not found on the public internet.",
        ),
        ('{"url": "https://[::1]/"}', "url", "the host was not found on the public internet."),
        (
            '{"url": "https://a:b@hooks.example.com/"}',
            "url",
            "must have no user name and no password.",
        ),
        (
            f'{{"url": "{URL}", "label": "{"x" * 201}"}}',
            "label",
            "must be a text of up to 200 characters.",
        ),
        (
            f'{{"url": "{URL}", "events": []}}',
            "events",
            "must be a list of one or more of: generation.finished.",
        ),
        (
            f'{{"url": "{URL}", "events": ["webhook.test"]}}',
            "events",
            "must be a list of one or more of: generation.finished.",
        ),
        (
            f'{{"url": "{URL}", "secret": "x"}}',
            "secret",
            "must be one of: events, label, url.",
        ),
    ],
)
def test_what_does_not_fit_is_named(
    webhooks: Webhooks, body: str, field: str, message: str
) -> None:
    """A bad field is refused by its name, and nothing is stored."""
    result = webhooks.send("create_webhook", webhooks.event("create_webhook", body=body))
    assert result == problem(422, message, field)
    assert services().webhook_store.read_endpoints("demo") == []
    assert not services().registry.get_rules("demo").webhooks


def test_a_tenant_has_so_many_and_no_more(webhooks: Webhooks) -> None:
    """The twenty-first is refused, and one that is removed makes room."""
    ids = [webhooks.created()["id"] for _ in range(MAX_ENDPOINTS)]
    expected = problem(409, "A tenant has 20 webhooks at most.")
    assert webhooks.call("create_webhook", url=URL) == expected
    webhooks.call("delete_webhook", ids[0])
    webhooks.created()


def test_without_its_secret_there_is_no_endpoint(
    webhooks: Webhooks, cut_off: Callable[[str], None]
) -> None:
    """When the secret cannot be stored the caller is asked to come back, and there is nothing."""
    cut_off("ssm.PutParameter")
    result = webhooks.call("create_webhook", url=URL)
    assert result == problem(503, "Try again in a moment.", retry_after="1")
    assert services().webhook_store.read_endpoints("demo") == []

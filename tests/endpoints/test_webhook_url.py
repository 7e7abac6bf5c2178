"""A submission's `webhook_url`: which are accepted, and what becomes of them."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from afterword.errors import UnprocessableError
from afterword.generations import Submission
from afterword.services import services
from afterword.webhooks import SUBMISSIONS
from tests.conftest import FLOW, Stored, Tenant
from tests.harness.webhooks import URL, Webhooks

SUBMISSION = Submission(
    dialect="native",
    flow=FLOW,
    inputs={"body": "Hello"},
    template=None,
    external={},
    webhook_url=URL,
)


def test_a_host_that_is_not_allowed_is_refused(
    tenant: Tenant, stored: Callable[[], Stored]
) -> None:
    """Without its tenant's leave no address is told, and nothing is accepted."""
    with pytest.raises(UnprocessableError) as refused:
        services().submitter.submit(tenant.id, SUBMISSION)
    assert str(refused.value) == "webhook_url: must be at a host that the tenant allows."
    assert stored().items == 0


def test_an_allowed_host_is_kept_with_the_request(tenant: Tenant) -> None:
    """Its end will be told, and a retry of it tells the same address."""
    services().webhook_endpoints.set_hosts(tenant.id, ["hooks.example.com"])
    generation_id = services().submitter.submit(tenant.id, SUBMISSION)
    services().store.cancel(tenant.id, generation_id)
    ended = services().store.get_end(tenant.id, generation_id)
    assert ended is not None
    assert (ended.webhook_url, ended.notify, ended.dispatched) == (URL, True, False)
    retry_id = services().submitter.retry(tenant.id, generation_id).id
    assert services().store.get_submission(tenant.id, retry_id)[0].webhook_url == URL
    assert services().webhook_store.get_endpoint(tenant.id, SUBMISSIONS).url is None


def test_another_address_is_another_request() -> None:
    """Two submissions that differ in their address alone are not the same."""
    other = replace(SUBMISSION, webhook_url=f"{URL}/2")
    none = replace(SUBMISSION, webhook_url=None)
    assert len({each.fingerprint() for each in (SUBMISSION, other, none)}) == 3


def test_a_tenant_without_webhooks_sends_no_messages(tenant: Tenant) -> None:
    """No message is sent, and paid for, where no webhook waits for it."""
    submission = replace(SUBMISSION, webhook_url=None)
    generation_id = services().submitter.submit(tenant.id, submission)
    services().store.cancel(tenant.id, generation_id)
    ended = services().store.get_end(tenant.id, generation_id)
    assert ended is not None
    assert not ended.notify


def test_a_tenant_with_a_webhook_has_its_ends_told(tenant: Tenant, webhooks: Webhooks) -> None:
    """As soon as there is an endpoint each end is told, a bus or none."""
    webhooks.created()
    submission = replace(SUBMISSION, webhook_url=None)
    generation_id = services().submitter.submit(tenant.id, submission)
    services().store.cancel(tenant.id, generation_id)
    ended = services().store.get_end(tenant.id, generation_id)
    assert ended is not None
    assert ended.notify

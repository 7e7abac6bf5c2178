"""Submitting a mail through Dialonce's API: the handler with its event, under moto."""

import json
from collections.abc import Callable
from typing import Any

from afterword import clients, services
from afterword.generations import Status
from functions.submit_mail_generation.app import handler
from tests.conftest import LambdaContext, Tenant


def test_a_mail_is_accepted_stored_and_queued(
    tenant: Tenant, load_event: Callable[[str], dict[str, Any]], context: LambdaContext
) -> None:
    """A mail is answered with its process id, and stands in the table and in the queue."""
    event = load_event("submit_mail_generation")
    event["headers"]["authorization"] = f"Bearer {tenant.key}"
    result = handler(event, context)
    process_cuid = json.loads(result["body"])["process_cuid"]
    assert result == {
        "statusCode": 200,
        "headers": {"content-type": "application/json", "cache-control": "no-store"},
        "body": json.dumps({"process_cuid": process_cuid}),
    }
    generation = services.store().get(tenant.id, process_cuid)
    assert generation.status is Status.QUEUED
    assert generation.external == {
        "external_ref": '"case-457"',
        "external_metadata": '{"user_id": "abc-789"}',
    }
    message = clients.sqs().receive_message(QueueUrl=services.settings().queue_url)["Messages"][0]
    assert json.loads(message["Body"]) == {"tenant": tenant.id, "id": process_cuid}

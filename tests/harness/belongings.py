"""One of each thing that a tenant can have, for every endpoint to be asked about."""

from afterword import clock
from afterword.batches import BatchFile
from afterword.generations import Submission
from afterword.knowledge import Draft
from afterword.runtime.clients import clients
from afterword.services import services
from afterword.tenants.keys import Scope
from tests.conftest import FLOW, Tenant
from tests.harness.deployment import REFERENCES


def make_belongings(tenant: Tenant) -> dict[str, str]:
    """Make a content, a key, a webhook with a failed delivery, a batch, a chat session and counts.

    Returned are the parameters of paths and queries that name them, a generation's excepted.
    """
    content = services().contents.create(
        tenant.id, Draft(name="Refunds", text="Soon.", folder="Terms", external_id="terms-1")
    )
    clients().dynamodb.put_item(
        TableName=REFERENCES["StatisticsTable"],
        Item={
            "pk": {"S": "#"},
            "sk": {"S": "counted"},
            "until": {"N": str(clock.to_millis(clock.now()))},
        },
    )
    webhook, _ = services().webhook_endpoints.create(tenant.id, "https://hooks.example.com/")
    delivery = services().webhook_deliveries.start_test(tenant.id, webhook.id)
    services().webhook_store.give_up(delivery)
    return {
        "companyCuid": tenant.id,
        "orchestratorCuid": FLOW,
        "flowId": FLOW,
        "flow": FLOW,
        "contentId": content.id,
        "folderId": content.folder.id,
        "folderName": content.folder.name,
        "keyId": services().registry.create_key(tenant.id, [Scope.READ])[0].id,
        "webhookId": webhook.id,
        "deliveryId": delivery.id,
        "chat_session_id": services().chat_sessions.create(tenant.id, FLOW, "Refunds").id,
        "batchId": services().batch_requests.accept(tenant.id, FLOW, BatchFile(), None).id,
        "file": "page.js",
        "from": "2026-11-01",
        "to": "2026-11-30",
        "by": "day,flow,model",
        "limit": "20",
    }


def generation_parameters(generation_id: str) -> dict[str, str]:
    """Return the parameters that name a generation, each dialect's own."""
    names = ("processCuid", "text_gen_id", "logId", "questionId", "id")
    return dict.fromkeys(names, generation_id)


def submitted(tenant: Tenant) -> str:
    """Submit a generation that stays queued, and return its id."""
    submission = Submission(
        dialect="dialonce", flow=FLOW, inputs={"body": "Hi"}, template=None, external={}
    )
    return services().submitter.submit(tenant.id, submission)

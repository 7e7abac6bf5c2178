"""The two tenants of an embedded stack, each with a key and a mail flow."""

from typing import Any

from afterword.flows import Flow, Step
from afterword.keys import Scope
from afterword.registry import Registry
from local.aws import session

TENANTS = {"demo": "Demo company", "other": "Another company"}
MAIL_FLOW = Flow(
    id="mail-reply",
    name="Replies to customers' mails",
    steps=(
        Step(
            name="reply",
            instructions="Write a short and polite reply to this email from a customer.",
            max_tokens=400,
            temperature=0.2,
        ),
    ),
)


def create_tenants(endpoint: str, table: str) -> list[dict[str, Any]]:
    """Create the tenants and return them as dev.json shows them, with their new keys."""
    registry = Registry(session().client("dynamodb", endpoint_url=endpoint), table)
    created = []
    for tenant_id, name in TENANTS.items():
        registry.create_tenant(tenant_id, name)
        _, key = registry.create_key(tenant_id, [Scope.SUBMIT, Scope.READ], "embedded stack")
        flow = registry.put_flow(tenant_id, MAIL_FLOW.id, MAIL_FLOW.model_dump_json())
        created.append(
            {
                "id": tenant_id,
                "api_key": key,
                "flows": {"dialonce": {"orchestrator": flow.id}},
            }
        )
    return created

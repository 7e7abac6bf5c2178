"""The two tenants of an embedded stack, each with a flow and a key for each dialect."""

from typing import Any

from afterword.flows import Flow, Input, Step
from afterword.inputs import Kind
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
ANSWER_FLOW = Flow(
    id="document-answers",
    name="Answers from a document",
    inputs=(
        Input(name="question", label="Your question", kind=Kind.LONG_TEXT, max_length=2_000),
        Input(name="document", label="A document", kind=Kind.FILE, multiple=True, required=False),
    ),
    steps=(
        Step(
            name="answer",
            instructions="Answer the question in one short sentence, from the document.",
            max_tokens=120,
            temperature=0.0,
        ),
    ),
)
JOKE_FLOW = Flow(
    id="developer-joke",
    name="A joke about a developer",
    inputs=(Input(name="name"), Input(name="lastName", required=False)),
    steps=(
        Step(
            name="step1",
            prompt="Tell a short joke about a developer called {{name}} {{lastName}}.",
            max_tokens=80,
            temperature=0.7,
        ),
    ),
)
JOKE_INPUTS = {"name": "Andres", "lastName": "Lopez"}


def create_tenants(endpoint: str, table: str) -> list[dict[str, Any]]:
    """Create the tenants and return them as dev.json shows them, with their new keys."""
    registry = Registry(session().client("dynamodb", endpoint_url=endpoint), table)
    created = []
    for tenant_id, name in TENANTS.items():
        registry.create_tenant(tenant_id, name)
        _, key = registry.create_key(tenant_id, [Scope.SUBMIT, Scope.READ], "embedded stack")
        for flow in (MAIL_FLOW, ANSWER_FLOW, JOKE_FLOW):
            registry.put_flow(tenant_id, flow.id, flow.model_dump_json(exclude_unset=True))
        _, app_key = registry.create_key(
            tenant_id, [Scope.SUBMIT, Scope.READ], "embedded stack", ANSWER_FLOW.id
        )
        created.append(
            {
                "id": tenant_id,
                "api_key": key,
                "flows": {"dialonce": {"orchestrator": MAIL_FLOW.id}},
                "genai_stack": {"api_key": app_key},
                "promptitude": {
                    "flow": JOKE_FLOW.id,
                    "step": JOKE_FLOW.steps[0].name,
                    "inputs": JOKE_INPUTS,
                },
            }
        )
    return created

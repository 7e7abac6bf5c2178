"""The two tenants of an embedded stack, each with a flow and a key for each dialect.

Their knowledge base has the pages of docs/faq, for questions about afterword itself.
"""

from collections.abc import Mapping
from typing import Any

from afterword.flows.drafts import Class, Context, Flow, Input, Step
from afterword.flows.flow import FlowType
from afterword.flows.inputs import Kind
from afterword.knowledge import Draft
from afterword.knowledge.store import ContentStore
from afterword.runtime.payloads import Payloads
from afterword.tenants.keys import Scope
from afterword.tenants.registry import Registry
from local.aws import session
from local.places import ROOT

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
CLASSES_FLOW = Flow(
    id="mail-classes",
    name="Topics of customers' mails",
    steps=(
        Step(
            name="topic",
            instructions="Sort the mails of an insurance company's customers.",
            classes=(
                Class(name="refund_request", description="The customer wants money back."),
                Class(name="claim", description="The customer reports damage or an accident."),
                Class(name="other", description="Any other mail."),
            ),
            max_tokens=60,
            temperature=0.0,
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
            context=Context(passages=2, required=False),  # so that requests may choose another
            max_tokens=80,
            temperature=0.7,
        ),
    ),
)
FAQ = "Frequently asked questions"
QUESTIONS_FLOW = Flow(
    id="questions",
    name="Questions about afterword",
    type=FlowType.CHAT,
    history_tokens=300,
    inputs=(Input(name="question", kind=Kind.LONG_TEXT),),
    steps=(
        Step(
            name="answer",
            instructions="Answer the question in one short sentence, from the passage.",
            context=Context(
                folders=(FAQ,),
                passages=1,  # more confuse a model as small as the demo's
                otherwise="I cannot find an answer to that in the documents.",
            ),
            max_tokens=60,
            temperature=0.0,
        ),
    ),
)
JOKE_INPUTS = {"name": "Andres", "lastName": "Lopez"}


def create_tenants(endpoint: str, outputs: Mapping[str, str]) -> list[dict[str, Any]]:
    """Create the tenants and return them as dev.json shows them, with their new keys."""
    dynamodb = session().client("dynamodb", endpoint_url=endpoint)
    s3 = session().client("s3", endpoint_url=endpoint)
    registry = Registry(dynamodb, outputs["RegistryTable"])
    payloads = Payloads(lambda: s3, outputs["ContentsBucket"])
    contents = ContentStore(dynamodb, outputs["ContentsTable"], payloads)
    created = []
    for tenant_id, name in TENANTS.items():
        registry.create_tenant(tenant_id, name)
        _, key = registry.create_key(tenant_id, Scope, "embedded stack")
        for flow in (MAIL_FLOW, CLASSES_FLOW, ANSWER_FLOW, JOKE_FLOW, QUESTIONS_FLOW):
            registry.put_flow(tenant_id, flow.id, flow.model_dump_json(exclude_unset=True))
        _, app_key = registry.create_key(
            tenant_id, [Scope.SUBMIT, Scope.READ], "embedded stack", ANSWER_FLOW.id
        )
        for draft in pages():
            contents.create(tenant_id, draft)
        created.append(
            {
                "id": tenant_id,
                "api_key": key,
                "flows": {
                    "dialonce": {"orchestrator": MAIL_FLOW.id, "classifier": CLASSES_FLOW.id}
                },
                "genai_stack": {"api_key": app_key},
                "unless": {"website": QUESTIONS_FLOW.id},
                "promptitude": {
                    "flow": JOKE_FLOW.id,
                    "step": JOKE_FLOW.steps[0].name,
                    "inputs": JOKE_INPUTS,
                },
            }
        )
    return created


def pages() -> list[Draft]:
    """Return the pages of docs/faq as contents."""
    drafts = []
    for page in sorted((ROOT / "docs" / "faq").glob("*.md")):
        text = page.read_text("utf-8")
        drafts.append(
            Draft(
                name=text.partition("\n")[0].removeprefix("# "),
                text=text,
                folder=FAQ,
                external_id=page.name,
                source=str(page.relative_to(ROOT)),
            )
        )
    return drafts

"""A flow with classes, and the classification of a mail by it."""

import json

from afterword.generations import Submission
from afterword.services import services
from tests.conftest import FLOW, Tenant

CLASSES = "mail-classes"
REFUND = {"name": "refund_request", "description": "The customer wants money back."}
STEP = {
    "name": "topic",
    "instructions": "Sort the mail.",
    "classes": [REFUND, {"name": "complaint"}, {"name": "other", "description": "Any other mail."}],
}
CLASSES_DOCUMENT = json.dumps({"id": CLASSES, "name": "Topics of mails", "steps": [STEP]})
CHOSEN = '{"classification": "refund_request", "confidence": 0.92}'
"""The answer of a model without log probabilities, as Dialonce's documentation has it."""


def give_classes(tenant: Tenant) -> None:
    """Save a next version of the tenant's mail flow, which has classes."""
    services().registry.put_flow(tenant.id, FLOW, CLASSES_DOCUMENT, again=False)


def submit_classification(tenant: Tenant, flow: str = FLOW, **external: str) -> str:
    """Submit a mail to be classified, and return its generation's id."""
    submission = Submission(
        dialect="dialonce",
        flow=flow,
        inputs={"subject": "A claim", "body": "Hi"},
        template=None,
        external=external,
        classifies=True,
    )
    return services().submitter.submit(tenant.id, submission)

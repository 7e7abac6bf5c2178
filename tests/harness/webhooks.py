"""A client of the webhooks' API for the functional tests, and receivers of webhooks."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from afterword.runtime.addresses import FetchError
from afterword.runtime.clients import clients
from afterword.runtime.outbound import Reply
from afterword.runtime.queue import MAX_DELAY_SECONDS
from afterword.services import services
from afterword.webhooks import Delivery, Endpoint
from tests.conftest import Event
from tests.harness.api import invoke
from tests.harness.deployment import REFERENCES
from tests.harness.response_headers import NO_STORE

URL = "https://hooks.example.com/afterword"
ENDPOINTS = (
    "create_webhook",
    "delete_webhook",
    "get_webhook",
    "list_deliveries",
    "list_webhooks",
    "replay_deliveries",
    "replay_delivery",
    "rotate_webhook",
    "test_webhook",
    "update_webhook",
)
ABSENT = "wh_00000000000000000000"
NO_WEBHOOK = "There is no such webhook."

type Result = Mapping[str, Any]


@dataclass
class Webhooks:
    """A client with a key."""

    load: Callable[[str], Event]
    key: str
    tenant: str = "demo"

    def event(
        self,
        name: str,
        path: Mapping[str, str] | None = None,
        body: str | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Event:
        """Return a function's sample event with the key, and these parts in it."""
        event = self.load(name)
        event["headers"]["authorization"] = f"Bearer {self.key}"
        if path is not None:
            event["pathParameters"] = {**event.get("pathParameters", {}), **path}
        if body is not None:
            event["body"] = body
        if query is not None:
            event["queryStringParameters"] = dict(query)
        return event

    def call(
        self,
        name: str,
        webhook: str | None = None,
        delivery: str | None = None,
        query: Mapping[str, str] | None = None,
        **fields: object,
    ) -> Result:
        """Call a function and return its whole result, with the body parsed."""
        ids = {"webhookId": webhook, "deliveryId": delivery}
        path = {parameter: text for parameter, text in ids.items() if text is not None}
        body = json.dumps(fields) if fields else None
        return self.send(name, self.event(name, path or None, body, query))

    def send(self, name: str, event: Event) -> Result:
        """Call a function with an event."""
        result = invoke(name, event)
        assert result["headers"]["cache-control"] == "no-store"
        return {**result, "body": json.loads(result["body"]) if result["body"] else None}

    def created(self, url: str = URL, **fields: object) -> dict[str, Any]:
        """Create an endpoint and return how it is shown, with its secret."""
        event = self.event("create_webhook", body=json.dumps({"url": url, **fields}))
        result = self.send("create_webhook", event)
        assert result["statusCode"] == HTTPStatus.CREATED, result
        shown: dict[str, Any] = result["body"]
        return shown

    def endpoint(self, webhook: str) -> Endpoint:
        """Return an endpoint as it is stored."""
        return services().webhook_store.get_endpoint(self.tenant, webhook)

    def log(self, webhook: str) -> Sequence[Delivery]:
        """Return all deliveries to an endpoint, newest first."""
        return services().webhook_store.list_deliveries(self.tenant, webhook, 100).items

    def tested(self, webhook: str) -> Delivery:
        """Begin a test of an endpoint, and return its delivery."""
        return services().webhook_deliveries.start_test(self.tenant, webhook)


def problem(status: int, detail: str, field: str | None = None, **headers: str) -> Result:
    """Return the whole result of an error, with the body parsed."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail if field is None else f"{field}: {detail}",
    }
    if field is not None:
        body |= {
            "type": "urn:problem-type:afterword:invalid-member",
            "title": "A member of the request does not fit",
            "errors": [{"field": field, "message": detail}],
        }
    return {
        "statusCode": status,
        "headers": {
            "content-type": "application/problem+json",
            **NO_STORE,
            **{name.replace("_", "-"): text for name, text in headers.items()},
        },
        "body": body,
    }


@dataclass
class Receiver:
    """Stands in for the fetcher: the requests that were posted, and their answers.

    Each answer is a status, a status with headers, or why there is none; the last one stays.
    """

    answers: list[int | tuple[int, dict[str, str]] | str] = field(default_factory=lambda: [204])
    posts: list[tuple[str, bytes, dict[str, str]]] = field(default_factory=list)

    def post(self, url: str, body: bytes, headers: Mapping[str, str], _seconds: float) -> Reply:
        """Take a webhook."""
        self.posts.append((url, body, dict(headers)))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        match answer:
            case str():
                raise FetchError(answer)
            case int():
                return Reply(answer, {})
            case (status, sent):
                return Reply(status, sent)


def messages() -> list[dict[str, Any]]:
    """Take the messages of the webhooks' queue that can be seen now."""
    url = REFERENCES["WebhookQueue"]
    found: list[dict[str, Any]] = []
    while (
        taken := clients()
        .sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
        .get("Messages")
    ):
        for message in taken:
            found.append(json.loads(message["Body"]))
            clients().sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


@dataclass
class Queue:
    """The queue's part towards the sender: its messages, and the time until they are seen."""

    load: Callable[[str], Event]
    hidden_for: list[int] = field(default_factory=list)
    """Seconds that messages are in flight, beside the tries themselves."""
    delayed_for: list[int] = field(default_factory=list)
    """Seconds that messages are delayed, which is not in flight."""
    delayed: list[str] = field(default_factory=list)
    """Ids of the deliveries in these messages."""

    def hide(self, receipt_handle: str, seconds: int) -> None:
        """Note for how long a message is invisible."""
        assert receipt_handle
        self.hidden_for.append(seconds)

    def delay(self, tenant: str, message: Mapping[str, str], seconds: int) -> None:
        """Note for how long a message is delayed."""
        assert message["tenant"] == tenant
        assert 0 <= seconds <= MAX_DELAY_SECONDS
        self.delayed_for.append(seconds)
        self.delayed.append(message["id"].partition("/")[2])

    def deliver(self, *deliveries: Delivery) -> list[str]:
        """Give the sender messages that name deliveries; return those that must come again."""
        event = self.load("send_webhook")
        (record,) = event["Records"]
        event["Records"] = [
            {
                **record,
                "messageId": delivery.id,
                "body": json.dumps(
                    {"tenant": delivery.tenant, "id": f"{delivery.endpoint}/{delivery.id}"}
                ),
            }
            for delivery in deliveries
        ]
        result = invoke("send_webhook", event)
        return [failure["itemIdentifier"] for failure in result["batchItemFailures"]]

    def sweep(self) -> dict[str, int]:
        """Run the sweeper of deliveries; return its counts."""
        return invoke("sweep_deliveries", self.load("sweep_deliveries"))

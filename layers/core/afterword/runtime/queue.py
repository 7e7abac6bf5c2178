"""The queues, most of whose messages name generations. The only module that knows SQS."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from afterword.runtime import telemetry

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


@dataclass(frozen=True, slots=True)
class Message:
    """A queue message: there is something to do for this generation. The item is the truth.

    `message_id` is SQS's id of the message, `receipt_handle` its handle on this one delivery, and
    `attributes` is what SQS says of it: when it was sent, how often it was received.
    """

    tenant: str
    id: str
    message_id: str
    receipt_handle: str
    attributes: Mapping[str, str] = field(default_factory=dict)


class Queue:
    """Sends messages to one queue, and puts off the ones that were received."""

    def __init__(self, sqs: "SQSClient", url: str) -> None:
        self._sqs = sqs
        self._url = url

    def send(self, tenant: str, generation_id: str) -> None:
        """Ask a consumer to look at a generation.

        Its tenant is the message's group, so that one with many messages does not keep the others'
        waiting (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html).
        """
        body = json.dumps({"tenant": tenant, "id": generation_id})
        self._sqs.send_message(QueueUrl=self._url, MessageBody=body, MessageGroupId=tenant)

    def send_later(self, tenant: str, message: Mapping[str, object], seconds: int) -> None:
        """Send a consumer any message, which it gets in that many seconds, up to 15 minutes."""
        self._sqs.send_message(
            QueueUrl=self._url,
            MessageBody=json.dumps(message),
            MessageGroupId=tenant,
            DelaySeconds=seconds,
        )

    def forward(self, body: str) -> None:
        """Send on a message as it was received."""
        self._sqs.send_message(QueueUrl=self._url, MessageBody=body)

    def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        """Redeliver a received message after that many seconds, up to 12 hours."""
        self._sqs.change_message_visibility(
            QueueUrl=self._url, ReceiptHandle=receipt_handle, VisibilityTimeout=seconds
        )


def read_message(record: Mapping[str, Any]) -> Message | None:
    """Return the message of an SQS record; None for a foreign one, which is logged and dropped."""
    try:
        match json.loads(record["body"]):
            case {"tenant": str(tenant), "id": str(generation_id)}:
                return Message(
                    tenant,
                    generation_id,
                    record["messageId"],
                    record["receiptHandle"],
                    record.get("attributes", {}),
                )
    except ValueError:
        pass
    telemetry.logger().error(
        'dropped a message that is not {"tenant": "…", "id": "…"}',
        extra={"message_id": record["messageId"]},
    )
    return None

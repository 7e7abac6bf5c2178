"""Queues, most of whose messages name generations. The only module that knows SQS."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from enum import Enum, auto
from itertools import batched
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from afterword.records import dataclass
from afterword.runtime import telemetry

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import (
        DeleteMessageBatchRequestEntryTypeDef,
        SendMessageBatchRequestEntryTypeDef,
    )

MAX_DELAY_SECONDS = 900
"""The longest delay of a message. A delayed message is not in flight, as a hidden one is."""
MAX_RECEIVED = 10
"""The most messages of one receive, one batch and one deletion."""
MAX_SENT = 10
"""The most messages of one call. As many that name generations stay far below its 256 KiB."""
_DEPTH: Final = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")


class MessageOutcome(Enum):
    """The fate of a received message."""

    DONE = auto()
    """SQS deletes the message."""
    REDELIVER = auto()
    """SQS delivers the message again, after its visibility timeout."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message that names a generation, a delivery or a content. The item is the truth.

    `message_id` is SQS's id of the message, and `receipt_handle` the handle of this one receipt.
    `attributes` are SQS's own: the times of sending and first receipt, and the receive count.
    `again` asks for work that is done already.
    """

    tenant: str
    id: str
    message_id: str
    receipt_handle: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    again: bool = False


class Queue:
    """Sends messages to one queue, and changes the visibility of received ones."""

    def __init__(self, sqs: "SQSClient", url: str) -> None:
        self._sqs = sqs
        self._url = url

    def send(self, tenant: str, generation_id: str) -> None:
        """Send a message that names a generation.

        Its tenant is the message group, so that one tenant's backlog does not delay the others'
        (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html).
        """
        body = _body(tenant, generation_id)
        self._sqs.send_message(QueueUrl=self._url, MessageBody=body, MessageGroupId=tenant)

    def send_many(
        self, tenant: str, generation_ids: Sequence[str], group: str
    ) -> Mapping[str, str]:
        """Send up to MAX_SENT messages like that of `send` in one call.

        Their message group keeps a backlog from the tenant's other messages. Returns the error
        codes of refused ones by generation id: a success of SQS may have failures in it.
        """
        entries: list[SendMessageBatchRequestEntryTypeDef] = [
            {
                "Id": str(number),
                "MessageBody": _body(tenant, generation_id),
                "MessageGroupId": group,
            }
            for number, generation_id in enumerate(generation_ids)
        ]
        answer = self._sqs.send_message_batch(QueueUrl=self._url, Entries=entries)
        return {generation_ids[int(each["Id"])]: each["Code"] for each in answer.get("Failed", ())}

    def send_later(self, tenant: str, message: Mapping[str, object], seconds: int) -> None:
        """Send any message, which is delivered after so many seconds, up to 15 minutes."""
        self._sqs.send_message(
            QueueUrl=self._url,
            MessageBody=json.dumps(message),
            MessageGroupId=tenant,
            DelaySeconds=seconds,
        )

    def forward(self, body: str) -> None:
        """Send the body of a received message on."""
        self._sqs.send_message(QueueUrl=self._url, MessageBody=body)

    def read_depth(self) -> int:
        """Return about how many messages are in sight or in flight. Delayed ones are left out."""
        answer = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=[*_DEPTH])
        return sum(int(answer["Attributes"][name]) for name in _DEPTH)

    def send_again(self, body: str, numbers: Mapping[str, int], seconds: int) -> None:
        """Send the body of a received message again, after so many seconds, up to 15 minutes.

        The numbers become attributes of the message.
        """
        self._sqs.send_message(
            QueueUrl=self._url,
            MessageBody=body,
            DelaySeconds=seconds,
            MessageAttributes={
                name: {"DataType": "Number", "StringValue": str(number)}
                for name, number in numbers.items()
            },
        )

    def receive(self, most: int, wait: int, visibility: int) -> list[Message]:
        """Receive up to so many messages, and ten at most; wait up to `wait` s for the first.

        Each is hidden for `visibility` seconds. A foreign message is deleted. The answer to a
        receive may be lost: its messages are then hidden as long.
        """
        answer = self._sqs.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=min(most, MAX_RECEIVED),
            WaitTimeSeconds=wait,
            VisibilityTimeout=visibility,
            MessageSystemAttributeNames=["MessageGroupId"],
        )
        messages, foreign = [], []
        for each in answer.get("Messages", ()):
            message = read_message(
                {
                    "messageId": each["MessageId"],
                    "receiptHandle": each["ReceiptHandle"],
                    "body": each["Body"],
                    "attributes": each.get("Attributes", {}),
                }
            )
            if message is None:
                foreign.append(each["ReceiptHandle"])
            else:
                messages.append(message)
        self._delete(foreign)
        return messages

    def delete(self, messages: Iterable[Message]) -> None:
        """Delete received messages. One that cannot be deleted is received again."""
        self._delete([message.receipt_handle for message in messages])

    def _delete(self, receipts: Sequence[str]) -> None:
        for some in batched(receipts, MAX_RECEIVED, strict=False):
            entries: list[DeleteMessageBatchRequestEntryTypeDef] = [
                {"Id": str(number), "ReceiptHandle": each} for number, each in enumerate(some)
            ]
            try:
                answer = self._sqs.delete_message_batch(QueueUrl=self._url, Entries=entries)
            except (BotoCoreError, ClientError) as error:
                telemetry.logger().warning("could not delete messages", extra={"why": str(error)})
                continue
            for failed in answer.get("Failed", ()):
                telemetry.logger().warning(
                    "could not delete a message", extra={"why": failed.get("Message")}
                )

    def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        """Redeliver a received message after that many seconds, up to 12 hours."""
        self._sqs.change_message_visibility(
            QueueUrl=self._url, ReceiptHandle=receipt_handle, VisibilityTimeout=seconds
        )


def _body(tenant: str, generation_id: str) -> str:
    """Return the body of a message that names a generation."""
    return json.dumps({"tenant": tenant, "id": generation_id})


def ids_to_redeliver(outcomes: Iterable[tuple[str, MessageOutcome]]) -> list[str]:
    """Return the ids of the messages to redeliver, of pairs of id and outcome."""
    return [message_id for message_id, outcome in outcomes if outcome is MessageOutcome.REDELIVER]


def read_message(record: Mapping[str, Any]) -> Message | None:
    """Return the message of an SQS record; None for a foreign one, which is logged and dropped."""
    try:
        match body := json.loads(record["body"]):
            case {"tenant": str(tenant), "id": str(generation_id)}:
                return Message(
                    tenant,
                    generation_id,
                    record["messageId"],
                    record["receiptHandle"],
                    record.get("attributes", {}),
                    again=body.get("again") is True,
                )
    except ValueError:
        pass
    telemetry.logger().error(
        'dropped a message that is not {"tenant": "…", "id": "…"}',
        extra={"message_id": record["messageId"]},
    )
    return None

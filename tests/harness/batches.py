"""Files, messages, turns and results of batches, for the tests of batches."""

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from types import MappingProxyType
from typing import Any

import pytest

from afterword.runtime.clients import clients
from tests.conftest import FLOW, Call, Event, LambdaContext
from tests.harness.api import invoke
from tests.harness.deployment import REFERENCES

BUCKET = REFERENCES["BatchBucket"]
KEY = "intake/demo/mails.jsonl"
MAIL = {"flow": FLOW, "inputs": {"text": "When does my policy end?"}}


def file(*lines: object) -> bytes:
    """Return a file of JSON Lines; a text is a line as it stands."""
    rows = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    return "".join(f"{row}\n" for row in rows).encode()


def created(key: str, content: bytes) -> dict[str, Any]:
    """Put a file into the bucket; return the event that S3 sends to the queue."""
    there = clients().s3.put_object(Bucket=BUCKET, Key=key, Body=content)
    facts = {
        "key": key.replace(" ", "+"),
        "size": len(content),
        "eTag": there["ETag"].strip('"'),
        "versionId": there["VersionId"],
        "sequencer": "0055AED6DCD90281E5",
    }
    s3 = {"bucket": {"name": BUCKET, "arn": f"arn:aws:s3:::{BUCKET}"}, "object": facts}
    return {"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": s3}]}


class Inbox:
    """The intake's queue, from which its function is called."""

    def __init__(self, sample: Event) -> None:
        (self._record,) = sample["Records"]

    def take(
        self,
        *bodies: object,
        milliseconds: int = 60_000,
        attributes: Mapping[str, Any] = MappingProxyType({}),
    ) -> list[str]:
        """Call the function with messages; return which of them, from 0, come again.

        `attributes` are those of each message, as `send_message` takes them.
        """
        received = {
            name: {"dataType": each["DataType"], "stringValue": each["StringValue"]}
            for name, each in attributes.items()
        }
        records = []
        for number, body in enumerate(bodies):
            record = deepcopy(self._record)
            text = body if isinstance(body, str) else json.dumps(body)
            handle = self._received(text)
            records.append(
                record
                | {"messageId": str(number), "receiptHandle": handle, "body": text}
                | {"messageAttributes": received}
            )
        context = LambdaContext(milliseconds=milliseconds)
        answer = invoke("intake", {"Records": records}, context)
        return [each["itemIdentifier"] for each in answer["batchItemFailures"]]

    @staticmethod
    def _received(text: str) -> str:
        """Send a message and receive it, so that the function has a handle of it."""
        sqs, url = clients().sqs, REFERENCES["IntakeQueue"]
        sent = sqs.send_message(QueueUrl=url, MessageBody=text)["MessageId"]
        received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
        (handle,) = [each["ReceiptHandle"] for each in received if each["MessageId"] == sent]
        return handle


def turns(calls: list[Call]) -> list[tuple[Event, int]]:
    """Return the messages that the intake has sent itself, each with its delay."""
    return [
        (json.loads(call.params["MessageBody"]), call.params["DelaySeconds"])
        for call in calls
        if call.operation == "sqs.SendMessage"
        and "DelaySeconds" in call.params
        and "MessageAttributes" not in call.params
    ]


def waiting(calls: list[Call]) -> list[Any]:
    """Return the requests by which the intake has sent events again, which wait for limits."""
    return [
        call.params
        for call in calls
        if call.operation == "sqs.SendMessage" and "MessageAttributes" in call.params
    ]


def letters() -> list[str]:
    """Return the bodies of the dead letters."""
    answer = clients().sqs.receive_message(
        QueueUrl=REFERENCES["IntakeDeadLetterQueue"], MaxNumberOfMessages=10
    )
    return [message["Body"] for message in answer.get("Messages", [])]


def refuse_entries(monkeypatch: pytest.MonkeyPatch, codes: Mapping[str, str]) -> None:
    """Let SQS refuse entries of each call with many messages: their ids, and the errors' codes."""
    send = clients().sqs.send_message_batch

    def send_some(QueueUrl: str, Entries: Sequence[Any]) -> dict[str, Any]:  # noqa: N803 - boto's
        taken = [entry for entry in Entries if entry["Id"] not in codes]
        failed = [
            {"Id": entry["Id"], "Code": codes[entry["Id"]], "SenderFault": False}
            for entry in Entries
            if entry["Id"] in codes
        ]
        return {**send(QueueUrl=QueueUrl, Entries=taken), "Failed": failed}

    monkeypatch.setattr(clients().sqs, "send_message_batch", send_some)

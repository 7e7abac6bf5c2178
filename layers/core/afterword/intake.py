"""What comes in by itself: events that ask for generations, files that are batches, their turns.

One queue has all three. What can never be taken goes to the dead letters at once, so that nothing
waits for it; what cannot be taken now comes again.
"""

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote_plus

from botocore.exceptions import BotoCoreError, ClientError

from afterword import batches, clock, cold_start, telemetry
from afterword.batch_runner import Lines, LostError
from afterword.batches import INTAKE, UPLOADS, Batch, Source, State
from afterword.context import LambdaContext, seconds_left
from afterword.errors import (
    AfterwordError,
    InvalidRequestError,
    LimitedError,
    UnavailableError,
)
from afterword.generations import is_id
from afterword.json_body import parse_object

if TYPE_CHECKING:
    from afterword.batch_files import BatchFiles
    from afterword.batch_runner import BatchRunner
    from afterword.batch_store import BatchStore
    from afterword.generations import Submission
    from afterword.json_body import JsonObject
    from afterword.queue import Queue
    from afterword.registry import Registry, StoredFlow
    from afterword.submission import Submitter

DETAIL_TYPE = "GenerationRequested"
SHARE = 0.75
"""Of the time that there is, what turns may take: the rest is for the last lines and the notes."""
LEASE_AFTER = timedelta(seconds=10)
"""How long after its time a reader that is not heard of counts as lost."""
AGAIN_SECONDS = 30
LIMITED_SECONDS, LONGEST_SECONDS = 60, 3600
"""How long an event waits for its tenant's limits: longer each time it comes, up to an hour."""
LONGEST_DELAY = timedelta(minutes=15)

_KEY = re.compile(rf"(?P<folder>{INTAKE}|{UPLOADS})/(?P<tenant>[^/]+)/(?P<name>.+)\.jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message as it was received, for the `receives`-th time."""

    id: str
    receipt_handle: str
    receives: int
    body: str


class Requests(Lines, Protocol):
    """How events, and the lines of batches, say what they ask for."""

    def parse_event(self, tenant: str, detail: "JsonObject", /) -> "tuple[Submission, StoredFlow]":
        """Return what is asked for, and of which flow; an AfterwordError says why it is bad."""
        ...


class ComesAgainError(Exception):
    """A message cannot be taken now; `seconds` is when to try again."""

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Intake:
    """Takes messages, each by itself: what happens to one is nothing to the others."""

    def __init__(  # noqa: PLR0913 - what comes in goes many ways
        self,
        registry: "Registry",
        requests: Requests,
        submitter: "Submitter",
        *,
        store: "BatchStore",
        files: "BatchFiles",
        runner: "BatchRunner",
        queue: "Queue",
        dead_letters: "Queue",
        retention_days: int,
    ) -> None:
        self._registry = registry
        self._store = store
        self._files = files
        self._runner = runner
        self._submitter = submitter
        self._requests = requests
        self._queue = queue
        self._dead_letters = dead_letters
        self._retention = timedelta(days=retention_days)

    def take(self, messages: Sequence[Message], seconds: float) -> list[str]:
        """Take messages, events first; return the ids of those that must come again."""
        over = time.monotonic() + seconds
        again = []
        waiting = sorted(messages, key=lambda message: '"turn"' in message.body)
        for position, message in enumerate(waiting):
            left = (over - time.monotonic()) * SHARE / (len(waiting) - position)
            with telemetry.logger().append_context_keys(message_id=message.id):
                try:
                    self._take(message, left, over)
                except ComesAgainError as error:
                    self._hide(message, error.seconds)
                    again.append(message.id)
                except (BotoCoreError, ClientError, UnavailableError):
                    telemetry.logger().exception("AWS is out of reach")
                    self._hide(message, AGAIN_SECONDS)
                    again.append(message.id)
        return again

    def _hide(self, message: Message, seconds: int) -> None:
        try:
            self._queue.hide(message.receipt_handle, seconds)
        except (BotoCoreError, ClientError):
            telemetry.logger().warning("it stays hidden until it would have been lost")

    def _take(self, message: Message, seconds: float, over: float) -> None:
        try:
            match json.loads(message.body):
                case {"tenant": str(tenant), "batch": str(batch_id), "turn": int(turn)}:
                    self._run(tenant, batch_id, turn, seconds, over)
                case {"detail-type": "GenerationRequested", "id": str(event_id), "detail": {}}:
                    self._request(message, event_id)
                case {"Event": "s3:TestEvent"}:
                    pass  # S3 sends one when it is told of the queue
                case {"Records": [*records]}:
                    for record in records:
                        self._start(record, seconds / len(records), over)
                case _:
                    raise InvalidRequestError("It is nothing that is taken here.")
        except UnavailableError:
            raise
        except (ValueError, RecursionError, AfterwordError) as error:
            self._refuse(message, error)

    def _refuse(self, message: Message, error: Exception) -> None:
        """Make a message a dead letter; its content, and so the error's text, is not logged."""
        if isinstance(error, LimitedError):
            waits = max(error.retry_after, LIMITED_SECONDS * message.receives)
            raise ComesAgainError(min(waits, LONGEST_SECONDS)) from error
        self._dead_letters.forward(message.body)
        telemetry.logger().error("it became a dead letter", extra={"why": type(error).__name__})

    # --- events ----------------------------------------------------------------------------------

    def _request(self, message: Message, event_id: str) -> None:
        """Submit what an event asks for, once however often it comes."""
        event = parse_object(message.body.encode())
        detail = parse_object(event.texts["detail"].encode())
        tenant = detail.values.get("tenant")
        if not isinstance(tenant, str):
            raise InvalidRequestError("tenant: it must be a text.")
        sent = replace(
            detail,
            values={name: value for name, value in detail.values.items() if name != "tenant"},
            texts={name: text for name, text in detail.texts.items() if name != "tenant"},
        )
        submission, flow = self._requests.parse_event(tenant, sent)
        self._submitter.submit(tenant, submission, f"event {event_id}", flow)

    # --- batches ---------------------------------------------------------------------------------

    def _start(self, record: Mapping[str, Any], seconds: float, over: float) -> None:
        """Make a batch of a file that has come, unless it is one, and do its first turn."""
        match record:
            case {
                "s3": {
                    "bucket": {"name": self._files.bucket},
                    "object": {"key": str(sent), "size": int(size), "eTag": str(etag)} as there,
                }
            }:
                key = unquote_plus(sent)
            case _:
                raise InvalidRequestError("It is not about a file of the bucket.")
        parts = _KEY.fullmatch(key)
        if parts is None:
            raise InvalidRequestError("The file is not in the folder of a tenant.")
        source = Source(key=key, version=there.get("versionId"), etag=f'"{etag}"', size=size)
        tenant = parts["tenant"]
        if parts["folder"] == UPLOADS:
            batch_id = parts["name"]
            if not is_id(batch_id) or not self._store.start(tenant, batch_id, source):
                return
        else:
            batch_id = batches.id_for_file(self._files.bucket, source)
            self._create(tenant, batch_id, source)
        self._run(tenant, batch_id, 0, seconds, over)

    def _create(self, tenant: str, batch_id: str, source: Source) -> None:
        self._registry.tenant(tenant)
        now = clock.now()
        self._store.create(
            Batch(
                tenant=tenant,
                id=batch_id,
                created_at=now,
                expires_at=now + self._retention,
                state=State.READING,
                source=source,
            )
        )

    def _run(self, tenant: str, batch_id: str, number: int, seconds: float, over: float) -> None:
        """Do a turn of a batch, and see to the next one."""
        until = time.monotonic() + seconds
        lease = clock.now() + timedelta(seconds=max(0.0, over - time.monotonic())) + LEASE_AFTER
        turn = self._store.take(tenant, batch_id, number, lease)
        if isinstance(turn, int):
            if turn:
                raise ComesAgainError(turn)
            return
        with telemetry.logger().append_context_keys(batch_id=batch_id):
            try:
                turn, pause = self._runner.run(turn, until)
            except LostError:
                telemetry.logger().info("another reader has taken it over")
                return
            except (BotoCoreError, ClientError, UnavailableError):
                self._store.give_up(turn)
                raise
            if pause is not None:
                delay = min(pause, LONGEST_DELAY)
                following = {"tenant": tenant, "batch": batch_id, "turn": turn.number}
                self._queue.send_later(tenant, following, int(delay.total_seconds()))
            self._store.save(turn, turn.batch, release=True)


type Take = Callable[[Sequence[Message], float], Sequence[str]]
"""A function of messages and the seconds left for them, which returns the ids to redeliver."""

type LambdaHandler = Callable[[Mapping[str, Any], LambdaContext], dict[str, Any]]


def consumer(take: Take) -> LambdaHandler:
    """Make a function a Lambda handler of SQS batches that reports partial failures."""

    def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
        with telemetry.logger().append_context_keys(request_id=context.aws_request_id):
            messages = [_message(record) for record in event["Records"]]
            again = take(messages, seconds_left(context))
        return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in again]}

    cold_start.end()
    return handler


def _message(record: Mapping[str, Any]) -> Message:
    return Message(
        id=record["messageId"],
        receipt_handle=record["receiptHandle"],
        receives=int(record.get("attributes", {}).get("ApproximateReceiveCount", "1")),
        body=record["body"],
    )

"""The intake of one queue: events that ask for generations, files of batches, and batches' turns.

A message that is invalid becomes a dead letter at once; one that has to wait is redelivered.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote_plus

from botocore.exceptions import BotoCoreError, ClientError

from afterword import batches, clock
from afterword.batches import INTAKE, UPLOADS, Batch, LeaseRefused, Source, State
from afterword.batches.runner import LeaseLostError, LineFormat
from afterword.errors import AfterwordError, InvalidRequestError, UnavailableError
from afterword.generations import is_id
from afterword.limits import LimitedError
from afterword.runtime import telemetry
from afterword.runtime.json_text import parse_object
from afterword.runtime.queue import MessageOutcome, ids_to_redeliver

if TYPE_CHECKING:
    from afterword.batches.files import BatchFiles
    from afterword.batches.runner import BatchRunner
    from afterword.batches.store import BatchStore
    from afterword.engine.submission import Submitter
    from afterword.generations import Submission
    from afterword.runtime.deadline import Deadline
    from afterword.runtime.json_text import JsonObject
    from afterword.runtime.queue import Queue
    from afterword.tenants import StoredFlow
    from afterword.tenants.registry import Registry

DETAIL_TYPE = "GenerationRequested"
TURN_TIME_SHARE = 0.75
"""The fraction of the remaining time for turns: the rest is for the last lines and writes."""
LEASE_MARGIN = timedelta(seconds=10)
"""The time that a lease outlives its invocation, so that no live reader loses its batch."""
RETRY_SECONDS = 30
FIRST_LIMITED_SECONDS, MAX_LIMITED_SECONDS = 60, 3600
"""Bounds of an event's wait for its tenant's limits, which grows with each receipt."""
MAX_DELAY = timedelta(minutes=15)

_KEY = re.compile(rf"(?P<folder>{INTAKE}|{UPLOADS})/(?P<tenant>[^/]+)/(?P<name>.+)\.jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeMessage:
    """A received message; `receives` counts its receipts."""

    id: str
    receipt_handle: str
    receives: int
    body: str


class Requests(LineFormat, Protocol):
    """The format of events, and of the lines of batches."""

    def parse_event(self, tenant: str, detail: "JsonObject", /) -> "tuple[Submission, StoredFlow]":
        """Return an event's submission and its flow; raise AfterwordError for a bad one."""
        ...


class RetryLater(Exception):  # noqa: N818 - no error: the message is in order
    """A message has to wait for so many seconds."""

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Intake:
    """Processes messages one by one: none fails another."""

    def __init__(  # noqa: PLR0913 - messages of three kinds
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

    def process(self, messages: Sequence[IntakeMessage], deadline: "Deadline") -> list[str]:
        """Process messages, turns last; return the ids to redeliver."""
        ordered = sorted(messages, key=lambda message: '"turn"' in message.body)
        outcomes = []
        for position, message in enumerate(ordered):
            turn_deadline = deadline.share(TURN_TIME_SHARE / (len(ordered) - position))
            with telemetry.logger().append_context_keys(message_id=message.id):
                outcome = self._process(message, turn_deadline, deadline)
            outcomes.append((message.id, outcome))
        return ids_to_redeliver(outcomes)

    def _process(
        self, message: IntakeMessage, turn_deadline: "Deadline", deadline: "Deadline"
    ) -> MessageOutcome:
        """Process a message: its turn ends at its own deadline, its lease with the invocation."""
        try:
            self._dispatch(message, turn_deadline, deadline)
        except RetryLater as error:
            self._redeliver_after(message, error.seconds)
        except (BotoCoreError, ClientError, UnavailableError):
            telemetry.logger().exception("could not reach AWS")
            self._redeliver_after(message, RETRY_SECONDS)
        else:
            return MessageOutcome.DONE
        return MessageOutcome.REDELIVER

    def _redeliver_after(self, message: IntakeMessage, seconds: int) -> None:
        try:
            self._queue.change_visibility(message.receipt_handle, seconds)
        except (BotoCoreError, ClientError):
            telemetry.logger().warning("could not change the visibility: kept the queue's timeout")

    def _dispatch(
        self, message: IntakeMessage, turn_deadline: "Deadline", deadline: "Deadline"
    ) -> None:
        """Process a message by its type; forward an invalid one to the dead letters."""
        try:
            match json.loads(message.body):
                case {"tenant": str(tenant), "batch": str(batch_id), "turn": int(turn)}:
                    self._run_turn(tenant, batch_id, turn, turn_deadline, deadline)
                case {"detail-type": "GenerationRequested", "id": str(event_id), "detail": {}}:
                    self._submit(message, event_id)
                case {"Event": "s3:TestEvent"}:
                    pass  # S3 sends one when its notifications are configured
                case {"Records": [*records]}:
                    for position, record in enumerate(records):
                        share = turn_deadline.share(1 / (len(records) - position))
                        self._start(record, share, deadline)
                case _:
                    raise InvalidRequestError("Unknown message type.")
        except UnavailableError:
            raise
        except (ValueError, RecursionError, AfterwordError) as error:
            self._refuse(message, error)

    def _refuse(self, message: IntakeMessage, error: Exception) -> None:
        """Forward a message to the dead letters; raise RetryLater at the tenant's limits.

        The error's text may repeat the message's content, and so is not logged.
        """
        if isinstance(error, LimitedError):
            waits = max(error.retry_after, FIRST_LIMITED_SECONDS * message.receives)
            raise RetryLater(min(waits, MAX_LIMITED_SECONDS)) from error
        self._dead_letters.forward(message.body)
        telemetry.logger().error(
            "forwarded to the dead letters", extra={"why": type(error).__name__}
        )

    # --- events ----------------------------------------------------------------------------------

    def _submit(self, message: IntakeMessage, event_id: str) -> None:
        """Submit an event's submission; all receipts of an event are one generation."""
        event = parse_object(message.body.encode())
        detail = parse_object(event.texts["detail"].encode())
        tenant = detail.values.get("tenant")
        if not isinstance(tenant, str):
            raise InvalidRequestError("tenant: must be a text.")
        sent = replace(
            detail,
            values={name: value for name, value in detail.values.items() if name != "tenant"},
            texts={name: text for name, text in detail.texts.items() if name != "tenant"},
        )
        submission, flow = self._requests.parse_event(tenant, sent)
        self._submitter.submit(tenant, submission, f"event {event_id}", flow)

    # --- batches ---------------------------------------------------------------------------------

    def _start(
        self, record: Mapping[str, Any], turn_deadline: "Deadline", deadline: "Deadline"
    ) -> None:
        """Create the batch of a new file, unless there is one, and run its first turn."""
        match record:
            case {
                "s3": {
                    "bucket": {"name": self._files.bucket},
                    "object": {"key": str(sent), "size": int(size), "eTag": str(etag)} as found,
                }
            }:
                key = unquote_plus(sent)
            case _:
                raise InvalidRequestError("The record names no file of the bucket.")
        parts = _KEY.fullmatch(key)
        if parts is None:
            raise InvalidRequestError("The file is not in the folder of a tenant.")
        source = Source(key=key, version=found.get("versionId"), etag=f'"{etag}"', size=size)
        tenant = parts["tenant"]
        if parts["folder"] == UPLOADS:
            batch_id = parts["name"]
            if not is_id(batch_id) or not self._store.start(tenant, batch_id, source):
                return
        else:
            batch_id = batches.id_for_file(self._files.bucket, source)
            self._create(tenant, batch_id, source)
        self._run_turn(tenant, batch_id, 0, turn_deadline, deadline)

    def _create(self, tenant: str, batch_id: str, source: Source) -> None:
        self._registry.get_tenant(tenant)
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

    def _run_turn(
        self,
        tenant: str,
        batch_id: str,
        number: int,
        turn_deadline: "Deadline",
        deadline: "Deadline",
    ) -> None:
        """Run the turn of a message, and send the message of the next one."""
        remaining = timedelta(seconds=max(0.0, deadline.remaining()))
        until = clock.now() + remaining + LEASE_MARGIN
        lease = self._store.take_lease(tenant, batch_id, number, until)
        if isinstance(lease, LeaseRefused):
            if lease.retry_after is not None:
                raise RetryLater(lease.retry_after)
            return
        with telemetry.logger().append_context_keys(batch_id=batch_id):
            try:
                result = self._runner.run(lease, turn_deadline)
            except LeaseLostError:
                telemetry.logger().info("lost the batch lease")
                return
            except (BotoCoreError, ClientError, UnavailableError):
                self._store.release_lease(lease)
                raise
            if result.pause is not None:
                delay = min(result.pause, MAX_DELAY)
                following = {"tenant": tenant, "batch": batch_id, "turn": lease.number}
                self._queue.send_later(tenant, following, int(delay.total_seconds()))
            self._store.save(result.lease, result.lease.batch, release=True)


def read_message(record: Mapping[str, Any]) -> IntakeMessage:
    """Return the message of an SQS record."""
    return IntakeMessage(
        id=record["messageId"],
        receipt_handle=record["receiptHandle"],
        receives=int(record.get("attributes", {}).get("ApproximateReceiveCount", "1")),
        body=record["body"],
    )

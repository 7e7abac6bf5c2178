"""The intake of one queue: events that ask for generations, files of batches, and batches' turns.

A message that is invalid becomes a dead letter at once; one that has to wait is redelivered.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote_plus

from botocore.exceptions import BotoCoreError, ClientError

from afterword import batches, clock
from afterword.batches import INTAKE, UPLOADS, LeaseRefused, Source, State
from afterword.batches.runner import LeaseLostError, LineFormat
from afterword.errors import AfterwordError, InvalidRequestError, UnavailableError
from afterword.generations import is_id
from afterword.limits import LimitedError
from afterword.records import dataclass
from afterword.runtime import telemetry
from afterword.runtime.deadline import Deadline
from afterword.runtime.json_text import parse_object
from afterword.runtime.queue import MAX_DELAY_SECONDS, MessageOutcome, ids_to_redeliver

if TYPE_CHECKING:
    from afterword.batches import BatchTerms
    from afterword.batches.files import BatchFiles
    from afterword.batches.runner import BatchRunner
    from afterword.batches.store import BatchStore
    from afterword.engine.submission import Submitter
    from afterword.generations import Submission
    from afterword.runtime.json_text import JsonObject
    from afterword.runtime.queue import Queue
    from afterword.tenants import StoredFlow
    from afterword.tenants.registry import Registry

DETAIL_TYPE = "GenerationRequested"
TURN_TIME_SHARE = 0.75
"""The fraction of the remaining time for turns: the rest is for the last lines and writes."""
LEASE_MARGIN = timedelta(seconds=10)
"""The time that a lease outlives its invocation, so that no live reader loses its batch."""
MAX_TURN_SECONDS = 30.0
"""The longest turn, so that other batches' turns in one invocation wait for it no longer."""
RETRY_SECONDS = 30
MAX_LEASE_WAIT_SECONDS = 15
"""The longest wait of a turn's message for a lease, which may be released at any moment."""
LIMITED_SECONDS, MAX_LIMITED_SECONDS = 60, 3600
"""The first wait of an event for its tenant's limits, its growth with each further one, and the
longest."""
MAX_LIMITED_WAITS = 100
"""The waits, three days in all, after which such an event becomes a dead letter."""

_KEY = re.compile(rf"(?P<folder>{INTAKE}|{UPLOADS})/(?P<tenant>[^/]+)/(?P<name>.+)\.jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeMessage:
    """A received message.

    `waits` counts the waits of its event for the tenant's limits. `until` is the end of the present
    one in seconds since the epoch, 0 without one.
    """

    id: str
    receipt_handle: str
    body: str
    waits: int = 0
    until: int = 0


class Requests(LineFormat, Protocol):
    """The format of events, and of the lines of batches."""

    def parse_event(self, tenant: str, detail: "JsonObject", /) -> "tuple[Submission, StoredFlow]":
        """Return an event's submission and its flow; raise AfterwordError for a bad one."""
        ...


class RetryLater(Exception):  # noqa: N818 - no error: the message is in order
    """A message has to wait for so many seconds, hidden in its queue."""

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
        terms: "BatchTerms",
    ) -> None:
        self._registry = registry
        self._store = store
        self._files = files
        self._runner = runner
        self._submitter = submitter
        self._requests = requests
        self._queue = queue
        self._dead_letters = dead_letters
        self._terms = terms

    def process(self, messages: Sequence[IntakeMessage], deadline: "Deadline") -> list[str]:
        """Process messages, turns last; return the ids to redeliver."""
        ordered = sorted(messages, key=lambda message: '"turn"' in message.body)
        outcomes = []
        for position, message in enumerate(ordered):
            share = deadline.share(TURN_TIME_SHARE / (len(ordered) - position))
            turn_deadline = min(share, Deadline.after(MAX_TURN_SECONDS))
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
                    if not self._waits_on(message):
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
        """Forward a message to the dead letters; send one over its tenant's limits again, later.

        The error's text may repeat the message's content, and so is not logged.
        """
        if isinstance(error, LimitedError) and message.waits < MAX_LIMITED_WAITS:
            waits = message.waits + 1
            wait = min(max(error.retry_after, LIMITED_SECONDS * waits), MAX_LIMITED_SECONDS)
            until = int(clock.now().timestamp()) + wait
            self._waits_on(replace(message, waits=waits, until=until))
            return
        self._dead_letters.forward(message.body)
        telemetry.logger().error(
            "forwarded to the dead letters", extra={"why": type(error).__name__}
        )

    # --- events ----------------------------------------------------------------------------------

    def _waits_on(self, message: IntakeMessage) -> bool:
        """Send a message again that has to wait, for 15 minutes at most; False if none has to.

        The new message has the wait in its attributes, and the body as it came.
        """
        remaining = min(message.until - int(clock.now().timestamp()), MAX_LIMITED_SECONDS)
        if remaining <= 0:
            return False
        seconds = min(remaining, MAX_DELAY_SECONDS)
        attributes = {"waits": message.waits, "until": message.until}
        self._queue.send_again(message.body, attributes, seconds)
        return True

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
        new = self._terms.new(tenant, batch_id, State.READING)
        self._store.create(replace(new, source=source))

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
                raise RetryLater(min(lease.retry_after, MAX_LEASE_WAIT_SECONDS))
            return
        following = {"tenant": tenant, "batch": batch_id, "turn": lease.number}
        with telemetry.logger().append_context_keys(batch_id=batch_id):
            if lease.batch.state.value not in State:
                telemetry.logger().warning("left a batch to another version, which knows its state")
                self._queue.send_later(tenant, following, MAX_DELAY_SECONDS)
                self._store.end_turn(lease)
                return
            try:
                result = self._runner.run(lease, turn_deadline)
            except LeaseLostError:
                telemetry.logger().info("lost the batch lease")
                return
            except (BotoCoreError, ClientError, UnavailableError):
                self._store.release_lease(lease)
                raise
            if result.pause is not None:
                delay = min(int(result.pause.total_seconds()), MAX_DELAY_SECONDS)
                self._queue.send_later(tenant, following, delay)
            self._store.save(result.lease, result.lease.batch, release=True)


def read_message(record: Mapping[str, Any]) -> IntakeMessage:
    """Return the message of an SQS record."""
    return IntakeMessage(
        id=record["messageId"],
        receipt_handle=record["receiptHandle"],
        body=record["body"],
        waits=_number(record, "waits"),
        until=_number(record, "until"),
    )


def _number(record: Mapping[str, Any], name: str) -> int:
    """Return an attribute that `Queue.send_again` has set; 0 without it, or for another's."""
    try:
        return max(0, int(record["messageAttributes"][name]["stringValue"]))
    except (KeyError, TypeError, ValueError):
        return 0

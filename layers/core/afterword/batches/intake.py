"""What comes in by itself: events that ask for generations, files that are batches, their turns.

One queue has all three. What can never be taken goes to the dead letters at once, so that nothing
waits for it; what cannot be taken now comes again.
"""

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote_plus

from botocore.exceptions import BotoCoreError, ClientError

from afterword import batches, clock
from afterword.batches import INTAKE, UPLOADS, Batch, Source, State
from afterword.batches.runner import LeaseLostError, LineFormat
from afterword.errors import AfterwordError, InvalidRequestError, UnavailableError
from afterword.generations import is_id
from afterword.limits import LimitedError
from afterword.runtime import telemetry
from afterword.runtime.json_text import parse_object

if TYPE_CHECKING:
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
"""Of the time that there is, what turns may take: the rest is for the last lines and the notes."""
LEASE_MARGIN = timedelta(seconds=10)
"""How long after its time a reader that is not heard of counts as lost."""
RETRY_SECONDS = 30
FIRST_LIMITED_SECONDS, MAX_LIMITED_SECONDS = 60, 3600
"""How long an event waits for its tenant's limits: longer each time it comes, up to an hour."""
MAX_DELAY = timedelta(minutes=15)

_KEY = re.compile(rf"(?P<folder>{INTAKE}|{UPLOADS})/(?P<tenant>[^/]+)/(?P<name>.+)\.jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeMessage:
    """A message as it was received, for the `receives`-th time."""

    id: str
    receipt_handle: str
    receives: int
    body: str


class Requests(LineFormat, Protocol):
    """How events, and the lines of batches, say what they ask for."""

    def parse_event(self, tenant: str, detail: "JsonObject", /) -> "tuple[Submission, StoredFlow]":
        """Return what is asked for, and of which flow; an AfterwordError says why it is bad."""
        ...


class RetryLater(Exception):  # noqa: N818 - no error: the message is in order
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

    def take(self, messages: Sequence[IntakeMessage], seconds: float) -> list[str]:
        """Take messages, events first; return the ids of those that must come again."""
        over = time.monotonic() + seconds
        again = []
        waiting = sorted(messages, key=lambda message: '"turn"' in message.body)
        for position, message in enumerate(waiting):
            left = (over - time.monotonic()) * TURN_TIME_SHARE / (len(waiting) - position)
            with telemetry.logger().append_context_keys(message_id=message.id):
                try:
                    self._take(message, left, over)
                except RetryLater as error:
                    self._hide(message, error.seconds)
                    again.append(message.id)
                except (BotoCoreError, ClientError, UnavailableError):
                    telemetry.logger().exception("AWS is out of reach")
                    self._hide(message, RETRY_SECONDS)
                    again.append(message.id)
        return again

    def _hide(self, message: IntakeMessage, seconds: int) -> None:
        try:
            self._queue.change_visibility(message.receipt_handle, seconds)
        except (BotoCoreError, ClientError):
            telemetry.logger().warning("it stays hidden until it would have been lost")

    def _take(self, message: IntakeMessage, seconds: float, over: float) -> None:
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

    def _refuse(self, message: IntakeMessage, error: Exception) -> None:
        """Make a message a dead letter; its content, and so the error's text, is not logged."""
        if isinstance(error, LimitedError):
            waits = max(error.retry_after, FIRST_LIMITED_SECONDS * message.receives)
            raise RetryLater(min(waits, MAX_LIMITED_SECONDS)) from error
        self._dead_letters.forward(message.body)
        telemetry.logger().error("it became a dead letter", extra={"why": type(error).__name__})

    # --- events ----------------------------------------------------------------------------------

    def _request(self, message: IntakeMessage, event_id: str) -> None:
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

    def _run(self, tenant: str, batch_id: str, number: int, seconds: float, over: float) -> None:
        """Do a turn of a batch, and see to the next one."""
        until = time.monotonic() + seconds
        lease = clock.now() + timedelta(seconds=max(0.0, over - time.monotonic())) + LEASE_MARGIN
        turn = self._store.take_lease(tenant, batch_id, number, lease)
        if isinstance(turn, int):
            if turn:
                raise RetryLater(turn)
            return
        with telemetry.logger().append_context_keys(batch_id=batch_id):
            try:
                turn, pause = self._runner.run(turn, until)
            except LeaseLostError:
                telemetry.logger().info("another reader has taken it over")
                return
            except (BotoCoreError, ClientError, UnavailableError):
                self._store.release_lease(turn)
                raise
            if pause is not None:
                delay = min(pause, MAX_DELAY)
                following = {"tenant": tenant, "batch": batch_id, "turn": turn.number}
                self._queue.send_later(tenant, following, int(delay.total_seconds()))
            self._store.save(turn, turn.batch, release=True)


def read_message(record: Mapping[str, Any]) -> IntakeMessage:
    """Return the message of an SQS record."""
    return IntakeMessage(
        id=record["messageId"],
        receipt_handle=record["receiptHandle"],
        receives=int(record.get("attributes", {}).get("ApproximateReceiveCount", "1")),
        body=record["body"],
    )

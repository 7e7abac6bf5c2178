"""Sends webhooks: takes messages that name deliveries, and tries each as its schedule says."""

import math
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from afterword import clock, webhooks
from afterword.errors import NotFoundError
from afterword.runtime import telemetry
from afterword.runtime.outbound import FetchError
from afterword.runtime.queue import MessageOutcome, ids_to_redeliver
from afterword.webhooks import (
    DISABLED_AFTER,
    SEND_SECONDS,
    SUBMISSIONS,
    DeliveryStatus,
    Disabled,
    Endpoint,
    Try,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from afterword.runtime.outbound import Fetcher, Reply
    from afterword.runtime.queue import Message, Queue
    from afterword.webhooks import Delivery
    from afterword.webhooks.secrets import WebhookSecrets
    from afterword.webhooks.store import WebhookStore

SEND_LEASE = timedelta(seconds=SEND_SECONDS + 30)
"""For so long a try is its sender's alone: the try, and the calls of AWS around it."""
HTTP_GONE = 410
_SUCCESS = range(200, 300)
_FIRST = 1


class Sender:
    """Sends webhooks. `tell` lets the owner of an endpoint know that it is disabled."""

    def __init__(  # noqa: PLR0913 - what sending touches
        self,
        store: "WebhookStore",
        secrets: "WebhookSecrets",
        fetcher: "Fetcher",
        queue: "Queue",
        *,
        retries: "Sequence[int]",
        tell: "Callable[[Endpoint], None]",
    ) -> None:
        self._store = store
        self._secrets = secrets
        self._fetcher = fetcher
        self._queue = queue
        self._retries = retries
        self._tell = tell

    def send_batch(self, messages: "Sequence[Message]") -> list[str]:
        """Try the deliveries at once, and return the message ids of those that must come again.

        None waits for another: a receiver that hangs takes its own thread's time alone.
        """
        with ThreadPoolExecutor(len(messages)) as threads:
            outcomes = threads.map(self._send_or_wait, messages)
            ids = (message.message_id for message in messages)
            return ids_to_redeliver(zip(ids, outcomes, strict=True))

    def _send_or_wait(self, message: "Message") -> MessageOutcome:
        """Try a delivery. What AWS does not let it do, another delivery of the message does."""
        try:
            seconds = self._send(message)
            if seconds is None:
                return MessageOutcome.DONE
            self._queue.change_visibility(message.receipt_handle, seconds)
        except (BotoCoreError, ClientError) as error:
            telemetry.logger().warning(
                "a webhook could not be sent",
                extra={"tenant": message.tenant, "delivery": message.id, "why": str(error)},
            )
        return MessageOutcome.REDELIVER

    def _send(self, message: "Message") -> int | None:
        """Try a delivery if it is due; return after how many seconds it is due, None for never."""
        endpoint_id, _, delivery_id = message.id.partition("/")
        try:
            delivery = self._store.get_delivery(message.tenant, endpoint_id, delivery_id)
        except NotFoundError:
            return None
        now = clock.now()
        if delivery.status is not DeliveryStatus.PENDING or delivery.next_at is None:
            return None
        if clock.to_millis(delivery.next_at) > clock.to_millis(now):
            return _seconds(delivery.next_at - now)
        claimed = self._store.claim(delivery, now + SEND_LEASE)
        if claimed is None:  # this may be the message of the sender that has it, and may die
            return _seconds(SEND_LEASE)
        endpoint = self._endpoint(claimed)
        if endpoint is None:
            self._store.record_try(claimed, DeliveryStatus.FAILED, None)
            return None
        return self._try(endpoint, claimed)

    def _endpoint(self, delivery: "Delivery") -> Endpoint | None:
        """Return the delivery's endpoint; None if it is gone or disabled."""
        try:
            endpoint = self._store.get_endpoint(delivery.tenant, delivery.endpoint)
        except NotFoundError:
            return None
        return endpoint if endpoint.enabled else None

    def _try(self, endpoint: Endpoint, delivery: "Delivery") -> int | None:
        held = self._secrets.get(delivery.tenant, endpoint.id, endpoint.secret_version)
        at, started = clock.now(), time.monotonic()
        reply, why = self._post(endpoint, delivery, webhooks.build_headers(delivery, held, at))
        tried = Try(at, None if reply is None else reply.status, why, time.monotonic() - started)
        facts = {
            "generation_id": delivery.generation,
            "tenant": delivery.tenant,
            "delivery": delivery.id,
            "endpoint": endpoint.id,
            "try": delivery.made,
        }
        if reply is not None and reply.status in _SUCCESS:
            self._store.record_try(delivery, DeliveryStatus.DELIVERED, tried)
            self._store.mark_recovered(endpoint)
            telemetry.logger().info("a webhook is delivered", extra=facts)
            return None
        telemetry.logger().info("a webhook was not taken", extra={**facts, "why": why})
        gone = reply is not None and reply.status == HTTP_GONE
        seconds = None if gone else webhooks.retry_wait(delivery.made, self._retries, reply)
        if self._disabled(endpoint, delivery, gone=gone) or seconds is None:
            self._store.record_try(delivery, DeliveryStatus.FAILED, tried)
            return None
        next_at = clock.now() + timedelta(seconds=seconds)
        self._store.record_try(delivery, DeliveryStatus.PENDING, tried, next_at)
        return seconds

    def _post(
        self, endpoint: Endpoint, delivery: "Delivery", headers: "webhooks.Headers"
    ) -> "tuple[Reply | None, str]":
        """Return what the receiver answers, and in a few words why that is no success."""
        url = delivery.url or endpoint.url or ""
        try:
            reply = self._fetcher.post(url, delivery.body.encode(), headers, SEND_SECONDS)
        except FetchError as error:
            return None, error.why
        return reply, "" if reply.status in _SUCCESS else f"it answers with status {reply.status}"

    def _disabled(self, endpoint: Endpoint, delivery: "Delivery", *, gone: bool) -> bool:
        """Disable an endpoint that says that it is gone, or has failed for too long.

        Whose first try has failed is only known to fail now: what it did before was days ago.
        """
        if endpoint.id == SUBMISSIONS:
            return False
        since = self._store.mark_failing(endpoint)
        failing = delivery.made > _FIRST and clock.now() - since >= DISABLED_AFTER
        if not gone and not failing:
            return False
        disabled = self._store.disable(endpoint, Disabled.GONE if gone else Disabled.FAILING)
        if disabled is not None:
            self._tell(disabled)
        return gone or disabled is not None


def _seconds(left: timedelta) -> int:
    """Return whole seconds, at least one, and not more than a message can be hidden."""
    return min(max(math.ceil(left.total_seconds()), 1), webhooks.MAX_WAIT)

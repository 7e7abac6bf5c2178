"""The sending of webhooks: each message names a delivery, which is tried on its schedule."""

import math
import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from afterword import clock
from afterword.errors import NotFoundError
from afterword.runtime import telemetry
from afterword.runtime.addresses import FetchError
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
from afterword.webhooks.signing import build_headers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from afterword.runtime.outbound import Fetcher, Reply
    from afterword.runtime.queue import Message, Queue
    from afterword.webhooks import Delivery
    from afterword.webhooks.secrets import WebhookSecrets
    from afterword.webhooks.signing import Headers
    from afterword.webhooks.store import WebhookStore

SEND_LEASE = timedelta(seconds=SEND_SECONDS + 30)
"""The lease of a try: the try itself, and the calls of AWS around it."""
MAX_WAIT = 12 * 60 * 60 - 60
"""Seconds between two tries: a message is hidden for 12 hours at most, its last try included."""
HTTP_GONE = 410
_SUCCESS = range(200, 300)
_FIRST = 1
_SECONDS = re.compile("[0-9]{1,9}")


class Sender:
    """The sender of webhooks. `publish_disabled` tells an endpoint's owner that it is disabled."""

    def __init__(  # noqa: PLR0913 - the services of a sender
        self,
        store: "WebhookStore",
        secrets: "WebhookSecrets",
        fetcher: "Fetcher",
        queue: "Queue",
        *,
        retries: "Sequence[int]",
        publish_disabled: "Callable[[Endpoint], None]",
    ) -> None:
        self._store = store
        self._secrets = secrets
        self._fetcher = fetcher
        self._queue = queue
        self._retries = retries
        self._publish_disabled = publish_disabled

    def send_batch(self, messages: "Sequence[Message]") -> list[str]:
        """Try the deliveries in parallel; return the ids of the messages to receive again.

        A receiver that hangs takes the time of its own thread alone.
        """
        with ThreadPoolExecutor(len(messages)) as threads:
            outcomes = threads.map(self._try_message, messages)
            ids = (message.message_id for message in messages)
            return ids_to_redeliver(zip(ids, outcomes, strict=True))

    def _try_message(self, message: "Message") -> MessageOutcome:
        """Try a delivery; after an error of AWS the message's next receipt tries again."""
        try:
            seconds = self._send(message)
            if seconds is None:
                return MessageOutcome.DONE
            self._queue.change_visibility(message.receipt_handle, seconds)
        except (BotoCoreError, ClientError) as error:
            telemetry.logger().warning(
                "could not send a webhook",
                extra={"tenant": message.tenant, "delivery": message.id, "why": str(error)},
            )
        return MessageOutcome.REDELIVER

    def _send(self, message: "Message") -> int | None:
        """Try a due delivery; return the seconds until its next try, None without one."""
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
        if claimed is None:  # the sender with the claim may crash, and this may be its message
            return _seconds(SEND_LEASE)
        endpoint = self._endpoint(claimed)
        if endpoint is None:
            self._store.record_try(claimed, DeliveryStatus.FAILED, None)
            return None
        return self._try(endpoint, claimed)

    def _endpoint(self, delivery: "Delivery") -> Endpoint | None:
        """Return a delivery's endpoint; None for a removed or disabled one."""
        try:
            endpoint = self._store.get_endpoint(delivery.tenant, delivery.endpoint)
        except NotFoundError:
            return None
        return endpoint if endpoint.enabled else None

    def _try(self, endpoint: Endpoint, delivery: "Delivery") -> int | None:
        secrets = self._secrets.get(delivery.tenant, endpoint.id, endpoint.secret_version)
        at, started = clock.now(), time.monotonic()
        reply, why = self._post(endpoint, delivery, build_headers(delivery, secrets, at))
        tried = Try(at, None if reply is None else reply.status, why, time.monotonic() - started)
        facts = {
            "generation_id": delivery.generation,
            "tenant": delivery.tenant,
            "delivery": delivery.id,
            "endpoint": endpoint.id,
            "try": delivery.try_count,
        }
        if reply is not None and reply.status in _SUCCESS:
            self._store.record_try(delivery, DeliveryStatus.DELIVERED, tried)
            self._store.mark_recovered(endpoint)
            telemetry.logger().info("delivered a webhook", extra=facts)
            return None
        telemetry.logger().info("failed to deliver a webhook", extra={**facts, "why": why})
        gone = reply is not None and reply.status == HTTP_GONE
        seconds = None if gone else retry_wait(delivery.try_count, self._retries, reply)
        if self._disable(endpoint, delivery, gone=gone) or seconds is None:
            self._store.record_try(delivery, DeliveryStatus.FAILED, tried)
            return None
        next_at = clock.now() + timedelta(seconds=seconds)
        self._store.record_try(delivery, DeliveryStatus.PENDING, tried, next_at)
        return seconds

    def _post(
        self, endpoint: Endpoint, delivery: "Delivery", headers: "Headers"
    ) -> "tuple[Reply | None, str]":
        """Return the receiver's answer, None without one, and the cause of a failure."""
        url = delivery.url or endpoint.url or ""
        try:
            reply = self._fetcher.post(url, delivery.body.encode(), headers, SEND_SECONDS)
        except FetchError as error:
            return None, error.why
        return (
            reply,
            "" if reply.status in _SUCCESS else f"the host answered with status {reply.status}",
        )

    def _disable(self, endpoint: Endpoint, delivery: "Delivery", *, gone: bool) -> bool:
        """Disable an endpoint that is gone or failed too long; return whether the delivery ends.

        A delivery's first try never disables: the endpoint's earlier failures may be days old.
        """
        if endpoint.id == SUBMISSIONS:
            return False
        since = self._store.mark_failing(endpoint)
        failing = delivery.try_count > _FIRST and clock.now() - since >= DISABLED_AFTER
        if not gone and not failing:
            return False
        disabled = self._store.disable(endpoint, Disabled.GONE if gone else Disabled.FAILING)
        if disabled is not None:
            self._publish_disabled(disabled)
        return gone or disabled is not None


def _seconds(left: timedelta) -> int:
    """Return whole seconds, from 1 to MAX_WAIT."""
    return min(max(math.ceil(left.total_seconds()), 1), MAX_WAIT)


def retry_wait(try_count: int, retries: "Sequence[int]", reply: "Reply | None") -> int | None:
    """Return the seconds to wait after a failed try; None after the last one.

    `retries` are the seconds after the first, the second, … try. A Retry-After header may prolong
    the wait, up to MAX_WAIT.
    """
    if try_count > len(retries):
        return None
    requested = None if reply is None else _parse_retry_after(reply.headers.get("retry-after", ""))
    return min(max(retries[try_count - 1], requested or 0), MAX_WAIT)


def _parse_retry_after(text: str) -> int | None:
    """Return the seconds of a Retry-After, a number or a date (RFC 9110, section 10.2.3)."""
    if _SECONDS.fullmatch(text):
        return int(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    return math.ceil((moment - clock.now()).total_seconds())

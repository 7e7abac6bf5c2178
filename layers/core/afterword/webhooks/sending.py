"""The sending of webhooks: each message names a delivery, which is tried on its schedule."""

import math
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from afterword import clock
from afterword.errors import UnavailableError
from afterword.runtime import telemetry
from afterword.runtime.addresses import FetchError
from afterword.runtime.queue import MAX_DELAY_SECONDS, MessageOutcome, ids_to_redeliver
from afterword.runtime.retry_after import parse_retry_after
from afterword.webhooks import (
    DISABLED_AFTER,
    GUARD,
    OPEN_AFTER,
    SEND_SECONDS,
    SUBMISSIONS,
    DeliveryStatus,
    Disabled,
    Endpoint,
    Try,
)
from afterword.webhooks.circuits import PROBE_EVERY, circuit_name
from afterword.webhooks.signing import build_headers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from afterword.runtime.outbound import Fetcher, Reply
    from afterword.runtime.queue import Message, Queue
    from afterword.webhooks import Circuit, Delivery
    from afterword.webhooks.circuits import CircuitStore
    from afterword.webhooks.secrets import WebhookSecrets
    from afterword.webhooks.signing import Headers
    from afterword.webhooks.store import WebhookStore

SEND_LEASE = timedelta(seconds=SEND_SECONDS + 30)
"""The lease of a try: the try itself, and the calls of AWS around it."""
MAX_WAIT = 12 * 60 * 60
"""Seconds between two tries, whatever the receiver asks for."""
SLOW_SECONDS = 3.0
"""A try that takes longer counts as a failure of the circuit until it succeeds."""
CUT_OFF = f"the host took longer than {SLOW_SECONDS:g} seconds while other tries failed"
EARLY_SECONDS = 60
"""A message that comes so much too early, as by another clock, is put off and not dropped."""
HTTP_GONE = 410
HTTP_TIMEOUT, HTTP_TOO_MANY = 408, 429
_SUCCESS = range(200, 300)
_REFUSALS = range(400, 500)
_FIRST = 1


@dataclass(slots=True)
class Sending:
    """A claimed delivery with all that its try takes.

    `is_slow` is true once it is noted as slow. `cut` cuts off its open connection, which `is_cut`
    notes.
    """

    delivery: "Delivery"
    endpoint: Endpoint
    circuit: "Circuit"
    headers: "Headers"
    at: "datetime"
    is_slow: bool = False
    is_cut: bool = False
    cut: "Callable[[], None] | None" = None

    @property
    def is_probe(self) -> bool:
        """Whether the circuit was open: the try is the circuit's probe."""
        return self.circuit.is_open


class Sender:
    """The sender of webhooks. `publish_disabled` tells an endpoint's owner that it is disabled."""

    def __init__(  # noqa: PLR0913 - the services of a sender
        self,
        store: "WebhookStore",
        circuits: "CircuitStore",
        secrets: "WebhookSecrets",
        fetcher: "Fetcher",
        queue: "Queue",
        *,
        retries: "Sequence[int]",
        publish_disabled: "Callable[[Endpoint], None]",
    ) -> None:
        self._store = store
        self._circuits = circuits
        self._secrets = secrets
        self._fetcher = fetcher
        self._queue = queue
        self._retries = retries
        self._publish_disabled = publish_disabled

    def send_batch(self, messages: "Sequence[Message]") -> list[str]:
        """Try the deliveries in parallel; return the ids of the messages to receive again.

        A receiver that hangs takes the time of its own thread alone, and is noted as slow.
        """
        under_way: dict[str, Sending] = {}
        with ThreadPoolExecutor(len(messages)) as threads:
            tries = {
                message.message_id: threads.submit(self._try_message, message, under_way)
                for message in messages
            }
            hanging = set(tries.values())
            while hanging:
                _, hanging = wait_for(hanging, SLOW_SECONDS)
                if hanging:
                    self._look_at_slow(list(under_way.values()))
            outcomes = ((message_id, tried.result()) for message_id, tried in tries.items())
            return ids_to_redeliver(outcomes)

    def _look_at_slow(self, hanging: "Sequence[Sending]") -> None:
        """Note slow tries, and cut off those of an open circuit."""
        for sending in hanging:
            try:
                if self.note_slow(sending) and sending.cut is not None:
                    sending.is_cut = True
                    sending.cut()
            except (BotoCoreError, ClientError, UnavailableError) as error:
                telemetry.logger().warning(
                    "could not note a slow receiver",
                    extra={"tenant": sending.endpoint.tenant, "why": str(error)},
                )

    def _try_message(self, message: "Message", under_way: "dict[str, Sending]") -> MessageOutcome:
        """Try a delivery; after an error the message's next receipt tries again.

        An unreadable delivery is received again, too, and disturbs no other one of its batch.
        """
        facts = {"tenant": message.tenant, "delivery": message.id}
        try:
            sending = self.prepare(message)
            if isinstance(sending, MessageOutcome):
                return sending
            under_way[message.message_id] = sending
            started = time.monotonic()
            try:
                reply, why = self._post(sending)
            finally:
                del under_way[message.message_id]
            seconds = time.monotonic() - started
            self.settle(sending, reply, why, seconds)
        except (BotoCoreError, ClientError, UnavailableError) as error:
            telemetry.logger().warning(
                "could not send a webhook", extra={**facts, "why": str(error)}
            )
            return MessageOutcome.REDELIVER
        except Exception:  # noqa: BLE001 - one item must not end the batch
            telemetry.logger().exception("failed at a webhook", extra=facts)
            return MessageOutcome.REDELIVER
        return MessageOutcome.DONE

    def prepare(self, message: "Message") -> "Sending | MessageOutcome":
        """Claim a delivery that is due, or return the fate of its message."""
        endpoint_id, _, delivery_id = message.id.partition("/")
        found = self._store.find(message.tenant, endpoint_id, delivery_id)
        if found is None or found.delivery.status is not DeliveryStatus.PENDING:
            return MessageOutcome.DONE
        delivery, endpoint, circuit = found
        if endpoint is None or not endpoint.enabled:
            return self._give_up(delivery, message)
        if circuit is None:
            name = circuit_name(endpoint_id, delivery.url)
            circuit = self._circuits.read(message.tenant, name)
        now = clock.now()
        if circuit.is_open and circuit.probe != delivery.id:
            return self._park(delivery, circuit, message, now)
        if delivery.next_at is not None and _millis_until(delivery.next_at, now) > 0:
            return self._wait(delivery, now, delivery.next_at)
        claimed = self._store.claim(delivery, now + SEND_LEASE)
        if claimed is None:
            return self._hide(message)
        secrets = self._secrets.get(delivery.tenant, endpoint.id, endpoint.secret_version)
        at = clock.now()
        return Sending(claimed, endpoint, circuit, build_headers(claimed, secrets, at), at)

    def _give_up(self, delivery: "Delivery", message: "Message") -> MessageOutcome:
        """End a delivery whose endpoint is disabled or removed."""
        return MessageOutcome.DONE if self._store.give_up(delivery) else self._hide(message)

    def _park(
        self, delivery: "Delivery", circuit: "Circuit", message: "Message", now: "datetime"
    ) -> MessageOutcome:
        """Let a delivery wait in the table while its circuit is open, without a try."""
        if delivery.due_in == circuit.parking:
            return MessageOutcome.DONE
        due_at = now if delivery.next_at is None else delivery.next_at
        if self._store.wait(delivery, due_at, due_in=circuit.parking):
            return MessageOutcome.DONE
        return self._hide(message)

    def _wait(self, delivery: "Delivery", now: "datetime", next_at: "datetime") -> MessageOutcome:
        """Put off a message that comes early.

        A delivery on the index has its own message, and the sweeper: a second message far ahead of
        its time is dropped. One that the version before has stored is not on the index.
        """
        seconds = _seconds(next_at - now)
        if delivery.due_in is None and seconds > MAX_DELAY_SECONDS:
            self._store.wait(delivery, next_at)
        elif delivery.due_in is None or seconds <= EARLY_SECONDS:
            self._send_later(delivery, seconds)
        return MessageOutcome.DONE

    def _hide(self, message: "Message") -> MessageOutcome:
        """Hide the message of a claimed delivery until the claim is over.

        The sender with the claim may crash, and this may be its message.
        """
        self._queue.change_visibility(message.receipt_handle, _seconds(SEND_LEASE))
        return MessageOutcome.REDELIVER

    def _send_later(self, delivery: "Delivery", seconds: int) -> None:
        message = {"tenant": delivery.tenant, "id": f"{delivery.endpoint}/{delivery.id}"}
        self._queue.send_later(delivery.tenant, message, seconds)

    def _post(self, sending: Sending) -> "tuple[Reply | None, str]":
        """Return the receiver's answer, None without one, and the cause of a failure."""
        delivery = sending.delivery
        url = delivery.url or sending.endpoint.url or ""
        body = delivery.body.encode()

        def opened(cut: "Callable[[], None]") -> None:
            sending.cut = cut

        try:
            reply = self._fetcher.post(url, body, sending.headers, SEND_SECONDS, opened)
        except FetchError as error:
            return None, CUT_OFF if sending.is_cut else error.why
        return (
            reply,
            "" if reply.status in _SUCCESS else f"the host answered with status {reply.status}",
        )

    def note_slow(self, sending: Sending) -> bool:
        """Count a try that hangs as a failure, once; return whether its circuit is open.

        So a receiver that hangs takes few senders. A try that succeeds after this closes the
        circuit again.
        """
        if sending.is_probe:
            return False
        circuit = sending.circuit
        if sending.is_slow:
            return self._circuits.read(circuit.tenant, circuit.name).is_open
        sending.is_slow = True
        circuit = self._circuits.count_failure(circuit)
        if circuit.failures < OPEN_AFTER or circuit.is_open:
            return circuit.is_open
        self._circuits.open(circuit, clock.now() + timedelta(seconds=SEND_SECONDS), probe=None)
        return True

    def settle(self, sending: Sending, reply: "Reply | None", why: str, seconds: float) -> None:
        """Store the result of a try, and send the message of the next one."""
        delivery, endpoint, circuit = sending.delivery, sending.endpoint, sending.circuit
        tried = Try(sending.at, None if reply is None else reply.status, why, seconds)
        facts = {
            "generation_id": delivery.generation,
            "tenant": delivery.tenant,
            "delivery": delivery.id,
            "endpoint": endpoint.id,
            "try": delivery.try_count,
        }
        if reply is not None and reply.status in _SUCCESS:
            self._store.record_end(delivery, DeliveryStatus.DELIVERED, tried)
            self._store.mark_recovered(endpoint)
            if circuit.is_open or circuit.failures or sending.is_slow:
                self._circuits.close(circuit)
            telemetry.logger().info("delivered a webhook", extra=facts)
            return
        telemetry.logger().info("failed to deliver a webhook", extra={**facts, "why": why})
        gone = reply is not None and reply.status == HTTP_GONE
        retry_in = None if gone else retry_wait(delivery.try_count, self._retries, reply)
        if self._disable(sending, gone=gone):
            retry_in = None
        if _shows_life(endpoint, reply):
            if circuit.is_open:
                self._circuits.close(circuit)
        else:
            circuit = self._circuits.count_failure(circuit, 0 if sending.is_slow else 1)
            if circuit.is_open or circuit.failures >= OPEN_AFTER:
                self._open(sending, circuit, retry_in, tried, reply)
                return
        if retry_in is None:
            self._store.record_end(delivery, DeliveryStatus.FAILED, tried)
            return
        next_at = clock.now() + timedelta(seconds=retry_in)
        is_short = retry_in <= MAX_DELAY_SECONDS
        due_at = next_at + GUARD if is_short else next_at
        if self._store.record_try(delivery, tried, next_at, due_at=due_at) and is_short:
            self._send_later(delivery, retry_in)

    def _open(
        self,
        sending: Sending,
        circuit: "Circuit",
        retry_in: int | None,
        tried: Try,
        reply: "Reply | None",
    ) -> None:
        """Store a failed try while the circuit opens, or is open.

        The delivery stays the probe if its own next try is near; otherwise the sweeper chooses one.
        """
        delivery, now = sending.delivery, clock.now()
        again = retry_in if retry_in is not None and retry_in <= MAX_DELAY_SECONDS else None
        if again is None:
            due_at = now + max(PROBE_EVERY, timedelta(seconds=_requested(reply)))
        else:
            due_at = now + timedelta(seconds=again) + GUARD
        probe = None if again is None else delivery.id
        opened = self._circuits.open(circuit, due_at, probe=probe, by=delivery.id)
        if opened and not circuit.is_open:
            telemetry.logger().warning(
                "opened a circuit", extra={"tenant": circuit.tenant, "circuit": circuit.name}
            )
        if retry_in is None:
            self._store.record_end(delivery, DeliveryStatus.FAILED, tried)
            return
        next_at = now + timedelta(seconds=retry_in)
        recorded = self._store.record_try(
            delivery, tried, next_at, due_at=next_at, due_in=circuit.parking
        )
        if recorded and opened and again is not None:
            self._send_later(delivery, again)

    def _disable(self, sending: Sending, *, gone: bool) -> bool:
        """Disable an endpoint that is gone or failed too long; return whether the delivery ends.

        A delivery's first try disables only as a probe: otherwise the endpoint's earlier failures
        may be days old.
        """
        endpoint = sending.endpoint
        if endpoint.id == SUBMISSIONS:
            return gone
        since = self._store.mark_failing(endpoint)
        counts = sending.is_probe or sending.delivery.try_count > _FIRST
        failing = counts and clock.now() - since >= DISABLED_AFTER
        if not gone and not failing:
            return False
        disabled = self._store.disable(endpoint, Disabled.GONE if gone else Disabled.FAILING)
        if disabled is not None:
            self._publish_disabled(disabled)
        return gone or disabled is not None


def _shows_life(endpoint: Endpoint, reply: "Reply | None") -> bool:
    """Whether a host refuses one `webhook_url` alone: its other addresses may be in order."""
    if endpoint.id != SUBMISSIONS or reply is None:
        return False
    return reply.status in _REFUSALS and reply.status not in {HTTP_TIMEOUT, HTTP_TOO_MANY}


def _millis_until(moment: "datetime", now: "datetime") -> int:
    return clock.to_millis(moment) - clock.to_millis(now)


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
    return min(max(retries[try_count - 1], _requested(reply)), MAX_WAIT)


def _requested(reply: "Reply | None") -> int:
    """Return the seconds of an answer's Retry-After, up to MAX_WAIT; 0 without one."""
    seconds = None if reply is None else parse_retry_after(reply.headers.get("retry-after", ""))
    return min(math.ceil(seconds or 0.0), MAX_WAIT)

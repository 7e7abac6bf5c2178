"""Notifications of ends: events on an EventBridge bus, and deliveries to webhook endpoints.

The only module that knows EventBridge. Both carry ids, status, reason and times, and never a text.
Receivers get each end at least once.
"""

import json
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from afterword import clock
from afterword.runtime import telemetry
from afterword.runtime.queue import MessageOutcome, ids_to_redeliver

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

    from afterword.generations.ends import End
    from afterword.generations.store import GenerationStore
    from afterword.runtime.queue import Message
    from afterword.webhooks import Endpoint
    from afterword.webhooks.deliveries import WebhookDeliveries

SOURCE, DETAIL_TYPE = "afterword", "GenerationFinished"
DISABLED_DETAIL_TYPE = "WebhookEndpointDisabled"

type ErrorCode = str
"""EventBridge's error code of a refused event."""


class Bus:
    """The owner's EventBridge bus."""

    def __init__(self, events: "EventBridgeClient", name: str) -> None:
        self._events = events
        self._name = name

    def publish(self, ends: "Sequence[End]") -> "list[ErrorCode | None]":
        """Publish up to ten ends; return each one's error code, None for a published one.

        EventBridge refuses single entries inside a 200.
        """
        return self._put(
            [self._entry(DETAIL_TYPE, end.finished_at, event_detail(end)) for end in ends]
        )

    def publish_disabled(self, endpoint: "Endpoint") -> "ErrorCode | None":
        """Publish that a webhook endpoint is disabled; return an error code like `publish`."""
        at = endpoint.disabled_at or clock.now()
        detail = {
            "tenant": endpoint.tenant,
            "id": endpoint.id,
            "reason": endpoint.disabled_reason,
            "failing_since": endpoint.failing_since and clock.to_rfc3339(endpoint.failing_since),
            "disabled_at": clock.to_rfc3339(at),
        }
        (code,) = self._put([self._entry(DISABLED_DETAIL_TYPE, at, detail)])
        return code

    def _put(self, entries: "Sequence[PutEventsRequestEntryTypeDef]") -> "list[ErrorCode | None]":
        answer = self._events.put_events(Entries=entries)
        return [entry.get("ErrorCode") for entry in answer["Entries"]]

    def _entry(
        self, kind: str, moment: "datetime", detail: "Mapping[str, object]"
    ) -> "PutEventsRequestEntryTypeDef":
        return {
            "EventBusName": self._name,
            "Source": SOURCE,
            "DetailType": kind,
            "Time": moment,
            "Detail": json.dumps(detail),
        }


def publish_disabled(endpoint: "Endpoint", bus: Bus | None) -> None:
    """Log that a webhook endpoint is disabled, and publish that on the bus if there is one.

    The API shows it even where this fails.
    """
    facts = {
        "tenant": endpoint.tenant,
        "endpoint": endpoint.id,
        "reason": endpoint.disabled_reason,
    }
    telemetry.logger().warning("disabled a webhook endpoint", extra=facts)
    if bus is None:
        return
    try:
        code = bus.publish_disabled(endpoint)
    except (BotoCoreError, ClientError) as error:
        code = type(error).__name__
    if code is not None:
        telemetry.logger().error(
            "could not publish a disabled webhook endpoint", extra={**facts, "code": code}
        )


class Notifier:
    """Notifies the receivers of ends: the bus, if there is one, and webhook endpoints."""

    def __init__(
        self, store: "GenerationStore", bus: Bus | None, webhooks: "WebhookDeliveries"
    ) -> None:
        self._store = store
        self._bus = bus
        self._webhooks = webhooks

    def deliver(self, messages: "Sequence[Message]") -> list[str]:
        """Notify the receivers of up to ten ends; return the message ids to redeliver.

        An end without a message to redeliver leaves the outbox.
        """
        ends: dict[str, End] = {}
        for message in messages:
            ended = self._store.get_end(message.tenant, message.id)
            if ended is not None and not ended.dispatched:
                ends[message.message_id] = ended
        endpoints: dict[str, Sequence[Endpoint]] = {}
        started = {
            message_id: ended
            for message_id, ended in ends.items()
            if self._start_deliveries(ended, endpoints)
        }
        codes: Sequence[ErrorCode | None] = [None] * len(started)
        if self._bus is not None and started:
            codes = self._bus.publish(list(started.values()))
        outcomes = dict.fromkeys(ends, MessageOutcome.REDELIVER)
        for (message_id, ended), code in zip(started.items(), codes, strict=True):
            outcomes[message_id] = self._finish(ended, code)
        return ids_to_redeliver(outcomes.items())

    def _start_deliveries(self, ended: "End", endpoints: "dict[str, Sequence[Endpoint]]") -> bool:
        """Start the deliveries of an end; False if AWS is out of reach.

        `endpoints` caches the webhook endpoints of the batch's tenants.
        """
        try:
            if ended.tenant not in endpoints:
                endpoints[ended.tenant] = self._webhooks.read_endpoints(ended.tenant)
            self._webhooks.start_deliveries(ended, endpoints[ended.tenant])
        except (BotoCoreError, ClientError) as error:
            telemetry.logger().warning(
                "could not start webhook deliveries",
                extra={"generation_id": ended.id, "tenant": ended.tenant, "why": str(error)},
            )
            return False
        return True

    def _finish(self, ended: "End", code: "ErrorCode | None") -> MessageOutcome:
        """Take a published end off the outbox, and log it."""
        log = telemetry.logger()
        with log.append_context_keys(generation_id=ended.id, tenant=ended.tenant):
            if code is not None:
                log.error("could not publish the end", extra={"code": code})
                return MessageOutcome.REDELIVER
            try:
                self._store.mark_dispatched(ended.tenant, ended.id)
            except (BotoCoreError, ClientError) as error:
                log.warning(
                    "published, but could not mark as dispatched", extra={"why": str(error)}
                )
                return MessageOutcome.REDELIVER
            log.info("notified", extra={"status": ended.status})
        return MessageOutcome.DONE


def event_detail(ended: "End") -> dict[str, object]:
    """Return an event's detail; times in RFC 3339, `seconds` from submission to end."""
    return {
        "tenant": ended.tenant,
        "id": ended.id,
        "dialect": ended.dialect,
        "flow": ended.flow,
        "flow_version": ended.flow_version,
        "status": ended.status,
        "reason": ended.reason,
        "attempts": ended.attempt,
        "created_at": clock.to_rfc3339(ended.created_at),
        "finished_at": clock.to_rfc3339(ended.finished_at),
        "seconds": round((ended.finished_at - ended.created_at).total_seconds(), 3),
    }

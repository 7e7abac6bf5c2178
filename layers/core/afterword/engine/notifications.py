"""Telling others that a generation has ended: by an event on an EventBridge bus, and by webhooks.

The only module that knows EventBridge. Both are thin: ids, status, reason and times, and never a
text. They come at least once.
"""

import json
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from afterword import clock
from afterword.generations.ends import End
from afterword.runtime import telemetry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

    from afterword.generations.store import GenerationStore
    from afterword.runtime.queue import Message
    from afterword.webhooks import Endpoint
    from afterword.webhooks.deliveries import WebhookDeliveries

SOURCE, DETAIL_TYPE = "afterword", "GenerationFinished"
DISABLED_DETAIL_TYPE = "WebhookEndpointDisabled"


class Bus:
    """An EventBridge bus of the owner's."""

    def __init__(self, events: "EventBridgeClient", name: str) -> None:
        self._events = events
        self._name = name

    def publish(self, ends: "Sequence[End]") -> list[str | None]:
        """Publish up to ten ends; return for each the code that it was refused with, or None.

        EventBridge refuses single entries inside a 200.
        """
        answer = self._events.put_events(
            Entries=[
                self._entry(DETAIL_TYPE, ended.finished_at, event_detail(ended)) for ended in ends
            ]
        )
        return [entry.get("ErrorCode") for entry in answer["Entries"]]

    def publish_disabled(self, endpoint: "Endpoint") -> str | None:
        """Publish that a webhook endpoint is disabled; return the code that it was refused with."""
        at = endpoint.disabled_at or clock.now()
        told = {
            "tenant": endpoint.tenant,
            "id": endpoint.id,
            "reason": endpoint.disabled_reason,
            "failing_since": endpoint.failing_since and clock.to_rfc3339(endpoint.failing_since),
            "disabled_at": clock.to_rfc3339(at),
        }
        answer = self._events.put_events(Entries=[self._entry(DISABLED_DETAIL_TYPE, at, told)])
        return answer["Entries"][0].get("ErrorCode")

    def _entry(
        self, kind: str, moment: "datetime", told: "Mapping[str, object]"
    ) -> "PutEventsRequestEntryTypeDef":
        return {
            "EventBusName": self._name,
            "Source": SOURCE,
            "DetailType": kind,
            "Time": moment,
            "Detail": json.dumps(told),
        }


def publish_disabled(endpoint: "Endpoint", bus: Bus | None) -> None:
    """Let an endpoint's owner know that it is disabled: in the log, and on the bus if there is one.

    It is seen in the API whether or not that succeeds.
    """
    facts = {
        "tenant": endpoint.tenant,
        "endpoint": endpoint.id,
        "reason": endpoint.disabled_reason,
    }
    telemetry.logger().warning("a webhook endpoint is disabled", extra=facts)
    if bus is None:
        return
    try:
        code = bus.publish_disabled(endpoint)
    except (BotoCoreError, ClientError) as error:
        code = type(error).__name__
    if code is not None:
        telemetry.logger().error("that could not be published", extra={**facts, "code": code})


class Notifier:
    """Makes the ends of generations known, on the bus if there is one, and to webhooks."""

    def __init__(
        self, store: "GenerationStore", bus: Bus | None, webhooks: "WebhookDeliveries"
    ) -> None:
        self._store = store
        self._bus = bus
        self._webhooks = webhooks

    def deliver(self, notices: "Sequence[Message]") -> list[str]:
        """Make up to ten notices known that are not settled, and settle them.

        Returns the message ids of those that must come again.
        """
        ends: dict[str, End] = {}
        for notice in notices:
            ended = self._store.get_end(notice.tenant, notice.id)
            if ended is not None and not ended.dispatched:
                ends[notice.message_id] = ended
        known: dict[str, Sequence[Endpoint]] = {}
        announced = {
            message_id: ended for message_id, ended in ends.items() if self._announced(ended, known)
        }
        refused: Sequence[str | None] = [None] * len(announced)
        if self._bus is not None and announced:
            refused = self._bus.publish(list(announced.values()))
        done = set()
        for (message_id, ended), code in zip(announced.items(), refused, strict=True):
            log = telemetry.logger()
            with log.append_context_keys(generation_id=ended.id, tenant=ended.tenant):
                if code is not None:
                    log.error("its end could not be published", extra={"code": code})
                elif self._settled(ended):
                    log.info("its end is made known", extra={"status": ended.status})
                    done.add(message_id)
        return [message_id for message_id in ends if message_id not in done]

    def _announced(self, ended: End, known: "dict[str, Sequence[Endpoint]]") -> bool:
        """Begin the webhooks of an end; `known` are the endpoints of each tenant of a batch."""
        try:
            if ended.tenant not in known:
                known[ended.tenant] = self._webhooks.read_endpoints(ended.tenant)
            self._webhooks.start_deliveries(ended, known[ended.tenant])
        except (BotoCoreError, ClientError) as error:
            telemetry.logger().warning(
                "its webhooks are not begun",
                extra={"generation_id": ended.id, "tenant": ended.tenant, "why": str(error)},
            )
            return False
        return True

    def _settled(self, ended: End) -> bool:
        try:
            self._store.mark_dispatched(ended.tenant, ended.id)
        except (BotoCoreError, ClientError) as error:
            telemetry.logger().warning("published, but not noted", extra={"why": str(error)})
            return False
        return True


def event_detail(ended: End) -> dict[str, object]:
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

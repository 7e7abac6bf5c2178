"""Telling others that a generation has ended: an event `GenerationFinished` on an EventBridge bus.

The only module that knows EventBridge. The event is thin: ids, status, reason and times, and never
a text. It comes at least once.
"""

import json
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from afterword import telemetry
from afterword.generations import Ended

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_events import EventBridgeClient

    from afterword.queue import Nudge
    from afterword.store import GenerationStore

SOURCE, DETAIL_TYPE = "afterword", "GenerationFinished"


class Notifier:
    """Publishes the ends of generations."""

    def __init__(self, store: "GenerationStore", events: "EventBridgeClient", bus: str) -> None:
        self._store = store
        self._events = events
        self._bus = bus

    def deliver(self, notices: "Sequence[Nudge]") -> list[str]:
        """Publish up to ten notices that are not settled, and settle them.

        Returns the message ids of those that must come again.
        """
        ends: dict[str, Ended] = {}
        for notice in notices:
            ended = self._store.ended(notice.tenant, notice.id)
            if ended is not None and not ended.settled:
                ends[notice.message_id] = ended
        if not ends:
            return []
        answer = self._events.put_events(
            Entries=[
                {
                    "EventBusName": self._bus,
                    "Source": SOURCE,
                    "DetailType": DETAIL_TYPE,
                    "Time": ended.finished_at,
                    "Detail": json.dumps(detail(ended)),
                }
                for ended in ends.values()
            ]
        )
        again = []
        for (message_id, ended), entry in zip(ends.items(), answer["Entries"], strict=True):
            with telemetry.logger().append_context_keys(generation_id=ended.id):
                if "ErrorCode" in entry:  # EventBridge refuses single entries inside a 200
                    telemetry.logger().error(
                        "its end could not be published", extra={"code": entry["ErrorCode"]}
                    )
                    again.append(message_id)
                elif not self._settled(ended):
                    again.append(message_id)
        return again

    def _settled(self, ended: Ended) -> bool:
        try:
            self._store.settled(ended.tenant, ended.id)
        except (BotoCoreError, ClientError) as error:
            telemetry.logger().warning("published, but not noted", extra={"why": str(error)})
            return False
        return True


def detail(ended: Ended) -> dict[str, object]:
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
        "created_at": ended.created_at.isoformat(),
        "finished_at": ended.finished_at.isoformat(),
        "seconds": round((ended.finished_at - ended.created_at).total_seconds(), 3),
    }

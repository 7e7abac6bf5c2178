"""`make logs`: the log of a running stack's functions, as they write it."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import EndpointConnectionError

from local.aws import session
from local.places import ANNOUNCED, Place, is_running, read
from local.terminal import LocalError

POLL_SECONDS = 0.5
OVERLAP_MS = 10_000  # of a group, streams do not appear in the order of their events
LEFT_OUT = frozenset(
    {"timestamp", "level", "message", "service", "location", "cold_start", "xray_trace_id"}
    | {"function_name", "function_memory_size", "function_arn", "function_request_id"}
)


async def command(port: int) -> int:
    """Print log lines, beginning with those there are, until the stack stops or is cancelled."""
    try:
        return await follow(port)
    except EndpointConnectionError as error:
        raise LocalError("the stack has stopped") from error


async def follow(port: int) -> int:
    """Print log lines as they come, from the stack on `port`, 0 for the one started last."""
    place = Place.of(port).announcement if port else ANNOUNCED
    facts = read(place)
    if not is_running(facts):
        where = f" on port {port}" if port else ""
        raise LocalError(f"no stack is running{where}: start one with `make dev`")
    logs = session().client("logs", endpoint_url=facts["endpoint"])
    seen: set[tuple[str, str]] = set()  # ministack writes each invocation to a stream of its own
    newest = 0
    while is_running(facts):
        fresh: set[tuple[str, str]] = set()
        since = max(0, newest - OVERLAP_MS)
        for group in [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]]:
            pages = logs.get_paginator("filter_log_events").paginate(
                logGroupName=group, startTime=since
            )
            for event in (event for page in pages for event in page["events"]):
                stream = (group, event["logStreamName"])
                if stream not in seen:
                    fresh.add(stream)
                    newest = max(newest, event["timestamp"])
                    if line := readable(group, event["message"]):
                        print(line, flush=True)
        seen |= fresh
        await asyncio.sleep(POLL_SECONDS)
    return 0


def readable(group: str, message: str) -> str:
    """Return one line for a person, "" for Lambda's own lines about an invocation."""
    if message.startswith(("START RequestId", "END RequestId", "REPORT RequestId")):
        return ""
    try:
        entry = json.loads(message)
    except ValueError:
        return f"{datetime.now(UTC):%H:%M:%S}          {group}  {message}"
    if not isinstance(entry, dict):
        return message
    if "_aws" in entry:
        return _metrics(entry)
    keys = " ".join(f"{key}={value}" for key, value in entry.items() if key not in LEFT_OUT)
    return (
        f"{str(entry.get('timestamp', ''))[11:19]} {entry.get('level', ''):8}"
        f" {entry.get('service', group)}: {entry.get('message', '')}  {keys}"
    ).rstrip()


def _metrics(entry: dict[str, Any]) -> str:
    """Return a metric line (afterword.engine.metrics) as a person reads it."""
    at = datetime.fromtimestamp(entry["_aws"]["Timestamp"] / 1000, UTC)
    (directive,) = entry["_aws"]["CloudWatchMetrics"]
    names = [metric["Name"] for metric in directive["Metrics"]]
    values = " ".join(f"{name}={sum(entry[name]):g}" for name in names)
    left_out = {"_aws", "stack", *names}
    facts = " ".join(f"{key}={value}" for key, value in entry.items() if key not in left_out)
    return f"{at:%H:%M:%S} METRICS  {directive['Namespace']}: {values}  {facts}"

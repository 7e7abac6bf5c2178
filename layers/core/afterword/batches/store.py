"""The table of batches: their progress, and their bad lines. The only module that knows it.

tenant      id                    item
<tenant>    <batch id>            the batch
<tenant>    <batch id>#<line>     the bad lines of one chunk, by the number of its first line

One invocation at a time works on a batch, in turns. The message of turn n takes the lease of turn
n + 1. A write counts only while the item has that turn and that lease. The lease is
released after the message of the next turn is sent. So a message that finds a later turn has
nothing to do. A message whose own turn has a lease that ran out goes on for a lost reader, and
finds it by `tries`, which the release sets to 0.

Until all lines have ended, `window` has the progress of them, and `ended` and the ends of `counts`
are 0: the version before counts the ends of lines from the first one, which gives the same.
A `window` whose `read` is not the item's is from before such a count, and is left out.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from afterword import clock
from afterword.batches import (
    Batch,
    BatchLease,
    Counts,
    LeaseRefused,
    Source,
    State,
    Upload,
    Window,
)
from afterword.batches.window import parse_lines, render_lines
from afterword.errors import NotFoundError
from afterword.runtime.dynamodb import (
    Condition,
    ConditionFailed,
    Item,
    Table,
    Value,
    absent,
    at_most,
    between,
    differs,
    equals,
    exists,
    millis,
    number,
    seconds,
    text,
    time_of,
    unique,
)
from afterword.runtime.stored import read_fields, read_word

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LINES_PER_WRITE = 100
"""The lines of one chunk, which are read and then stored at once."""
_RELEASED, _ENDED = 0, 1
"""Leases of no turn: after the first nothing is left to do, after the second the turn is free."""
_FREE: Item = {"lease": number(_RELEASED), "tries": number(0)}
"""The attributes of a turn at its end."""
_NUMBERS = ("lines", "read", "offset", "written")
_REMOVABLE = ("upload", "reason", "finished_at", "lines", "window")
_COUNTING = {State.WAITING, State.READING, State.RUNNING}
"""The states in which lines may still be open."""
_ENDS = ("succeeded", "failed", "canceled", "missing")
"""The counts of lines whose generations have ended."""


class BatchStore:
    """Batches of all tenants."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str) -> None:
        self._table = Table(dynamodb, table)

    def create(self, batch: Batch) -> Batch:
        """Store a new batch, unless its id has one; return the stored batch."""
        item = {
            **_key(batch.tenant, batch.id),
            **_item(batch),
            "turn": number(0),
            "lease": number(_RELEASED),
        }
        expired = at_most("expires_at", seconds(clock.now()))
        failed = self._table.put(item, absent("id") | expired)
        return batch if failed is None else _batch(failed.item or {})

    def get(self, tenant: str, batch_id: str) -> Batch:
        """Return a tenant's batch, consistently; raise NotFoundError if there is none."""
        item = self._table.get(_key(tenant, batch_id))
        if item is None or "state" not in item or _expired(item):
            raise NotFoundError("There is no such batch.")
        return _batch(item)

    def start(self, tenant: str, batch_id: str, source: Source) -> bool:
        """Set the file of a batch that waits for one; return whether this file is the batch's.

        The first file counts; later ones under the same key are ignored.
        """
        outcome = self._table.update(
            _key(tenant, batch_id),
            sets={"state": text(State.READING), "source": _json(source)},
            condition=equals("state", text(State.WAITING)),
        )
        if isinstance(outcome, ConditionFailed):
            return outcome.item is not None and _batch(outcome.item).source == source
        return True

    def take_lease(
        self, tenant: str, batch_id: str, turn: int, until: datetime
    ) -> BatchLease | LeaseRefused:
        """Take the lease of a batch for the message of a turn."""
        now = clock.now()
        before = equals("turn", number(turn))
        lost = equals("turn", number(turn + 1)) & differs("lease", number(_RELEASED))
        taken = {"turn": number(turn + 1), "lease": millis(until), "lease_id": unique()}
        outcome = self._table.update(
            _key(tenant, batch_id),
            sets=taken,
            adds={"tries": 1},
            condition=exists("id") & at_most("lease", millis(now)) & (before | lost),
            own=taken,
            returns_item=True,
        )
        if not isinstance(outcome, ConditionFailed):
            return BatchLease(
                batch=_batch(outcome),
                number=turn + 1,
                until=clock.to_millis(until),
                again=int(outcome["tries"]["N"]) > 1,
            )
        stored = outcome.item
        if stored is None or int(stored["turn"]["N"]) > turn + 1:
            return LeaseRefused(retry_after=None)
        remaining = int(stored["lease"]["N"]) - clock.to_millis(now)
        return LeaseRefused(retry_after=-(-remaining // 1000) if remaining > 0 else None)

    def save(self, lease: BatchLease, batch: Batch, *, release: bool = False) -> BatchLease | None:
        """Store the progress of a batch; None if the lease is lost, and nothing is stored.

        `release` ends the turn.
        """
        item = _item(batch)
        outcome = self._table.update(
            _key(batch.tenant, batch.id),
            sets={**item, **(_FREE if release else {"lease": number(lease.until)})},
            removes=[name for name in _REMOVABLE if name not in item],
            condition=_held(lease),
        )
        if isinstance(outcome, ConditionFailed):
            return None
        return replace(lease, batch=batch)

    def end_turn(self, lease: BatchLease) -> None:
        """End a turn, and leave its batch as it is stored."""
        self._table.update(
            _key(lease.batch.tenant, lease.batch.id), sets=_FREE, condition=_held(lease)
        )

    def release_lease(self, lease: BatchLease) -> None:
        """End a lease before its time, so that the same message can take the next one at once."""
        self._table.update(
            _key(lease.batch.tenant, lease.batch.id),
            sets={"lease": number(_ENDED)},
            condition=_held(lease),
        )

    def put_bad(self, batch: Batch, first: int, bad: Mapping[int, str]) -> None:
        """Store the bad lines of the chunk whose first line is `first`."""
        item: Item = {
            **_key(batch.tenant, f"{batch.id}#{first:06}"),
            "bad": {"M": {str(line): text(why) for line, why in bad.items()}},
            "expires_at": seconds(batch.expires_at),
        }
        self._table.put(item)

    def read_bad(self, batch: Batch, first: int, last: int) -> dict[int, str]:
        """Return the errors of the bad lines from `first` to `last`, by line."""
        found: dict[int, str] = {}
        first_item = f"{batch.id}#{max(0, first - LINES_PER_WRITE):06}"
        last_item = f"{batch.id}#{last:06}"
        condition = equals("tenant", text(batch.tenant)) & between(
            "id", text(first_item), text(last_item)
        )
        for page in self._table.pages(condition, consistent=True):
            for item in page.items:
                chunk = {int(line): why["S"] for line, why in item["bad"]["M"].items()}
                found |= {line: why for line, why in chunk.items() if first <= line <= last}
        return found


def _key(tenant: str, sort_key: str) -> Item:
    return {"tenant": text(tenant), "id": text(sort_key)}


def _held(lease: BatchLease) -> Condition:
    return equals("turn", number(lease.number)) & equals("lease", number(lease.until))


def _item(batch: Batch) -> Item:
    """Return the attributes of a batch, without its key, turn and lease."""
    counts = asdict(batch.counts) | (dict.fromkeys(_ENDS, 0) if _counting(batch) else {})
    item: dict[str, Value] = {
        "state": text(batch.state),
        "created_at": millis(batch.created_at),
        "expires_at": seconds(batch.expires_at),
        "fingerprint": text(batch.fingerprint),
        "counts": {"M": {name: number(count) for name, count in counts.items()}},
        "ended": number(0 if _counting(batch) else batch.counts.ended),
    }
    for name in _NUMBERS:
        value = getattr(batch, name)
        if value is not None:
            item[name] = number(value)
    for name, part in (("source", batch.source), ("upload", batch.upload)):
        if part is not None:
            item[name] = _json(part)
    for name, word in (("flow", batch.flow), ("reason", batch.reason)):
        if word is not None:
            item[name] = text(word)
    for name, moment in (("finished_at", batch.finished_at), ("deadline_at", batch.deadline_at)):
        if moment is not None:
            item[name] = millis(moment)
    return {**item, **_window_attribute(batch)}


def _window_attribute(batch: Batch) -> Item:
    """Return the window of a batch as an attribute; none once all lines have ended."""
    if batch.window is None or not _counting(batch):
        return {}
    return {"window": text(_render_window(batch, batch.window))}


def _counting(batch: Batch) -> bool:
    """Return whether lines of a batch may still be open."""
    return batch.state in _COUNTING


def _batch(item: Item) -> Batch:
    numbers = {name: int(item[name]["N"]) for name in _NUMBERS if name in item}
    upload = json.loads(item["upload"]["S"]) if "upload" in item else None
    stored = item["counts"]["M"].items()
    counts = read_fields(Counts, {name: int(each["N"]) for name, each in stored if "N" in each})
    window = None
    if "window" in item:
        known = json.loads(item["window"]["S"])
        if known["read"] == numbers["read"] and not counts.ended - counts.bad:
            ends = dict(zip(_ENDS, known["ends"], strict=True))
            counts, window = replace(counts, **ends), _parse_window(known)
    ended = int(item["ended"]["N"]) if "ended" in item else 0
    if window is None and ended and read_word(State, item["state"]["S"]) in _COUNTING:
        window = Window(seen=ended)  # the version before has counted so far
    return Batch(
        tenant=item["tenant"]["S"],
        id=item["id"]["S"],
        created_at=time_of(item, "created_at"),
        expires_at=datetime.fromtimestamp(int(item["expires_at"]["N"]), UTC),
        state=read_word(State, item["state"]["S"]),
        flow=item["flow"]["S"] if "flow" in item else None,
        fingerprint=item["fingerprint"]["S"],
        source=read_fields(Source, json.loads(item["source"]["S"])) if "source" in item else None,
        counts=counts,
        window=window,
        upload=Upload(id=upload["id"], parts=tuple(upload["parts"])) if upload else None,
        reason=item["reason"]["S"] if "reason" in item else None,
        finished_at=time_of(item, "finished_at") if "finished_at" in item else None,
        deadline_at=time_of(item, "deadline_at") if "deadline_at" in item else None,
        lines=numbers.pop("lines", None),
        **numbers,
    )


def _render_window(batch: Batch, window: Window) -> str:
    """Return a batch's window and counts of ends as JSON, compact: each turn writes it."""
    return json.dumps(
        {
            "read": batch.read,
            "ends": [getattr(batch.counts, name) for name in _ENDS],
            "size": window.size,
            "open": render_lines(window.open),
            "seen": window.seen,
            "doubling": window.doubling,
            "cut_at": window.cut_at,
            "call": round(window.call, 3),
            "samples": window.samples,
            "least": round(window.least, 3),
            "idle": round(window.idle, 3),
            "rate": round(window.rate, 3),
            "quiet": window.quiet,
            "held_until": _to_millis(window.held_until),
            "looked_at": _to_millis(window.looked_at),
        },
        separators=(",", ":"),
    )


def _parse_window(known: Mapping[str, Any]) -> Window:
    return Window(
        size=known["size"],
        open=parse_lines(known["open"]),
        seen=known["seen"],
        doubling=known["doubling"],
        cut_at=known["cut_at"],
        call=known["call"],
        samples=known["samples"],
        least=known["least"],
        idle=known["idle"],
        rate=known["rate"],
        quiet=known["quiet"],
        held_until=_from_millis(known["held_until"]),
        looked_at=_from_millis(known["looked_at"]),
    )


def _to_millis(moment: datetime | None) -> int | None:
    return None if moment is None else clock.to_millis(moment)


def _from_millis(stored: int | None) -> datetime | None:
    return None if stored is None else clock.from_millis(stored)


def _json(part: Source | Upload) -> Value:
    return text(json.dumps(asdict(part)))


def _expired(item: Item) -> bool:
    return int(item["expires_at"]["N"]) <= clock.now().timestamp()

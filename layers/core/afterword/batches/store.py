"""The table of batches: how far each has come, and its bad lines. The only module that knows it.

tenant      id                    what
<tenant>    <batch id>            the batch
<tenant>    <batch id>#<line>     the bad lines of those read at once, the first of which that is

A batch is taken by one reader at a time, in turns: the message of turn n takes it as turn n + 1,
with a lease, and every write counts only while the item has that turn and that lease. It is given
back once the message of the next turn is sent, so a message that finds a later turn has nothing to
do, and one that finds its own turn, whose lease has run out, goes on where a lost reader stopped.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from afterword import clock
from afterword.batches import Batch, BatchLease, Counts, Source, State, Upload
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
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LINES_PER_WRITE = 100
"""How many lines are read, and then noted, at once."""
_NUMBERS = ("lines", "read", "offset", "ended", "written", "quiet")
_REMOVABLE = ("upload", "reason", "finished_at", "lines")


class BatchStore:
    """Batches of all tenants."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str) -> None:
        self._table = Table(dynamodb, table)

    def create(self, batch: Batch) -> Batch:
        """Store a new batch, unless there is one with its id; return what is there."""
        item = {
            **_key(batch.tenant, batch.id),
            **_item(batch),
            "turn": number(0),
            "lease": number(0),
        }
        expired = at_most("expires_at", seconds(clock.now()))
        failed = self._table.put(item, absent("id") | expired)
        return batch if failed is None else _batch(failed.item or {})

    def get(self, tenant: str, batch_id: str) -> Batch:
        """Return a tenant's batch, consistently; raise NotFoundError if it has none such."""
        item = self._table.get(_key(tenant, batch_id))
        if item is None or "state" not in item or _expired(item):
            raise NotFoundError("There is no such batch.")
        return _batch(item)

    def start(self, tenant: str, batch_id: str, source: Source) -> bool:
        """Note the file of a batch that waited for it; return whether this file is the batch's.

        The first file counts; a later one at the same place is not looked at.
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
        self, tenant: str, batch_id: str, turn: int, lease: datetime
    ) -> BatchLease | int:
        """Take a batch for the message of a turn.

        Returns its turn; or for how many seconds another reader has it, 0 if there is nothing to
        do for this message.
        """
        now = clock.now()
        before = equals("turn", number(turn))
        lost = equals("turn", number(turn + 1)) & differs("lease", number(0))
        outcome = self._table.update(
            _key(tenant, batch_id),
            sets={"turn": number(turn + 1), "lease": millis(lease)},
            condition=exists("id") & at_most("lease", millis(now)) & (before | lost),
            returns_item=True,
        )
        if isinstance(outcome, ConditionFailed):
            there = outcome.item
            if there is None or int(there["turn"]["N"]) > turn + 1:
                return 0
            held = int(there["lease"]["N"]) - clock.to_millis(now)
            return max(0, -(-held // 1000))
        return BatchLease(batch=_batch(outcome), number=turn + 1, lease=clock.to_millis(lease))

    def save(self, turn: BatchLease, batch: Batch, *, release: bool = False) -> BatchLease | None:
        """Note how far a batch has come; None if it is another's, or gone, and nothing is noted."""
        item = _item(batch)
        outcome = self._table.update(
            _key(batch.tenant, batch.id),
            sets={**item, "lease": number(0 if release else turn.lease)},
            removes=[name for name in _REMOVABLE if name not in item],
            condition=_held(turn),
        )
        if isinstance(outcome, ConditionFailed):
            return None
        return replace(turn, batch=batch)

    def release_lease(self, turn: BatchLease) -> None:
        """End a turn's lease, so that its message can take the batch again at once."""
        self._table.update(
            _key(turn.batch.tenant, turn.batch.id),
            sets={"lease": number(1)},  # and not 0, with which there is nothing left to do
            condition=_held(turn),
        )

    def put_bad(self, batch: Batch, first: int, bad: Mapping[int, str]) -> None:
        """Note the bad lines of those read at once, the first of which is `first`."""
        item: Item = {
            **_key(batch.tenant, f"{batch.id}#{first:06}"),
            "bad": {"M": {str(line): text(why) for line, why in bad.items()}},
            "expires_at": seconds(batch.expires_at),
        }
        self._table.put(item)

    def read_bad(self, batch: Batch, first: int, last: int) -> dict[int, str]:
        """Return the bad lines from `first` to `last`, and why each is bad."""
        found: dict[int, str] = {}
        first_item = f"{batch.id}#{max(0, first - LINES_PER_WRITE):06}"
        last_item = f"{batch.id}#{last:06}"
        condition = equals("tenant", text(batch.tenant)) & between(
            "id", text(first_item), text(last_item)
        )
        for page in self._table.pages(condition, consistent=True):
            for item in page.items:
                noted = {int(line): why["S"] for line, why in item["bad"]["M"].items()}
                found |= {line: why for line, why in noted.items() if first <= line <= last}
        return found


def _key(tenant: str, sort_key: str) -> Item:
    return {"tenant": text(tenant), "id": text(sort_key)}


def _held(turn: BatchLease) -> Condition:
    return equals("turn", number(turn.number)) & equals("lease", number(turn.lease))


def _item(batch: Batch) -> Item:
    """Return what of a batch is stored, but for its key and whose turn it is."""
    item: dict[str, Value] = {
        "state": text(batch.state),
        "created_at": millis(batch.created_at),
        "expires_at": seconds(batch.expires_at),
        "fingerprint": text(batch.fingerprint),
        "counts": {"M": {name: number(count) for name, count in asdict(batch.counts).items()}},
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
    if batch.finished_at is not None:
        item["finished_at"] = millis(batch.finished_at)
    return item


def _batch(item: Item) -> Batch:
    numbers = {name: int(item[name]["N"]) for name in _NUMBERS if name in item}
    upload = json.loads(item["upload"]["S"]) if "upload" in item else None
    return Batch(
        tenant=item["tenant"]["S"],
        id=item["id"]["S"],
        created_at=time_of(item, "created_at"),
        expires_at=datetime.fromtimestamp(int(item["expires_at"]["N"]), UTC),
        state=State(item["state"]["S"]),
        flow=item["flow"]["S"] if "flow" in item else None,
        fingerprint=item["fingerprint"]["S"],
        source=Source(**json.loads(item["source"]["S"])) if "source" in item else None,
        counts=Counts(**{name: int(count["N"]) for name, count in item["counts"]["M"].items()}),
        upload=Upload(id=upload["id"], parts=tuple(upload["parts"])) if upload else None,
        reason=item["reason"]["S"] if "reason" in item else None,
        finished_at=time_of(item, "finished_at") if "finished_at" in item else None,
        lines=numbers.pop("lines", None),
        **numbers,
    )


def _json(part: Source | Upload) -> Value:
    return text(json.dumps(asdict(part)))


def _expired(item: Item) -> bool:
    return int(item["expires_at"]["N"]) <= clock.now().timestamp()

"""The quotas table: the use of tenants' limits, and its only user.

`pk` is a tenant's id for shard 0, and `<id>#<n>` for the other shards (afterword.limits.shards):

open             slots by generation id; a slot's name is in afterword.limits.shards
tokens_2026_11   tokens of the generations that ended in that month; one such for each month
minute           in shard 0: the minute of the clock that `requests` counts, since the epoch
requests         in shard 0: submissions accepted in it
shards           in shard 0: the number of the tenant's shards so far; absent for one alone

`<id>#<generation id>` is the receipt of tokens that were counted without a slot. `<id>#reads`
counts the requests of a minute that accepted nothing, and `<id>#waits` has the places of those that
wait for an end.

An admission is one conditional write of shard 0, and one of the shard with the slot. A release
gives a slot back and counts the tokens in one write, on condition of the very slot. So each
generation is counted once. Another submission with its idempotency key may take a new slot for the
same id meanwhile. A process that dies between the two writes of an admission has counted one
submission too many, until the minute ends.

    shard 0     --- requests + 1, if below the limit ---> counted
    shard 7     --- open.<id> = slot, if size < 14 -----> admitted
    shard 7     --- remove open.<id>, tokens + n, if open.<id> = slot ---> given back, counted once
"""

import random
import secrets
import time
from calendar import monthrange
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from afterword import clock
from afterword.limits import TOKENS_ONLY, Admission, Allowance, shards
from afterword.runtime.dynamodb import (
    Condition,
    ConditionFailed,
    Item,
    Table,
    TransactionCanceledError,
    Update,
    Value,
    above,
    absent,
    at_least,
    below,
    equals,
    exists,
    fewer,
    millis,
    number,
    seconds,
    text,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from afterword.generations.ends import End
    from afterword.limits import Limits

SLOT_RETRY_SECONDS = 5
"""The Retry-After for a slot, since the time of the next release is unknown."""
SUM_TIME = timedelta(seconds=10)
"""The longest time that a process takes the sums over further shards for true."""
NEAR_TOKENS = 10_000
"""So near to the limit of tokens, each admission reads the sums again."""
FULL_TIME = timedelta(seconds=1)
"""The time for which a process refuses without a call, after it has read all of many shards."""
RECEIPT = timedelta(days=32)
"""The life of a receipt: the month is over then, and no limit reads its tokens any more."""
_RUNNING = "running-at-once"
_READS, _WAITS = "#reads", "#waits"
_CONFLICT_WAITS = (0.02, 0.05, 0.1, 0.2, None)
"""Seconds before a transaction is tried again that another one was in the way of."""
_MAX_TRIES = 10
_KEYS_PER_READ = 100
_CACHE_SIZE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaExceeded:
    """A refusal: `message` is the exhausted limit, `retry_after` is in seconds.

    `open` are the slots by generation id, empty unless slots are exhausted. `allowances` are the
    rest of each limit.
    """

    message: str
    retry_after: int
    open: Mapping[str, str]
    allowances: tuple[Allowance, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaStatus:
    """A tenant's use of its limits now; `tokens` are those of this month."""

    requests: int
    running: int
    tokens: int
    reads: int = 0
    waits: int = 0


@dataclass(slots=True, kw_only=True)
class _Sums:
    """The sums over a tenant's `count` shards but the first, as this process knows them.

    `spent` are the tokens of all shards, with the first. `full` is the last refusal for want of a
    slot, and the time until which it holds.
    """

    read_at: datetime
    count: int
    open: int = 0
    tokens: Mapping[str, int] = field(default_factory=dict)
    spent: Mapping[str, int] = field(default_factory=dict)
    full: tuple[datetime, QuotaExceeded] | None = None


class _Count(NamedTuple):
    """A submission that shard 0 has counted: the item afterwards, and the slot that it took."""

    item: Item
    slot: str | None
    now: datetime
    sums: _Sums | None


class _Taken(NamedTuple):
    """A slot of a generation, which is `new` or one that the generation had."""

    slot: str
    new: bool


class WaitPlace(NamedTuple):
    """A place of a waiting request, held until a time in milliseconds."""

    name: str
    until: int


class Quotas:
    """The use of tenants' limits."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str) -> None:
        self._table = Table(dynamodb, table)
        self._known: dict[str, _Sums] = {}

    # --- admission -------------------------------------------------------------------------------

    def admit(self, tenant: str, generation_id: str, limits: "Limits") -> Admission | QuotaExceeded:
        """Count a submission and give its generation a slot; QuotaExceeded over a limit.

        A generation with a slot keeps that one, and is not counted again. Only a limit of open
        generations needs slots.
        """
        refusal = self._remembered_refusal(tenant)
        if refusal is not None:
            return refusal
        if limits.slots is not None:
            return self._admit_with_slot(tenant, generation_id, limits, limits.slots)
        counted = self._count(tenant, generation_id, limits, takes_slot=False)
        if isinstance(counted, QuotaExceeded):
            return counted
        slot = None if limits.tokens_per_month is None else TOKENS_ONLY
        return _admission(generation_id, slot, limits, counted)

    def _admit_with_slot(
        self, tenant: str, generation_id: str, limits: "Limits", slots: int
    ) -> Admission | QuotaExceeded:
        """Take a slot in the write that counts, or, where that shard has none, in another one."""
        home = shards.home(generation_id, slots)
        counted = self._count(tenant, generation_id, limits, takes_slot=home == 0)
        if isinstance(counted, QuotaExceeded) and counted.open and slots > shards.MAIN_SLOTS:
            counted = self._count(tenant, generation_id, limits, takes_slot=False)
        if isinstance(counted, QuotaExceeded):
            return counted
        if counted.slot is not None:
            return _admission(generation_id, counted.slot, limits, counted)
        return self._take_elsewhere(tenant, generation_id, limits, home, counted)

    def _count(
        self, tenant: str, generation_id: str, limits: "Limits", *, takes_slot: bool
    ) -> _Count | QuotaExceeded:
        """Count a submission in shard 0, and take a slot there in the same write if asked to."""
        new_minute = False
        sums = self._get_sums(tenant, limits)
        for _ in range(_MAX_TRIES):
            now = clock.now()
            opened = {generation_id: text(_new_slot(now, 0))} if takes_slot else {}
            outcome = self._write_count(tenant, opened, limits, now, sums, new_minute=new_minute)
            if isinstance(outcome, ConditionFailed) and outcome.item is None:
                outcome = self._create(tenant, opened, now)
            if not isinstance(outcome, ConditionFailed):
                sums = self._note_shards(tenant, outcome, limits, sums, now)
                return _Count(outcome, _slot_in(opened, generation_id), now, sums)
            item = outcome.item or {}
            if takes_slot and generation_id in _open(item):
                return _Count(item, _slot_in(_open(item), generation_id), now, sums)
            if sums is None and _shards(item) > 1:
                sums = self._sum_up(tenant, _shards(item), now)
            refusal = _refuse(item, limits, now, sums, takes_slot=takes_slot)
            if refusal is not None:
                return refusal
            new_minute = _minute(item) < minute_of(now)
        return QuotaExceeded(
            message="Too many submissions at the same moment.", retry_after=1, open={}
        )

    def _write_count(  # noqa: PLR0913 - the parts of an admission
        self,
        tenant: str,
        opened: Item,
        limits: "Limits",
        now: datetime,
        sums: _Sums | None,
        *,
        new_minute: bool,
    ) -> Item | ConditionFailed:
        """Count a submission and take its slot of shard 0, on condition of the limits.

        Fails for a tenant with further shards while their sums are unknown.
        """
        this_minute = number(minute_of(now))
        condition = exists("pk")
        sets: dict[str, Value] = {}
        if sums is None:
            condition &= absent("shards")
        for generation_id, slot in opened.items():
            condition &= _is_free(generation_id, shards.capacity(0, limits.slots or 0))
            sets[f"open.{generation_id}"] = slot
        if new_minute:
            condition &= below("minute", this_minute)
            sets |= {"minute": this_minute, "requests": number(1)}
        else:
            condition &= at_least("minute", this_minute)
            if limits.requests_per_minute is not None:
                condition &= below("requests", number(limits.requests_per_minute))
        if limits.tokens_per_month is not None:
            tokens = _tokens_of(now)
            left = limits.tokens_per_month - _tokens_elsewhere(sums, now)
            unspent = below(tokens, number(left))
            condition &= (absent(tokens) | unspent) if left > 0 else unspent
        return self._table.update(
            _key(tenant),
            sets=sets,
            adds={} if new_minute else {"requests": 1},
            removes=[_tokens_of(_two_months_before(now))],
            condition=condition,
            returns_item=True,
        )

    def _create(self, tenant: str, opened: Item, now: datetime) -> Item | ConditionFailed:
        """Make shard 0 with its first submission."""
        return self._table.update(
            _key(tenant),
            sets={
                "open": {"M": opened},
                "minute": number(minute_of(now)),
                "requests": number(1),
            },
            condition=absent("pk"),
            returns_item=True,
        )

    def _take_elsewhere(
        self, tenant: str, generation_id: str, limits: "Limits", home: int, counted: _Count
    ) -> Admission | QuotaExceeded:
        """Take a slot of any shard for a counted submission; take the count back without one.

        The shard of its id and one more are tried before all are read.
        """
        slots = _slots_of(limits, counted.item)
        further = shards.count_shards(limits)
        another = random.randrange(1, further)  # noqa: S311 - spreads load, guards nothing # nosec B311
        for shard in dict.fromkeys((home or another, another)):
            taken = self._take(tenant, shard, generation_id, slots, counted.now)
            if taken is not None:
                return self._admit_taken(tenant, taken, generation_id, limits, counted)
        return self._take_the_freest(tenant, generation_id, limits, counted)

    def _take_the_freest(
        self, tenant: str, generation_id: str, limits: "Limits", counted: _Count
    ) -> Admission | QuotaExceeded:
        """Read all shards, and take a slot of one with the most that are free."""
        items = self._read_shards(
            tenant, max(shards.count_shards(limits), _shards(counted.item)), counted.now
        )
        slots = _slots_of(limits, items[0])
        free = {
            shard: shards.capacity(shard, slots) - len(_open(item)) for shard, item in items.items()
        }
        with_room = [shard for shard in free if free[shard] > 0]
        random.shuffle(with_room)
        with_room.sort(key=free.__getitem__, reverse=True)
        for shard in with_room[:_MAX_TRIES]:
            taken = self._take(tenant, shard, generation_id, slots, counted.now)
            if taken is not None:
                return self._admit_taken(tenant, taken, generation_id, limits, counted)
        self._count_back(tenant, counted)
        opened = {held: slot["S"] for item in items.values() for held, slot in _open(item).items()}
        allowances = _read_allowances(counted.item, limits, counted.now, counted.sums)
        refusal = _no_slot(limits, opened, allowances)
        self._known[tenant].full = (counted.now + FULL_TIME, replace(refusal, open={}))
        return refusal

    def _take(
        self, tenant: str, shard: int, generation_id: str, slots: int, now: datetime
    ) -> _Taken | None:
        """Take a slot of a shard; None if the shard is full."""
        room = shards.capacity(shard, slots)
        if room == 0:
            return None
        slot = _new_slot(now, shard)
        outcome = self._table.update(
            _key(tenant, shard),
            sets={f"open.{generation_id}": text(slot)},
            removes=[_tokens_of(_two_months_before(now))],
            condition=exists("open") & _is_free(generation_id, room),
        )
        if not isinstance(outcome, ConditionFailed):
            return _Taken(slot, new=True)
        if "open" not in (outcome.item or {}):
            outcome = self._table.update(
                _key(tenant, shard),
                sets={"open": {"M": {generation_id: text(slot)}}},
                condition=absent("open"),
            )
            if not isinstance(outcome, ConditionFailed):
                return _Taken(slot, new=True)
        held = _open(outcome.item or {}).get(generation_id)
        return None if held is None else _Taken(held["S"], new=held["S"] == slot)

    def _admit_taken(
        self, tenant: str, taken: _Taken, generation_id: str, limits: "Limits", counted: _Count
    ) -> Admission:
        if not taken.new:
            self._count_back(tenant, counted)
        elif counted.sums is not None:
            counted.sums.open += 1
        return _admission(generation_id, taken.slot, limits, counted)

    def _count_back(self, tenant: str, counted: _Count) -> None:
        """Take the count of a submission back in its minute."""
        self._table.update(
            _key(tenant),
            adds={"requests": -1},
            condition=equals("minute", counted.item["minute"]) & above("requests", number(0)),
        )

    # --- sums over shards ------------------------------------------------------------------------

    def _note_shards(
        self, tenant: str, item: Item, limits: "Limits", sums: _Sums | None, now: datetime
    ) -> _Sums | None:
        """Write down how many shards the tenant has, before the first write of a new one."""
        wanted = shards.count_shards(limits)
        if _shards(item) >= wanted:
            return sums
        self._table.update(
            _key(tenant),
            sets={"shards": number(wanted)},
            condition=absent("shards") | below("shards", number(wanted)),
        )
        if sums is None:
            return self._keep(tenant, _Sums(read_at=now, count=wanted))
        sums.count = max(sums.count, wanted)
        return sums

    def _get_sums(self, tenant: str, limits: "Limits") -> _Sums | None:
        """Return sums that are fresh enough; None for a tenant whose shards are unknown."""
        sums = self._known.get(tenant)
        if sums is None:
            return None
        now, month = clock.now(), limits.tokens_per_month
        left = None if month is None else month - sums.spent.get(_tokens_of(now), 0)
        if left is not None and left <= 0:
            return sums
        fresh = timedelta(0) <= now - sums.read_at < SUM_TIME
        near = left is not None and left <= NEAR_TOKENS
        return sums if fresh and not near else self._sum_up(tenant, sums.count, now)

    def _sum_up(self, tenant: str, count: int, now: datetime) -> _Sums:
        """Read the tenant's shards for their sums, which this process then keeps for a while."""
        self._read_shards(tenant, count, now)
        return self._known[tenant]

    def _read_shards(self, tenant: str, count: int, now: datetime) -> Mapping[int, Item]:
        """Return the tenant's first so many shards by number, and keep their sums."""
        items = self._read(tenant, map(_shard_name, range(count)))
        found = {shard: items.get(_shard_name(shard), {}) for shard in range(count)}
        further = [item for shard, item in found.items() if shard > 0]
        tokens = sum(map(_count_tokens, further), Counter[str]())
        sums = _Sums(
            read_at=now,
            count=count,
            open=sum(map(_count_open, further)),
            tokens=tokens,
            spent=tokens + _count_tokens(found[0]),
        )
        self._keep(tenant, sums)
        return found

    def _keep(self, tenant: str, sums: _Sums) -> _Sums:
        if len(self._known) >= _CACHE_SIZE:
            self._known.clear()
        self._known[tenant] = sums
        return sums

    def _remembered_refusal(self, tenant: str) -> QuotaExceeded | None:
        """Return the refusal of a moment ago, for a tenant whose shards were all full then."""
        sums = self._known.get(tenant)
        if sums is None or sums.full is None:
            return None
        until, refusal = sums.full
        return refusal if clock.now() < until else None

    def _read(self, tenant: str, names: Iterable[str]) -> Mapping[str, Item]:
        """Return a tenant's items by the names that its id does not tell, of those that exist."""
        keys = [_named_key(tenant, name) for name in names]
        read = (
            self._table.get_all(keys[first : first + _KEYS_PER_READ])
            for first in range(0, len(keys), _KEYS_PER_READ)
        )
        return {item["pk"]["S"].removeprefix(tenant): item for items in read for item in items}

    # --- the end ---------------------------------------------------------------------------------

    def count_end(self, ended: "End") -> None:
        """Release the slot of an ended generation and count its tokens; idempotent."""
        month = _tokens_of(ended.finished_at)
        if ended.slot == TOKENS_ONLY:
            if ended.tokens > 0:
                self._count_tokens(ended, month)
        elif ended.slot is not None:
            self._release(ended.tenant, ended.id, ended.slot, month, ended.tokens)

    def release(self, tenant: str, generation_id: str, slot: str) -> None:
        """Release the slot of a generation that was not stored."""
        if slot != TOKENS_ONLY:
            self._release(tenant, generation_id, slot, _tokens_of(clock.now()), 0)

    def _release(self, tenant: str, generation_id: str, slot: str, month: str, tokens: int) -> None:
        self._table.update(
            _key(tenant, shards.shard_of(slot)),
            removes=[f"open.{generation_id}"],
            adds={month: tokens},
            condition=equals(f"open.{generation_id}", text(slot)),
        )
        sums = self._known.get(tenant)
        if sums is not None:
            sums.full = None

    def _count_tokens(self, ended: "End", month: str) -> None:
        """Count the tokens of a generation without a slot, and leave its receipt."""
        receipt = Update(
            key=_named_key(ended.tenant, f"#{ended.id}"),
            sets={"expires_at": seconds(ended.finished_at + RECEIPT)},
            condition=absent("pk"),
        )
        shard = shards.token_shard(ended.id)
        count = Update(key=_key(ended.tenant, shard), adds={month: ended.tokens})
        for wait in _CONFLICT_WAITS:
            try:
                self._table.transact([receipt, count])
            except TransactionCanceledError as error:
                if error.reasons[0] == "ConditionalCheckFailed":
                    return
                if wait is None:
                    raise
                time.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311 - spreads load, guards nothing # nosec B311
            else:
                return

    # --- reads and waits -------------------------------------------------------------------------

    def count_reads(self, tenant: str, reads: int) -> int:
        """Count requests that accepted nothing; return those of this minute so far."""
        key, minute = _named_key(tenant, _READS), number(minute_of(clock.now()))
        for _ in range(_MAX_TRIES):
            outcome = self._table.update(
                key,
                adds={"reads": reads},
                condition=at_least("minute", minute),
                returns_item=True,
            )
            if isinstance(outcome, ConditionFailed):
                outcome = self._table.update(
                    key,
                    sets={"minute": minute, "reads": number(reads)},
                    condition=absent("pk") | below("minute", minute),
                    returns_item=True,
                )
            if not isinstance(outcome, ConditionFailed):
                return int(outcome["reads"]["N"])
        return 0

    def take_wait(self, tenant: str, places: int, lasts: timedelta) -> WaitPlace | None:
        """Take one of a tenant's places for waiting; None if all are taken.

        A place whose process died is free again when its time is over.
        """
        now = clock.now()
        until = clock.to_millis(now + lasts)
        free: Sequence[str] = [f"w{place}" for place in range(places)]
        for _ in range(_MAX_TRIES):
            if not free:
                return None
            name = random.choice(free)  # noqa: S311 - spreads load, guards nothing # nosec B311
            outcome = self._table.update(
                _named_key(tenant, _WAITS),
                sets={name: number(until)},
                condition=absent(name) | below(name, millis(now)),
            )
            if not isinstance(outcome, ConditionFailed):
                return WaitPlace(name, until)
            held = outcome.item or {}
            free = [each for each in free if each != name and not _is_held(held, each, now)]
        return None

    def give_wait_back(self, tenant: str, place: WaitPlace) -> None:
        """Give a place for waiting back."""
        self._table.update(
            _named_key(tenant, _WAITS),
            removes=[place.name],
            condition=equals(place.name, number(place.until)),
        )

    # --- for the owner ---------------------------------------------------------------------------

    def get_status(self, tenant: str) -> QuotaStatus:
        """Return a tenant's use of its limits; zeros without limits, since nothing is counted."""
        now = clock.now()
        found = self._read(tenant, ("", _READS, _WAITS))
        main, reads, waits = (found.get(name, {}) for name in ("", _READS, _WAITS))
        items = self._read_shards(tenant, _shards(main), now).values() if main else ()
        return QuotaStatus(
            requests=_of_this_minute(main, "requests", now),
            running=sum(map(_count_open, items)),
            tokens=sum(_tokens(item, now) for item in items),
            reads=_of_this_minute(reads, "reads", now),
            waits=sum(_is_held(waits, name, now) for name in waits if name != "pk"),
        )


def _key(tenant: str, shard: int = 0) -> Item:
    return _named_key(tenant, _shard_name(shard))


def _named_key(tenant: str, name: str) -> Item:
    return {"pk": text(f"{tenant}{name}")}


def _shard_name(shard: int) -> str:
    """Return the part of a shard's key behind the tenant's id."""
    return "" if shard == 0 else f"#{shard}"


def _new_slot(now: datetime, shard: int) -> str:
    return shards.name_slot(clock.to_millis(now), secrets.token_hex(4), shard)


def _slot_in(opened: Item, generation_id: str) -> str | None:
    return opened[generation_id]["S"] if generation_id in opened else None


def _is_free(generation_id: str, room: int) -> Condition:
    """Hold where a shard has no slot of a generation, and fewer than so many of others."""
    return absent(f"open.{generation_id}") & fewer("open", room)


def _shards(item: Item) -> int:
    """Return the number of a tenant's shards, by shard 0."""
    return int(item["shards"]["N"]) if "shards" in item else 1


def _open(item: Item) -> Mapping[str, Value]:
    return item["open"]["M"] if "open" in item else {}


def _count_open(item: Item) -> int:
    return len(_open(item))


def _slots_of(limits: "Limits", main: Item) -> int:
    """Return the slots that shards may have, by shard 0.

    The version before took all slots there. Those beyond its share are missing elsewhere.
    """
    return max(0, (limits.slots or 0) - max(0, len(_open(main)) - shards.MAIN_SLOTS))


def _admission(
    generation_id: str, slot: str | None, limits: "Limits", counted: _Count
) -> Admission:
    allowances = _read_allowances(counted.item, limits, counted.now, counted.sums)
    return Admission(id=generation_id, slot=slot, allowances=allowances)


def _refuse(
    item: Item, limits: "Limits", now: datetime, sums: _Sums | None, *, takes_slot: bool
) -> QuotaExceeded | None:
    """Return the refusal by shard 0, None if a limit has room: then another write was quicker."""
    tokens, requests, slots = limits.tokens_per_month, limits.requests_per_minute, limits.slots
    allowances = _read_allowances(item, limits, now, sums)
    if tokens is not None and _tokens(item, now) + _tokens_elsewhere(sums, now) >= tokens:
        return QuotaExceeded(
            message=f"The {tokens} tokens of this month are used up.",
            retry_after=_until_next_month(now),
            open={},
            allowances=allowances,
        )
    if takes_slot and slots is not None and _count_open(item) >= shards.capacity(0, slots):
        held = {generation_id: slot["S"] for generation_id, slot in _open(item).items()}
        return _no_slot(limits, held, allowances)
    if requests is not None and _of_this_minute(item, "requests", now) >= requests:
        return QuotaExceeded(
            message=f"The limit of submissions a minute is {requests}.",
            retry_after=until_next_minute(now, _minute(item)),
            open={},
            allowances=allowances,
        )
    return None


def _no_slot(
    limits: "Limits", held: Mapping[str, str], allowances: Iterable[Allowance]
) -> QuotaExceeded:
    return QuotaExceeded(
        message=f"The limit is {limits.slots} open at once, and so many are.",
        retry_after=SLOT_RETRY_SECONDS,
        open=held,
        allowances=tuple(
            replace(each, left=0) if each.name == _RUNNING else each for each in allowances
        ),
    )


def _read_allowances(
    item: Item, limits: "Limits", now: datetime, sums: _Sums | None
) -> tuple[Allowance, ...]:
    """Return the rest of each limit, by shard 0 and the sums over the others."""
    allowances = []
    if limits.requests_per_minute is not None:
        accepted = _of_this_minute(item, "requests", now)
        allowances.append(
            Allowance(
                name="requests-per-minute",
                limit=limits.requests_per_minute,
                left=max(0, limits.requests_per_minute - accepted),
                window=60,
                resets=until_next_minute(now, _minute(item)),
            )
        )
    if limits.slots is not None:
        opened = _count_open(item) + (0 if sums is None else sums.open)
        allowances.append(
            Allowance(
                name=_RUNNING,
                limit=limits.slots,
                left=max(0, limits.slots - opened),
                unit="concurrent-requests",
            )
        )
    if limits.tokens_per_month is not None:
        spent = _tokens(item, now) + _tokens_elsewhere(sums, now)
        allowances.append(
            Allowance(
                name="tokens-per-month",
                limit=limits.tokens_per_month,
                left=max(0, limits.tokens_per_month - spent),
                window=monthrange(now.year, now.month)[1] * 24 * 60 * 60,
                resets=_until_next_month(now),
                unit="tokens",
            )
        )
    return tuple(allowances)


def slot_taken_at(slot: str) -> datetime:
    """Return the time of a slot's admission."""
    return clock.from_millis(int(slot.partition("-")[0]))


def minute_of(moment: datetime) -> int:
    """Return the minute of a moment, since the epoch."""
    return int(moment.timestamp()) // 60


def until_next_minute(now: datetime, minute: int = 0) -> int:
    """Return the seconds to the end of this minute, or of a later one that another clock set."""
    return max(1, round((max(minute, minute_of(now)) + 1) * 60 - now.timestamp()))


def _minute(item: Item) -> int:
    return int(item["minute"]["N"])


def _of_this_minute(item: Item, name: str, now: datetime) -> int:
    """Return the count of an item's minute; 0 for a minute that is over, and without an item."""
    return int(item[name]["N"]) if item and _minute(item) >= minute_of(now) else 0


def _is_held(item: Item, place: str, now: datetime) -> bool:
    return place in item and int(item[place]["N"]) >= clock.to_millis(now)


def _count_tokens(item: Item) -> Counter[str]:
    """Return an item's tokens by month."""
    months = (name for name in item if name.startswith("tokens_"))
    return Counter({month: int(item[month]["N"]) for month in months})


def _tokens(item: Item, moment: datetime) -> int:
    name = _tokens_of(moment)
    return int(item[name]["N"]) if name in item else 0


def _tokens_elsewhere(sums: _Sums | None, moment: datetime) -> int:
    return 0 if sums is None else sums.tokens.get(_tokens_of(moment), 0)


def _tokens_of(moment: datetime) -> str:
    return f"tokens_{moment:%Y_%m}"


def _two_months_before(moment: datetime) -> datetime:
    """Return a moment of a month that no limit reads, and no end is counted in, any more."""
    return moment.replace(day=1) - timedelta(days=32)


def _until_next_month(moment: datetime) -> int:
    years, month = divmod(moment.month, 12)
    following = moment.replace(
        year=moment.year + years, month=month + 1, day=1, hour=0, minute=0, second=0, microsecond=0
    )
    return round((following - moment).total_seconds())

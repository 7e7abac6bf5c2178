"""The quotas table: the use of tenants' limits, and its only user.

`pk` is a tenant's id for shard 0, and `<id>#<n>` for the other shards (afterword.limits.shards):

open             slots by generation id; a slot's name is in afterword.limits.shards
tokens_2026_11   tokens of the generations that ended in that month; one such for each month
minute           in shard 0: the minute of the clock that `requests` counts, since the epoch
requests         in shard 0: submissions accepted in it
shards           in shard 0: the number of the tenant's shards so far; absent for one alone

`<id>#<generation id>` is the receipt of tokens that were counted without a slot.
`<id>#flow#<flow>#<minute>` and `<id>#key#<key id>#<minute>` count the requests of a flow or a key
with a limit of its own in one minute, and expire an hour later. `<id>#reads` counts the requests
of a minute that accepted nothing, and `<id>#waits` has the places of those that wait for an end.

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
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from afterword import clock
from afterword.limits import TOKENS_ONLY, Admission, QuotaExceeded, shards
from afterword.limits.allowances import find_refusal, no_slot, read_allowances
from afterword.limits.items import (
    READS,
    WAITS,
    Sums,
    count_slots,
    find_slot,
    is_held,
    minute_in,
    minute_of,
    named_key,
    of_this_minute,
    shard_key,
    shard_name,
    shards_of,
    slots_in,
    tokens_elsewhere,
    tokens_in,
    tokens_of,
    two_months_before,
)
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

SUM_TIME = timedelta(seconds=10)
"""The longest time that a process takes the sums over further shards for true."""
NEAR_TOKENS = 10_000
"""So near to the limit of tokens, each admission reads the sums again."""
SAMPLE = 10
"""Shards of many that are read for a free slot before all of them are."""
FULL_TIME = timedelta(seconds=1)
"""The time for which a process refuses without a call, after it has read all of many shards."""
RECEIPT = timedelta(days=32)
"""The life of a receipt: the month is over then, and no limit reads its tokens any more."""
MINUTE_KEPT = timedelta(hours=1)
"""The life of the count of one minute: no clock is wrong by more."""
_CONFLICT_WAITS = (0.02, 0.05, 0.1, 0.2, None)
"""Seconds before a transaction is tried again that another one was in the way of."""
_MAX_TRIES = 10
_KEYS_PER_READ = 100
_CACHE_SIZE = 1_000


class QuotaStatus(NamedTuple):
    """A tenant's use of its limits now; `tokens` are those of this month."""

    requests: int
    running: int
    tokens: int
    reads: int = 0
    waits: int = 0


class _Count(NamedTuple):
    """A submission that shard 0 has counted: the item afterwards, and the slot that it took."""

    item: Item
    slot: str | None
    now: datetime
    sums: Sums | None


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
        self._known: dict[str, Sums] = {}

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
                return _Count(outcome, find_slot(opened, generation_id), now, sums)
            item = outcome.item or {}
            if takes_slot and generation_id in slots_in(item):
                return _Count(item, find_slot(slots_in(item), generation_id), now, sums)
            if sums is None and "shards" in item and _needs_sums(limits):
                _, sums = self._sum_up(tenant, shards_of(item), now)
            refusal = find_refusal(item, limits, now, sums, takes_slot=takes_slot)
            if refusal is not None:
                return refusal
            new_minute = minute_in(item) < minute_of(now)
        return QuotaExceeded(
            message="Too many submissions at the same moment.", retry_after=1, open={}
        )

    def _write_count(  # noqa: PLR0913 - the parts of an admission
        self,
        tenant: str,
        opened: Item,
        limits: "Limits",
        now: datetime,
        sums: Sums | None,
        *,
        new_minute: bool,
    ) -> Item | ConditionFailed:
        """Count a submission and take its slot of shard 0, on condition of the limits.

        Fails for a tenant with further shards while their sums are unknown.
        """
        this_minute = number(minute_of(now))
        condition = exists("pk")
        sets: dict[str, Value] = {}
        if sums is None and _needs_sums(limits):
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
            tokens = tokens_of(now)
            left = limits.tokens_per_month - tokens_elsewhere(sums, now)
            unspent = below(tokens, number(left))
            condition &= (absent(tokens) | unspent) if left > 0 else unspent
        return self._table.update(
            shard_key(tenant),
            sets=sets,
            adds={} if new_minute else {"requests": 1},
            removes=[tokens_of(two_months_before(now))],
            condition=condition,
            returns_item=True,
        )

    def _create(self, tenant: str, opened: Item, now: datetime) -> Item | ConditionFailed:
        """Make shard 0 with its first submission."""
        return self._table.update(
            shard_key(tenant),
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

        The shard of its id comes first, and then the freest of a few. All are read at last.
        """
        slots = _slots_of(limits, counted.item)
        further = range(1, shards.count_shards(limits))
        taken = None
        if home > 0:
            taken = self._take(tenant, home, generation_id, slots, counted.now)
        if taken is None and len(further) > SAMPLE:
            some = random.sample(further, SAMPLE)  # spreads load, guards nothing # nosec B311
            items: Mapping[int, Item] = self._read_shards(tenant, some)
            taken = self._take_the_freest(tenant, generation_id, items, slots, counted.now)
        if taken is None:
            count = max(len(further) + 1, shards_of(counted.item))
            items, sums = self._sum_up(tenant, count, counted.now)
            slots = _slots_of(limits, items[0])
            taken = self._take_the_freest(tenant, generation_id, items, slots, counted.now)
            if taken is None:
                self._count_back(tenant, counted)
                return _refuse_all(limits, items, sums, counted)
        if not taken.new:
            self._count_back(tenant, counted)
        elif counted.sums is not None:
            counted.sums.open += 1
        return _admission(generation_id, taken.slot, limits, counted)

    def _take_the_freest(
        self,
        tenant: str,
        generation_id: str,
        items: Mapping[int, Item],
        slots: int,
        now: datetime,
    ) -> _Taken | None:
        """Take a slot of one of these shards, the freest first; None if all are full."""
        free = {shard: shards.capacity(shard, slots) - count_slots(items[shard]) for shard in items}
        with_room = [shard for shard in free if free[shard] > 0]
        random.shuffle(with_room)
        for shard in sorted(with_room, key=free.__getitem__, reverse=True)[:_MAX_TRIES]:
            taken = self._take(tenant, shard, generation_id, slots, now)
            if taken is not None:
                return taken
        return None

    def _take(
        self, tenant: str, shard: int, generation_id: str, slots: int, now: datetime
    ) -> _Taken | None:
        """Take a slot of a shard; None if the shard is full."""
        room = shards.capacity(shard, slots)
        if room == 0:
            return None
        slot = _new_slot(now, shard)
        outcome = self._table.update(
            shard_key(tenant, shard),
            sets={f"open.{generation_id}": text(slot)},
            removes=[tokens_of(two_months_before(now))],
            condition=exists("open") & _is_free(generation_id, room),
        )
        if not isinstance(outcome, ConditionFailed):
            return _Taken(slot, new=True)
        if "open" not in (outcome.item or {}):
            outcome = self._table.update(
                shard_key(tenant, shard),
                sets={"open": {"M": {generation_id: text(slot)}}},
                condition=absent("open"),
            )
            if not isinstance(outcome, ConditionFailed):
                return _Taken(slot, new=True)
        held = slots_in(outcome.item or {}).get(generation_id)
        return None if held is None else _Taken(held["S"], new=held["S"] == slot)

    def _count_back(self, tenant: str, counted: _Count) -> None:
        """Take the count of a submission back in its minute."""
        self._table.update(
            shard_key(tenant),
            adds={"requests": -1},
            condition=equals("minute", counted.item["minute"]) & above("requests", number(0)),
        )

    # --- sums over shards ------------------------------------------------------------------------

    def _note_shards(
        self, tenant: str, item: Item, limits: "Limits", sums: Sums | None, now: datetime
    ) -> Sums | None:
        """Write down how many shards the tenant has, before the first write of a new one."""
        wanted = shards.count_shards(limits)
        if shards_of(item) >= wanted:
            return sums
        self._table.update(
            shard_key(tenant),
            sets={"shards": number(wanted)},
            condition=absent("shards") | below("shards", number(wanted)),
        )
        if sums is None:
            return self._keep(tenant, Sums(now, wanted))
        sums.count = max(sums.count, wanted)
        return sums

    def _get_sums(self, tenant: str, limits: "Limits") -> Sums | None:
        """Return sums that are fresh enough; None for a tenant whose shards are unknown."""
        sums = self._known.get(tenant)
        if sums is None or not _needs_sums(limits):
            return None
        now, month = clock.now(), limits.tokens_per_month
        left = None if month is None else month - sums.spent.get(tokens_of(now), 0)
        if left is not None and left <= 0:
            return sums
        fresh = timedelta(0) <= now - sums.read_at < SUM_TIME
        near = left is not None and left <= NEAR_TOKENS
        return sums if fresh and not near else self._sum_up(tenant, sums.count, now)[1]

    def _sum_up(self, tenant: str, count: int, now: datetime) -> tuple[Mapping[int, Item], Sums]:
        """Return the tenant's first so many shards, and their sums, which this process keeps."""
        found = self._read_shards(tenant, range(count))
        further = (item for shard, item in found.items() if shard > 0)
        return found, self._keep(tenant, Sums(now, count, further, found[0]))

    def _read_shards(self, tenant: str, numbers: Iterable[int]) -> Mapping[int, Item]:
        """Return shards by number, each empty that does not exist yet."""
        names = {shard_name(shard): shard for shard in numbers}
        items = self._read(tenant, names)
        return {shard: items.get(name, {}) for name, shard in names.items()}

    def _keep(self, tenant: str, sums: Sums) -> Sums:
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
        keys = [named_key(tenant, name) for name in names]
        read = (
            self._table.get_all(keys[first : first + _KEYS_PER_READ])
            for first in range(0, len(keys), _KEYS_PER_READ)
        )
        return {item["pk"]["S"].removeprefix(tenant): item for items in read for item in items}

    # --- the end ---------------------------------------------------------------------------------

    def count_end(self, ended: "End") -> None:
        """Release the slot of an ended generation and count its tokens; idempotent."""
        month = tokens_of(ended.finished_at)
        if ended.slot == TOKENS_ONLY:
            if ended.tokens > 0:
                self._count_tokens(ended, month)
        elif ended.slot is not None:
            self._release(ended.tenant, ended.id, ended.slot, month, ended.tokens)

    def release(self, tenant: str, generation_id: str, slot: str) -> None:
        """Release the slot of a generation that was not stored."""
        if slot != TOKENS_ONLY:
            self._release(tenant, generation_id, slot, tokens_of(clock.now()), 0)

    def _release(self, tenant: str, generation_id: str, slot: str, month: str, tokens: int) -> None:
        self._table.update(
            shard_key(tenant, shards.shard_of(slot)),
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
            key=named_key(ended.tenant, f"#{ended.id}"),
            sets={"expires_at": seconds(ended.finished_at + RECEIPT)},
            condition=absent("pk"),
        )
        shard = shards.token_shard(ended.id)
        count = Update(key=shard_key(ended.tenant, shard), adds={month: ended.tokens})
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

    # --- flows and keys --------------------------------------------------------------------------

    def count_request(self, tenant: str, name: str, limit: int) -> bool:
        """Count a request of this minute under a name; False if so many are counted already."""
        now = clock.now()
        outcome = self._table.update(
            named_key(tenant, f"#{name}#{minute_of(now)}"),
            sets={"expires_at": seconds(now + MINUTE_KEPT)},
            adds={"requests": 1},
            condition=absent("requests") | below("requests", number(limit)),
        )
        return not isinstance(outcome, ConditionFailed)

    # --- reads and waits -------------------------------------------------------------------------

    def count_reads(self, tenant: str, reads: int) -> int:
        """Count requests that accepted nothing; return those of this minute so far."""
        key, minute = named_key(tenant, READS), number(minute_of(clock.now()))
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
                named_key(tenant, WAITS),
                sets={name: number(until)},
                condition=absent(name) | below(name, millis(now)),
            )
            if not isinstance(outcome, ConditionFailed):
                return WaitPlace(name, until)
            held = outcome.item or {}
            free = [each for each in free if each != name and not is_held(held, each, now)]
        return None

    def give_wait_back(self, tenant: str, place: WaitPlace) -> None:
        """Give a place for waiting back."""
        self._table.update(
            named_key(tenant, WAITS),
            removes=[place.name],
            condition=equals(place.name, number(place.until)),
        )

    # --- for the owner ---------------------------------------------------------------------------

    def get_status(self, tenant: str) -> QuotaStatus:
        """Return a tenant's use of its limits; zeros without limits, since nothing is counted."""
        now = clock.now()
        found = self._read(tenant, ("", READS, WAITS))
        main, reads, waits = (found.get(name, {}) for name in ("", READS, WAITS))
        items = self._read_shards(tenant, range(shards_of(main))).values()
        return QuotaStatus(
            requests=of_this_minute(main, "requests", now),
            running=sum(map(count_slots, items)),
            tokens=sum(tokens_in(item, now) for item in items),
            reads=of_this_minute(reads, "reads", now),
            waits=sum(is_held(waits, name, now) for name in waits if name != "pk"),
        )


def _new_slot(now: datetime, shard: int) -> str:
    return shards.name_slot(clock.to_millis(now), secrets.token_hex(4), shard)


def _is_free(generation_id: str, room: int) -> Condition:
    """Hold where a shard has no slot of a generation, and fewer than so many of others."""
    return absent(f"open.{generation_id}") & fewer("open", room)


def _needs_sums(limits: "Limits") -> bool:
    """Return whether a limit is about more than shard 0 counts."""
    return limits.slots is not None or limits.tokens_per_month is not None


def _slots_of(limits: "Limits", main: Item) -> int:
    """Return the slots that shards may have, by shard 0.

    The version before took all slots there. Those beyond its share are missing elsewhere.
    """
    return max(0, (limits.slots or 0) - max(0, len(slots_in(main)) - shards.MAIN_SLOTS))


def _admission(
    generation_id: str, slot: str | None, limits: "Limits", counted: _Count
) -> Admission:
    allowances = read_allowances(counted.item, limits, counted.now, counted.sums)
    return Admission(id=generation_id, slot=slot, allowances=allowances)


def _refuse_all(
    limits: "Limits", items: Mapping[int, Item], sums: Sums, counted: _Count
) -> QuotaExceeded:
    """Return the refusal of a tenant whose shards are all full, which holds for FULL_TIME."""
    held = {each: slot["S"] for item in items.values() for each, slot in slots_in(item).items()}
    allowances = read_allowances(counted.item, limits, counted.now, sums)
    refusal = no_slot(limits, held, allowances)
    sums.full = (counted.now + FULL_TIME, refusal._replace(open={}))
    return refusal

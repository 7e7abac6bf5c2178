"""Items of the quotas table: their keys, and what is read from them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING

from afterword import clock
from afterword.runtime.dynamodb import Item, Value, text

if TYPE_CHECKING:
    from afterword.limits import QuotaExceeded

READS, WAITS = "#reads", "#waits"
"""The names of two items beside the shards."""


class Sums:
    """The sums over a tenant's `count` shards but the first, as this process knows them.

    `spent` are the tokens of all shards, with the first. `full` is the last refusal for want of a
    slot, and the time until which it holds.
    """

    __slots__ = ("count", "full", "open", "read_at", "spent", "tokens")

    def __init__(
        self,
        read_at: datetime,
        count: int,
        further: Iterable[Item] = (),
        first: Item = MappingProxyType({}),
    ) -> None:
        items = tuple(further)
        self.read_at = read_at
        self.count = count
        self.open = sum(map(count_slots, items))
        self.tokens = sum(map(count_tokens, items), Counter[str]())
        self.spent = self.tokens + count_tokens(first)
        self.full: tuple[datetime, QuotaExceeded] | None = None


def shard_key(tenant: str, shard: int = 0) -> Item:
    """Return the key of a tenant's shard."""
    return named_key(tenant, shard_name(shard))


def named_key(tenant: str, name: str) -> Item:
    """Return the key of a tenant's item by the part of it behind the tenant's id."""
    return {"pk": text(f"{tenant}{name}")}


def shard_name(shard: int) -> str:
    """Return the part of a shard's key behind the tenant's id."""
    return "" if shard == 0 else f"#{shard}"


def shards_of(item: Item) -> int:
    """Return the number of a tenant's shards, by shard 0."""
    return int(item["shards"]["N"]) if "shards" in item else 1


def slots_in(item: Item) -> Mapping[str, Value]:
    """Return an item's slots by generation id."""
    return item["open"]["M"] if "open" in item else {}


def count_slots(item: Item) -> int:
    """Return the number of an item's slots."""
    return len(slots_in(item))


def find_slot(opened: Item, generation_id: str) -> str | None:
    """Return the slot of a generation among others; None without one."""
    return opened[generation_id]["S"] if generation_id in opened else None


def minute_of(moment: datetime) -> int:
    """Return the minute of a moment, since the epoch."""
    return int(moment.timestamp()) // 60


def until_next_minute(now: datetime, minute: int = 0) -> int:
    """Return the seconds to the end of this minute, or of a later one that another clock set."""
    return max(1, round((max(minute, minute_of(now)) + 1) * 60 - now.timestamp()))


def minute_in(item: Item) -> int:
    """Return the minute that an item counts."""
    return int(item["minute"]["N"])


def of_this_minute(item: Item, name: str, now: datetime) -> int:
    """Return the count of an item's minute; 0 for a minute that is over, and without an item."""
    return int(item[name]["N"]) if item and minute_in(item) >= minute_of(now) else 0


def is_held(item: Item, place: str, now: datetime) -> bool:
    """Return whether a place for waiting is taken."""
    return place in item and int(item[place]["N"]) >= clock.to_millis(now)


def count_tokens(item: Item) -> Counter[str]:
    """Return an item's tokens by month."""
    months = (name for name in item if name.startswith("tokens_"))
    return Counter({month: int(item[month]["N"]) for month in months})


def tokens_in(item: Item, moment: datetime) -> int:
    """Return an item's tokens of a moment's month."""
    name = tokens_of(moment)
    return int(item[name]["N"]) if name in item else 0


def tokens_elsewhere(sums: Sums | None, moment: datetime) -> int:
    """Return the tokens of a moment's month in further shards."""
    return 0 if sums is None else sums.tokens.get(tokens_of(moment), 0)


def tokens_of(moment: datetime) -> str:
    """Return the name of the attribute with the tokens of a moment's month."""
    return f"tokens_{moment:%Y_%m}"


def two_months_before(moment: datetime) -> datetime:
    """Return a moment of a month that no limit reads, and no end is counted in, any more."""
    return moment.replace(day=1) - timedelta(days=32)


def until_next_month(moment: datetime) -> int:
    """Return the seconds to the end of a moment's month."""
    years, month = divmod(moment.month, 12)
    following = moment.replace(
        year=moment.year + years, month=month + 1, day=1, hour=0, minute=0, second=0, microsecond=0
    )
    return round((following - moment).total_seconds())

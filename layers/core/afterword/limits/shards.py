"""Shards: the items over which the slots of one tenant, and its tokens, are spread.

Shard 0 is the tenant's own item, which counts submissions, too. A tenant with few slots has no
other. An item of MAIN_SLOTS or SHARD_SLOTS slots stays below 1 KB: a write of it costs one unit.

The slots of each shard are fixed by the limit: shard 0 is filled up first, then shard 1, and so on.
So the sum over all shards is the limit, and no shard loses a slot when the limit is raised.
"""

import zlib
from datetime import datetime
from typing import TYPE_CHECKING

from afterword import clock

if TYPE_CHECKING:
    from afterword.limits import Limits

MAIN_SLOTS = 12
"""Slots of shard 0, which keeps counters beside them."""
SHARD_SLOTS = 14
"""Slots of any other shard."""
TOKEN_SHARDS = 8
"""Further shards that count the tokens of a tenant whose generations have no slots."""


def count_shards(limits: "Limits") -> int:
    """Return the number of a tenant's shards."""
    if limits.slots is not None:
        return 1 + -(-max(0, limits.slots - MAIN_SLOTS) // SHARD_SLOTS)
    return 1 if limits.tokens_per_month is None else 1 + TOKEN_SHARDS


def capacity(shard: int, slots: int) -> int:
    """Return the slots of a shard under a limit of so many slots."""
    if shard == 0:
        return min(MAIN_SLOTS, slots)
    return min(SHARD_SLOTS, max(0, slots - MAIN_SLOTS - SHARD_SLOTS * (shard - 1)))


def home(generation_id: str, slots: int) -> int:
    """Return the shard where a generation's slot is looked for first, the same for each try."""
    position = zlib.crc32(generation_id.encode()) % slots
    return 0 if position < MAIN_SLOTS else 1 + (position - MAIN_SLOTS) // SHARD_SLOTS


def token_shard(generation_id: str) -> int:
    """Return the shard that counts the tokens of a generation without a slot."""
    return 1 + zlib.crc32(generation_id.encode()) % TOKEN_SHARDS


def name_slot(taken_at: int, chance: str, shard: int) -> str:
    """Return a slot's name: the milliseconds of its admission, a random part, and its shard.

    The name of a slot in shard 0 has no shard, as the version before named all slots.
    """
    return f"{taken_at}-{chance}" if shard == 0 else f"{taken_at}-{chance}-{shard}"


def shard_of(slot: str) -> int:
    """Return the shard that a slot's name tells."""
    _, _, behind = slot.partition("-")
    _, _, shard = behind.partition("-")
    return int(shard or 0)


def taken_at(slot: str) -> datetime:
    """Return the time of a slot's admission."""
    return clock.from_millis(int(slot.partition("-")[0]))

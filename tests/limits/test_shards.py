"""The spread of a tenant's slots over its shards."""

import pytest

from afterword.limits import MAX_RUNNING, TOKENS_ONLY, Limits, shards

ALL = range(1, MAX_RUNNING + 1)


def capacities(slots: int) -> list[int]:
    """Return the slots of each shard under a limit."""
    count = shards.count_shards(Limits(running_at_once=slots))
    return [shards.capacity(shard, slots) for shard in range(count)]


def test_all_shards_together_have_the_limit() -> None:
    """The slots of the shards add up to the limit, whatever it is, and no shard has none."""
    for slots in ALL:
        assert sum(capacities(slots)) == slots
        assert all(capacities(slots))


def test_a_higher_limit_takes_no_slot_from_a_shard() -> None:
    """When a limit is raised, each shard has as many slots as before, or more."""
    before: list[int] = []
    for slots in ALL:
        now = capacities(slots)
        assert all(more >= less for less, more in zip(before, now, strict=False))
        before = now


@pytest.mark.parametrize("slots", [1, 12, 13, 27, 100, MAX_RUNNING])
def test_a_home_has_slots(slots: int) -> None:
    """The shard where a slot is looked for first is one that has some."""
    homes = {shards.home(f"generation-{number}", slots) for number in range(200)}
    assert all(shards.capacity(home, slots) for home in homes)
    assert slots <= shards.MAIN_SLOTS or len(homes) > 1


def test_a_limit_without_slots_has_no_shard_of_slots() -> None:
    """Submissions are counted in one item, and tokens in a few beside it."""
    assert shards.count_shards(Limits(requests_per_minute=600)) == 1
    assert shards.count_shards(Limits(tokens_per_month=1)) == 1 + shards.TOKEN_SHARDS
    found = {shards.token_shard(f"generation-{number}") for number in range(200)}
    assert found == {*range(1, 1 + shards.TOKEN_SHARDS)}


@pytest.mark.parametrize("shard", [0, 1, 357])
def test_a_slot_tells_its_shard(shard: int) -> None:
    """A slot's name leads to the item that has the slot; the version before named none."""
    assert shards.shard_of(shards.name_slot(1_794_301_200_000, "0a1b2c3d", shard)) == shard
    assert shards.shard_of("1794301200000-0a1b2c3d") == 0
    assert shards.shard_of(TOKENS_ONLY) == 0

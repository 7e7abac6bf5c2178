"""The quotas: slots over many items, tokens without slots, and the units of all that."""

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from afterword.generations import Status, new_id
from afterword.generations.ends import End
from afterword.limits import (
    MAX_RUNNING,
    TOKENS_ONLY,
    Admission,
    Limits,
    QuotaExceeded,
    quotas,
    shards,
)
from afterword.limits.quotas import FULL_TIME, SUM_TIME, Quotas
from afterword.runtime.clients import clients
from afterword.runtime.dynamodb import TransactionCanceledError
from tests.conftest import START, Call, SetClock
from tests.harness.deployment import REFERENCES
from tests.harness.units import PARTITION_WRITES, write_units

TABLE = REFERENCES["QuotasTable"]
TENANT = "t" * 64
"""A tenant with the longest id, which is in all keys."""
RATE = 200
"""Generations a second of one tenant."""
MONTH = "tokens_2026_11"
SPREAD = Limits(running_at_once=8)
"""Slots in four shards of two, as `small_shards` has them."""


@pytest.fixture
def usage(aws: None, set_clock: SetClock) -> Quotas:  # noqa: ARG001 - for their effect
    """Return the quotas, as one process has them."""
    return another_process()


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a shard have two slots, so that a few generations need several."""
    monkeypatch.setattr(shards, "MAIN_SLOTS", 2)
    monkeypatch.setattr(shards, "SHARD_SLOTS", 2)


def another_process() -> Quotas:
    """Return the quotas as another process has them, which knows nothing yet."""
    return Quotas(clients().dynamodb, TABLE)


def items() -> dict[str, dict[str, Any]]:
    """Return the table by key."""
    found = clients().dynamodb.scan(TableName=TABLE)["Items"]
    return {item["pk"]["S"]: dict(item) for item in found}


def put(item: Mapping[str, Any]) -> None:
    """Write an item as it is."""
    clients().dynamodb.put_item(TableName=TABLE, Item=item)


def admitted(outcome: Admission | QuotaExceeded) -> Admission:
    """Return an admission."""
    assert isinstance(outcome, Admission), outcome
    return outcome


def refused(outcome: Admission | QuotaExceeded) -> QuotaExceeded:
    """Return a refusal."""
    assert isinstance(outcome, QuotaExceeded), outcome
    return outcome


def end_of(admission: Admission, tokens: int = 7) -> End:
    """Return the end of an admitted generation."""
    return End(
        tenant=TENANT, id=admission.id, dialect="native", flow="f", flow_version=1,
        status=Status.SUCCEEDED, reason=None, attempt=1, created_at=START, finished_at=START,
        tokens=tokens, slot=admission.slot, notify=False, dispatched=False,
    )  # fmt: skip


def fill(usage: Quotas, limits: Limits) -> list[Admission]:
    """Take all slots of a limit."""
    return [admitted(usage.admit(TENANT, new_id(), limits)) for _ in range(limits.slots or 0)]


# --- units ---------------------------------------------------------------------------------------


def fullest(shard: int) -> dict[str, Any]:
    """Return a shard with all the slots that it can have, and the largest counts."""
    slots = {
        new_id(): {"S": shards.name_slot(9_999_999_999_999, secrets.token_hex(4), shard)}
        for _ in range(shards.capacity(shard, MAX_RUNNING))
    }
    tokens = {"N": "999999999999"}
    item = {
        "pk": {"S": TENANT if shard == 0 else f"{TENANT}#{shard}"},
        "open": {"M": slots},
        MONTH: tokens,
        "tokens_2026_10": tokens,
    }
    if shard == 0:
        item |= {
            "minute": {"N": str(int(START.timestamp()) // 60)},
            "requests": {"N": "9999"},
            "shards": {"N": "358"},
        }
    return item


def without(shard: Mapping[str, Any], free: int) -> dict[str, Any]:
    """Return a shard's slots but so many."""
    return dict([*shard["open"]["M"].items()][free:])


def spent(calls: list[Call]) -> dict[str, int]:
    """Return the write units of calls by key, at the size that the items have now."""
    now = items()
    found: dict[str, int] = {}
    for call in calls:
        transactional = call.operation == "dynamodb.TransactWriteItems"
        writes = (
            [each["Update"] for each in call.params["TransactItems"]]
            if transactional
            else [call.params] * (call.operation == "dynamodb.UpdateItem")
        )
        for write in writes:
            key = write["Key"]["pk"]["S"]
            units = write_units(now[key], transactional=transactional)
            found[key] = found.get(key, 0) + units
    return found


@pytest.mark.parametrize("shard", [0, 1, 357])
def test_a_full_shard_is_one_unit(shard: int) -> None:
    """A shard with all its slots, of a tenant with the longest id, stays below 1 KB."""
    assert write_units(fullest(shard)) == 1


@pytest.mark.parametrize(
    ("limits", "admission", "end"),
    [
        (Limits(requests_per_minute=60_000), 1, 0),
        (Limits(tokens_per_month=10**15), 1, 4),
        (Limits(running_at_once=shards.MAIN_SLOTS), 1, 1),
        (Limits(running_at_once=MAX_RUNNING), 2, 1),
        (
            Limits(
                running_at_once=MAX_RUNNING, requests_per_minute=60_000, tokens_per_month=10**15
            ),
            2,
            1,
        ),
    ],
    ids=["requests", "tokens", "few slots", "many slots", "all"],
)
def test_a_limited_submission_costs_few_units_whatever_runs(
    usage: Quotas, calls: list[Call], limits: Limits, admission: int, end: int
) -> None:
    """An admission costs two units at most, and an end four, beside all the slots there can be.

    So 200 a second of one tenant stay within what one partition takes, were all items in it.
    """
    slots = limits.slots or 0
    home = 1 if slots > shards.MAIN_SLOTS else 0
    ids = [
        each
        for each in (new_id() for _ in range(20_000))
        if not slots or shards.home(each, slots) == home
    ]
    if slots:
        put(fullest(0) | {"shards": {"N": str(shards.count_shards(limits))}})
        full = fullest(home)
        put(full | items().get(full["pk"]["S"], {}) | {"open": {"M": without(full, 2)}})
    admitted(usage.admit(TENANT, ids[0], limits))
    calls.clear()
    taken = admitted(usage.admit(TENANT, ids[1], limits))
    to_admit = spent(calls)
    calls.clear()
    if taken.slot is not None:
        usage.count_end(end_of(taken))
    to_end = spent(calls)
    assert (sum(to_admit.values()), sum(to_end.values())) == (admission, end)
    assert admission <= 4
    assert RATE * (admission + end) <= PARTITION_WRITES


@pytest.mark.parametrize("free", [1, 12])
def test_no_path_costs_more_than_four_units(
    usage: Quotas, calls: list[Call], set_clock: SetClock, free: int
) -> None:
    """In a new minute, with its first shard full and most others, an admission is four units."""
    slots = shards.MAIN_SLOTS + 12 * shards.SHARD_SLOTS
    limits = Limits(running_at_once=slots, requests_per_minute=60_000)
    put(fullest(0) | {"shards": {"N": "13"}})
    for shard in range(1, 13):
        full = fullest(shard)
        put(full if shard != free else full | {"open": {"M": without(full, 2)}})
    admitted(usage.admit(TENANT, new_id(), limits))
    set_clock.advance(minutes=1)
    calls.clear()
    admitted(usage.admit(TENANT, new_id(), limits))
    assert sum(spent(calls).values()) <= 4
    assert 1 <= sum(call.operation == "dynamodb.BatchGetItem" for call in calls) <= 4


# --- slots ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_shards")
def test_there_are_as_many_slots_as_the_limit(usage: Quotas) -> None:
    """All slots of all shards can be taken, by any process, and none beyond them."""
    limits = SPREAD
    taken = fill(usage, limits)
    assert usage.get_status(TENANT).running == limits.running_at_once
    for process in (usage, another_process()):
        refusal = refused(process.admit(TENANT, new_id(), limits))
        assert refusal.message == f"The limit is {limits.slots} open at once, and so many are."
        assert refusal.open == {each.id: each.slot for each in taken}
        assert [each.left for each in refusal.allowances] == [0]
    other = another_process()
    other.count_end(end_of(taken[-1]))
    admitted(other.admit(TENANT, new_id(), limits))
    refused(another_process().admit(TENANT, new_id(), limits))


@pytest.mark.usefixtures("small_shards")
def test_a_refused_submission_is_not_counted(usage: Quotas) -> None:
    """A submission that finds no slot is none of those that a minute accepted."""
    fill(usage, SPREAD)
    before = usage.get_status(TENANT)
    refused(usage.admit(TENANT, new_id(), SPREAD))
    assert usage.get_status(TENANT) == before


@pytest.mark.usefixtures("small_shards")
def test_a_full_tenant_costs_no_call_for_a_second(
    usage: Quotas, calls: list[Call], set_clock: SetClock
) -> None:
    """A process that has read all of many shards refuses by itself for FULL_TIME."""
    taken = fill(usage, SPREAD)
    refused(usage.admit(TENANT, new_id(), SPREAD))
    calls.clear()
    for _ in range(100):
        assert refused(usage.admit(TENANT, new_id(), SPREAD)).open == {}
    assert calls == []
    another_process().count_end(end_of(taken[0]))
    set_clock.advance(seconds=FULL_TIME.total_seconds())
    admitted(usage.admit(TENANT, new_id(), SPREAD))


@pytest.mark.usefixtures("small_shards")
def test_a_repeated_submission_keeps_its_slot(usage: Quotas) -> None:
    """A submission that is sent again has one slot, and is counted once."""
    limits = replace(SPREAD, requests_per_minute=100)
    generation_id = next(each for each in iter(new_id, "") if shards.home(each, 8))
    first, again = (admitted(usage.admit(TENANT, generation_id, limits)) for _ in range(2))
    assert first.slot == again.slot
    status = usage.get_status(TENANT)
    assert (status.running, status.requests) == (1, 1)


@pytest.mark.usefixtures("small_shards")
def test_a_lowered_limit_admits_none_beyond_the_old_one(usage: Quotas) -> None:
    """With the slots of a higher limit taken, a lower one admits none until enough have ended."""
    high, low = Limits(running_at_once=8), Limits(running_at_once=3)
    taken = fill(usage, high)
    process = another_process()
    refused(process.admit(TENANT, new_id(), low))
    for each in taken:
        process.count_end(end_of(each))
    fill(process, low)
    refused(process.admit(TENANT, new_id(), low))
    raised = Limits(running_at_once=4)
    admitted(another_process().admit(TENANT, new_id(), raised))
    refused(another_process().admit(TENANT, new_id(), raised))


@pytest.mark.usefixtures("small_shards")
def test_the_rest_of_many_slots_is_told(usage: Quotas, set_clock: SetClock) -> None:
    """The rest counts the slots of all shards, those of other processes within SUM_TIME."""
    five = [admitted(another_process().admit(TENANT, new_id(), SPREAD)) for _ in range(5)]
    assert five[-1].allowances[0].left == 8 - 5
    assert admitted(usage.admit(TENANT, new_id(), SPREAD)).allowances[0].left == 8 - 6
    for each in five:
        another_process().count_end(end_of(each))
    set_clock.advance(seconds=SUM_TIME.total_seconds())
    assert admitted(usage.admit(TENANT, new_id(), SPREAD)).allowances[0].left == 8 - 2


@pytest.mark.usefixtures("small_shards")
def test_a_limit_of_submissions_alone_reads_no_shards(usage: Quotas, calls: list[Call]) -> None:
    """A tenant that had many slots pays for none of them, once it has no limit of them."""
    fill(usage, SPREAD)
    calls.clear()
    admitted(another_process().admit(TENANT, new_id(), Limits(requests_per_minute=60)))
    admitted(usage.admit(TENANT, new_id(), Limits(requests_per_minute=60)))
    assert [call.operation for call in calls] == ["dynamodb.UpdateItem"] * 2


# --- tokens --------------------------------------------------------------------------------------


def test_a_limit_that_needs_no_slot_has_none(usage: Quotas) -> None:
    """A limit of submissions alone leaves nothing to give back, and one of tokens a count alone."""
    assert admitted(usage.admit(TENANT, new_id(), Limits(requests_per_minute=9))).slot is None
    tokens = admitted(usage.admit(TENANT, new_id(), Limits(tokens_per_month=9)))
    assert tokens.slot == TOKENS_ONLY
    assert usage.get_status(TENANT).running == 0


def test_tokens_without_a_slot_are_counted_once(usage: Quotas, set_clock: SetClock) -> None:
    """However often an end is dispatched, its tokens are counted once; its receipt expires."""
    limits = Limits(tokens_per_month=10)
    first, second = (admitted(usage.admit(TENANT, new_id(), limits)) for _ in range(2))
    for _ in range(3):
        another_process().count_end(end_of(first, 4))
    assert usage.get_status(TENANT).tokens == 4
    receipt = items()[f"{TENANT}#{first.id}"]
    expires_at = int((START + timedelta(days=32)).timestamp())
    assert receipt["expires_at"] == {"N": str(expires_at)}
    usage.count_end(end_of(second, 6))
    assert refused(usage.admit(TENANT, new_id(), limits)).message == (
        "The 10 tokens of this month are used up."
    )
    set_clock.advance(days=30)
    admitted(usage.admit(TENANT, new_id(), limits))


def test_an_end_without_tokens_takes_no_call(usage: Quotas, calls: list[Call]) -> None:
    """A canceled generation without a slot has nothing to count."""
    admission = admitted(usage.admit(TENANT, new_id(), Limits(tokens_per_month=10)))
    calls.clear()
    usage.count_end(end_of(admission, 0))
    assert calls == []


@pytest.mark.usefixtures("small_shards")
def test_tokens_of_all_shards_count_against_the_limit(usage: Quotas) -> None:
    """With slots in many items, the tokens of the ends in all of them are the tenant's."""
    limits = replace(SPREAD, tokens_per_month=8 * 7)
    for admission in fill(usage, limits):
        usage.count_end(end_of(admission, 7))
    assert usage.get_status(TENANT).tokens == 8 * 7
    for process in (usage, another_process()):
        assert "tokens" in refused(process.admit(TENANT, new_id(), limits)).message


def test_far_from_the_limit_tokens_are_known_late(usage: Quotas, set_clock: SetClock) -> None:
    """A process sums up the shards every SUM_TIME, and each time within NEAR_TOKENS of a limit."""
    limits = Limits(tokens_per_month=10 * quotas.NEAR_TOKENS)
    admission = admitted(usage.admit(TENANT, new_id(), limits))
    another_process().count_end(end_of(admission, 10 * quotas.NEAR_TOKENS))
    admitted(usage.admit(TENANT, new_id(), limits))
    set_clock.advance(seconds=SUM_TIME.total_seconds())
    refused(usage.admit(TENANT, new_id(), limits))
    near = Limits(tokens_per_month=11 * quotas.NEAR_TOKENS)
    process = another_process()
    admission = admitted(process.admit(TENANT, new_id(), near))
    another_process().count_end(end_of(admission, quotas.NEAR_TOKENS))
    refused(process.admit(TENANT, new_id(), near))


@pytest.fixture
def conflicts(usage: Quotas, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Let transactions fail for the reasons in the list, one after the other; no time passes."""
    reasons: list[str] = []
    table = usage._table  # noqa: SLF001 - the seam where transactions fail
    transact: Callable[..., None] = table.transact

    def fail(writes: list[Any]) -> None:
        if not reasons:
            transact(writes)
            return
        cancellation = [{"Code": "None"}, {"Code": reasons.pop(0)}]
        response: Any = {"Error": {}, "CancellationReasons": cancellation}
        raise TransactionCanceledError(response, "TransactWriteItems")

    monkeypatch.setattr(table, "transact", fail)
    monkeypatch.setattr(quotas, "time", SimpleNamespace(sleep=lambda _: None))
    return iter([reasons])


def test_conflicting_counts_are_tried_again(usage: Quotas, conflicts: Iterator[list[str]]) -> None:
    """A count that another transaction was in the way of is repeated, and in the end left."""
    reasons = next(conflicts)
    admission = admitted(usage.admit(TENANT, new_id(), Limits(tokens_per_month=10)))
    reasons += ["TransactionConflict"] * 4
    usage.count_end(end_of(admission, 4))
    assert usage.get_status(TENANT).tokens == 4
    reasons += ["TransactionConflict"] * 9
    with pytest.raises(ClientError):
        usage.count_end(end_of(admission, 4))
    assert len(reasons) == 4


# --- the version before --------------------------------------------------------------------------


def old_item(slots: int, tokens: int) -> dict[str, Any]:
    """Return a tenant's item of the version before, which had all slots in it."""
    held = {new_id(): {"S": f"1794301200000-{secrets.token_hex(4)}"} for _ in range(slots)}
    return {
        "pk": {"S": TENANT},
        "open": {"M": held},
        "minute": {"N": "0"},
        "requests": {"N": "7"},
        MONTH: {"N": str(tokens)},
    }


@pytest.mark.usefixtures("small_shards")
def test_slots_of_the_version_before_stay_taken(usage: Quotas) -> None:
    """An item with more slots than its share leaves the others as many fewer, until they end."""
    limits = Limits(running_at_once=8, tokens_per_month=1_000)
    old = old_item(5, tokens=100)
    put(old)
    for _ in range(8 - 5):
        admitted(usage.admit(TENANT, new_id(), limits))
    refused(another_process().admit(TENANT, new_id(), limits))
    for held, slot in old["open"]["M"].items():
        usage.count_end(end_of(Admission(id=held, slot=slot["S"]), 7))
    status = usage.get_status(TENANT)
    assert (status.running, status.tokens) == (3, 100 + 5 * 7)
    for _ in range(5):
        admitted(usage.admit(TENANT, new_id(), limits))
    refused(another_process().admit(TENANT, new_id(), limits))


def test_few_slots_stay_as_the_version_before_had_them(usage: Quotas) -> None:
    """Either version admits and gives back what the other one did, for a tenant with few slots."""
    admission = admitted(usage.admit(TENANT, new_id(), Limits(running_at_once=2)))
    item = items()[TENANT]
    assert item == {
        "pk": {"S": TENANT},
        "open": {"M": {admission.id: {"S": admission.slot}}},
        "minute": item["minute"],
        "requests": {"N": "1"},
    }
    assert admission.slot is not None
    assert admission.slot.count("-") == 1


def test_months_that_no_limit_reads_are_taken_out(usage: Quotas, set_clock: SetClock) -> None:
    """Tokens of two months ago leave the items at the next admission."""
    put(old_item(1, tokens=5))
    set_clock.advance(days=61)
    usage.admit(TENANT, new_id(), Limits(running_at_once=2))
    assert MONTH not in items()[TENANT]


# --- waits and reads -----------------------------------------------------------------------------

LASTS = timedelta(seconds=36)


def test_a_tenant_has_so_many_places_for_waiting(usage: Quotas, set_clock: SetClock) -> None:
    """Places are taken up to the limit, given back, and free again when their time is over."""
    places = [usage.take_wait(TENANT, 3, LASTS) for _ in range(3)]
    assert len({place.name for place in places if place is not None}) == 3
    assert usage.take_wait(TENANT, 3, LASTS) is None
    assert usage.get_status(TENANT).waits == 3
    first = places[0]
    assert first is not None
    usage.give_wait_back(TENANT, first)
    again = usage.take_wait(TENANT, 3, LASTS)
    assert again is not None
    assert again.name == first.name
    assert usage.take_wait("another", 3, LASTS) is not None
    set_clock.advance(seconds=37)
    assert usage.get_status(TENANT).waits == 0
    later = [usage.take_wait(TENANT, 3, LASTS) for _ in range(3)]
    assert None not in later
    usage.give_wait_back(TENANT, again)  # too late: another one has the place
    assert usage.get_status(TENANT).waits == 3


def test_a_place_for_waiting_takes_one_call(usage: Quotas, calls: list[Call]) -> None:
    """With places free, taking one is a write, and giving it back another."""
    place = usage.take_wait(TENANT, 50, LASTS)
    assert place is not None
    usage.give_wait_back(TENANT, place)
    assert [call.operation for call in calls] == ["dynamodb.UpdateItem"] * 2


def test_reads_are_counted_by_the_minute(usage: Quotas, set_clock: SetClock) -> None:
    """The counts of all processes add up until the minute ends; a clock behind counts into it."""
    assert usage.count_reads(TENANT, 10) == 10
    assert another_process().count_reads(TENANT, 5) == 15
    set_clock.advance(minutes=1)
    assert usage.count_reads(TENANT, 1) == 1
    set_clock.advance(seconds=-5)
    assert usage.count_reads(TENANT, 1) == 2
    assert usage.get_status(TENANT).reads == 2

"""The quotas table: the use of tenants' limits, and its only user.

One item per tenant, whose `pk` is its id:

open             slots by generation id; a slot is the time of its admission, and a random part
minute           the minute of the clock that `requests` counts, in minutes since the epoch
requests         submissions accepted in it
tokens_2026_11   tokens of the generations that ended in that month; one such for each month

An admission is one conditional write over all of these. A release gives a slot back and counts the
tokens in one write, on condition of the very slot. So each generation is counted once, though
another submission with its idempotency key may take a new slot for the same id.
"""

import secrets
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from afterword import clock
from afterword.limits import Admission, Allowance
from afterword.runtime.dynamodb import (
    ConditionFailed,
    Item,
    Table,
    Value,
    absent,
    at_least,
    below,
    equals,
    exists,
    fewer,
    number,
    text,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from afterword.generations.ends import End
    from afterword.limits import Limits

SLOT_RETRY_SECONDS = 5
"""The Retry-After for a slot, since the time of the next release is unknown."""
_MAX_TRIES = 10


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


class Quotas:
    """The use of tenants' limits."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str) -> None:
        self._table = Table(dynamodb, table)

    def admit(self, tenant: str, generation_id: str, limits: "Limits") -> Admission | QuotaExceeded:
        """Count a submission and give its generation a slot; QuotaExceeded over a limit.

        A generation with a slot keeps that one, and is not counted again.
        """
        new_minute = False
        for _ in range(_MAX_TRIES):
            now = clock.now()
            slot = f"{clock.to_millis(now)}-{secrets.token_hex(4)}"
            outcome = self._admit(tenant, generation_id, slot, limits, now, new_minute=new_minute)
            if not isinstance(outcome, ConditionFailed):
                return Admission(
                    id=generation_id, slot=slot, allowances=_read_allowances(outcome, limits, now)
                )
            item = outcome.item
            if item is None:
                self._create(tenant)
                continue
            if generation_id in item["open"]["M"]:
                slot = item["open"]["M"][generation_id]["S"]
                return Admission(
                    id=generation_id, slot=slot, allowances=_read_allowances(item, limits, now)
                )
            refusal = _refuse(item, limits, now)
            if refusal is not None:
                return refusal
            new_minute = _minute(item) < _minute_of(now)
        return QuotaExceeded(
            message="Too many submissions at the same moment.", retry_after=1, open={}
        )

    def _admit(  # noqa: PLR0913 - the parts of an admission
        self,
        tenant: str,
        generation_id: str,
        slot: str,
        limits: "Limits",
        now: datetime,
        *,
        new_minute: bool,
    ) -> Item | ConditionFailed:
        """Take a slot, on condition of the limits."""
        this_minute = number(_minute_of(now))
        slot_path = f"open.{generation_id}"
        condition = exists("pk") & absent(slot_path) & fewer("open", limits.slots)
        sets: dict[str, Value] = {slot_path: text(slot)}
        if new_minute:
            condition &= below("minute", this_minute)
            sets |= {"minute": this_minute, "requests": number(1)}
        else:
            condition &= at_least("minute", this_minute)
            if limits.requests_per_minute is not None:
                condition &= below("requests", number(limits.requests_per_minute))
        if limits.tokens_per_month is not None:
            tokens = _tokens_of(now)
            condition &= absent(tokens) | below(tokens, number(limits.tokens_per_month))
        return self._table.update(
            _key(tenant),
            sets=sets,
            adds={} if new_minute else {"requests": 1},
            condition=condition,
            returns_item=True,
        )

    def _create(self, tenant: str) -> None:
        self._table.update(
            _key(tenant),
            sets={"open": {"M": {}}, "minute": number(0), "requests": number(0)},
            condition=absent("pk"),
        )

    def count_end(self, ended: "End") -> None:
        """Release the slot of an ended generation and count its tokens; idempotent."""
        month = _tokens_of(ended.finished_at)
        self._release(ended.tenant, ended.id, ended.slot or "", month, ended.tokens)

    def release(self, tenant: str, generation_id: str, slot: str) -> None:
        """Release the slot of a generation that was not stored."""
        self._release(tenant, generation_id, slot, _tokens_of(clock.now()), 0)

    def _release(self, tenant: str, generation_id: str, slot: str, month: str, tokens: int) -> None:
        self._table.update(
            _key(tenant),
            removes=[f"open.{generation_id}"],
            adds={month: tokens},
            condition=equals(f"open.{generation_id}", text(slot)),
        )

    def get_status(self, tenant: str) -> QuotaStatus:
        """Return a tenant's use of its limits; zeros without limits, since nothing is counted."""
        now = clock.now()
        item = self._table.get(_key(tenant))
        if item is None:
            return QuotaStatus(requests=0, running=0, tokens=0)
        return QuotaStatus(
            requests=int(item["requests"]["N"]) if _minute(item) >= _minute_of(now) else 0,
            running=len(item["open"]["M"]),
            tokens=_tokens(item, now),
        )


def _key(tenant: str) -> Item:
    return {"pk": text(tenant)}


def _refuse(item: Item, limits: "Limits", now: datetime) -> QuotaExceeded | None:
    refusal = _find_exhausted(item, limits, now)
    return (
        None
        if refusal is None
        else replace(refusal, allowances=_read_allowances(item, limits, now))
    )


def _find_exhausted(item: Item, limits: "Limits", now: datetime) -> QuotaExceeded | None:
    tokens, requests = limits.tokens_per_month, limits.requests_per_minute
    if tokens is not None and _tokens(item, now) >= tokens:
        return QuotaExceeded(
            message=f"The {tokens} tokens of this month are used up.",
            retry_after=_until_next_month(now),
            open={},
        )
    if len(item["open"]["M"]) >= limits.slots:
        return QuotaExceeded(
            message=f"The limit is {limits.slots} open at once, and so many are.",
            retry_after=SLOT_RETRY_SECONDS,
            open={generation_id: slot["S"] for generation_id, slot in item["open"]["M"].items()},
        )
    minute, accepted = _minute(item), int(item["requests"]["N"])
    if requests is not None and minute >= _minute_of(now) and accepted >= requests:
        return QuotaExceeded(
            message=f"The limit of submissions a minute is {requests}.",
            retry_after=_until_next_minute(item, now),
            open={},
        )
    return None


def _read_allowances(item: Item, limits: "Limits", now: datetime) -> tuple[Allowance, ...]:
    """Return the rest of each limit, by the counts of an item."""
    allowances = []
    if limits.requests_per_minute is not None:
        accepted = int(item["requests"]["N"]) if _minute(item) >= _minute_of(now) else 0
        allowances.append(
            Allowance(
                name="requests-per-minute",
                limit=limits.requests_per_minute,
                left=max(0, limits.requests_per_minute - accepted),
                window=60,
                resets=_until_next_minute(item, now),
            )
        )
    if limits.running_at_once is not None:
        allowances.append(
            Allowance(
                name="running-at-once",
                limit=limits.slots,
                left=max(0, limits.slots - len(item["open"]["M"])),
                unit="concurrent-requests",
            )
        )
    if limits.tokens_per_month is not None:
        allowances.append(
            Allowance(
                name="tokens-per-month",
                limit=limits.tokens_per_month,
                left=max(0, limits.tokens_per_month - _tokens(item, now)),
                window=monthrange(now.year, now.month)[1] * 24 * 60 * 60,
                resets=_until_next_month(now),
                unit="tokens",
            )
        )
    return tuple(allowances)


def slot_taken_at(slot: str) -> datetime:
    """Return the time of a slot's admission."""
    return clock.from_millis(int(slot.partition("-")[0]))


def _minute(item: Item) -> int:
    return int(item["minute"]["N"])


def _minute_of(moment: datetime) -> int:
    return int(moment.timestamp()) // 60


def _tokens(item: Item, moment: datetime) -> int:
    name = _tokens_of(moment)
    return int(item[name]["N"]) if name in item else 0


def _tokens_of(moment: datetime) -> str:
    return f"tokens_{moment:%Y_%m}"


def _until_next_minute(item: Item, now: datetime) -> int:
    """Return the seconds to the end of the item's minute, which a clock ahead may have set."""
    minute = max(_minute(item), _minute_of(now))
    return max(1, round((minute + 1) * 60 - now.timestamp()))


def _until_next_month(moment: datetime) -> int:
    years, month = divmod(moment.month, 12)
    following = moment.replace(
        year=moment.year + years, month=month + 1, day=1, hour=0, minute=0, second=0, microsecond=0
    )
    return round((following - moment).total_seconds())

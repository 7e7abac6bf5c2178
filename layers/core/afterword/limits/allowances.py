"""The rest of a tenant's limits by its items, and the refusal of one that has no rest."""

from calendar import monthrange
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from afterword.limits import Allowance, QuotaExceeded, shards
from afterword.limits.items import (
    Sums,
    count_slots,
    minute_in,
    of_this_minute,
    slots_in,
    tokens_elsewhere,
    tokens_in,
    until_next_minute,
    until_next_month,
)
from afterword.runtime.dynamodb import Item

if TYPE_CHECKING:
    from afterword.limits import Limits

RUNNING = "running-at-once"
SLOT_RETRY_SECONDS = 5
"""The Retry-After for a slot, since the time of the next release is unknown."""


def find_refusal(
    item: Item, limits: "Limits", now: datetime, sums: Sums | None, *, takes_slot: bool
) -> QuotaExceeded | None:
    """Return the refusal by shard 0, None if a limit has room: then another write was quicker."""
    tokens, requests, slots = limits.tokens_per_month, limits.requests_per_minute, limits.slots
    allowances = read_allowances(item, limits, now, sums)
    if tokens is not None and tokens_in(item, now) + tokens_elsewhere(sums, now) >= tokens:
        return QuotaExceeded(
            message=f"The {tokens} tokens of this month are used up.",
            retry_after=until_next_month(now),
            open={},
            allowances=allowances,
        )
    if takes_slot and slots is not None and count_slots(item) >= shards.capacity(0, slots):
        held = {generation_id: slot["S"] for generation_id, slot in slots_in(item).items()}
        return no_slot(limits, held, allowances)
    if requests is not None and of_this_minute(item, "requests", now) >= requests:
        return QuotaExceeded(
            message=f"The limit of submissions a minute is {requests}.",
            retry_after=until_next_minute(now, minute_in(item)),
            open={},
            allowances=allowances,
        )
    return None


def no_slot(
    limits: "Limits", held: Mapping[str, str], allowances: Iterable[Allowance]
) -> QuotaExceeded:
    """Return the refusal for want of a slot; `held` are the slots that are taken."""
    return QuotaExceeded(
        message=f"The limit is {limits.slots} open at once, and so many are.",
        retry_after=SLOT_RETRY_SECONDS,
        open=held,
        allowances=tuple(
            replace(each, left=0) if each.name == RUNNING else each for each in allowances
        ),
    )


def read_allowances(
    item: Item, limits: "Limits", now: datetime, sums: Sums | None
) -> tuple[Allowance, ...]:
    """Return the rest of each limit, by shard 0 and the sums over the others."""
    allowances = []
    if limits.requests_per_minute is not None:
        accepted = of_this_minute(item, "requests", now)
        allowances.append(
            Allowance(
                name="requests-per-minute",
                limit=limits.requests_per_minute,
                left=max(0, limits.requests_per_minute - accepted),
                window=60,
                resets=until_next_minute(now, minute_in(item)),
            )
        )
    if limits.slots is not None:
        opened = count_slots(item) + (0 if sums is None else sums.open)
        allowances.append(
            Allowance(
                name=RUNNING,
                limit=limits.slots,
                left=max(0, limits.slots - opened),
                unit="concurrent-requests",
            )
        )
    if limits.tokens_per_month is not None:
        spent = tokens_in(item, now) + tokens_elsewhere(sums, now)
        allowances.append(
            Allowance(
                name="tokens-per-month",
                limit=limits.tokens_per_month,
                left=max(0, limits.tokens_per_month - spent),
                window=monthrange(now.year, now.month)[1] * 24 * 60 * 60,
                resets=until_next_month(now),
                unit="tokens",
            )
        )
    return tuple(allowances)

"""The report of a tenant's usage and its cost, by day, flow and model."""

from collections.abc import Collection, Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from afterword import clock
from afterword.errors import UnprocessableError
from afterword.records import dataclass
from afterword.usage import statistics

if TYPE_CHECKING:
    from afterword.usage.prices import Prices
    from afterword.usage.statistics import Cell, Statistics, Tally

MAX_DAYS = 92
DEFAULT_DAYS = 30


class Grouping(StrEnum):
    """A dimension of a report's groups."""

    DAY = "day"
    FLOW = "flow"
    MODEL = "model"


@dataclass(frozen=True, slots=True)
class Group:
    """The tally and cost of generations with `names` in common; None for an unknown cost."""

    names: Mapping[Grouping, str | None]
    tally: "Tally"
    cost: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The usage from the first day to the last; `unpriced` are models without a price."""

    first: date
    last: date
    by: tuple[Grouping, ...]
    groups: tuple[Group, ...]
    total: Group
    unpriced: tuple[str, ...]
    prices: "Prices"


def parse_days(first: str | None, last: str | None) -> tuple[date, date]:
    """Return the days `from` and `to`, by default DEFAULT_DAYS up to today (UTC)."""
    last_day = clock.now().date() if last is None else _parse_day("to", last)
    first_day = (
        last_day - timedelta(days=DEFAULT_DAYS - 1) if first is None else _parse_day("from", first)
    )
    if first_day > last_day:
        raise UnprocessableError("from", "must not be after `to`.")
    if (last_day - first_day).days >= MAX_DAYS:
        raise UnprocessableError("from", f"must be less than {MAX_DAYS} days before `to`.")
    return first_day, last_day


def _parse_day(field: str, text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise UnprocessableError(field, "must be a day such as 2026-11-30.") from error
    if day.isoformat() != text or not 2000 <= day.year < 3000:  # noqa: PLR2004 - days of use
        raise UnprocessableError(field, "must be a day such as 2026-11-30.")
    return day


def parse_grouping(text: str | None) -> tuple[Grouping, ...]:
    """Return the dimensions in the order of Grouping; by day without a text."""
    names = [name.strip() for name in (Grouping.DAY if text is None else text).split(",")]
    if not set(names) <= set(Grouping):
        raise UnprocessableError("by", f"must be one or more of: {', '.join(Grouping)}.")
    return tuple(each for each in Grouping if each in names)


def build_report(  # noqa: PLR0913, PLR0917 - the parts of a report
    statistics: "Statistics",
    prices: "Prices",
    tenant: str,
    first: date,
    last: date,
    by: tuple[Grouping, ...],
    flow: str | None = None,
) -> Report:
    """Return the report of a tenant's usage, of one flow or of all."""
    used = statistics.get_tallies(tenant, first, last, flow)
    groups: dict[tuple[str | None, ...], dict[Cell, Tally]] = {}
    for cell, tally in used.items():
        names = {Grouping.DAY: str(cell.day), Grouping.FLOW: cell.flow, Grouping.MODEL: cell.model}
        groups.setdefault(tuple(names[each] for each in by), {})[cell] = tally
    return Report(
        first=first,
        last=last,
        by=by,
        groups=tuple(
            _build_group(dict(zip(by, names, strict=True)), groups[names], prices)
            for names in sorted(groups, key=_order)
        ),
        total=_build_group({}, used, prices),
        unpriced=tuple(sorted({cell.model for cell in _unpriced(used, prices) if cell.model})),
        prices=prices,
    )


def _build_group(
    names: "Mapping[Grouping, str | None]", used: "Mapping[Cell, Tally]", prices: "Prices"
) -> Group:
    costs = [
        prices.cost(cell.model, tally.tokens_in, tally.tokens_out) for cell, tally in used.items()
    ]
    known = [cost for cost in costs if cost is not None]
    return Group(
        names=names,
        tally=statistics.merge_tallies(used.values()),
        cost=sum(known, Decimal(0)) if len(known) == len(costs) else None,
    )


def _unpriced(used: "Collection[Cell]", prices: "Prices") -> "Iterable[Cell]":
    return (cell for cell in used if prices.cost(cell.model, 0, 0) is None)


def _order(names: tuple[str | None, ...]) -> tuple[str, ...]:
    return tuple(name or "" for name in names)

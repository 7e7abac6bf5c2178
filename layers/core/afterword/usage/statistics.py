"""The statistics: ends and tokens of each tenant's generations, by day, flow and model.

An end counts nothing itself: its write puts the generation on the index `by_end`, under its hour.
The tally of an hour is the sum over its entries. Hours that can change no more are summed up once,
and their tallies outlive the generations in the statistics table. Later hours are summed up at each
read. A repeated sum of an hour has the same numbers and writes the same values. So each
generation counts once, whichever process dies.

An hour in which a tenant has more than REPORTED_ENDS takes too long for a read. After such an hour
each run writes the tallies of later hours too, as they stand; the last write of an hour is its sum.

The statistics table, which no other module knows; days and hours are UTC:

pk          sk                      attributes
<tenant>    <day>#<flow>#<model>    `h00` … `h23`, the tally of each hour of the day; expires_at;
                                    `feedback_<kind>`, a count over the whole day
#           counted                 `until`: earlier hours are in the table, for all tenants;
                                    `busiest`: the most ends of a tenant in the last of them

A generation counts under the model of its last answer, or no model (``) without an answer. Answers
and tokens count under their own models: a flow of several steps may have several.

Feedback comes when an hour may have been summed up long ago. So its own write counts it, in one
transaction, in the row of the generation and on the day of its end.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from afterword import clock
from afterword.generations import FeedbackKind, Reason, Status
from afterword.records import dataclass
from afterword.runtime import telemetry
from afterword.runtime.dynamodb import (
    Item,
    PreparedWrite,
    Table,
    Update,
    absent,
    below,
    between,
    equals,
    millis,
    number,
    seconds,
    text,
    time_of,
)
from afterword.runtime.stored import read_word

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from afterword.generations.ends import Outcome
    from afterword.generations.listings import Listings
    from afterword.runtime.deadline import Deadline

COUNT_GRACE = timedelta(minutes=15)
"""The time after its end in which an hour may change. An end's time is that of its process: no
invocation lasts that long, and the index lags by less than a second."""
FIRST_COUNT_REACH = timedelta(days=2)
"""The reach of the first count: no end is older where no hour was counted yet."""
DAY_RETENTION = timedelta(days=400)
"""The time that a day is kept, so that last year's month can be compared."""
REPORTED_ENDS = 20_000
"""Ends of a tenant's hour that a read sums up itself, where the count has written them before."""
STOP_SECONDS = 30.0
"""A run begins no hour in the last seconds of its invocation."""
_HOUR = timedelta(hours=1)
_COUNTED: Item = {"pk": {"S": "#"}, "sk": {"S": "counted"}}
_FAILED = "failed:"
_FEEDBACK = "feedback_"
_OF_ANSWERS = frozenset({"answers", "tokens_in", "tokens_out"})


class _Position(NamedTuple):
    """The end of the counted hours, and the most ends of a tenant in the last of them."""

    until: datetime
    busiest: int


class Cell(NamedTuple):
    """The key of a tally; `model` is None without a model."""

    tenant: str
    day: date
    flow: str
    model: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Counts of generations by end, and of their answers and tokens.

    `failures` are counted by reason, and `feedback` on ends by its kind.
    """

    succeeded: int
    canceled: int
    failures: Mapping[Reason, int]
    answers: int
    tokens_in: int
    tokens_out: int
    feedback: Mapping[FeedbackKind, int] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """The number of failed generations."""
        return sum(self.failures.values())

    @property
    def generations(self) -> int:
        """The number of ended generations."""
        return self.succeeded + self.failed + self.canceled


class Statistics:
    """Counts ended generations."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str, listings: "Listings") -> None:
        self._table = Table(dynamodb, table)
        self._listings = listings

    def count_hours(self, deadline: "Deadline") -> int:
        """Sum up the hours that can change no more, oldest first; return their number.

        Two counts at once do no harm.
        """
        stop = deadline.earlier(STOP_SECONDS)
        hour, busiest = self._position()
        hours = 0
        while hour + _HOUR + COUNT_GRACE <= clock.now() and not stop.passed:
            counts = _summed(hour, self._listings.read_ended(hour))
            for cell, count in counts.items():
                self._keep(cell, hour, count)
            hour += _HOUR
            hours += 1
            busiest = max(_ends(counts).values(), default=0)
            self._advance(hour, busiest)
        if busiest > REPORTED_ENDS:
            self._count_open(hour, stop)
        telemetry.logger().info("counted hours", extra={"hours": hours, "until": hour.isoformat()})
        return hours

    def _count_open(self, hour: datetime, stop: "Deadline") -> None:
        """Write the tallies, as they stand, of tenants with many ends in hours that may change."""
        while hour <= clock.now() and not stop.passed:
            counts = _summed(hour, self._listings.read_ended(hour))
            ends = _ends(counts)
            for cell, count in counts.items():
                if ends[cell.tenant] > REPORTED_ENDS:
                    self._keep(cell, hour, count)
            hour += _HOUR

    def get_tallies(
        self, tenant: str, first: date, last: date, flow: str | None = None
    ) -> dict[Cell, Tally]:
        """Return a tenant's tallies from the first day to the last, of one flow or of all.

        Takes a query of the table, and one of the index for each shard of each hour that is not
        summed up yet. While the count runs, such hours are three at most. The newest ends may be
        missing; of an hour with more than REPORTED_ENDS, those since the last run of the count.
        """
        until = self._position().until
        sums: dict[Cell, Counter[str]] = {}
        written: dict[datetime, dict[Cell, Counter[str]]] = {}
        for cell, row in self._rows(tenant, first, last):
            if feedback := _feedback_of(row):
                sums.setdefault(cell, Counter()).update(feedback)
            for hour, count in _hours_of(cell, row):
                if hour < until:
                    sums.setdefault(cell, Counter()).update(count)
                else:
                    written.setdefault(hour, {})[cell] = count
        hour = max(until, datetime(first.year, first.month, first.day, tzinfo=UTC))
        while hour <= clock.now() and hour.date() <= last:
            for cell, count in self._sum_open(hour, tenant, written.get(hour)).items():
                sums.setdefault(cell, Counter()).update(count)
            hour += _HOUR
        return {
            cell: build_tally(count) for cell, count in sorted(sums.items(), key=_order)
            if flow in {None, cell.flow}
        }  # fmt: skip

    def _sum_open(
        self, hour: datetime, tenant: str, written: dict[Cell, Counter[str]] | None
    ) -> dict[Cell, Counter[str]]:
        """Return the counts of an hour that may change; those `written` before for a busy one."""
        outcomes = self._listings.read_ended(hour, tenant)
        if written is None:
            return _summed(hour, outcomes)
        some = list(islice(outcomes, REPORTED_ENDS + 1))
        return written if len(some) > REPORTED_ENDS else _summed(hour, some)

    def prepare_feedback(
        self,
        outcome: "Outcome",
        finished_at: datetime,
        before: FeedbackKind | None,
        after: FeedbackKind | None,
    ) -> PreparedWrite:
        """Return the write that counts a change of the feedback on an end."""
        cell = Cell(outcome.tenant, finished_at.date(), outcome.flow, outcome.model)
        changes = ((before, -1), (after, 1))
        return self._table.prepare(
            Update(
                key=_row_key(cell),
                sets={"expires_at": seconds(_expiry(cell))},
                adds={f"{_FEEDBACK}{kind}": by for kind, by in changes if kind is not None},
            )
        )

    def _rows(self, tenant: str, first: date, last: date) -> Iterator[tuple[Cell, Item]]:
        after_last = f"{last}$"  # "$" comes after "#"
        condition = equals("pk", text(tenant)) & between("sk", text(f"{first}#"), text(after_last))
        for page in self._table.pages(condition, consistent=True):
            for item in page.items:
                day, flow, model = item["sk"]["S"].split("#", 2)
                yield Cell(tenant, date.fromisoformat(day), flow, model or None), item

    def _keep(self, cell: Cell, hour: datetime, count: Mapping[str, int]) -> None:
        """Write the whole tally of an hour, which is the same each time."""
        self._table.update(
            _row_key(cell),
            sets={
                f"h{hour:%H}": {"M": {key: number(each) for key, each in count.items()}},
                "expires_at": seconds(_expiry(cell)),
            },
        )

    def _position(self) -> _Position:
        item = self._table.get(_COUNTED)
        if item is None:
            first = clock.now() - FIRST_COUNT_REACH
            return _Position(first.replace(minute=0, second=0, microsecond=0), 0)
        busiest = int(item["busiest"]["N"]) if "busiest" in item else 0
        return _Position(time_of(item, "until"), busiest)

    def _advance(self, until: datetime, busiest: int) -> None:
        """Mark the hours before as counted; a later mark of another count stays."""
        later = absent("pk") | below("until", millis(until))
        sets = {"until": millis(until), "busiest": number(busiest)}
        self._table.update(_COUNTED, sets=sets, condition=later)


def build_tally(count: Mapping[str, int]) -> Tally:
    """Return counts by name as a tally."""
    return Tally(
        succeeded=count.get(Status.SUCCEEDED, 0),
        canceled=count.get(Status.CANCELED, 0),
        failures={
            read_word(Reason, name.removeprefix(_FAILED)): number
            for name, number in sorted(count.items())
            if name.startswith(_FAILED)
        },
        answers=count.get("answers", 0),
        tokens_in=count.get("tokens_in", 0),
        tokens_out=count.get("tokens_out", 0),
        feedback={
            read_word(FeedbackKind, name.removeprefix(_FEEDBACK)): number
            for name, number in sorted(count.items())
            if name.startswith(_FEEDBACK)
        },
    )


def merge_tallies(tallies: Iterable[Tally]) -> Tally:
    """Return the sum of tallies."""
    count = Counter[str]()
    for each in tallies:
        count.update(
            {
                Status.SUCCEEDED: each.succeeded,
                Status.CANCELED: each.canceled,
                **{_FAILED + reason: number for reason, number in each.failures.items()},
                "answers": each.answers,
                "tokens_in": each.tokens_in,
                "tokens_out": each.tokens_out,
                **{_FEEDBACK + kind: number for kind, number in each.feedback.items()},
            }
        )
    return build_tally(count)


def _summed(hour: datetime, outcomes: "Iterable[Outcome]") -> dict[Cell, Counter[str]]:
    """Return the counts of an hour's generations, by the key of their tally."""
    sums: dict[Cell, Counter[str]] = {}
    for each in outcomes:
        outcome = each.status if each.reason is None else _FAILED + each.reason
        cell = Cell(each.tenant, hour.date(), each.flow, each.model)
        sums.setdefault(cell, Counter())[outcome] += 1
        for answer in each.answers:
            count = sums.setdefault(cell._replace(model=answer.model), Counter())
            count["answers"] += answer.answers
            count["tokens_in"] += answer.tokens_in
            count["tokens_out"] += answer.tokens_out
    return sums


def _row_key(cell: Cell) -> Item:
    return {"pk": text(cell.tenant), "sk": text(f"{cell.day}#{cell.flow}#{cell.model or ''}")}


def _expiry(cell: Cell) -> datetime:
    return datetime(cell.day.year, cell.day.month, cell.day.day, tzinfo=UTC) + DAY_RETENTION


def _feedback_of(row: Item) -> Counter[str]:
    """Return the counts of feedback in a row, without those that are taken back."""
    counts = {name: int(row[name]["N"]) for name in row if name.startswith(_FEEDBACK)}
    return Counter({name: count for name, count in counts.items() if count > 0})


def _hours_of(cell: Cell, row: Item) -> Iterator[tuple[datetime, Counter[str]]]:
    """Yield the hours of a row with their counts."""
    for name, value in row.items():
        if name.startswith("h"):
            hour = datetime.fromisoformat(f"{cell.day}T{name[1:]}:00:00+00:00")
            yield hour, Counter({key: int(each["N"]) for key, each in value["M"].items()})


def _ends(counts: Mapping[Cell, Mapping[str, int]]) -> Counter[str]:
    """Return the number of ends by tenant."""
    ends = Counter[str]()
    for cell, count in counts.items():
        ends[cell.tenant] += sum(each for name, each in count.items() if name not in _OF_ANSWERS)
    return ends


def _order(entry: tuple[Cell, object]) -> tuple[date, str, str]:
    cell, _ = entry
    return cell.day, cell.flow, cell.model or ""

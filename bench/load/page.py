"""The page docs/scale.md: the tables and the plot of the runs, between the page's markers."""

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from afterword.usage.prices import load_prices
from afterword.usage.statistics import REPORTED_ENDS
from bench.cases import ROOT
from bench.load import documented
from bench.load.documented import PRICES, TOKENS_IN, TOKENS_OUT
from bench.load.recording import Path, Recording
from bench.load.simulation import Outcome, percentile

PAGE, PICTURE = ROOT / "docs" / "scale.md", ROOT / "docs" / "scale.svg"
SHOWN = 20_000
"""The rate up to which a limit is in the table."""
REPORTED_HOURS = 2.25
"""The hours that the count, or a report, reads at most: one that has ended, and the later ones."""
BAR_SECONDS = 2.0
"""The queue age that 99 of 100 must be under."""
DEFAULT_MODEL = "amazon.nova-lite-v1:0"


class Limit(NamedTuple):
    """The use of a limit: the most in a second (or at once), the limit, and its remedy."""

    name: str
    used: float
    limit: float
    remedy: str

    @property
    def share(self) -> float:
        """The part of the limit that was used."""
        return self.used / self.limit


@dataclass(frozen=True)
class Row:
    """A run's figures; `ages` are the queue age's p50 and p99 in seconds."""

    outcome: Outcome
    limits: Sequence[Limit]
    ages: tuple[float, float]
    units: tuple[float, float]
    dollars: Mapping[str, float]

    @property
    def first(self) -> Limit:
        """The limit that is nearest, or furthest exceeded."""
        return max(self.limits, key=lambda limit: limit.share)


class Defaults(NamedTuple):
    """The template's defaults: the API's requests a second, and memory and timeout by function."""

    api_requests: float
    memory: Mapping[str, int]
    timeout: Mapping[str, int]


def build_row(outcome: Outcome, recording: Recording, defaults: Defaults) -> Row:
    """Return the figures of a run; `defaults` are the limits before anything is raised."""
    ages = sorted(outcome.ages)
    outcome.ages = array("d")
    return Row(
        outcome,
        list(_limits(outcome, recording, defaults)),
        (percentile(ages, 0.5), percentile(ages, 0.99)),
        units(outcome, recording),
        cost(outcome, recording),
    )


def _limits(outcome: Outcome, recording: Recording, defaults: Defaults) -> Iterable[Limit]:
    partition = documented.PARTITION_WRITES
    yield Limit(
        "requests of the API",
        outcome.peaks["API requests"],
        defaults.api_requests,
        "`ApiRequestsPerSecond`; above 10,000 also API Gateway's quota “Throttle rate”",
    )
    yield Limit(
        "Lambda's concurrency",
        outcome.peaks["concurrency"],
        documented.CONCURRENCY,
        "Lambda's quota “Concurrent executions”, then `AccountConcurrency`",
    )
    yield Limit(
        "writes of a new table `generations`",
        outcome.tables.get("generations", 0.0),
        documented.NEW_TABLE_WRITES,
        "`WarmThroughput` of `GenerationsTable`, or a slow rise",
    )
    names = {
        ("generations.by_flow", "one flow on the index `by_flow`", "another tenant"),
        ("generations.by_tenant", "one tenant on the index `by_tenant`", "another tenant"),
        ("generations.by_due", "one shard of the index `by_due`", "`DUE_SHARDS`"),
        ("generations.by_end", "one shard of the index `by_end`", "`END_SHARDS`"),
        ("quotas", "one tenant's limits", "another tenant"),
        ("webhooks", "one webhook's deliveries", "another endpoint"),
    }
    for table, name, remedy in sorted(names):
        used = max((w for (t, _), (w, _) in outcome.partitions.items() if t == table), default=0)
        if used:
            yield Limit(f"writes of {name}", used, partition, remedy)
    reads = max((r for _, r in outcome.partitions.values()), default=0)
    yield Limit("reads of one key", reads, documented.PARTITION_READS, "another tenant")
    waiting = outcome.mappings["generate"].peak_in_flight
    yield Limit("messages in flight", waiting, documented.IN_FLIGHT, "the quota of SQS")
    yield Limit(
        "seconds for a run of the count of usage",
        REPORTED_HOURS
        * count_seconds(outcome.load.rate, recording, defaults.memory["count_usage"]),
        defaults.timeout["count_usage"],
        "reports of busy hours come an hour later",
    )
    busiest = min(outcome.load.rate / outcome.load.tenants, REPORTED_ENDS / 3_600)
    one = busiest * REPORTED_HOURS
    yield Limit(
        "seconds for a report of one tenant's usage",
        count_seconds(one, recording, defaults.memory["get_usage"]),
        defaults.timeout["get_usage"],
        "`REPORTED_ENDS`, downwards",
    )


def count_seconds(rate: float, recording: Recording, memory: int) -> float:
    """Return the seconds in which an hour at a rate is summed up, by the recorded CPU time."""
    path = recording.paths["count_usage"]
    queries = [step for step in path.steps if step.operation.endswith("Query")]
    entries = 3_600 * rate
    read = sum(charge.read for step in queries for charge in step.charges)
    cpu = path.cpu - len(path.steps) * min((step.cpu for step in path.steps), default=0.0)
    share = min(1.0, memory / documented.VCPU_MEMORY)
    pages = entries / recording.counted * read * 2 * 4_096 / (1 << 20)
    return entries * cpu / recording.counted / 1e3 / share + pages * 0.05


def units(outcome: Outcome, recording: Recording) -> tuple[float, float]:
    """Return the write units and the read units of a run."""
    write = read = 0.0
    for name, times in outcome.paths.items():
        of_path = recording.paths[name].units()
        write += of_path[0] * times
        read += of_path[1] * times
    return write, read


def cost(outcome: Outcome, recording: Recording) -> dict[str, float]:
    """Return the dollars of a run, by service."""
    write, read = units(outcome, recording)
    sends = puts = gets = 0
    for name, times in outcome.paths.items():
        operations = recording.paths[name].operations()
        sends += operations["sqs.SendMessage"] * times
        puts += operations["s3.PutObject"] * times
        gets += operations["s3.GetObject"] * times
    share = outcome.load.seconds / (outcome.load.seconds + outcome.load.ramp)
    receives = 2 * share * sum(each.batches for each in outcome.mappings.values())
    requests = sends + receives + share * outcome.empty_receives
    return {
        "API Gateway": outcome.requests * PRICES["HTTP API, a request"],
        "Lambda": sum(outcome.invocations.values()) * PRICES["Lambda, an invocation"]
        + outcome.gb_seconds * PRICES["Lambda, a GB-second"],
        "DynamoDB": write * PRICES["DynamoDB, a write unit"]
        + read * PRICES["DynamoDB, a read unit"],
        "SQS": requests * PRICES["SQS, a request"],
        "S3": puts * PRICES["S3, a put"] + gets * PRICES["S3, a get"],
        "logs": outcome.log_bytes / 1e9 * PRICES["CloudWatch Logs, a GB"],
    }


# --- the tables ----------------------------------------------------------------------------------


def write_page(
    rows: Sequence[Row], steps: Sequence[Row], recording: Recording, facts: Mapping[str, str]
) -> None:
    """Write the tables and the plot into the page, between its markers."""
    parts = {
        "runs": _runs(rows),
        "limits": _limits_table(rows),
        "dollars": _dollars(rows),
        "steps": _steps(steps),
        "paths": _paths(recording),
        "facts": "\n".join(f"- {name}: {fact}" for name, fact in facts.items()),
    }
    text = PAGE.read_text()
    for name, part in parts.items():
        text = replace_part(text, name, part)
    PAGE.write_text(text)
    PICTURE.write_text(draw(rows, steps))


def replace_part(text: str, name: str, part: str) -> str:
    """Return a page with another text between the markers of a part."""
    begin, end = f"<!-- load: {name} -->", f"<!-- load: end of {name} -->"
    head, found, rest = text.partition(begin)
    _, found_end, tail = rest.partition(end)
    if not found or not found_end:
        raise ValueError(f"{PAGE} has no markers of {name}.")
    return f"{head}{begin}\n\n{part}\n\n{end}{tail}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _runs(rows: Sequence[Row]) -> str:
    header = (
        "submissions a second", "tenants", "queue age p50", "p99", "write units", "read units",
        "invocations", "cold starts", "refused", "dollars for a million", "nearest limit",
    )  # fmt: skip
    return _table(header, (_run(row) for row in rows))


def _run(row: Row) -> Sequence[str]:
    out = row.outcome
    done = max(1, out.accepted)
    return (
        f"{out.load.rate:,.0f}",
        f"{out.load.tenants}",
        _seconds(row.ages[0]),
        _seconds(row.ages[1]),
        f"{row.units[0] / done:.1f}",
        f"{row.units[1] / done:.1f}",
        f"{sum(out.invocations.values()) / done:.2f}",
        f"{sum(out.cold.values()):,}",
        f"{sum(out.refused.values()) / (done + sum(out.refused.values())):.2%}"
        if out.refused
        else "0",
        f"{sum(row.dollars.values()) / done * 1e6:,.2f}",
        f"{row.first.name}: {row.first.share:.0%}",
    )


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value < 100 else f"{value:,.0f} s"  # noqa: PLR2004 - digits


def _limits_table(rows: Sequence[Row]) -> str:
    """Return each limit with the rate that reaches it, of the highest rates' runs."""
    busiest = max(row.outcome.load.rate for row in rows)
    found: dict[tuple[str, int], Limit] = {}
    for row in rows:
        if row.outcome.load.rate == busiest:
            for limit in row.limits:
                found[limit.name, row.outcome.load.tenants] = limit
    header = ("limit", "its size", "tenants", f"used at {busiest:,.0f} a second",
              "reached at", "then raise")  # fmt: skip
    ordered = sorted(found.items(), key=lambda each: -each[1].share)
    return _table(
        header,
        (
            (
                limit.name,
                f"{limit.limit:,.0f}",
                f"{tenants}",
                f"{limit.used:,.0f} ({limit.share:.0%})",
                f"{_round(busiest / limit.share)} a second",
                limit.remedy,
            )
            for (_, tenants), limit in ordered
            if busiest / SHOWN < limit.share
        ),
    )


def _round(value: float) -> str:
    """Return a number with two digits that count."""
    digits = max(0, math.floor(math.log10(value)) - 1)
    return f"{round(value / 10**digits) * 10**digits:,.0f}"


def _dollars(rows: Sequence[Row]) -> str:
    services = list(rows[0].dollars)
    price = load_prices().cost(DEFAULT_MODEL, TOKENS_IN * 10**6, TOKENS_OUT * 10**6)
    header = ("submissions a second", "tenants", *services, "together", "an hour", "the model")
    return _table(
        header,
        (
            (
                f"{row.outcome.load.rate:,.0f}",
                f"{row.outcome.load.tenants}",
                *(f"{each / row.outcome.accepted * 1e6:,.2f}" for each in row.dollars.values()),
                f"{sum(row.dollars.values()) / row.outcome.accepted * 1e6:,.2f}",
                f"{sum(row.dollars.values()) * 3_600 / row.outcome.load.seconds:,.2f}",
                "unknown" if price is None else f"{price:,.2f}",
            )
            for row in rows
        ),
    )


def _steps(rows: Sequence[Row]) -> str:
    header = ("submissions a second", "batches at once, at most", "p50", "p99", "longest queue",
              "empty again after")  # fmt: skip
    return _table(header, (_step(row) for row in rows))


def _step(row: Row) -> Sequence[str]:
    out = row.outcome
    longest = max((waiting for _, waiting in out.backlog), default=0)
    late = [second for second, waiting in out.backlog if waiting > 2 * out.load.rate]
    over = "never longer than 2 s" if not late else f"{late[-1] + 10:,} s"
    if late and late[-1] >= out.load.seconds - 20:
        over = f"not in {out.load.seconds:,} s"
    return (
        f"{out.load.rate:,.0f}",
        f"{out.settings.maximum['generate']:,}",
        _seconds(row.ages[0]),
        _seconds(row.ages[1]),
        f"{longest:,}",
        over,
    )


def _paths(recording: Recording) -> str:
    header = ("path", "calls", "write units", "read units", "CPU, ms", "bytes logged")
    later = {name: path for name, path in recording.paths.items() if not name.endswith(":first")}
    return _table(header, (_path(name, path) for name, path in later.items()))


def _path(name: str, path: Path) -> Sequence[str]:
    operations = path.operations()
    calls = ", ".join(
        f"{times} {operation.partition('.')[2]}" if times > 1 else operation.partition(".")[2]
        for operation, times in sorted(operations.items())
    )
    write, read = path.units()
    cpu = f"{path.cpu:.1f}" if path.cpu else ""
    shown = name.removesuffix(":warm").replace(":", ", ").replace("_", " ")
    return (shown, calls, f"{write:g}", f"{read:g}", cpu, f"{path.log:,}")


# --- the plot ------------------------------------------------------------------------------------

WIDTH, HEIGHT, MARGIN = 380, 240, 46
_STYLE = """
  text { font: 11px system-ui, sans-serif; fill: #333 }
  .axis { stroke: #888; fill: none } .grid { stroke: #8883; fill: none }
  .a, .b { fill: none; stroke-width: 2 } .a { stroke: #0969da } .b { stroke: #bc4c00 }
  .bar { stroke: #cf222e; fill: none; stroke-dasharray: 5 4 }
  .ta { fill: #0969da } .tb { fill: #bc4c00 } .tbar { fill: #cf222e }
  @media (prefers-color-scheme: dark) {
    text { fill: #ccc } .a { stroke: #58a6ff } .b { stroke: #f0883e } .bar { stroke: #ff7b72 }
    .ta { fill: #58a6ff } .tb { fill: #f0883e } .tbar { fill: #ff7b72 }
  }
"""


class _Scale(NamedTuple):
    low: float
    high: float
    begin: float
    end: float

    def at(self, value: float) -> float:
        """Return the position of a value on a logarithmic scale."""
        value = min(max(value, self.low), self.high)
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.begin + share * (self.end - self.begin)


def draw(rows: Sequence[Row], steps: Sequence[Row]) -> str:
    """Return the plot: queue ages by rate, and the queue after a step, both logarithmic."""
    whole = 2 * (WIDTH + MARGIN) + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole} {HEIGHT + 2 * MARGIN}">',
        "<title>Queue age by submissions a second, and the queue after a step</title>",
        f"<style>{_STYLE}</style>",
        *_ages(rows),
        *_backlogs(steps, MARGIN + WIDTH + MARGIN),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _ages(rows: Sequence[Row]) -> Iterable[str]:
    x = _Scale(1, max(10, *(row.outcome.load.rate for row in rows)), MARGIN, MARGIN + WIDTH)
    y = _Scale(0.01, 10, MARGIN + HEIGHT, MARGIN)
    yield from _frame(x, y, "queue age in seconds", "submissions a second", (0.01, 0.1, 1, 10))
    yield f'<path class="bar" d="M{x.begin} {y.at(BAR_SECONDS):.1f}H{x.end}"/>'
    yield _text(x.begin + 4, y.at(BAR_SECONDS) - 4, "2 s", "tbar")
    tenants = max(row.outcome.load.tenants for row in rows)
    chosen = [row for row in rows if row.outcome.load.tenants == tenants]
    for number, (share, kind) in enumerate((("p50", "a"), ("p99", "b"))):
        points = [(x.at(row.outcome.load.rate), y.at(row.ages[number])) for row in chosen]
        yield _line(points, kind)
        yield _text(points[-1][0] - 24, points[-1][1] - 6, share, f"t{kind}")


def _backlogs(steps: Sequence[Row], left: float) -> Iterable[str]:
    longest = max((waiting for row in steps for _, waiting in row.outcome.backlog), default=1)
    seconds = max((row.outcome.load.seconds for row in steps), default=10)
    x = _Scale(10, max(100, seconds), left, left + WIDTH)
    top = 10 ** math.ceil(math.log10(max(10, longest)))
    y = _Scale(1, top, MARGIN + HEIGHT, MARGIN)
    ticks = [10**power for power in range(int(math.log10(top)) + 1)]
    yield from _frame(x, y, "messages that wait", "seconds after a step from nothing", ticks)
    for row, kind in zip(steps[-2:], "ab", strict=False):
        points = [(x.at(second), y.at(waiting)) for second, waiting in row.outcome.backlog[1:]]
        yield _line(points, kind)
        label = (
            f"{row.outcome.load.rate:,.0f} a second, {row.outcome.settings.maximum['generate']:,}"
        )
        yield _text(left + 8, MARGIN + (14 if kind == "a" else 28), label + " batches", f"t{kind}")


def _frame(x: _Scale, y: _Scale, title: str, below: str, ticks: Sequence[float]) -> Iterable[str]:
    yield _text(x.begin, y.end - 14, title)
    yield _text((x.begin + x.end) / 2 - 60, y.begin + 34, below)
    for tick in ticks:
        yield f'<path class="grid" d="M{x.begin} {y.at(tick):.1f}H{x.end}"/>'
        yield _text(x.begin - 40, y.at(tick) + 4, f"{tick:,g}")
    power = x.low
    while power <= x.high:
        yield f'<path class="grid" d="M{x.at(power):.1f} {y.begin}V{y.end}"/>'
        yield _text(x.at(power) - 8, y.begin + 16, f"{power:,g}")
        power *= 10
    yield f'<path class="axis" d="M{x.begin} {y.end}V{y.begin}H{x.end}"/>'


def _line(points: Sequence[tuple[float, float]], kind: str) -> str:
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f'<path class="{kind}" d="M{path}"/>'


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{text}</text>'

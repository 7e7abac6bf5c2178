"""`python -m bench.units`: the write units of a generation, by DynamoDB's rules, over moto.

One generation goes through the real handlers, from its submission to its last write. Its texts are
prose of docs/decisions, since the units depend on how well a text is compressed.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple
from unittest.mock import patch

from rich.console import Console
from rich.table import Table

from afterword.generations import Completion
from afterword.limits import Limits
from afterword.services import services
from bench.cases import ROOT
from bench.load.recording import INPUT, Path, Recorder, batch, recorder, request, submission
from bench.results import write_results

KINDS = ("plain", "with limits", "with event bus")
SIZES = (4, 12)
"""The KB that go in; ANSWERED come out."""
ANSWERED = 2
LIMITS = Limits(requests_per_minute=60_000, running_at_once=10, tokens_per_month=10**9)
"""Limits whose slots are in one shard; above 12 at once an admission takes a write more."""


class Cost(NamedTuple):
    """A generation's units, and the calls of AWS by function."""

    writes: float
    reads: float
    calls: Mapping[str, int]


def read_prose(kilobytes: int, *, skip: int = 0) -> str:
    """Return so many KB of English prose, behind the first `skip` KB."""
    records = sorted((ROOT / "docs/decisions").glob("0*.md"))
    text = "\n".join(record.read_text() for record in records).encode("ascii", "ignore")
    return text[skip * 1_024 :][: kilobytes * 1_024].decode()


def measure() -> dict[tuple[str, int], Cost]:
    """Return the cost of a generation by its kind and the KB that go in."""
    found = {}
    for kind in KINDS:
        parameters = {"EventBusName": "default"} if kind == "with event bus" else {}
        with recorder(parameters) as (its, _), answering(read_prose(ANSWERED, skip=20)):
            key = its.make_tenant("tenant-one", LIMITS if kind == "with limits" else None)
            for kilobytes in SIZES:
                text = read_prose(kilobytes)
                run(its, key, text)  # which fills the caches, and makes the tenant's quotas
                found[kind, kilobytes] = add_up(run(its, key, text))
    return found


def run(its: Recorder, key: str, text: str) -> list[Path]:
    """Run a generation, and return the path of each function."""
    event = submission("submit_generation", "tenant-one", key, text=text)
    paths = [its.record("submit_generation", event, timed=False)]
    for queue, function in (("Queue", "generate"), ("NotifyQueue", "deliver")):
        messages = [body for name, body in its.sent() if name == queue]
        if messages:
            paths.append(its.record(function, batch(messages), timed=False))
    return paths


def add_up(paths: list[Path]) -> Cost:
    """Return the cost of all paths together."""
    units = [path.units() for path in paths]
    calls = Counter({path.function: len(path.steps) for path in paths})
    return Cost(sum(each[0] for each in units), sum(each[1] for each in units), calls)


def count_calls() -> dict[str, int]:
    """Return the calls of AWS of a short submission and of a poll, whose flow and key are known."""
    with recorder() as (its, _), answering(read_prose(ANSWERED)):
        key = its.make_tenant("tenant-one")
        run(its, key, INPUT)
        submit = its.record(
            "submit_generation", submission("submit_generation", "tenant-one", key), timed=False
        )
        generation = json.loads(its.sent()[0][1])["id"]
        asked = request("get_generation", "tenant-one", key, generation)
        its.record("get_generation", asked, timed=False)
        poll = its.record("get_generation", asked, timed=False)
    return {"submission": len(submit.steps), "poll": len(poll.steps)}


@contextmanager
def answering(text: str) -> Iterator[None]:
    """Let the model answer a text."""
    answer = Completion(
        text=text, model="instant", stop_reason="stop", tokens_in=900, tokens_out=450
    )
    with patch.object(type(services().model), "generate", return_value=answer):
        yield


def main() -> None:
    """Print the table, and write its figures beside it."""
    console = Console()
    table = Table("KB in", "kind", "write units", "read units", "calls of AWS")
    found = measure()
    for (kind, kilobytes), cost in found.items():
        calls = ", ".join(f"{function} {count}" for function, count in cost.calls.items())
        table.add_row(str(kilobytes), kind, f"{cost.writes:g}", f"{cost.reads:g}", calls)
    console.print(table)
    writes = {f"{kind}, {size} KB in": cost.writes for (kind, size), cost in found.items()}
    write_results("units", {"write units": writes, "calls of AWS": count_calls()})


if __name__ == "__main__":
    main()

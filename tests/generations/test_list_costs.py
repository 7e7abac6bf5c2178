"""The cost of reads and lists: the same for a thousand generations as for a hundred thousand."""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from afterword import clock, generations
from afterword.generations import Status
from afterword.generations.details import GenerationFilter
from afterword.generations.listings import SCANNED, Listings
from afterword.generations.store import GenerationStore
from tests.conftest import START, SetClock
from tests.harness.memory_dynamodb import MemoryDynamoDB

LIMIT = 20
FEW = SCANNED + LIMIT
MANY = [10_000, pytest.param(100_000, marks=pytest.mark.long)]
TEXT = "Dear Ada, your contract ends with the year. " * 20
FAILED_OF = 50
"""Of so many generations one has failed."""

type Read = Callable[[GenerationStore, Listings], object]


def make_table(template: Mapping[str, Any], stored: int) -> MemoryDynamoDB:
    """Return a table with so many ended generations of a tenant, one each second."""
    table = MemoryDynamoDB(template["Resources"]["GenerationsTable"]["Properties"], lambda _: None)
    shared: dict[str, Any] = {
        "tenant": {"S": "demo"},
        "dialect": {"S": "native"},
        "flow_version": {"N": "1"},
        "attempt": {"N": "1"},
        "failures": {"N": "0"},
        "deadline_at": {"N": str(clock.to_millis(START))},
        "expires_at": {"N": str(int((START + timedelta(days=30)).timestamp()))},
        "request": {"S": '{"inputs": {"text": "Hello"}, "template": null}'},
        "reason": {"S": "timed_out"},
        "model": {"S": "m"},
        "stop_reason": {"S": "stop"},
        "tokens_in": {"N": "1"},
        "tokens_out": {"N": "2"},
        "text": {"S": TEXT},
    }
    for number in range(stored):
        age = stored - number
        at = START - timedelta(seconds=age)
        generation_id = f"019a6f3e-7c00-7000-8000-{number:012d}"
        failed = age % FAILED_OF == 0
        flow = f"flow-{age % 2}"
        item = {
            **shared,
            "pk": {"S": f"demo#{generation_id}"},
            "id": {"S": generation_id},
            "flow": {"S": flow},
            "list_key": {"S": f"demo#{flow}"},
            "list_order": {"S": generations.list_order(at, generation_id)},
            "created_at": {"N": str(clock.to_millis(at))},
            "finished_at": {"N": str(clock.to_millis(at))},
            "status": {"S": Status.FAILED if failed else Status.SUCCEEDED},
        }
        table.put_item(Item=item)
    table.calls.clear()
    table.units.clear()
    return table


@pytest.fixture(scope="module", params=MANY)
def tables(
    template: Mapping[str, Any], request: pytest.FixtureRequest
) -> tuple[MemoryDynamoDB, MemoryDynamoDB]:
    """Return a table with FEW generations, and one with many."""
    return make_table(template, FEW), make_table(template, request.param)


def search(*statuses: Status, flow: str | None = None, found: int = LIMIT) -> Read:
    """Return a search for generations, which finds so many."""

    def read(_: GenerationStore, listings: Listings) -> None:
        asked = GenerationFilter(limit=LIMIT, statuses=frozenset(statuses))
        page = listings.search("demo", flow, asked, list)
        assert len(page.items) == found

    return read


def measure(table: MemoryDynamoDB, read: Read) -> tuple[Counter[str], float]:
    """Return the calls and the read units of a read."""
    table.calls.clear()
    table.units.clear()
    needs: Any = (table, "generations", None)  # no text is in the bucket
    read(GenerationStore(*needs), Listings(*needs))
    return table.calls.copy(), table.units["read"]


READS: Mapping[str, tuple[Read, int]] = {
    "get": (lambda store, _: store.get("demo", "019a6f3e-7c00-7000-8000-000000000007"), 1),
    "details of a flow": (lambda _, listings: listings.read_page("demo", "flow-1", LIMIT), LIMIT),
    "all": (search(), LIMIT),
    "a flow": (search(flow="flow-1"), LIMIT),
    "most of them, by status": (search(Status.SUCCEEDED), 2 * LIMIT),
    "few of them, by status": (search(Status.FAILED), SCANNED),
    "none of them, by status": (search(Status.CANCELED, found=0), SCANNED),
}
"""Reads by name, each with the most items that it may read."""


@pytest.mark.parametrize("name", READS)
def test_a_read_costs_the_same_however_many_are_stored(
    tables: tuple[MemoryDynamoDB, MemoryDynamoDB], set_clock: SetClock, name: str
) -> None:
    """Calls and units do not grow with the table, and few items are read that are not shown."""
    assert set_clock
    read, most = READS[name]
    few, many = (measure(table, read) for table in tables)
    assert few == many
    entries = 1 + most * 200 / 4_096
    assert many[1] <= most + entries

"""The order in which a run of the sweeper looks at due keys."""

from collections.abc import Iterable

import pytest

from afterword.engine import agenda
from afterword.engine.agenda import Agenda
from afterword.generations.ends import DueKey

FRESH = 1_000


def keys(tenant: str, due: Iterable[int]) -> list[DueKey]:
    """Return keys of a tenant, one for each due time."""
    return [DueKey(due_at, f"{tenant}#{due_at:06}") for due_at in due]


def taken(planned: Agenda, most: int = 1_000) -> list[tuple[str, int]]:
    """Return tenants and due times of the next keys."""
    return [(key.tenant, key.due_at) for key in planned.take(most)]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a run look at three of the oldest keys of each tenant, and go further by four."""
    monkeypatch.setattr(agenda, "OLDEST", 3)
    monkeypatch.setattr(agenda, "FURTHER", 4)


def test_the_first_of_each_tenant_comes_before_the_second_of_any() -> None:
    """Tenants take turns in the order of their oldest key, and go on where the last take ended."""
    planned = Agenda(keys("a", range(1, 5)) + keys("b", [7, 6]) + keys("c", [3]), FRESH)
    assert taken(planned, 4) == [("a", 1), ("c", 3), ("b", 6), ("a", 2)]
    assert planned.find_oldest_left() == DueKey(3, "a#000003")
    assert taken(planned) == [("b", 7), ("a", 3), ("a", 4)]
    assert taken(planned) == []
    assert planned.find_oldest_left() is None


def test_a_key_that_the_index_has_twice_is_looked_at_once() -> None:
    """An index that lags behind may show an item under two due times; one call reads it once."""
    planned = Agenda([DueKey(1, "a#1"), DueKey(2, "a#1")], FRESH)
    assert len(planned.take(10)) == 1


@pytest.mark.usefixtures("small")
def test_of_a_backlog_both_ends_are_looked_at() -> None:
    """The oldest come first, then those that have just become due, and none between them."""
    planned = Agenda(keys("a", [*range(1, 30), 1_000, 1_001]), FRESH)
    assert [due for _, due in taken(planned)] == [1, 2, 3, 1_000, 1_001]
    assert taken(planned) == []


@pytest.mark.usefixtures("small")
def test_looks_go_further_while_they_lead_to_repairs() -> None:
    """After a repair the next of the old end are looked at, and after none of them no further."""
    planned = Agenda(keys("a", range(1, 30)) + keys("b", range(1, 30)), FRESH)
    assert len(taken(planned)) == 6
    planned.note_repair("a")
    assert taken(planned) == [("a", due) for due in (4, 5, 6, 7)]
    planned.note_repair("a")
    assert taken(planned, 2) == [("a", 8), ("a", 9)]
    assert taken(planned) == [("a", 10), ("a", 11)]
    assert taken(planned) == []


@pytest.mark.usefixtures("small")
def test_the_stretches_of_further_runs_cover_a_backlog() -> None:
    """Run by run another part of the middle is looked at, until all of it has been."""
    seen: set[int] = set()
    for run in range(29_400_000, 29_400_006):
        planned = Agenda(keys("a", range(1, 30)) + keys("b", [1]), FRESH)
        planned.take(1_000)
        planned.add_stretches(5, run)
        stretch = [due for _, due in taken(planned)]
        assert 0 < len(stretch) <= 5
        seen.update(stretch)
    assert seen == set(range(4, 30))


@pytest.mark.usefixtures("small")
def test_stretches_are_shared_by_the_backlogs() -> None:
    """No tenant's backlog takes more than its part of a run's stretch."""
    planned = Agenda(keys("a", range(1, 30)) + keys("b", range(1, 30)), FRESH)
    planned.take(1_000)
    planned.add_stretches(8, 0)
    assert sorted(taken(planned)) == [
        *(("a", due) for due in range(4, 8)),
        *(("b", due) for due in range(4, 8)),
    ]

"""The agenda of one run of the sweeper: the order in which it looks at the due keys of all tenants.

The tenants take turns, one key each, so that the first of each comes before the second of any. Of
a long backlog a run looks at both ends: at the oldest, whose message is the likeliest to be lost,
and at those that have just become due. The part between is looked at further from its old end
while looks lead to repairs, and else in stretches that move on from run to run.
"""

from bisect import bisect_left
from collections import defaultdict, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from afterword.generations.ends import DueKey

OLDEST = 100
"""The keys at the old end of a tenant's backlog that every run looks at."""
FURTHER = 1_000
"""The keys that a look further into a backlog adds."""


class Agenda:
    """Due keys by tenant. `fresh_since` is when those became due that every run looks at."""

    def __init__(self, keys: "Iterable[DueKey]", fresh_since: int) -> None:
        by_tenant: defaultdict[str, list[DueKey]] = defaultdict(list)
        for key in sorted({key.pk: key for key in keys}.values()):
            by_tenant[key.tenant].append(key)
        self._backlogs = {tenant: _Backlog(some, fresh_since) for tenant, some in by_tenant.items()}
        self._turns = deque(self._backlogs.values())

    def take(self, most: int) -> "list[DueKey]":
        """Return the next keys, up to `most`; none once no more is worth a look."""
        for backlog in self._backlogs.values():
            if backlog.go_further():
                self._turns.append(backlog)
        taken: list[DueKey] = []
        while self._turns and len(taken) < most:
            backlog = self._turns.popleft()
            taken.append(backlog.next.popleft())
            if backlog.next:
                self._turns.append(backlog)
        return taken

    def note_repair(self, tenant: str) -> None:
        """Note that a look at a tenant's key has led to a repair."""
        self._backlogs[tenant].repaired = True

    def add_stretches(self, most: int, run: int) -> None:
        """Add a stretch of each backlog's remaining keys, up to `most` in all.

        `run` counts runs, so that the stretches of further runs cover the whole.
        """
        long = [backlog for backlog in self._backlogs.values() if backlog.rest]
        for backlog in long:
            if not backlog.next:
                self._turns.append(backlog)
            backlog.add_stretch(max(1, most // len(long)), run)

    def find_oldest_left(self) -> "DueKey | None":
        """Return the oldest key that is still to be looked at; None if there is none."""
        return min((backlog.next[0] for backlog in self._turns), default=None)


class _Backlog:
    """The due keys of one tenant: the `next` ones, and the `rest`, both oldest first."""

    def __init__(self, keys: "Sequence[DueKey]", fresh_since: int) -> None:
        fresh = bisect_left(keys, (fresh_since,))
        oldest = min(OLDEST, fresh)
        self.next = deque([*keys[:oldest], *keys[fresh:]])
        self.rest = keys[oldest:fresh]
        self.repaired = False

    def go_further(self) -> bool:
        """Take more of the rest, if the looks so far have led to repairs. False if not."""
        if self.next or not self.rest or not self.repaired:
            return False
        self.next.extend(self.rest[:FURTHER])
        self.rest = self.rest[FURTHER:]
        self.repaired = False
        return True

    def add_stretch(self, length: int, run: int) -> None:
        """Take the stretch of the rest whose turn it is."""
        first = run % -(-len(self.rest) // length) * length
        self.next.extend(self.rest[first : first + length])
        self.rest = [*self.rest[:first], *self.rest[first + length :]]

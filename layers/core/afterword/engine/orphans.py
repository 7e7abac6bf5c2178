"""Orphans: payloads in the buckets that no item names, left by processes that died.

A process puts a payload before the item that names it, and deletes it after the item. A process
that dies in between leaves an orphan. The key of a payload is one writer's alone, so an orphan that
is older than any writer is never named again.
"""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from afterword import clock
from afterword.errors import UnavailableError
from afterword.generations.ends import ObjectSweep
from afterword.runtime import telemetry

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from afterword.generations.store import GenerationStore
    from afterword.runtime.deadline import Deadline
    from afterword.runtime.payloads import PayloadPage, StoredPayload

PERIOD = timedelta(days=7)
"""The time from the beginning of one sweep to that of the next."""
YOUNG = timedelta(days=1)
"""The age below which a payload may have a writer still."""
STOP_SECONDS = 30.0
"""A run begins no page in the last seconds of its invocation."""
MAX_PAGES = 5_000
"""Pages of one run; further ones wait for the next run."""
FEW = 20
"""The most orphans of a page that are deleted whatever else is on it."""
EXPIRING = timedelta(days=2)
"""The end of a payload's life in which its item may have expired before it."""


class ItemsMissingError(Exception):
    """A page with so many orphans that items are lost, rather than processes."""


class PayloadStore(Protocol):
    """A store whose items name payloads."""

    def list_payloads(self, after: str) -> "PayloadPage":
        """Return payloads in the order of their keys, after a key."""
        ...

    def find_orphans(self, payloads: "Collection[StoredPayload]") -> list[str]:
        """Return the keys, of these payloads, that no item names."""
        ...

    def delete_orphans(self, keys: "Collection[str]") -> None:
        """Delete payloads; raise UnavailableError for those that are left."""
        ...


class Part(NamedTuple):
    """A store whose bucket is swept, and the time after which that bucket expires payloads.

    `retention` is None for a bucket that keeps them.
    """

    store: PayloadStore
    retention: timedelta | None


class OrphanSweeper:
    """Deletes orphans, bucket by bucket, over as many runs as that takes.

    The progress is stored after each page. Two runs at once do no harm.
    """

    def __init__(
        self, store: "GenerationStore", contents: PayloadStore, *, retention_days: int
    ) -> None:
        self._store = store
        self._parts = (Part(store, timedelta(days=retention_days)), Part(contents, None))

    def sweep(self, deadline: "Deadline") -> Counter[str]:
        """Go on with the sweep until the deadline, or begin one that is due; return counts.

        Raises ItemsMissingError after a run that has kept orphans, for the alarm.
        """
        now = clock.now()
        stop = deadline.earlier(STOP_SECONDS)
        counts: Counter[str] = Counter()
        progress = self._store.read_object_sweep()
        if progress is None or (progress.finished and now >= progress.began_at + PERIOD):
            progress = ObjectSweep(began_at=now)
        while not progress.finished and not stop.passed and counts["pages"] < MAX_PAGES:
            progress = self._sweep_page(progress, counts)
            self._store.save_object_sweep(progress)
        if counts:
            facts = {"finished": progress.finished, "part": progress.part, **counts}
            telemetry.logger().info("swept objects", extra=facts)
        if counts["kept"]:
            raise ItemsMissingError(f"{counts['kept']} payloads without an item were kept.")
        return counts

    def _sweep_page(self, progress: ObjectSweep, counts: Counter[str]) -> ObjectSweep:
        """Sweep the next page; return the progress after it. A page that fails is passed over."""
        part = self._parts[progress.part]
        page = part.store.list_payloads(progress.after)
        counts["pages"] += 1
        counts["objects"] += len(page.payloads)
        counts["unknown"] += sum(payload.owner is None for payload in page.payloads)
        try:
            counts += self._delete_orphans(part, page.payloads)
        except (BotoCoreError, ClientError, UnavailableError) as error:
            counts["failed"] += 1
            telemetry.logger().warning("could not sweep a page", extra={"why": str(error)})
        if page.more:
            return replace(progress, after=page.payloads[-1].key)
        if progress.part + 1 < len(self._parts):
            return replace(progress, part=progress.part + 1, after="")
        return replace(progress, finished=True)

    @staticmethod
    def _delete_orphans(part: Part, payloads: "Sequence[StoredPayload]") -> Counter[str]:
        """Delete the orphans of a page, unless they are so many that items must be missing.

        Payloads that expire soon are left to their bucket, since their items expire before them.
        """
        now = clock.now()
        old = [each for each in payloads if each.written_at <= now - YOUNG]
        if part.retention is not None:
            expiring = now - part.retention + EXPIRING
            old = [each for each in old if each.written_at > expiring]
        orphans = part.store.find_orphans(old) if old else []
        if not orphans:
            return Counter()
        if len(orphans) > FEW and 2 * len(orphans) > len(old):
            telemetry.logger().error(
                "kept payloads without an item, since items seem to be lost",
                extra={"orphans": len(orphans), "objects": len(old), "first": orphans[0]},
            )
            return Counter(kept=len(orphans))
        part.store.delete_orphans(orphans)
        telemetry.logger().warning("deleted payloads without an item", extra={"keys": orphans[:20]})
        return Counter(deleted=len(orphans))

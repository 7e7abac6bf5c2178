"""A process's cache of the indexes of selections."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple, Protocol

from afterword.knowledge.ranking import Selection, SelectionTooLargeError

MAX_INDEXES = 200
"""Indexes of a cache: each may have a file and a connection of its own."""
_REFUSAL_BYTES = 20_000  # of a key with many folders and tags


class Sized(Protocol):
    """A kept index."""

    @property
    def size(self) -> int:
        """Bytes of memory, or of a file."""
        ...


class _Refusal(NamedTuple):
    """The refusal of a selection that is too large."""

    message: str
    size: int = _REFUSAL_BYTES


class IndexCache[Index: Sized]:
    """Indexes of selections, each in its newest version, the last used ones within the bounds.

    `build` makes the index of a selection, and `version` tells whether a kept one is stale. Threads
    may share a cache: an index is built once, while other threads wait for it. The newest stays
    whatever its size. A selection's refusal as too large is kept like an index. The bounds are
    `max_bytes` and MAX_INDEXES. Indexes of different selections are built side by side up to
    `at_once`.
    """

    def __init__(
        self,
        build: Callable[[Selection], Index],
        version: Callable[[Selection], str],
        max_bytes: int,
        at_once: int = 1,
    ) -> None:
        self._build = build
        self._version = version
        self._max_bytes = max_bytes
        self._indexes: OrderedDict[tuple[object, ...], tuple[str, Index | _Refusal]] = OrderedDict()
        self._lock = threading.Lock()
        self._building = tuple(threading.Lock() for _ in range(at_once))

    @property
    def size(self) -> int:
        """Bytes of all indexes."""
        return sum(index.size for _, index in self._indexes.values())

    def get(self, selection: Selection) -> Index:
        """Return the index of a selection; raise like `build`."""
        index = self._find(selection)
        if index is None:
            # One at a time for a selection, and for those that share its lock.
            with self._building[hash(_key(selection)) % len(self._building)]:
                index = self._find(selection)
                if index is None:
                    index = self._build_or_refuse(selection)
                    self._keep(selection, index)
        if isinstance(index, _Refusal):
            raise SelectionTooLargeError(index.message)
        return index

    def _build_or_refuse(self, selection: Selection) -> Index | _Refusal:
        try:
            return self._build(selection)
        except SelectionTooLargeError as error:
            return _Refusal(str(error))  # the error itself would hold what was read

    def _find(self, selection: Selection) -> Index | _Refusal | None:
        key = _key(selection)
        with self._lock:
            version, index = self._indexes.get(key, ("", None))
            if index is None or version != self._version(selection):
                return None
            self._indexes.move_to_end(key)
            return index

    def _keep(self, selection: Selection, index: Index | _Refusal) -> None:
        key = _key(selection)
        with self._lock:
            self._indexes[key] = (self._version(selection), index)
            self._indexes.move_to_end(key)
            while len(self._indexes) > 1 and (
                self.size > self._max_bytes or len(self._indexes) > MAX_INDEXES
            ):
                self._indexes.popitem(last=False)


def _key(selection: Selection) -> tuple[object, ...]:
    return selection.tenant, selection.folders, selection.tags

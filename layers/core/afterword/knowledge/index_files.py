"""Indexes of selections as files in the contents' bucket, built by one worker for all.

A file is an SQLite database under `_indexes/<tenant>/<format>-<selection>/<version>`, and is never
changed: other contents have another version. The passages' texts are in the file. A change of a
content deletes the tenant's files after its transaction. A builder deletes its own file if the
version has changed by then, so that one of the two finds each file with an outdated text.
"""

import errno
import json
import sqlite3
import time
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from afterword import clock
from afterword.errors import GoneError, UnavailableError
from afterword.knowledge import lexical
from afterword.knowledge.ranking import SelectionTooLargeError
from afterword.knowledge.store import INDEXES
from afterword.runtime import telemetry
from afterword.runtime.deadline import Deadline

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from afterword.knowledge.lexical import Index
    from afterword.knowledge.ranking import Candidate, Selection
    from afterword.knowledge.store import ContentStore
    from afterword.runtime.payloads import Payloads

FORMAT = 1
"""The number of what a file has: another one for other passages, terms or tables of the same texts.

Releases side by side do not read each other's files.
"""
MIN_STORED = 200
"""Passages of a file in the bucket; the index of fewer is built in a tenth of a second."""
MANY = lexical.IN_MEMORY.passages
"""Passages after which a builder claims its key, so that no other worker builds the same."""
BUILD_SECONDS = 200.0
"""The time of a build, which leaves some of an invocation to the model."""
CLAIM = timedelta(seconds=300)
"""The time after which a claim's builder must be dead: longer than a build and its put."""
MAX_CACHED_BYTES = 200_000_000
"""Bytes of the files that a process has open; the newest stays whatever its size.

So two of the largest fit into the 512 MB of a function's /tmp.
"""
_NOTE_BYTES = 4_096


class IndexFiles:
    """Indexes from the bucket, or built and put there; an IndexSource.

    A question takes an S3 get for each new version of its selection. A build takes the reads of
    ContentStore.read_candidates, and for MIN_STORED passages an S3 put, an S3 list, a read of the
    version, and an S3 delete of older files.

    In place of a file there may be a note, in JSON: `until`, in milliseconds, is the end of a
    builder's claim, and `refusal` the reason of there being no index.
    """

    max_bytes = MAX_CACHED_BYTES
    at_once = 8

    def __init__(self, contents: "ContentStore", payloads: "Payloads") -> None:
        self._contents = contents
        self._payloads = payloads

    def open(self, selection: "Selection") -> "Index":
        """Return the index of a selection, whose file loses its name once it is open.

        Raises SelectionTooLargeError, also for a build that takes longer than BUILD_SECONDS, and
        UnavailableError while another worker builds the same. With the bucket out of reach, an
        index within IN_MEMORY's limits is built all the same, and UnavailableError raised for a
        larger one.
        """
        with TemporaryDirectory(prefix="index-") as folder:
            file = Path(folder, "index.sqlite")
            try:
                return self._find(selection, file) or self._build(selection, file)
            except (OSError, sqlite3.Error) as error:
                if not _is_of_room(error):
                    raise
                raise UnavailableError("The worker has no room for another index.") from error

    def _find(self, selection: "Selection", file: Path) -> "Index | None":
        """Return the index in the bucket, or one that is not to be there; None to build it."""
        key = key_of(selection)
        try:
            self._payloads.download(key, file)
        except GoneError:
            return None
        except (BotoCoreError, ClientError) as error:
            _warn("could not fetch an index", key, error)
            return self._build_alone(selection, file)
        try:
            return lexical.open_index(file)
        except sqlite3.Error as error:
            note = _read_note(file)
            if "refusal" in note:
                raise SelectionTooLargeError(note["refusal"]) from error
            if note.get("until", 0) > clock.to_millis(clock.now()):
                raise _building() from error
            _warn("could not read an index", key, error)
        try:
            self._payloads.delete([key])
        except (BotoCoreError, ClientError, UnavailableError) as error:
            _warn("could not delete an index", key, error)
        return None

    def _build_alone(self, selection: "Selection", file: Path) -> "Index":
        file.unlink(missing_ok=True)  # a part of what was not fetched
        candidates = self._contents.read_candidates(selection)
        try:
            return lexical.build_index(candidates, lexical.IN_MEMORY, file)
        except SelectionTooLargeError as error:
            raise UnavailableError("The index of the passages is out of reach.") from error

    def _build(self, selection: "Selection", file: Path) -> "Index":
        file.unlink(missing_ok=True)
        claim = _Claim(self._payloads, key_of(selection))
        began = time.monotonic()
        try:
            candidates = claim.watch(self._contents.read_candidates(selection))
            index = lexical.build_index(candidates, lexical.IN_FILE, file)
        except BaseException as error:
            refused = type(error) is SelectionTooLargeError
            claim.end(str(error) if refused else None)
            raise
        seconds = round(time.monotonic() - began, 3)
        facts = {"passages": index.passages, "bytes": index.size, "seconds": seconds}
        telemetry.logger().info("built an index", extra=facts)
        if index.passages >= MIN_STORED and not self._save(selection, file):
            claim.end()
        return index

    def _save(self, selection: "Selection", file: Path) -> bool:
        """Put a file into the bucket, and delete those of older versions; False after an error.

        The keys are listed before the version is read. So if that has not changed, no listed file
        is newer.
        """
        key = key_of(selection)
        try:
            self._payloads.upload(key, file)
            stored = self._payloads.list_keys(key.rpartition("/")[0] + "/")
            outdated = [each for each in stored if each != key]
            now = self._contents.select(selection.tenant, selection.folders, selection.tags)
            if now.version != selection.version:
                outdated = [key]
            if outdated:
                self._payloads.delete(outdated)
        except (BotoCoreError, ClientError, UnavailableError) as error:
            _warn("could not store an index", key, error)
            return False
        return True


class _TooSlowError(SelectionTooLargeError):
    """A selection that a worker cannot index in time, and one with more memory might."""


class _Claim:
    """A builder's claim of a key, from MANY passages on."""

    def __init__(self, payloads: "Payloads", key: str) -> None:
        self._payloads = payloads
        self._key = key
        self._taken = False
        self._end = Deadline.after(BUILD_SECONDS)

    def watch(self, candidates: "Iterable[Candidate]") -> "Iterator[Candidate]":
        """Yield the passages, and claim the key when they are many.

        Raises UnavailableError without the claim, and _TooSlowError after BUILD_SECONDS.
        """
        for number, candidate in enumerate(candidates):
            if number == MANY:
                self._take()
            if self._end.passed:
                raise _TooSlowError(
                    f"The passages in these folders and tags cannot be indexed within"
                    f" {BUILD_SECONDS:.0f} seconds: choose fewer folders or tags, or give the"
                    " worker more memory."
                )
            yield candidate

    def _take(self) -> None:
        until = clock.to_millis(clock.now() + CLAIM)
        try:
            self._taken = self._payloads.put_new(self._key, _write_note(until=until))
        except (BotoCoreError, ClientError) as error:
            raise UnavailableError("The index of the passages is out of reach.") from error
        if not self._taken:
            raise _building()

    def end(self, refusal: str | None = None) -> None:
        """Let another worker build, or leave the reason why none can."""
        if not self._taken:
            return
        try:
            self._payloads.delete([self._key])
            if refusal is not None:
                self._payloads.put_new(self._key, _write_note(refusal=refusal))
        except (BotoCoreError, ClientError, UnavailableError) as error:
            _warn("could not end a claim", self._key, error)


def _building() -> UnavailableError:
    return UnavailableError("Another worker is building the index of the passages.")


def _write_note(**note: object) -> bytes:
    return json.dumps(note).encode()


def _read_note(file: Path) -> dict[str, Any]:
    """Return the note in place of an index; empty for anything else."""
    with file.open("rb") as content:
        found = content.read(_NOTE_BYTES)
    return json.loads(found) if found.startswith(b"{") else {}


def _is_of_room(error: OSError | sqlite3.Error) -> bool:
    """Whether an error says that the disk is full."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOSPC
    return error.sqlite_errorcode == sqlite3.SQLITE_FULL


def key_of(selection: "Selection") -> str:
    """Return the key of a selection's file in its version."""
    selected = json.dumps([sorted(selection.folders), sorted(selection.tags)])
    folder = f"{INDEXES}/{selection.tenant}/{FORMAT}-{_digest(selected)}"
    return f"{folder}/{_digest(selection.version)}"


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:32]


def _warn(message: str, key: str, error: Exception) -> None:
    telemetry.logger().warning(message, extra={"key": key, "why": str(error)})

"""Indexes of selections as files in the contents' bucket, built by one worker for all.

A file is an SQLite database under `_indexes/<tenant>/<format>-<selection>/<version>`, and is never
changed: other contents have another version. The passages' texts are in the file. A change of a
content deletes the tenant's files after its transaction. A builder deletes its own file if the
version has changed by then, so that one of the two finds each file with an outdated text.
"""

import json
import sqlite3
import time
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from afterword.errors import GoneError, UnavailableError
from afterword.knowledge import lexical
from afterword.knowledge.ranking import SelectionTooLargeError
from afterword.knowledge.store import INDEXES
from afterword.runtime import telemetry

if TYPE_CHECKING:
    from afterword.knowledge.lexical import Index, Limits
    from afterword.knowledge.ranking import Selection
    from afterword.knowledge.store import ContentStore
    from afterword.runtime.payloads import Payloads

FORMAT = 1
"""The number of what a file has: another one for other passages, terms or tables of the same texts.

Releases side by side do not read each other's files.
"""
MIN_STORED = 500
"""Passages of a file in the bucket; the index of fewer is built in less time than it is fetched."""
MAX_CACHED_BYTES = 200_000_000
"""Bytes of the files that a process has open; the newest stays whatever its size.

So two of the largest fit into the 512 MB of a function's /tmp.
"""


class IndexFiles:
    """Indexes from the bucket, or built and put there; an IndexSource.

    A question takes an S3 get for each new version of its selection. A build takes the reads of
    ContentStore.read_candidates, and for MIN_STORED passages an S3 put, an S3 list, a read of the
    version, and an S3 delete of older files.
    """

    max_bytes = MAX_CACHED_BYTES

    def __init__(self, contents: "ContentStore", payloads: "Payloads") -> None:
        self._contents = contents
        self._payloads = payloads

    def open(self, selection: "Selection") -> "Index":
        """Return the index of a selection, whose file loses its name once it is open.

        With the bucket out of reach, an index within IN_MEMORY's limits is built all the same, and
        UnavailableError raised for a larger one.
        """
        key = _key(selection)
        with TemporaryDirectory(prefix="index-") as folder:
            file = Path(folder, "index.sqlite")
            try:
                self._payloads.download(key, file)
                return lexical.open_index(file)
            except GoneError:
                pass
            except sqlite3.Error as error:
                _warn("could not read an index", key, error)
                file.unlink()
            except (BotoCoreError, ClientError) as error:
                _warn("could not fetch an index", key, error)
                return self._build_alone(selection, file)
            index = self._build(selection, file, lexical.IN_FILE)
            if index.passages >= MIN_STORED:
                self._save(selection, key, file)
            return index

    def _build_alone(self, selection: "Selection", file: Path) -> "Index":
        try:
            return self._build(selection, file, lexical.IN_MEMORY)
        except SelectionTooLargeError as error:
            raise UnavailableError("The index of the passages is out of reach.") from error

    def _build(self, selection: "Selection", file: Path, limits: "Limits") -> "Index":
        file.unlink(missing_ok=True)  # a part of what was not fetched
        began = time.monotonic()
        index = lexical.build_index(self._contents.read_candidates(selection), limits, file)
        seconds = round(time.monotonic() - began, 3)
        facts = {"passages": index.passages, "bytes": index.size, "seconds": seconds}
        telemetry.logger().info("built an index", extra=facts)
        return index

    def _save(self, selection: "Selection", key: str, file: Path) -> None:
        """Put a file into the bucket, and delete those of older versions.

        The keys are listed before the version is read. So if that has not changed, no listed file
        is newer.
        """
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


def _key(selection: "Selection") -> str:
    """Return the key of a selection's file in its version."""
    selected = json.dumps([sorted(selection.folders), sorted(selection.tags)])
    folder = f"{INDEXES}/{selection.tenant}/{FORMAT}-{_digest(selected)}"
    return f"{folder}/{_digest(selection.version)}"


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:32]


def _warn(message: str, key: str, error: Exception) -> None:
    telemetry.logger().warning(message, extra={"key": key, "why": str(error)})

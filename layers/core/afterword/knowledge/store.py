"""Contents, in their table and bucket. The only module that calls the table.

afterword.knowledge.items lays out its items.

Every change of a content is one transaction, which holds only while the content is as it was read:
it also counts the contents, and a version, of all that the content is or was in. The text goes into
the bucket before that, under a key of its own, which nothing ever names again once it is replaced:
so what is deleted afterwards cannot be anybody's. Beside it stands what Bedrock's knowledge bases
are to know of it.

A version is read before the contents, and both consistently: DynamoDB shows either in the state of
before a transaction or of after it, so contents are never older than the version they go with.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html
"""

import random
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from enum import StrEnum
from itertools import batched
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from afterword.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    UnavailableError,
    UnprocessableError,
)
from afterword.generations import is_id, new_id
from afterword.knowledge import Content, check_change, check_draft, is_external_id, items
from afterword.knowledge.passages import cut_passages
from afterword.knowledge.ranking import Candidate, Selection, SelectionTooLargeError
from afterword.runtime import telemetry
from afterword.runtime.dynamodb import (
    Condition,
    QueryPage,
    Table,
    TransactionCanceledError,
    begins_with,
    between,
    contains,
    equals,
    text,
)
from afterword.runtime.pages import Page

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from afterword.knowledge import Change, Draft, Folder
    from afterword.knowledge.items import Stored
    from afterword.runtime.dynamodb import Item
    from afterword.runtime.payloads import Payloads

MAX_SCANNED = 20_000
"""Contents that are read for a selection, those with other tags included."""
MAX_SELECTED = 100
"""Folders, and tags, of a selection: as many as one call reads the versions of."""
READERS = 10
"""Objects of the bucket that are read at the same time."""

CONFLICT_WAITS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds to wait at most after each try that met with another transaction."""
MAX_WRITE_TRIES = 10
"""How often a content that others change at the same time is read again."""

_BUSY = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}


class ContentChange(StrEnum):
    """What putting a content did."""

    ADDED = "added"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


class _LostRaceError(Exception):
    """Somebody else has changed the content since it was read."""


class ContentStore:
    """Contents in DynamoDB, with their texts in S3.

    A change costs one transaction of 5 to 50 writes, and two S3 puts, one if the text stays; where
    a text goes, one S3 delete. What it reads before is said of each method, in consistent reads.
    """

    def __init__(self, dynamodb: "DynamoDBClient", table: str, payloads: "Payloads") -> None:
        self._table = Table(dynamodb, table)
        self._payloads = payloads

    def create(self, tenant: str, draft: "Draft") -> "Content":
        """Add a content, without a read before; ConflictError if its external id is taken.

        Raises UnprocessableError with the field that is not as it should be, as do `put` and
        `update`.
        """
        draft = check_draft(draft)
        return self._save(
            lambda: None, lambda _: items.drafted(tenant, draft, None), draft.text
        ).content

    def put(self, tenant: str, draft: "Draft") -> "tuple[Content, ContentChange]":
        """Add a content, or change that with this external id, or leave it if nothing changes.

        Takes one read if there is none such, else three; nothing is written if nothing changes.
        """
        draft = check_draft(draft)
        external_id = draft.external_id
        if external_id is None:
            raise UnprocessableError("external_id", "it is what the content is known by here.")
        before: Stored | None = None

        def read() -> "Stored | None":
            nonlocal before
            before = self._by_external(tenant, external_id)
            return before

        def save() -> "Stored":
            return self._save(read, lambda there: items.drafted(tenant, draft, there), draft.text)

        try:
            after = save()
        except ConflictError:  # somebody else has just added it
            after = save()
        if before is None:
            return after.content, ContentChange.ADDED
        outcome = ContentChange.UNCHANGED if after is before else ContentChange.UPDATED
        return after.content, outcome

    def update(self, tenant: str, content_id: str, change: "Change") -> "Content":
        """Change a content, if that changes anything. Takes two reads.

        Raises NotFoundError, and ConflictError if the external id is another content's.
        """
        change = check_change(change)

        def make(before: "Stored | None") -> "Stored":
            if before is None:
                raise NotFoundError("There is no such content.")
            return items.changed(before, change)

        return self._save(
            lambda: self._by_id(tenant, content_id, with_text=change.text is None),
            make,
            change.text,
        ).content

    def get(self, tenant: str, reference: str) -> "Content":
        """Return the content with this id, else that with this external id; or NotFoundError.

        Takes two reads by id, three by external id, four by one that looks like an id.
        """
        found = self._by_id(tenant, reference) or self._by_external(tenant, reference)
        if found is None:
            raise NotFoundError("There is no such content.")
        return found.content

    def find(self, tenant: str, external_id: str) -> "Content | None":
        """Return the content with this external id. Takes one read if there is none, else three."""
        found = self._by_external(tenant, external_id)
        return None if found is None else found.content

    def remove(self, tenant: str, content_id: str) -> None:
        """Remove a content; raise NotFoundError if there is none such. Takes two reads."""
        for _ in range(MAX_WRITE_TRIES):
            before = self._by_id(tenant, content_id)
            if before is None:
                raise NotFoundError("There is no such content.")
            try:
                self._transact(before, None)
            except _LostRaceError:
                continue
            self._discard(before.object)
            return
        raise _busy()

    def list_folders(self, tenant: str) -> "list[Folder]":
        """Return the folders by name, with those that are empty by now. Takes a query."""
        found = [
            items.folder_of(item)
            for page in self._pages(tenant, items.folder_key(""))
            for item in page.items
        ]
        return sorted(found, key=lambda folder: (folder.name.casefold(), folder.name))

    def list_contents(
        self, tenant: str, folder_id: str | None, limit: int, after: str | None
    ) -> Page[Content]:
        """Return up to `limit` contents of a folder, or of all, those of a folder oldest first.

        `after` is what the page before says; InvalidRequestError if no page has said so. Takes a
        read and a query. Raises NotFoundError for a folder that is not there.
        """
        if folder_id is not None and not is_id(folder_id):
            raise NotFoundError("There is no such folder.")
        if after is not None and not _is_after(after, folder_id):
            raise InvalidRequestError("after: it is not what the page before has said.")
        label = items.ALL if folder_id is None else items.folder_key(folder_id)
        counted = self._read(tenant, [label]).get(label)
        if counted is None and folder_id is not None:
            raise NotFoundError("There is no such folder.")
        prefix = items.content_key(folder_id or "")
        first = prefix if after is None else f"{items.content_key()}{after}~"
        last = f"{prefix}~"  # above the digits, letters and signs of ids
        condition = equals("pk", text(tenant)) & between("sk", text(first), text(last))
        read = next(self._table.pages(condition, consistent=True, limit=limit + 1))
        found = [items.stored_of(item).content for item in read.items[:limit]]
        more = len(read.items) > limit or read.last is not None
        return Page(
            items=tuple(found),
            after=f"{found[-1].folder.id}#{found[-1].id}" if more else None,
            total=items.count_of(counted),
        )

    def find_labels(self, tenant: str, folders: Collection[str], tags: Collection[str]) -> set[str]:
        """Return which of these ids are of folders and tags that there are, even empty ones.

        Takes a read for each 100 of them.
        """
        keys = {
            **{items.folder_key(label): label for label in folders if is_id(label)},
            **{items.tag_key(label): label for label in tags if is_id(label)},
        }
        return {
            keys[found]
            for some in batched(keys, MAX_SELECTED, strict=False)
            for found in self._read(tenant, some)
        }

    def select(self, tenant: str, folders: Collection[str], tags: Collection[str]) -> "Selection":
        """Return what is in any of the folders and has any of the tags, by ids. Takes a read.

        Its version is that of its folders, else of its tags, else of all: it changes with each
        content in the selection, and with others in the same folders. Raises
        SelectionTooLargeError above MAX_SELECTED.
        """
        if max(len(folders), len(tags)) > MAX_SELECTED:
            raise SelectionTooLargeError(
                f"At most {MAX_SELECTED} folders and {MAX_SELECTED} tags can be selected at once."
                " Select fewer, or none for all."
            )
        versioned = [items.ALL]
        if folders:
            versioned = [items.folder_key(label) for label in sorted(set(folders)) if is_id(label)]
        elif tags:
            versioned = [items.tag_key(label) for label in sorted(set(tags)) if is_id(label)]
        found = self._read(tenant, versioned)
        return Selection(
            tenant=tenant,
            version=",".join(items.version_of(found.get(label)) for label in versioned),
            folders=frozenset(folders),
            tags=frozenset(tags),
        )

    def read_candidates(self, selection: "Selection") -> "Iterator[Candidate]":
        """Yield the passages of a selection, those of a content together and in order.

        Takes a query for each folder, and for each further megabyte, and an S3 get for each text
        over INLINE_BYTES. Contents with other tags are read and left out: SelectionTooLargeError
        above MAX_SCANNED.
        """
        seen: set[str] = set()  # one that is moved meanwhile is met twice
        with ThreadPoolExecutor(max_workers=READERS) as executor:
            for some in self._selected(selection):
                inline = all("text" in item for item in some)
                texts = map(self._text, some) if inline else executor.map(self._text, some)
                for item, text in zip(some, texts, strict=True):
                    origin = items.origin_of(item)
                    if text is not None and origin.content not in seen:
                        seen.add(origin.content)
                        yield from (Candidate(origin, passage) for passage in cut_passages(text))

    def _selected(self, selection: "Selection") -> "Iterator[tuple[Item, ...]]":
        """Yield the items of a selection's texts, some at a time."""
        prefixes = [items.text_key(label) for label in sorted(selection.folders) if is_id(label)]
        if not selection.folders:
            prefixes = [items.text_key()]
        scanned = 0
        for prefix in prefixes:
            for page in self._pages(selection.tenant, prefix, selection.tags):
                scanned += page.scanned
                if scanned > MAX_SCANNED:
                    raise SelectionTooLargeError(
                        f"More than {MAX_SCANNED:,} contents are in the folders that are selected."
                        " Select fewer folders, or change to Amazon Bedrock Knowledge Bases."
                    )
                yield from batched(page.items, READERS, strict=False)

    def _text(self, item: "Item") -> str | None:
        """Return the text of an item, as it is now if it was changed since; None if it is gone."""
        for _ in range(MAX_WRITE_TRIES):
            if "text" in item:
                return item["text"]["S"]
            text = self._payloads.find(item["object"]["S"])
            if text is not None:
                return text
            tenant, sort_key = item["pk"]["S"], item["sk"]["S"]
            now = self._read(tenant, [sort_key]).get(sort_key)
            if now is None:
                return None
            if now["object"] == item["object"]:
                raise UnavailableError(f"The text of content {item['id']['S']} cannot be read.")
            item = now
        raise _busy()

    def _save(
        self,
        read: "Callable[[], Stored | None]",
        make: "Callable[[Stored | None], Stored]",
        text: str | None,
    ) -> "Stored":
        """Make of what is there what is to be there, as often as somebody else is quicker."""
        lost: Stored | None = None
        for _ in range(MAX_WRITE_TRIES):
            before = read()
            if lost is not None and (before is None or before.object != lost.object):
                self._discard(lost.object)  # what stands beside it may have been written anew
            after = make(before)
            if after is before:
                return after
            try:
                return self._write(before, after, text)
            except _LostRaceError:
                lost = before
        raise _busy()

    def _write(self, before: "Stored | None", after: "Stored", text: str | None) -> "Stored":
        content = after.content
        new = not after.object
        if new and text is not None:
            key = self._payloads.put(content.tenant, content.id, f"{new_id()}.txt", text)
            after = replace(after, object=key)
        self._payloads.put_file(
            content.tenant,
            content.id,
            _metadata(after.object.rpartition("/")[2]),
            items.metadata(content),
            "application/json",
        )
        try:
            self._transact(before, after)
        except (_LostRaceError, ConflictError, UnavailableError):  # what else fails may be done
            if new:
                self._discard(after.object)
            raise
        if before is not None and new:
            self._discard(before.object)
        return after

    def _transact(self, before: "Stored | None", after: "Stored | None") -> None:
        writes = items.writes(before, after)
        for wait in CONFLICT_WAITS:
            try:
                self._table.transact(writes)
            except TransactionCanceledError as error:
                reasons = error.reasons
                if reasons[0] == "ConditionalCheckFailed":
                    raise _LostRaceError from error
                if "ConditionalCheckFailed" in reasons:
                    raise ConflictError("There is a content with this external id.") from error
                if not _BUSY.intersection(reasons):
                    raise
                time.sleep(random.uniform(0, wait))  # noqa: S311 - spreads load, guards nothing # nosec B311
            else:
                return
        raise _busy()

    def _discard(self, key: str) -> None:
        """Delete a text that nothing names, and what stands beside it. If that fails, it stays."""
        try:
            self._payloads.delete([key, _metadata(key)])
        except (BotoCoreError, ClientError, UnavailableError) as error:
            telemetry.logger().warning(
                "a text that is gone stays in the bucket", extra={"key": key, "why": str(error)}
            )

    def _by_id(self, tenant: str, content_id: str, *, with_text: bool = False) -> "Stored | None":
        if not is_id(content_id):
            return None
        where = items.id_key(content_id)
        for _ in range(MAX_WRITE_TRIES):
            index = self._read(tenant, [where]).get(where)
            if index is None:
                return None
            folder = index["folder"]["S"]
            keys = [items.content_key(folder, content_id)]
            if with_text:
                keys.append(items.text_key(folder, content_id))
            found = self._read(tenant, keys)
            revisions = {items.revision_of(item) for item in found.values()}
            if len(found) == len(keys) and len(revisions) == 1:
                return items.stored_of(*(found[key] for key in keys))
            # else it was changed between these reads
        raise _busy()

    def _by_external(self, tenant: str, external_id: str) -> "Stored | None":
        if not is_external_id(external_id):
            return None
        who = items.external_key(external_id)
        item = self._read(tenant, [who]).get(who)
        found = None if item is None else self._by_id(tenant, item["id"]["S"])
        return found if found and found.content.external_id == external_id else None

    def _read(self, tenant: str, sort_keys: Sequence[str]) -> "dict[str, Item]":
        """Return up to 100 items by sort key, consistently, without those that are not there."""
        keys = [items.key_of(tenant, sort_key) for sort_key in sort_keys]
        found = self._table.get_all(keys)
        return {item["sk"]["S"]: item for item in found}

    def _pages(self, tenant: str, prefix: str, tags: Collection[str] = ()) -> "Iterator[QueryPage]":
        """Give the pages of items whose sort keys begin so, with any of the tags, consistently."""
        condition = equals("pk", text(tenant)) & begins_with("sk", prefix)
        where: Condition | None = None
        for tag in sorted(tags):
            tagged = contains("tags", text(tag))
            where = tagged if where is None else where | tagged
        return self._table.pages(condition, where=where, consistent=True)


def _is_after(after: str, folder_id: str | None) -> bool:
    """Whether a page of the folder, or of all, may have ended so."""
    folder, _, content_id = after.partition("#")
    return is_id(content_id) and (is_id(folder) if folder_id is None else folder == folder_id)


def _metadata(name: str) -> str:
    return f"{name}.metadata.json"


def _busy() -> UnavailableError:
    return UnavailableError("Storage is busy. Try again in a moment.")

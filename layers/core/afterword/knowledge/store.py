"""Contents, in their table and bucket, and the table's only user.

afterword.knowledge.items has the table's layout.

Every change of a content is one transaction, on condition of the revision that was read. The
transaction also updates the counts and versions of all labels before and after. The text goes into
the bucket first, under a new key. A replaced key is never named again, so its later deletion is
safe. Beside the text is a metadata file for Bedrock's knowledge bases.

A version is read before the contents, and both consistently. DynamoDB shows each as before or after
a transaction, so contents are never older than their version.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html
"""

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from enum import StrEnum
from itertools import batched, islice
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from afterword.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    UnavailableError,
    UnprocessableError,
)
from afterword.generations import FailedError, Reason, is_id, new_id
from afterword.knowledge import (
    MAX_CONTENTS,
    MAX_LABELS,
    Content,
    check_change,
    check_draft,
    is_external_id,
    items,
)
from afterword.knowledge.passages import cut_passages
from afterword.knowledge.ranking import Candidate, Selection, SelectionTooLargeError
from afterword.runtime import telemetry
from afterword.runtime.dynamodb import (
    QueryPage,
    Table,
    TransactionCanceledError,
    Update,
    Value,
    begins_with,
    between,
    equals,
    text,
    tries,
)
from afterword.runtime.pages import Page

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from afterword.knowledge import Change, Draft, Folder
    from afterword.knowledge.items import Stored
    from afterword.knowledge.passages import Passage
    from afterword.knowledge.ranking import Origin
    from afterword.runtime.dynamodb import Item
    from afterword.runtime.payloads import PayloadPage, Payloads, StoredPayload

MAX_LEFT_OUT = 20_000
"""Contents with other tags that a selection reads and leaves out."""
MAX_SELECTED = 100
"""Folders, and tags, of a selection: one call reads the versions of so many."""
READERS = 10
"""Parallel reads of the bucket."""

CONFLICT_WAITS = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Maximum seconds to wait after each conflict with another transaction, but the last."""
MAX_WRITE_TRIES = 10
"""Tries of a write while others change the content at the same time."""

_CHANGING = "*"
"""The key of the text of a content that another request is changing; no text has it."""
_METADATA = ".metadata.json"
VECTORS = "passages.vectors"
"""The file of a content's vectors in the bucket, of any revision."""
INDEXES = "_indexes"
"""The folder of selections' indexes in the bucket; no tenant has this name."""
_INDEX_PAGES = 10
"""Pages of indexes that a change deletes at most; further ones expire."""
_COUNTED_PAGES = 5
"""Megabytes of labels that are counted, which is more than MAX_LABELS."""


class ContentChange(StrEnum):
    """The outcome of putting a content."""

    ADDED = "added"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


class _LostRaceError(Exception):
    """Another change of the content since its read."""


class ContentStore:
    """Contents in DynamoDB, with their texts in S3.

    A change takes one transaction of 5 to 51 writes, and two S3 puts, one for an unchanged text. A
    new folder or tag takes a query for each kind and a second transaction more.
    A replaced or removed text takes one S3 delete. A change of an existing content, and a removal,
    take one S3 list of the tenant's indexes. Each method names its consistent reads.

    `announce` is told the tenant and the id of each changed content, whose vectors are to be made
    anew; None in a deployment without vectors.
    """

    def __init__(
        self,
        dynamodb: "DynamoDBClient",
        table: str,
        payloads: "Payloads",
        announce: "Callable[[str, str], None] | None" = None,
    ) -> None:
        self._table = Table(dynamodb, table)
        self._payloads = payloads
        self._turn = threading.RLock()
        """Held for a transaction: those of a tenant conflict, since all count in one item."""
        self._announce = announce

    def create(self, tenant: str, draft: "Draft") -> "Content":
        """Add a content, without a read; raise ConflictError for a taken external id.

        Raises UnprocessableError, which names the field, as do `put` and `update`.
        """
        draft = check_draft(draft)
        return self._save(
            lambda: None, lambda _: items.apply_draft(tenant, draft, None), draft.text
        ).content

    def put(self, tenant: str, draft: "Draft") -> "tuple[Content, ContentChange]":
        """Add a content, or change the one with this external id; an unchanged one is not written.

        Reads: one for a new content, else three.
        """
        draft = check_draft(draft)
        external_id = draft.external_id
        if external_id is None:
            raise UnprocessableError(
                "external_id", "must be sent: the content is identified by it here."
            )
        before: Stored | None = None

        def read() -> "Stored | None":
            nonlocal before
            before = self._find_by_external_id(tenant, external_id)
            return before

        def save() -> "Stored":
            return self._save(
                read, lambda stored: items.apply_draft(tenant, draft, stored), draft.text
            )

        try:
            after = save()
        except ConflictError:  # another request has just added the content
            after = save()
        if before is None:
            return after.content, ContentChange.ADDED
        outcome = ContentChange.UNCHANGED if after is before else ContentChange.UPDATED
        if outcome is ContentChange.UNCHANGED and after.content.embedded is None:
            self._tell(after.content)  # an earlier message may be lost
        return after.content, outcome

    def update(self, tenant: str, content_id: str, change: "Change") -> "Content":
        """Change a content; an unchanged one is not written. Reads: two.

        Raises NotFoundError, and ConflictError for the external id of another content.
        """
        change = check_change(change)

        def build(before: "Stored | None") -> "Stored":
            if before is None:
                raise NotFoundError("There is no such content.")
            return items.apply_change(before, change)

        return self._save(
            lambda: self._find_by_id(tenant, content_id, with_text=change.text is None),
            build,
            change.text,
        ).content

    def get(self, tenant: str, reference: str) -> "Content":
        """Return the content with this id, else with this external id; raise NotFoundError.

        Reads: two by id, three by external id, four by an external id in the form of an id.
        """
        stored = self._find_by_id(tenant, reference) or self._find_by_external_id(tenant, reference)
        if stored is None:
            raise NotFoundError("There is no such content.")
        return stored.content

    def find(self, tenant: str, external_id: str) -> "Content | None":
        """Return the content with this external id; None without one. Reads: one, else three."""
        stored = self._find_by_external_id(tenant, external_id)
        return None if stored is None else stored.content

    def remove(self, tenant: str, content_id: str) -> None:
        """Remove a content; raise NotFoundError. Reads: two."""
        for _ in range(MAX_WRITE_TRIES):
            before = self._find_by_id(tenant, content_id)
            if before is None:
                raise NotFoundError("There is no such content.")
            try:
                self._transact(before, None)
            except _LostRaceError:
                continue
            self._discard(before.object, vectors_key(tenant, content_id))
            self._discard_indexes(tenant)
            self._tell(before.content)
            return
        raise _busy()

    def _tell(self, content: Content) -> None:
        """Announce a change; without storage's answer the content is found by its words alone."""
        if self._announce is None:
            return
        try:
            self._announce(content.tenant, content.id)
        except (BotoCoreError, ClientError) as error:
            telemetry.logger().error(
                "could not announce a content to embed",
                extra={"content_id": content.id, "why": type(error).__name__},
            )

    def list_payloads(self, after: str) -> "PayloadPage":
        """Return the texts and metadata files in the order of their keys, after a key."""
        return self._payloads.list_page(after)

    def find_orphans(self, payloads: "Collection[StoredPayload]") -> list[str]:
        """Return the keys, of these texts and metadata files, that no content names.

        The payloads have to be older than any change that is still on its way. A content that is
        changed meanwhile keeps its payloads. Reads: two for each 100 contents.
        """
        owners = {payload.owner for payload in payloads if payload.owner is not None}
        named = {
            owner: key
            for some in batched(owners, MAX_SELECTED, strict=False)
            for owner, key in self._read_objects(some).items()
        }
        return [
            payload.key
            for payload in payloads
            if payload.owner is not None and not _is_named(payload.key, named[payload.owner])
        ]

    def _read_objects(self, owners: "Collection[tuple[str, str]]") -> dict[tuple[str, str], str]:
        """Return the keys of contents' texts by owner; "" for an absent content.

        A content between two reads has _CHANGING.
        """
        objects = dict.fromkeys(owners, "")
        places = self._table.get_all(
            items.item_key(tenant, items.id_key(content_id)) for tenant, content_id in owners
        )
        keys: dict[tuple[str, str], dict[str, Value]] = {}
        for place in places:
            owner = place["pk"]["S"], place["sk"]["S"].removeprefix(items.id_key(""))
            objects[owner] = _CHANGING
            sort_key = items.content_key(place["folder"]["S"], owner[1])
            keys[owner] = items.item_key(owner[0], sort_key)
        for item in self._table.get_all(keys.values()):
            objects[item["pk"]["S"], item["id"]["S"]] = item["object"]["S"]
        return objects

    def delete_orphans(self, keys: Collection[str]) -> None:
        """Delete payloads that no content names; raise UnavailableError for those that are left."""
        self._payloads.delete(keys)

    def list_folders(self, tenant: str) -> "list[Folder]":
        """Return the folders by name, empty ones included. Reads: a query."""
        folders = [
            items.parse_folder(item)
            for page in self._pages(tenant, items.folder_key(""))
            for item in page.items
        ]
        return sorted(folders, key=lambda folder: (folder.name.casefold(), folder.name))

    def list_contents(
        self, tenant: str, folder_id: str | None, limit: int, after: str | None
    ) -> Page[Content]:
        """Return up to `limit` contents of a folder, or of all, a folder's oldest first.

        `after` is that of the page before; InvalidRequestError for another. Raises NotFoundError
        for an absent folder. Reads: an item and a query.
        """
        if folder_id is not None and not is_id(folder_id):
            raise NotFoundError("There is no such folder.")
        if after is not None and not _is_after(after, folder_id):
            raise InvalidRequestError("after: must be the cursor of the page before.")
        label = items.ALL if folder_id is None else items.folder_key(folder_id)
        counted = self._read(tenant, [label]).get(label)
        if counted is None and folder_id is not None:
            raise NotFoundError("There is no such folder.")
        prefix = items.content_key(folder_id or "")
        first = prefix if after is None else f"{items.content_key()}{after}~"
        last = f"{prefix}~"  # above the digits, letters and signs of ids
        condition = equals("pk", text(tenant)) & between("sk", text(first), text(last))
        read = next(self._table.pages(condition, consistent=True, limit=limit + 1))
        contents = [items.parse_stored(item).content for item in read.items[:limit]]
        more = len(read.items) > limit or read.last is not None
        return Page(
            items=tuple(contents),
            after=f"{contents[-1].folder.id}#{contents[-1].id}" if more else None,
            total=items.parse_count(counted),
        )

    def find_labels(self, tenant: str, folders: Collection[str], tags: Collection[str]) -> set[str]:
        """Return the ids, of these, of existing folders and tags, empty ones included.

        Reads: one for each 100 ids.
        """
        keys = {
            **{items.folder_key(label): label for label in folders if is_id(label)},
            **{items.tag_key(label): label for label in tags if is_id(label)},
        }
        return {
            keys[sort_key]
            for some in batched(keys, MAX_SELECTED, strict=False)
            for sort_key in self._read(tenant, some)
        }

    def select(self, tenant: str, folders: Collection[str], tags: Collection[str]) -> "Selection":
        """Return the selection of contents in any of the folders, with any of the tags, by ids.

        The selection's version is that of its folders, else of its tags, else of all contents. So
        it also changes with unselected contents of the folders. Reads: one. Raises
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
        labels = self._read(tenant, versioned)
        return Selection(
            tenant=tenant,
            version=",".join(items.parse_version(labels.get(label)) for label in versioned),
            folders=frozenset(folders),
            tags=frozenset(tags),
            embedded=",".join(items.parse_embedded_version(labels.get(each)) for each in versioned),
        )

    def read_text(self, tenant: str, content_id: str) -> "tuple[Content, str] | None":
        """Return a content with its text; None for an absent content.

        Reads: two, and an S3 get for a text over INLINE_BYTES.
        """
        for _ in range(MAX_WRITE_TRIES):
            stored = self._find_by_id(tenant, content_id, with_text=True)
            if stored is None:
                return None
            text = stored.text if stored.text is not None else self._payloads.find(stored.object)
            if text is not None:
                return stored.content, text
            # another change has replaced the text
        return None

    def read_passages(
        self, selection: "Selection", places: Sequence[tuple[str, str]]
    ) -> "Iterator[tuple[Origin, list[Passage]] | None]":
        """Yield the passages of contents of a selection, in order, each cut when it is asked for.

        `places` are pairs of folder and content; None for one that is not, or no longer, in the
        selection. Reads, for each READERS of them: one, and an S3 get for each text over
        INLINE_BYTES.
        """
        for some in batched(places, READERS, strict=False):
            keys = [items.text_key(*place) for place in some]
            wanted = [
                key
                for key, (folder, _) in zip(keys, some, strict=True)
                if not selection.folders or folder in selection.folders
            ]
            found = {
                key: item
                for key, item in (self._read(selection.tenant, wanted) if wanted else {}).items()
                if not selection.tags
                or selection.tags.intersection(item.get("tags", {}).get("SS", ()))
            }
            if all("text" in item for item in found.values()):
                read = list(map(self._read_text, found.values()))
            else:
                with ThreadPoolExecutor(max_workers=READERS) as executor:
                    read = list(executor.map(self._read_text, found.values()))
            texts = dict(zip(found, read, strict=True))
            for key in keys:
                text = texts.pop(key, None)
                yield None if text is None else (items.parse_origin(found[key]), cut_passages(text))

    def read_candidates(self, selection: "Selection") -> "Iterator[Candidate]":
        """Yield the passages of a selection, those of a content together and in order.

        Reads: a query for each folder and each further megabyte, and an S3 get for each text over
        INLINE_BYTES. Contents with other tags are read and left out. Raises SelectionTooLargeError
        above MAX_LEFT_OUT of them.
        """
        seen: set[str] = set()  # a content that moves meanwhile comes twice
        with ThreadPoolExecutor(max_workers=READERS) as executor:
            for some in self._read_texts(selection):
                inline = all("text" in item for item in some)
                texts = (
                    map(self._read_text, some) if inline else executor.map(self._read_text, some)
                )
                for item, text in zip(some, texts, strict=True):
                    origin = items.parse_origin(item)
                    if text is not None and origin.content not in seen:
                        seen.add(origin.content)
                        yield from (Candidate(origin, passage) for passage in cut_passages(text))

    def _read_texts(self, selection: "Selection") -> "Iterator[tuple[Item, ...]]":
        """Yield the items of a selection's texts, READERS at a time."""
        conditions, where = items.select(selection, items.text_key)
        left_out = 0
        for condition in conditions:
            for page in self._table.pages(condition, where=where, consistent=True):
                left_out += page.scanned - len(page.items)
                if left_out > MAX_LEFT_OUT:
                    raise SelectionTooLargeError(
                        f"More than {MAX_LEFT_OUT:,} contents with other tags are in the folders"
                        " that are selected. Select fewer folders, or change to Amazon Bedrock"
                        " Knowledge Bases."
                    )
                yield from batched(page.items, READERS, strict=False)

    def _read_text(self, item: "Item") -> str | None:
        """Return the text of an item, after a change the new one.

        None for a removed content. Raises FailedError for a text that is gone from storage: an
        answer without it might be wrong, and no later attempt finds it.
        """
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
                raise FailedError(
                    Reason.KNOWLEDGE_UNAVAILABLE,
                    f"The text of content {item['id']['S']} is gone from storage."
                    " Delete the content, and add it again.",
                )
            item = now
        raise _busy()

    def _save(
        self,
        read: "Callable[[], Stored | None]",
        build: "Callable[[Stored | None], Stored]",
        text: str | None,
    ) -> "Stored":
        """Write the content that `build` returns for the read one, again after each lost race."""
        lost: Stored | None = None
        for _ in range(MAX_WRITE_TRIES):
            before = read()
            if lost is not None and (before is None or before.object != lost.object):
                self._discard(lost.object)  # its metadata file may have been written anew
            after = build(before)
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
            items.build_metadata(content),
            "application/json",
        )
        try:
            self._transact(before, after)
        except (_LostRaceError, ConflictError, UnavailableError):  # after others it may be done
            if new:
                self._discard(after.object)
            raise
        if before is not None:
            if new:
                self._discard(before.object)
            self._discard_indexes(content.tenant)
        self._tell(after.content)
        return after

    def _transact(
        self, before: "Stored | None", after: "Stored | None", *, new_labels: bool = False
    ) -> None:
        embeds = self._announce is not None
        writes = items.build_writes(before, after, new_labels=new_labels, embeds=embeds)
        for _ in tries(CONFLICT_WAITS):
            try:
                with self._turn:
                    self._table.transact(writes)
            except TransactionCanceledError as error:
                reasons = error.reasons
                if reasons[0] == "ConditionalCheckFailed":
                    raise _LostRaceError from error
                failed = {
                    write.key["sk"]["S"] if isinstance(write, Update) else None
                    for write, reason in zip(writes, reasons, strict=False)
                    if reason == "ConditionalCheckFailed"
                }
                if None in failed:
                    raise ConflictError("There is a content with this external id.") from error
                if items.ALL in failed:
                    raise ConflictError(
                        f"A tenant has at most {MAX_CONTENTS:,} contents: remove some of them"
                        " first."
                    ) from error
                if failed:
                    self._check_room(before or after, failed)
                    self._transact(before, after, new_labels=True)
                    return
                if not error.is_busy:
                    raise
            else:
                return
        raise _busy()

    def _check_room(self, stored: "Stored | None", labels: Collection[str | None]) -> None:
        """Raise ConflictError if there is no room for new labels, by their sort keys.

        Reads: a query for each kind with a new one. Two changes at once may both get the last
        place.
        """
        assert stored is not None  # noqa: S101 - a change has one of them
        for kind, prefix in (("folders", items.folder_key("")), ("tags", items.tag_key(""))):
            new = sum(label is not None and label.startswith(prefix) for label in labels)
            if new and new + self._count(stored.content.tenant, prefix) > MAX_LABELS:
                raise ConflictError(
                    f"A tenant has at most {MAX_LABELS:,} {kind}, empty ones included: use one of"
                    " them."
                )

    def _count(self, tenant: str, prefix: str) -> int:
        condition = equals("pk", text(tenant)) & begins_with("sk", prefix)
        pages = self._table.pages(condition, attributes=("sk",), consistent=True)
        return sum(len(page.items) for page in islice(pages, _COUNTED_PAGES))

    def _discard(self, key: str, *others: str) -> None:
        """Delete a text that nothing names, and the files beside it; after an error all stay."""
        try:
            self._payloads.delete([key, _metadata(key), *others])
        except (BotoCoreError, ClientError, UnavailableError) as error:
            telemetry.logger().warning(
                "could not delete a replaced text", extra={"key": key, "why": str(error)}
            )

    def _discard_indexes(self, tenant: str) -> None:
        """Delete the indexes of a tenant, with the content as it was; after an error they expire.

        One that is put from now on is deleted by its builder, since the version has changed.
        """
        try:
            for _ in range(_INDEX_PAGES):
                keys = self._payloads.list_keys(f"{INDEXES}/{tenant}/")
                if not keys:
                    return
                self._payloads.delete(keys)
        except (BotoCoreError, ClientError, UnavailableError) as error:
            telemetry.logger().warning(
                "could not delete indexes of contents", extra={"why": str(error)}
            )

    def _find_by_id(
        self, tenant: str, content_id: str, *, with_text: bool = False
    ) -> "Stored | None":
        if not is_id(content_id):
            return None
        place = items.id_key(content_id)
        for _ in range(MAX_WRITE_TRIES):
            index = self._read(tenant, [place]).get(place)
            if index is None:
                return None
            folder = index["folder"]["S"]
            keys = [items.content_key(folder, content_id)]
            if with_text:
                keys.append(items.text_key(folder, content_id))
            read = self._read(tenant, keys)
            revisions = {items.parse_revision(item) for item in read.values()}
            if len(read) == len(keys) and len(revisions) == 1:
                return items.parse_stored(*(read[key] for key in keys))
            # another change came between these reads
        raise _busy()

    def _find_by_external_id(self, tenant: str, external_id: str) -> "Stored | None":
        if not is_external_id(external_id):
            return None
        sort_key = items.external_key(external_id)
        item = self._read(tenant, [sort_key]).get(sort_key)
        stored = None if item is None else self._find_by_id(tenant, item["id"]["S"])
        return stored if stored and stored.content.external_id == external_id else None

    def _read(self, tenant: str, sort_keys: Sequence[str]) -> "dict[str, Item]":
        """Return up to 100 existing items by sort key, read consistently."""
        keys = [items.item_key(tenant, sort_key) for sort_key in sort_keys]
        read = self._table.get_all(keys)
        return {item["sk"]["S"]: item for item in read}

    def _pages(self, tenant: str, prefix: str) -> "Iterator[QueryPage]":
        """Return the pages of items by prefix, read consistently."""
        condition = equals("pk", text(tenant)) & begins_with("sk", prefix)
        return self._table.pages(condition, consistent=True)


def _is_after(after: str, folder_id: str | None) -> bool:
    """Whether a text may be the cursor of a page of the folder, or of all."""
    folder, _, content_id = after.partition("#")
    return is_id(content_id) and (is_id(folder) if folder_id is None else folder == folder_id)


def _metadata(name: str) -> str:
    return f"{name}{_METADATA}"


def vectors_key(tenant: str, content_id: str) -> str:
    """Return the key of a content's vectors in the bucket."""
    return f"{tenant}/{content_id}/{VECTORS}"


def _is_named(key: str, text_key: str) -> bool:
    """Whether the content with a text's key names a payload; "" stands for no content."""
    if key.endswith(f"/{VECTORS}"):
        return bool(text_key)
    return text_key in {key.removesuffix(_METADATA), _CHANGING}


def _busy() -> UnavailableError:
    return UnavailableError("Storage is busy. Try again in a moment.")

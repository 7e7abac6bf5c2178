"""The items of the contents table, without calls of DynamoDB.

    pk        sk                         what
    <tenant>  content#<folder id>#<id>   a content, without its text
    <tenant>  text#<folder id>#<id>      the source of passages: the text, or its key in S3
    <tenant>  vectors#<folder id>#<id>   the vectors of passages, or that they are in S3
    <tenant>  id#<id>                    the folder of a content, and its revision
    <tenant>  external#<external id>     the id of its content
    <tenant>  folder#<id>, tag#<id>      name, number of contents, version
    <tenant>  all                        number of contents, version

A revision counts the changes of one content, a version those of all contents with a label. Items of
labels outlive their last content, since a version must never come back. Times are milliseconds
since the epoch. `object` is the text's key in the bucket. A text of up to INLINE_BYTES is in its
item too, so that the read of many texts takes few calls. Vectors in S3 are beside the text.
Stored vectors may be of an older revision: their rows name the passages that they are of.
`embedded` of a label is a version too, which changes with the contents' vectors.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from afterword import clock
from afterword.generations import is_id, new_id
from afterword.knowledge import (
    MAX_CONTENTS,
    Change,
    Content,
    Draft,
    Embedded,
    Folder,
    Label,
    folder_id,
    tag_id,
)
from afterword.knowledge.passages import cut_passages
from afterword.knowledge.ranking import Origin, Selection
from afterword.records import dataclass
from afterword.runtime.dynamodb import (
    Condition,
    Delete,
    Item,
    Put,
    Update,
    Value,
    absent,
    begins_with,
    below,
    contains,
    equals,
    exists,
    millis,
    number,
    text,
    time_of,
)
from afterword.runtime.payloads import INLINE_BYTES

if TYPE_CHECKING:
    from datetime import datetime

ALL = "all"
METADATA_BYTES = 10 * 1024
"""Bytes of the metadata file beside a document; Bedrock ignores a larger one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A content, the digest of its text, and the text's key in the bucket.

    `text` is the text for the item; None for a longer text, or one that was not read.
    """

    content: Content
    digest: str
    object: str
    text: str | None = None


def apply_draft(tenant: str, draft: Draft, before: Stored | None) -> Stored:
    """Return the content of a draft, based on the stored one, None for a new content.

    An unchanged content is the same object. The key of a new text is empty until its storage.
    """
    change = Change(
        name=draft.name,
        text=draft.text,
        folder=draft.folder,
        tags=draft.tags,
        external_id=draft.external_id,
    )
    if before is None:
        now = _now()
        content = Content(
            tenant=tenant,
            id=new_id(),
            name=draft.name,
            folder=Label(folder_id(tenant, draft.folder), draft.folder),
            tags=(),
            external_id=None,
            source=None,
            fingerprint=None,
            characters=0,
            passages=0,
            revision=0,
            created_at=now,
            updated_at=now,
        )
        before = Stored(content=content, digest="", object="")
    return _advance(before, change, draft.source, draft.fingerprint)


def apply_change(before: Stored, change: Change) -> Stored:
    """Return the changed content; the same object for a change of nothing."""
    source = before.content.source if change.source is None else change.source
    fingerprint = change.fingerprint
    if fingerprint is None and (change.text is None or _digest(change.text) == before.digest):
        fingerprint = before.content.fingerprint  # another text has another fingerprint
    return _advance(before, change, source, fingerprint)


def _advance(before: Stored, change: Change, source: str | None, fingerprint: str | None) -> Stored:
    old = before.content
    content = replace(
        old,
        name=change.name or old.name,
        folder=_change_folder(old, change),
        tags=_change_tags(old, change),
        external_id=change.external_id or old.external_id,
        source=source,
        fingerprint=fingerprint,
    )
    after = replace(before, content=content)
    if change.text is not None:
        digest = _digest(change.text)
        after = replace(after, text=_inline(change.text))
        if digest != before.digest:
            content = replace(
                content, characters=len(change.text), passages=len(cut_passages(change.text))
            )
            after = Stored(content=content, digest=digest, object="", text=after.text)
    if (after.content, after.digest) == (old, before.digest):
        return before
    content = replace(
        content,
        revision=old.revision + 1,
        updated_at=_now() if old.revision else old.created_at,
        embedded=None,
    )
    return replace(after, content=content)


def _change_folder(old: Content, change: Change) -> Label:
    if change.folder is None:
        return old.folder
    label_id = folder_id(old.tenant, change.folder)
    return old.folder if label_id == old.folder.id else Label(label_id, change.folder)


def _change_tags(old: Content, change: Change) -> tuple[Label, ...]:
    if change.tags is None:
        return old.tags
    labels = {label.id: label for label in old.tags}
    ids = {tag_id(old.tenant, name): name for name in change.tags}
    if ids.keys() == labels.keys():
        return old.tags
    return tuple(labels.get(label_id, Label(label_id, name)) for label_id, name in ids.items())


def build_metadata(content: Content) -> bytes:
    """Return the metadata file of a content for Bedrock's knowledge bases.

    https://docs.aws.amazon.com/bedrock/latest/userguide/kb-metadata.html
    """
    attributes: dict[str, str | list[str]] = {
        "tenant": content.tenant,
        "content": content.id,
        "title": content.name,
        "folder": content.folder.id,
    }
    if content.tags:
        attributes["tags"] = [label.id for label in content.tags]
    if content.external_id is not None:
        attributes["external_id"] = content.external_id
    if content.source is not None:
        attributes["source"] = content.source
    written = json.dumps({"metadataAttributes": attributes}, ensure_ascii=False).encode()
    if len(written) > METADATA_BYTES:  # no other attribute can be so long
        del attributes["source"]
        written = json.dumps({"metadataAttributes": attributes}, ensure_ascii=False).encode()
    return written


def build_writes(
    before: Stored | None, after: Stored | None, *, new_labels: bool = False, embeds: bool = False
) -> list[Put | Update | Delete]:
    """Return the one transaction from `before` to `after`; None stands for no content.

    The first write fails after another change of `before`. Of the others, the write of an external
    id fails for the id of another content. The update of a label fails for an absent one, unless
    `new_labels`, and the update of ALL for a content above MAX_CONTENTS. At most 51 writes, for a
    new folder and 20 new tags.
    """
    removed = list(_remove_vectors(before, after, embeds=embeds))
    return [
        _write_index(before, after),
        *_write_external_id(before, after),
        *_write_content(before, after),
        *removed,
        *_count_labels(before, after, new_labels=new_labels, unembedded=bool(removed)),
    ]


def _write_index(before: Stored | None, after: Stored | None) -> Put | Delete:
    content = _either(before, after).content
    key = item_key(content.tenant, id_key(content.id))
    condition = absent("pk")
    if before is not None:
        condition = equals("revision", number(before.content.revision))
    if after is None:
        return Delete(key, condition)
    item = {
        **key,
        "folder": text(after.content.folder.id),
        "revision": number(after.content.revision),
    }
    return Put(item, condition)


def _write_external_id(before: Stored | None, after: Stored | None) -> Iterator[Put | Delete]:
    old = before.content.external_id if before else None
    new = after.content.external_id if after else None
    if old == new:
        return
    content = _either(before, after).content
    if new is not None:
        key = item_key(content.tenant, external_key(new))
        yield Put({**key, "id": text(content.id)}, absent("pk"))
    if old is not None:
        yield Delete(item_key(content.tenant, external_key(old)))


def _write_content(before: Stored | None, after: Stored | None) -> Iterator[Put | Delete]:
    if after is not None:
        yield Put(_build_content_item(after))
        yield Put(_build_text_item(after))
    if before is not None and (after is None or after.content.folder != before.content.folder):
        old = before.content
        for sort_key in (content_key(old.folder.id, old.id), text_key(old.folder.id, old.id)):
            yield Delete(item_key(old.tenant, sort_key))


def _remove_vectors(
    before: Stored | None, after: Stored | None, *, embeds: bool
) -> Iterator[Delete]:
    """Remove the vectors that a change leaves without a content, or without who renews them.

    In a deployment that embeds, the vectors may be newer than the content was read.
    """
    if before is None or not (embeds or before.content.embedded):
        return
    old = before.content
    if after is None or after.content.folder != old.folder or not embeds:
        yield Delete(item_key(old.tenant, vectors_key(old.folder.id, old.id)))


def build_vectors(content: Content, embedded: Embedded, rows: bytes | None) -> list[Put | Update]:
    """Return the transaction that stores the vectors of a content; `rows` are None in S3.

    The first write fails after another change of the content.
    """
    tenant, folder = content.tenant, content.folder.id
    item: dict[str, Value] = {
        **item_key(tenant, vectors_key(folder, content.id)),
        "id": text(content.id),
        "folder": text(folder),
    }
    if content.tags:
        item["tags"] = {"SS": sorted(label.id for label in content.tags)}
    if rows is not None:
        item["rows"] = {"B": rows}
    state: Value = {
        "M": {
            "model": text(embedded.model),
            "vectors": number(embedded.vectors),
            "missing": number(embedded.missing),
        }
    }
    return [
        Update(
            item_key(tenant, id_key(content.id)),
            sets={"revision": number(content.revision)},
            condition=equals("revision", number(content.revision)),
        ),
        Put(item),
        Update(item_key(tenant, content_key(folder, content.id)), sets={"embedded": state}),
    ]


def count_vectors(content: Content) -> list[Update]:
    """Return the updates of the labels' versions after a change of a content's vectors."""
    return [
        Update(item_key(content.tenant, label), adds={"embedded": 1}, condition=exists("pk"))
        for label in _labels(content)
    ]


def select(
    selection: Selection, key: Callable[..., str]
) -> tuple[list[Condition], Condition | None]:
    """Return the queries of a selection's items of a kind, and the filter of their results.

    `key` returns the prefix of a folder's items, or of all. The filter is None without tags.
    """
    where: Condition | None = None
    for tag in sorted(selection.tags):
        tagged = contains("tags", text(tag))
        where = tagged if where is None else where | tagged
    prefixes = [key(folder) for folder in sorted(selection.folders) if is_id(folder)]
    if not selection.folders:
        prefixes = [key()]
    tenant = equals("pk", text(selection.tenant))
    return [tenant & begins_with("sk", prefix) for prefix in prefixes], where


def _count_labels(
    before: Stored | None, after: Stored | None, *, new_labels: bool, unembedded: bool
) -> Iterator[Update]:
    """Count a change, and the contents, for each label of the content before and after."""
    of_vectors = {"embedded": 1} if unembedded else {}
    tenant = _either(before, after).content.tenant
    old = _labels(before.content) if before else {}
    new = _labels(after.content) if after else {}
    for sort_key, name in {**new, **old}.items():
        yield Update(
            key=item_key(tenant, sort_key),
            defaults={"name": text(name)} if name else {},
            adds={"version": 1, "contents": (sort_key in new) - (sort_key in old)} | of_vectors,
            condition=_condition_of_label(sort_key, added=sort_key not in old, new=new_labels),
        )


def _condition_of_label(sort_key: str, *, added: bool, new: bool) -> Condition | None:
    if not added:
        return None
    if sort_key == ALL:
        return absent("contents") | below("contents", number(MAX_CONTENTS))
    return None if new else exists("pk")


def _labels(content: Content) -> dict[str, str]:
    """Return the names of a content's labels by sort key; ALL has none."""
    return {
        ALL: "",
        folder_key(content.folder.id): content.folder.name,
        **{tag_key(label.id): label.name for label in content.tags},
    }


def _build_content_item(stored: Stored) -> Item:
    content = stored.content
    tags: list[Value] = [
        {"M": {"id": {"S": label.id}, "name": {"S": label.name}}} for label in content.tags
    ]
    item: dict[str, Value] = {
        **item_key(content.tenant, content_key(content.folder.id, content.id)),
        "id": {"S": content.id},
        "name": {"S": content.name},
        "folder": {"S": content.folder.id},
        "folder_name": {"S": content.folder.name},
        "tags": {"L": tags},
        "characters": number(content.characters),
        "passages": number(content.passages),
        "revision": number(content.revision),
        "created_at": millis(content.created_at),
        "updated_at": millis(content.updated_at),
        "digest": {"S": stored.digest},
        "object": {"S": stored.object},
    }
    return {**item, **_optional(content, "external_id", "source", "fingerprint")}


def _build_text_item(stored: Stored) -> Item:
    content = stored.content
    item: dict[str, Value] = {
        **item_key(content.tenant, text_key(content.folder.id, content.id)),
        "id": {"S": content.id},
        "name": {"S": content.name},
        "folder": {"S": content.folder.id},
        "revision": number(content.revision),
        "object": {"S": stored.object},
        **_optional(content, "external_id", "source"),
    }
    if content.tags:
        item["tags"] = {"SS": sorted(label.id for label in content.tags)}
    if stored.text is not None:
        item["text"] = {"S": stored.text}
    return item


def _optional(content: Content, *names: str) -> dict[str, Value]:
    values = ((name, getattr(content, name)) for name in names)
    return {name: {"S": value} for name, value in values if value is not None}


def parse_stored(item: Item, text_item: Item | None = None) -> Stored:
    """Return the content of an item, with the text of its text's item."""
    content = Content(
        tenant=item["pk"]["S"],
        id=item["id"]["S"],
        name=item["name"]["S"],
        folder=Label(item["folder"]["S"], item["folder_name"]["S"]),
        tags=tuple(Label(tag["M"]["id"]["S"], tag["M"]["name"]["S"]) for tag in item["tags"]["L"]),
        external_id=_read_text(item, "external_id"),
        source=_read_text(item, "source"),
        fingerprint=_read_text(item, "fingerprint"),
        characters=int(item["characters"]["N"]),
        passages=int(item["passages"]["N"]),
        revision=int(item["revision"]["N"]),
        created_at=time_of(item, "created_at"),
        updated_at=time_of(item, "updated_at"),
        embedded=_parse_embedded(item),
    )
    return Stored(
        content=content,
        digest=item["digest"]["S"],
        object=item["object"]["S"],
        text=None if text_item is None else _read_text(text_item, "text"),
    )


def _parse_embedded(item: Item) -> Embedded | None:
    if "embedded" not in item:
        return None
    state = item["embedded"]["M"]
    return Embedded(
        model=state["model"]["S"],
        vectors=int(state["vectors"]["N"]),
        missing=int(state["missing"]["N"]),
    )


def parse_revision(item: Item) -> str:
    """Return the revision of a content, by its item or its text's item."""
    return item["revision"]["N"]


def parse_origin(item: Item) -> Origin:
    """Return the origin of the passages of a text's item."""
    return Origin(
        content=item["id"]["S"],
        title=item["name"]["S"],
        folder=item["folder"]["S"],
        external_id=_read_text(item, "external_id"),
        source=_read_text(item, "source"),
    )


def parse_folder(item: Item) -> Folder:
    """Return the folder of an item."""
    return Folder(
        item["sk"]["S"].removeprefix(folder_key("")), item["name"]["S"], parse_count(item)
    )


def parse_count(item: Item | None) -> int:
    """Return the number of a label's contents; 0 for an absent label."""
    return 0 if item is None else int(item["contents"]["N"])


def parse_version(item: Item | None) -> str:
    """Return the version of a label; 0 for an absent label."""
    return "0" if item is None else item["version"]["N"]


def parse_embedded_version(item: Item | None) -> str:
    """Return the version of the vectors of a label's contents; 0 without any."""
    return "0" if item is None or "embedded" not in item else item["embedded"]["N"]


def item_key(tenant: str, sort_key: str) -> dict[str, Value]:
    """Return the key of an item."""
    return {"pk": {"S": tenant}, "sk": {"S": sort_key}}


def content_key(folder: str = "", content_id: str = "") -> str:
    """Return the sort key of a content, or the prefix of a folder's contents, or of all."""
    return f"content#{folder}#{content_id}" if folder else "content#"


def text_key(folder: str = "", content_id: str = "") -> str:
    """Return the sort key of a text, or the prefix of a folder's texts, or of all."""
    return f"text#{folder}#{content_id}" if folder else "text#"


def vectors_key(folder: str = "", content_id: str = "") -> str:
    """Return the sort key of vectors, or the prefix of a folder's vectors, or of all."""
    return f"vectors#{folder}#{content_id}" if folder else "vectors#"


def id_key(content_id: str) -> str:
    """Return the sort key of a content's place."""
    return f"id#{content_id}"


def external_key(external_id: str) -> str:
    """Return the sort key of an external id."""
    return f"external#{external_id}"


def folder_key(label_id: str) -> str:
    """Return the sort key of a folder."""
    return f"folder#{label_id}"


def tag_key(label_id: str) -> str:
    """Return the sort key of a tag."""
    return f"tag#{label_id}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _inline(text: str) -> str | None:
    return text if len(text.encode()) <= INLINE_BYTES else None


def _now() -> "datetime":
    return clock.from_millis(clock.to_millis(clock.now()))  # to the millisecond, as stored


def _either(before: Stored | None, after: Stored | None) -> Stored:
    stored = after or before
    assert stored is not None  # noqa: S101 - a change has one of them
    return stored


def _read_text(item: Item, name: str) -> str | None:
    return item[name]["S"] if name in item else None

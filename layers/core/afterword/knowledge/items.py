"""How contents are laid out as items of the contents table. No call of DynamoDB in here.

    pk        sk                         what
    <tenant>  content#<folder id>#<id>   a content, without its text
    <tenant>  text#<folder id>#<id>      what passages are cut from: the text, or where it is in S3
    <tenant>  id#<id>                    the folder that a content is in, and its revision
    <tenant>  external#<external id>     the id of the content that has it
    <tenant>  folder#<id>, tag#<id>      name, number of contents, version
    <tenant>  all                        number of contents, version

A revision counts the changes of one content, a version those of all contents with a label. Items of
labels stay when their last content goes: a version must never come back. Times are milliseconds
since the epoch. `object` is the text's key in the bucket, where it always is; a text of up to
INLINE_BYTES is in its item too, so that reading many texts takes few calls.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from afterword import clock
from afterword.generations import new_id
from afterword.knowledge import Change, Content, Draft, Folder, Label, folder_id, tag_id
from afterword.knowledge.passages import cut_passages
from afterword.knowledge.ranking import Origin
from afterword.runtime.dynamodb import (
    Delete,
    Item,
    Put,
    Update,
    Value,
    absent,
    equals,
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
"""Of the file beside a document; a larger one is not read by Bedrock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A content, the digest of its text, and the text's key in the bucket.

    `text` is the text, if it is for the item, and was read or is to be written.
    """

    content: Content
    digest: str
    object: str
    text: str | None = None


def drafted(tenant: str, draft: Draft, before: Stored | None) -> Stored:
    """Return what a draft makes of what is there, or of nothing.

    The very same, if nothing changes. The key of a new text is empty: it is not stored yet.
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
    return _next(before, change, draft.source, draft.fingerprint)


def changed(before: Stored, change: Change) -> Stored:
    """Return what a change makes of what is there: the very same, if nothing changes."""
    source = before.content.source if change.source is None else change.source
    fingerprint = change.fingerprint
    if fingerprint is None and (change.text is None or _digest(change.text) == before.digest):
        fingerprint = before.content.fingerprint  # of another text it would say nothing
    return _next(before, change, source, fingerprint)


def _next(before: Stored, change: Change, source: str | None, fingerprint: str | None) -> Stored:
    old = before.content
    content = replace(
        old,
        name=change.name or old.name,
        folder=_folder(old, change),
        tags=_tags(old, change),
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
        content, revision=old.revision + 1, updated_at=_now() if old.revision else old.created_at
    )
    return replace(after, content=content)


def _folder(old: Content, change: Change) -> Label:
    if change.folder is None:
        return old.folder
    label_id = folder_id(old.tenant, change.folder)
    return old.folder if label_id == old.folder.id else Label(label_id, change.folder)


def _tags(old: Content, change: Change) -> tuple[Label, ...]:
    if change.tags is None:
        return old.tags
    there = {label.id: label for label in old.tags}
    ids = {tag_id(old.tenant, name): name for name in change.tags}
    if ids.keys() == there.keys():
        return old.tags
    return tuple(there.get(label_id, Label(label_id, name)) for label_id, name in ids.items())


def metadata(content: Content) -> bytes:
    """Return what Bedrock's knowledge bases are to know of a content, as the file beside its text.

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
    if len(written) > METADATA_BYTES:  # the source alone can be so long
        del attributes["source"]
        written = json.dumps({"metadataAttributes": attributes}, ensure_ascii=False).encode()
    return written


def writes(before: Stored | None, after: Stored | None) -> list[Put | Update | Delete]:
    """Return the one transaction that makes `after` of `before`; None is none.

    The first write fails when `before` is not what is there any more; of the others only that of an
    external id that another content has. At most 50 writes: for another folder and 20 other tags.
    """
    return [
        _index(before, after),
        *_external(before, after),
        *_contents(before, after),
        *_counts(before, after),
    ]


def _index(before: Stored | None, after: Stored | None) -> Put | Delete:
    content = _one(before, after).content
    key = key_of(content.tenant, id_key(content.id))
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


def _external(before: Stored | None, after: Stored | None) -> Iterator[Put | Delete]:
    old = before.content.external_id if before else None
    new = after.content.external_id if after else None
    if old == new:
        return
    content = _one(before, after).content
    if new is not None:
        key = key_of(content.tenant, external_key(new))
        yield Put({**key, "id": text(content.id)}, absent("pk"))
    if old is not None:
        yield Delete(key_of(content.tenant, external_key(old)))


def _contents(before: Stored | None, after: Stored | None) -> Iterator[Put | Delete]:
    if after is not None:
        yield Put(_content_item(after))
        yield Put(_text_item(after))
    if before is not None and (after is None or after.content.folder != before.content.folder):
        old = before.content
        for sort_key in (content_key(old.folder.id, old.id), text_key(old.folder.id, old.id)):
            yield Delete(key_of(old.tenant, sort_key))


def _counts(before: Stored | None, after: Stored | None) -> Iterator[Update]:
    """Count a change, and the contents, of every label that the content had or has."""
    tenant = _one(before, after).content.tenant
    old = _labels(before.content) if before else {}
    new = _labels(after.content) if after else {}
    for sort_key, name in {**new, **old}.items():
        yield Update(
            key=key_of(tenant, sort_key),
            defaults={"name": text(name)} if name else {},
            adds={"version": 1, "contents": (sort_key in new) - (sort_key in old)},
        )


def _labels(content: Content) -> dict[str, str]:
    """Return the names of what counts a content, by sort key; that of all contents has none."""
    return {
        ALL: "",
        folder_key(content.folder.id): content.folder.name,
        **{tag_key(label.id): label.name for label in content.tags},
    }


def _content_item(stored: Stored) -> Item:
    content = stored.content
    tags: list[Value] = [
        {"M": {"id": {"S": label.id}, "name": {"S": label.name}}} for label in content.tags
    ]
    item: dict[str, Value] = {
        **key_of(content.tenant, content_key(content.folder.id, content.id)),
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


def _text_item(stored: Stored) -> Item:
    content = stored.content
    item: dict[str, Value] = {
        **key_of(content.tenant, text_key(content.folder.id, content.id)),
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


def stored_of(item: Item, text_item: Item | None = None) -> Stored:
    """Return the content that an item is, with what its text's item has."""
    content = Content(
        tenant=item["pk"]["S"],
        id=item["id"]["S"],
        name=item["name"]["S"],
        folder=Label(item["folder"]["S"], item["folder_name"]["S"]),
        tags=tuple(Label(tag["M"]["id"]["S"], tag["M"]["name"]["S"]) for tag in item["tags"]["L"]),
        external_id=_text_of(item, "external_id"),
        source=_text_of(item, "source"),
        fingerprint=_text_of(item, "fingerprint"),
        characters=int(item["characters"]["N"]),
        passages=int(item["passages"]["N"]),
        revision=int(item["revision"]["N"]),
        created_at=time_of(item, "created_at"),
        updated_at=time_of(item, "updated_at"),
    )
    return Stored(
        content=content,
        digest=item["digest"]["S"],
        object=item["object"]["S"],
        text=None if text_item is None else _text_of(text_item, "text"),
    )


def revision_of(item: Item) -> str:
    """Return the revision of the content that an item, or that of its text, is of."""
    return item["revision"]["N"]


def origin_of(item: Item) -> Origin:
    """Return the origin of the passages of a text's item."""
    return Origin(
        content=item["id"]["S"],
        title=item["name"]["S"],
        folder=item["folder"]["S"],
        external_id=_text_of(item, "external_id"),
        source=_text_of(item, "source"),
    )


def folder_of(item: Item) -> Folder:
    """Return the folder that an item is."""
    return Folder(item["sk"]["S"].removeprefix(folder_key("")), item["name"]["S"], count_of(item))


def count_of(item: Item | None) -> int:
    """Return how many contents a label has: none if there is no such."""
    return 0 if item is None else int(item["contents"]["N"])


def version_of(item: Item | None) -> str:
    """Return the version of a label: 0 if there is no such."""
    return "0" if item is None else item["version"]["N"]


def key_of(tenant: str, sort_key: str) -> dict[str, Value]:
    """Return the key of an item."""
    return {"pk": {"S": tenant}, "sk": {"S": sort_key}}


def content_key(folder: str = "", content_id: str = "") -> str:
    """Return the sort key of a content, or what those of a folder, or of all, begin with."""
    return f"content#{folder}#{content_id}" if folder else "content#"


def text_key(folder: str = "", content_id: str = "") -> str:
    """Return the sort key of a text, or what those of a folder, or of all, begin with."""
    return f"text#{folder}#{content_id}" if folder else "text#"


def id_key(content_id: str) -> str:
    """Return the sort key of where a content is."""
    return f"id#{content_id}"


def external_key(external_id: str) -> str:
    """Return the sort key of who has an external id."""
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
    return clock.from_millis(clock.to_millis(clock.now()))  # as it is stored


def _one(before: Stored | None, after: Stored | None) -> Stored:
    found = after or before
    assert found is not None  # noqa: S101 - nothing is never made of nothing
    return found


def _text_of(item: Item, name: str) -> str | None:
    return item[name]["S"] if name in item else None

"""Contents: the documents of the knowledge base, in folders and with tags, without AWS."""

import unicodedata
import uuid
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from afterword.errors import UnprocessableError
from afterword.records import dataclass

MAX_CHARACTERS = 2_000_000
"""Characters of a content's text."""
MAX_NAME, MAX_EXTERNAL_ID, MAX_SOURCE = 200, 255, 2_000
"""Characters of the name of a content, a folder or a tag, of an external id, and of an address."""
MAX_CONTENTS = 100_000
"""Contents of a tenant."""
MAX_LABELS = 1_000
"""Folders of a tenant, and tags, empty ones included."""
MAX_TAGS = 20
"""Tags of a content."""
MAX_EXTERNAL_ID_BYTES = 1_000
"""Bytes of an external id in UTF-8, which a DynamoDB sort key has room for."""

_LABELS = uuid.UUID("3d0f6c3e-1a53-4b0d-9f7c-6d2a5b8e4c10")


@dataclass(frozen=True, slots=True)
class Label:
    """A folder or a tag of a content."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder and its number of contents."""

    id: str
    name: str
    contents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A content as its owner sends it.

    - `folder` and `tags` are names; absent ones are created.
    - `external_id` is the owner's own id, `source` the document's address.
    - `fingerprint` is a digest of the text's source, by which the owner recognizes a change.
    """

    name: str
    text: str
    folder: str
    tags: tuple[str, ...] = ()
    external_id: str | None = None
    source: str | None = None
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of a content; None keeps a field."""

    name: str | None = None
    text: str | None = None
    folder: str | None = None
    tags: tuple[str, ...] | None = None
    external_id: str | None = None
    source: str | None = None
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class Embedded:
    """The vectors of a content: their model, their number, and how many texts have none."""

    model: str
    vectors: int
    missing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A content as stored, without its text; `revision` counts its changes, from 1.

    `embedded` is None until the vectors of the newest revision are stored.
    """

    tenant: str
    id: str
    name: str
    folder: Label
    tags: tuple[Label, ...]
    external_id: str | None
    source: str | None
    fingerprint: str | None
    characters: int
    passages: int
    revision: int
    created_at: datetime
    updated_at: datetime
    embedded: Embedded | None = None


def folder_id(tenant: str, name: str) -> str:
    """Return the id of a tenant's folder, a digest of the case-folded name."""
    return _label_id(tenant, "folder", name)


def tag_id(tenant: str, name: str) -> str:
    """Return the id of a tenant's tag, a digest of the case-folded name."""
    return _label_id(tenant, "tag", name)


def is_label_name(text: str) -> bool:
    """Whether a text may be the name of a folder or a tag."""
    try:
        _clean_name("name", text)
    except UnprocessableError:
        return False
    return True


def is_external_id(text: str) -> bool:
    """Whether a text may be an external id."""
    try:
        _check_text("external_id", text, MAX_EXTERNAL_ID)
        _check_external_id(text)
    except UnprocessableError:
        return False
    return True


def check_draft(draft: Draft) -> Draft:
    """Return the draft in its stored form; raise UnprocessableError, which names the field."""
    _check_optional(draft)
    return replace(
        draft,
        name=_clean_name("name", draft.name),
        text=_check_body(draft.text),
        folder=_clean_name("folder", draft.folder),
        tags=_clean_tags(draft.tags),
    )


def check_change(change: Change) -> Change:
    """Return the change in its stored form; raise UnprocessableError, which names the field."""
    _check_optional(change)
    return replace(
        change,
        name=None if change.name is None else _clean_name("name", change.name),
        text=None if change.text is None else _check_body(change.text),
        folder=None if change.folder is None else _clean_name("folder", change.folder),
        tags=None if change.tags is None else _clean_tags(change.tags),
    )


def _check_optional(given: Draft | Change) -> None:
    if given.external_id is not None:
        _check_text("external_id", given.external_id, MAX_EXTERNAL_ID)
        _check_external_id(given.external_id)
    if given.source is not None:
        _check_text("source", given.source, MAX_SOURCE)
    if given.fingerprint is not None:
        _check_text("fingerprint", given.fingerprint, MAX_NAME)


def _clean_name(field: str, name: str) -> str:
    name = " ".join(name.split())
    _check_text(field, name, MAX_NAME)
    return name


def _check_body(text: str) -> str:
    _check_text("text", text, MAX_CHARACTERS)
    return text


def _clean_tags(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names, each once; of names that differ in case alone, the first."""
    named: dict[str, str] = {}
    for name in names:
        checked = _clean_name("tags", name)
        named.setdefault(_fold(checked), checked)
    if len(named) > MAX_TAGS:
        raise UnprocessableError("tags", f"must be at most {MAX_TAGS}, not {len(named)}.")
    return tuple(named.values())


def _check_external_id(external_id: str) -> None:
    if len(external_id.encode()) > MAX_EXTERNAL_ID_BYTES:
        raise UnprocessableError(
            "external_id", f"must have at most {MAX_EXTERNAL_ID_BYTES:,} bytes in UTF-8."
        )


def _check_text(field: str, text: str, longest: int) -> None:
    if not text or text.isspace():
        raise UnprocessableError(field, "must not be blank.")
    if len(text) > longest:
        raise UnprocessableError(field, f"must have at most {longest:,} characters.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UnprocessableError(field, "must have no half of a surrogate pair.") from error


def _label_id(tenant: str, kind: str, name: str) -> str:
    return str(uuid.uuid5(_LABELS, f"{tenant}#{kind}#{_fold(name)}"))


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", " ".join(name.split()).casefold())

"""Contents: the documents of the knowledge base, in folders and with tags. No AWS in here."""

import unicodedata
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from afterword.errors import UnprocessableError

MAX_CHARACTERS = 2_000_000
"""Characters of a content's text."""
MAX_NAME, MAX_EXTERNAL_ID, MAX_SOURCE = 200, 255, 2_000
"""Characters of the name of a content, a folder or a tag, of an external id, and of an address."""
MAX_TAGS = 20
MAX_EXTERNAL_ID_BYTES = 1_000
"""Of an external id in UTF-8: a DynamoDB sort key has room for so many."""

_LABELS = uuid.UUID("3d0f6c3e-1a53-4b0d-9f7c-6d2a5b8e4c10")


@dataclass(frozen=True, slots=True)
class Label:
    """A folder or a tag, as a content or a selection names it."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder and how many contents it has."""

    id: str
    name: str
    contents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A content as it is handed in.

    `folder` and `tags` are names: those that are not there are made. `external_id` is the owner's
    own id, `source` where the document is to be read. `fingerprint` is a digest of what the text
    was made from, by which its owner knows that it has not changed.
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
    """What is to be changed of a content; None leaves it as it is."""

    name: str | None = None
    text: str | None = None
    folder: str | None = None
    tags: tuple[str, ...] | None = None
    external_id: str | None = None
    source: str | None = None
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A content as it is stored, without its text. `revision` counts its changes, from 1."""

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


def folder_id(tenant: str, name: str) -> str:
    """Return the id of a tenant's folder: made from its name, whose case does not matter."""
    return _label_id(tenant, "folder", name)


def tag_id(tenant: str, name: str) -> str:
    """Return the id of a tenant's tag: made from its name, whose case does not matter."""
    return _label_id(tenant, "tag", name)


def is_external_id(text: str) -> bool:
    """Whether a content may have such an external id."""
    try:
        _check_text("external_id", text, MAX_EXTERNAL_ID)
        _check_external_id(text)
    except UnprocessableError:
        return False
    return True


def check_draft(draft: Draft) -> Draft:
    """Return the draft in the form in which it is stored; UnprocessableError names a bad field."""
    _check_optional(draft)
    return replace(
        draft,
        name=_checked_name("name", draft.name),
        text=_checked_body(draft.text),
        folder=_checked_name("folder", draft.folder),
        tags=_checked_tags(draft.tags),
    )


def check_change(change: Change) -> Change:
    """Return the change in the form in which it is stored; UnprocessableError names a bad field."""
    _check_optional(change)
    return replace(
        change,
        name=None if change.name is None else _checked_name("name", change.name),
        text=None if change.text is None else _checked_body(change.text),
        folder=None if change.folder is None else _checked_name("folder", change.folder),
        tags=None if change.tags is None else _checked_tags(change.tags),
    )


def _check_optional(given: Draft | Change) -> None:
    if given.external_id is not None:
        _check_text("external_id", given.external_id, MAX_EXTERNAL_ID)
        _check_external_id(given.external_id)
    if given.source is not None:
        _check_text("source", given.source, MAX_SOURCE)
    if given.fingerprint is not None:
        _check_text("fingerprint", given.fingerprint, MAX_NAME)


def _checked_name(field: str, name: str) -> str:
    name = " ".join(name.split())
    _check_text(field, name, MAX_NAME)
    return name


def _checked_body(text: str) -> str:
    _check_text("text", text, MAX_CHARACTERS)
    return text


def _checked_tags(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names, each once: the first of those that differ in case only."""
    named: dict[str, str] = {}
    for name in names:
        checked = _checked_name("tags", name)
        named.setdefault(_folded(checked), checked)
    if len(named) > MAX_TAGS:
        raise UnprocessableError("tags", f"there are {len(named)}, and at most {MAX_TAGS} may be.")
    return tuple(named.values())


def _check_external_id(external_id: str) -> None:
    if len(external_id.encode()) > MAX_EXTERNAL_ID_BYTES:
        raise UnprocessableError(
            "external_id", f"it is longer than {MAX_EXTERNAL_ID_BYTES:,} bytes in UTF-8."
        )


def _check_text(field: str, text: str, longest: int) -> None:
    if not text or text.isspace():
        raise UnprocessableError(field, "it must not be blank.")
    if len(text) > longest:
        raise UnprocessableError(field, f"it is longer than {longest:,} characters.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UnprocessableError(field, "it has half a character (a lone surrogate).") from error


def _label_id(tenant: str, kind: str, name: str) -> str:
    return str(uuid.uuid5(_LABELS, f"{tenant}#{kind}#{_folded(name)}"))


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", " ".join(name.split()).casefold())

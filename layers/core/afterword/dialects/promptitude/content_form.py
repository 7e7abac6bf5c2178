"""The form of a content that is created or updated.

Only creation and update import this module, which parses forms and reads documents. `text`, `file`
and `source` are additions to the service's fields. An empty field counts as not sent, because
browsers send empty fields too. Exceptions: an empty `text` is refused, and empty `tags` remove all.
"""

import re
import time
from collections.abc import Callable, Collection
from urllib.parse import unquote, urlsplit

from afterword.dialects import promptitude
from afterword.errors import UnprocessableError
from afterword.files import Upload
from afterword.handlers import forms
from afterword.handlers.body_keys import API_KEY
from afterword.handlers.form_fields import shown_name
from afterword.handlers.http import Request
from afterword.knowledge import (
    MAX_EXTERNAL_ID,
    MAX_NAME,
    MAX_SOURCE,
    Change,
    Draft,
    Folder,
    documents,
    is_external_id,
)
from afterword.records import dataclass
from afterword.runtime.addresses import FetchError
from afterword.runtime.outbound import MAX_BYTES, Fetcher

GENERAL = "General"
"""The folder of contents that are created without one."""
SECONDS = 20.0
"""The time limit of fetching and reading a file."""

_TEXT, _FILE, _URL = "text", "file", "fileUrl"
_TEXTS = (_URL, "name", "folder", "externalId", "source", _TEXT)
_FIELDS = (*_TEXTS, _FILE, "tags")
_SHOWN = 10
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)

type Folders = Callable[[], Collection[Folder]]
"""Returns the tenant's folders."""


@dataclass(frozen=True, slots=True)
class _Sent:
    """The fields of a form: texts by their names, a file, tags; None for those not sent."""

    texts: dict[str, str]
    file: Upload | None
    tags: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class _Document:
    """A content's text, and its name and source if known."""

    text: str
    name: str | None = None
    source: str | None = None


def parse_draft(request: Request, fetcher: Callable[[], Fetcher], folders: Folders) -> Draft:
    """Parse a new content, and read its file.

    Raises InvalidRequestError, or UnprocessableError naming the field.
    """
    sent = _parse_form(request)
    document = _read_document(sent, fetcher)
    if document is None:
        raise UnprocessableError(f"{_TEXT}, {_FILE}, {_URL}", "one of them must be sent.")
    name = sent.texts.get("name", document.name)
    if not name:
        raise UnprocessableError("name", "must be present.")
    return Draft(
        name=name,
        text=document.text,
        folder=_find_folder(sent, folders) or GENERAL,
        tags=sent.tags or (),
        external_id=sent.texts.get("externalId"),
        source=sent.texts.get("source", document.source),
    )


def parse_change(request: Request, fetcher: Callable[[], Fetcher], folders: Folders) -> Change:
    """Parse a change of a content, and read its new file if there is one.

    Raises InvalidRequestError, or UnprocessableError naming the field.
    """
    sent = _parse_form(request)
    document = _read_document(sent, fetcher)
    return Change(
        name=sent.texts.get("name"),
        text=document.text if document else None,
        folder=_find_folder(sent, folders),
        tags=sent.tags,
        external_id=sent.texts.get("externalId"),
        source=sent.texts.get("source", document.source if document else None),
    )


def _parse_form(request: Request) -> _Sent:
    form = forms.read(request.headers.get("content-type", ""), request.body)
    promptitude.check_keys(request, [value for name, value in form.fields if name == API_KEY])
    fields = [(name, value) for name, value in form.fields if name != API_KEY]
    emptied = form.emptied - {API_KEY}
    sent = [(name, value) for name, value in fields if value is not None]
    _check_names([name for name, _ in fields] + sorted(emptied))
    if unfit := emptied - {"tags"}:
        raise UnprocessableError(min(unfit), "must not be a list.")
    texts: dict[str, str] = {}
    tags: list[str] | None = [] if emptied else None
    file: Upload | None = None
    for name, value in sent:
        if name in texts or (name == _FILE and file):
            raise UnprocessableError(name, "must be sent once.")
        if isinstance(value, Upload):
            if name != _FILE:
                raise UnprocessableError(name, "must be a text.")
            file = value
        elif name == _FILE:
            raise UnprocessableError(
                name, "must be a file of a multipart form; `text` takes a text, `fileUrl` a URL."
            )
        elif name == "tags":
            tags = (tags or []) + [tag.strip() for tag in value.split(",")]
        else:
            texts[name] = value
    texts = {name: text for name, text in texts.items() if text or name == _TEXT}
    if not is_external_id(texts.get("externalId", "-")):
        raise UnprocessableError(
            "externalId", f"must be a text of up to {MAX_EXTERNAL_ID} characters, not blank."
        )
    return _Sent(texts, file, None if tags is None else tuple(dict.fromkeys(filter(None, tags))))


def _check_names(names: list[str]) -> None:
    unknown = list(dict.fromkeys(name for name in names if name not in _FIELDS))
    if unknown:
        more = ", …" if len(unknown) > _SHOWN else ""
        raise UnprocessableError(
            ", ".join(unknown[:_SHOWN]) + more,
            f"must be one of: {', '.join(_FIELDS)}.",
        )


def _read_document(sent: _Sent, fetcher: Callable[[], Fetcher]) -> _Document | None:
    """Return the document of the form, or that of its URL; None without one."""
    text, url = sent.texts.get(_TEXT), sent.texts.get(_URL)
    if sum(each is not None for each in (text, sent.file, url)) > 1:
        raise UnprocessableError(f"{_TEXT}, {_FILE}, {_URL}", "must not be sent together.")
    ends = time.monotonic() + SECONDS
    if sent.file is not None:
        content = sent.file.content
        name = sent.file.name[:MAX_NAME]
        return _Document(documents.extract_text(_FILE, content, SECONDS), name)
    if url is not None:
        try:
            content = fetcher().fetch(url, SECONDS, MAX_BYTES)
        except FetchError as error:
            raise UnprocessableError(_URL, str(error)) from error
        read = documents.extract_text(_URL, content, ends - time.monotonic())
        return _Document(read, _name_file(url), url if len(url) <= MAX_SOURCE else None)
    if text is not None and not text.strip():
        raise UnprocessableError(_TEXT, "must not be blank.")
    return None if text is None else _Document(text)


def _name_file(url: str) -> str:
    """Return the name of the file at a URL: the end of its path, or else its host."""
    parts = urlsplit(url)
    name = shown_name(unquote(parts.path.rstrip("/").rpartition("/")[2]))
    return (name or parts.hostname or "")[:MAX_NAME]


def _find_folder(sent: _Sent, folders: Folders) -> str | None:
    """Return the folder's name; the form may have the id of a folder instead."""
    folder = sent.texts.get("folder")
    if folder is None or not _UUID.fullmatch(folder):
        return folder
    for each in folders():
        if each.id == folder.lower():
            return each.name
    raise UnprocessableError("folder", "must be a name, or the id of an existing folder.")

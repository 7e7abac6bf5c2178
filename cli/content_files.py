"""Files as contents: which files are meant, and what is made of each. No AWS in here."""

import hashlib
import os
import re
import unicodedata
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import quote

from afterword.errors import AfterwordError
from afterword.files import media_types
from afterword.files.signatures import describe
from afterword.knowledge import MAX_NAME
from afterword_documents import extraction

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

EXTRACTION = 3
"""Goes up when the same file gives another name or text, so that all are read anew."""
MAX_BYTES = 50_000_000
"""Of a file: a larger one has more text than a content may have, or is mostly pictures."""
GENERAL = "General"
"""The folder of files that are given by their names."""
_SECONDS = 60.0  # for the text of one file


SUFFIXES = {
    ".txt": media_types.TEXT,
    ".text": media_types.TEXT,
    ".md": media_types.MARKDOWN,
    ".markdown": media_types.MARKDOWN,
    ".html": media_types.HTML,
    ".htm": media_types.HTML,
    ".xhtml": media_types.HTML,
    ".csv": media_types.CSV,
    ".tsv": media_types.CSV,
    ".json": media_types.JSON,
    ".pdf": media_types.PDF,
    ".docx": media_types.DOCX,
    ".xlsx": media_types.XLSX,
    ".xlsm": media_types.XLSX,
    ".pptx": media_types.PPTX,
    ".ppsx": media_types.PPTX,
    ".odt": media_types.ODT,
    ".rtf": media_types.RTF,
    ".epub": media_types.EPUB,
    ".eml": media_types.EML,
    ".mbox": media_types.MBOX,
}
"""The suffixes by which people name files of the types that are read."""


class FileError(AfterwordError):
    """A file cannot be a content; the message says why."""


class UnreadableFileError(FileError):
    """The system does not give a file's bytes; so nothing is known of the file."""


class OtherTypeError(FileError):
    """A file is empty, or of a type that is not taken."""


class Skipped(StrEnum):
    """Why a file of a folder is none of those that are meant."""

    HIDDEN = "hidden"
    LINK = "linked"
    OTHER = "of other types"


SKIPPED_BECAUSE = {
    Skipped.HIDDEN: "its name begins with a dot.",
    Skipped.LINK: "it is a link to a folder, out of the folder, or to nothing.",
    Skipped.OTHER: "it is no regular file.",
}


@dataclass(frozen=True, slots=True)
class Root:
    """A folder that was given: its path and name, and what becomes of its files.

    `folder` is the folder of contents that the files go to; `prefix` begins their external ids.
    """

    path: "Path"
    name: str
    folder: str
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class File:
    """A file that is meant: its external id, and the folder of contents that it belongs to.

    `root` is the given folder that it is in; None for a file that was given itself.
    """

    path: "Path"
    external_id: str
    folder: str
    root: Root | None = None


@dataclass(slots=True)
class FoundFiles:
    """The files that are meant, and those that are not, by path and with the reason.

    - `roots` are the folders that were given.
    - `present` are the external ids of all that is visible in them, whatever becomes of it.
    - `is_whole` is false where a folder could not be listed.
    """

    files: list[File] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    skipped: list[tuple[str, Skipped]] = field(default_factory=list)
    roots: list[Root] = field(default_factory=list)
    present: set[str] = field(default_factory=set)
    is_whole: bool = True

    def has(self, external_id: str) -> bool:
        """Whether a file of this external id, or a link above it, is in the folders."""
        parts = external_id.split("/")
        return any("/".join(parts[:end]) in self.present for end in range(1, len(parts) + 1))


def find(paths: "Iterable[Path]", folder: str | None, prefix: str) -> FoundFiles:
    """Return the files of these paths: those of a folder with all that is in it, by name.

    A file's external id is the prefix and its path in the folder that was given, or its name.
    Without `folder` they belong to one of the name of the folder that was given, or to GENERAL.
    Names that begin with a dot are skipped, and so are links to folders and out of the folder.
    """
    found = FoundFiles()
    taken: dict[str, Path] = {}
    for given in paths:
        if not given.is_dir():
            external_id = prefix + _normal(given.name)
            _note(found, taken, File(given, external_id, folder or GENERAL))
            continue
        name = _name(given)
        root = Root(given, name, folder or name, prefix)
        found.roots.append(root)
        for path in _files_in(given, prefix, found):
            external_id = prefix + _normal(path.relative_to(given).as_posix())
            _note(found, taken, File(path, external_id, root.folder, root))
    return found


def _note(found: FoundFiles, taken: "dict[str, Path]", file: File) -> None:
    """Note a file as meant, or why it cannot be."""
    other = taken.setdefault(file.external_id, file.path)
    if not is_text(file.external_id):
        found.failed.append((show_path(file.path), "its name is not UTF-8."))
    elif other is file.path:
        found.files.append(file)
    elif other.resolve() != file.path.resolve():
        why = f"its external id {file.external_id} is that of {show_path(other)} too."
        found.failed.append((show_path(file.path), why))


def _normal(name: str) -> str:
    """Return a file's name in one form of those in which systems write accents."""
    return unicodedata.normalize("NFC", name)


def _files_in(root: "Path", prefix: str, found: FoundFiles) -> "Iterator[Path]":
    """Return the files in a folder and note what is skipped, or cannot be read."""

    def fail(error: OSError) -> None:
        found.failed.append((show_path(error.filename), f"{error.strerror}."))
        found.is_whole = False

    def skip(path: "Path", why: Skipped) -> None:
        found.skipped.append((show_path(path), why))

    inside = root.resolve()
    for folder, folders, names in root.walk(on_error=fail):
        for name in sorted(folders):
            if name.startswith("."):
                skip(folder / name, Skipped.HIDDEN)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = folder / name
            if name.startswith("."):
                skip(path, Skipped.HIDDEN)
                continue
            found.present.add(prefix + _normal(path.relative_to(root).as_posix()))
            if path.is_symlink() and not _is_file_in(inside, path.resolve()):
                skip(path, Skipped.LINK)
            elif not path.is_file():
                skip(path, Skipped.OTHER)
            else:
                yield path


def _is_file_in(folder: "Path", path: "Path") -> bool:
    return path.is_relative_to(folder) and path.is_file()


def _name(folder: "Path") -> str:
    """Return the name of a folder as it is given, of `.` and `..` the one that it has."""
    name = folder.name if folder.name not in {"", ".."} else folder.resolve().name
    return show_path(name) or GENERAL


def is_text(text: str) -> bool:
    """Whether an argument or a file's name is UTF-8: Python hands over other bytes as well."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def show_path(path: "Path | str") -> str:
    """Return a path as a person may read it, whatever bytes it has."""
    return os.fsencode(path).decode("utf-8", "replace")


def read(file: File) -> bytes:
    """Return the bytes of a file; raise FileError."""
    try:
        if not file.path.is_file():
            raise FileError("not a regular file.")
        size = file.path.stat().st_size
        if size > MAX_BYTES:
            raise FileError(f"too big, {size} bytes; at most {MAX_BYTES} are taken.")
        return file.path.read_bytes()
    except OSError as error:
        raise UnreadableFileError(f"{error.strerror}.") from error


def fingerprint(content: bytes) -> str:
    """Return a digest of a file's bytes, and of what is made of them."""
    return hashlib.sha256(b"%d\n" % EXTRACTION + content).hexdigest()


def mark(fingerprint: str, file: File, known: str | None) -> str:
    """Return a fingerprint with a mark of the folder that was given, and of the prefix.

    Folders are told by their names, since paths differ by machine. The content of a file that was
    given itself keeps the mark of the fingerprint `known`.
    """
    root = (known or "").partition("-")[2] if file.root is None else _mark(file.root)
    return f"{fingerprint}-{root}" if root else fingerprint


def is_from(known: str | None, root: Root) -> bool:
    """Whether a content of this fingerprint was added from a folder of this name and prefix."""
    return known is not None and known.partition("-")[2] == _mark(root)


def _mark(root: Root) -> str:
    return hashlib.sha256(f"{_normal(root.name)}\0{root.prefix}".encode()).hexdigest()[:16]


def is_expected(path: "Path") -> bool:
    """Whether a file's suffix is that of a type that is read."""
    return SUFFIXES.get(path.suffix.lower()) in media_types.DOCUMENTS


def extract(file: File, content: bytes) -> tuple[str, str]:
    """Return the name and the text of a file as a content.

    The name is the first heading (of a page, its title), where the type has headings; else the
    file's own. Raises OtherTypeError, and AfterwordError for what cannot be read.
    """
    media_type = media_types.detect(content)
    if media_type not in media_types.DOCUMENTS:
        raise OtherTypeError(
            "it is empty."
            if media_type == media_types.EMPTY
            else f"it is {describe(content)}; taken are: {media_types.NAMES}."
        )
    text = extraction.extract(media_type, content, _SECONDS)
    name = _heading(text) if media_type in _WITH_HEADINGS else None
    name = _normal(name or file.path.name)
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…", text


_WITH_HEADINGS = frozenset(
    {
        media_types.MARKDOWN,
        media_types.HTML,
        media_types.DOCX,
        media_types.ODT,
        media_types.RTF,
        media_types.EPUB,
        media_types.EML,
    }
)
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?\n)---[ \t]*\n", re.DOTALL)
_TITLE = re.compile(r"^title:[ \t]*([\"']?)(.+?)\1[ \t]*$", re.MULTILINE)
_FENCED = re.compile(r"^ {0,3}(```+|~~~+).*?(?:^ {0,3}\1|\Z)", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(
    r"^ {0,3}#{1,6}[ \t]+(\S.*?)(?:[ \t]+#+)?[ \t]*$|^(\S.*)\n={3,}[ \t]*$", re.MULTILINE
)
_MARKS = re.compile(r"!?\[([^\]\n]*)\]\([^)\n]*\)|[*`]+")


def _heading(text: str) -> str | None:
    """Return the first heading of a Markdown text, or the title in its front matter."""
    text = text.replace("\r\n", "\n")
    front = _FRONT_MATTER.match(text)
    if front is not None:
        title = _TITLE.search(front[1])
        if title is not None:
            return title[2]
        text = text[front.end() :]
    found = _HEADING.search(_FENCED.sub("", text))
    if found is None:
        return None
    return " ".join(_MARKS.sub(r"\1", found[1] or found[2]).split()) or None


def address(base: str, file: File, prefix: str) -> str:
    """Return where a file is to be read: its path below the base, escaped."""
    place = file.external_id.removeprefix(prefix)
    return f"{base.rstrip('/')}/{quote(place)}"

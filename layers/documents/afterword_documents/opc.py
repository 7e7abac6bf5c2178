"""Packages of parts (ECMA-376, part 2), as all OOXML files are. Relationships tell the parts."""

import codecs
import io
import posixpath
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import NoReturn
from urllib.parse import unquote
from xml.parsers import expat
from zlib import error as ZlibError  # noqa: N812 - it is a class

from afterword_documents.verdicts import MAX_UNPACKED_BYTES, Verdict, VerdictError

codecs.lookup("cp437")  # zipfile's, imported before the process gives up opening files

type Attributes = dict[str, str]

MAX_RELATIONSHIPS = 10_000
"""Relationships of a part that are read."""
_MAX_NAMES = 1_000
"""Names of elements and attributes that are kept in their short form."""
_DAMAGES = (
    zipfile.BadZipFile,
    ZlibError,
    expat.ExpatError,
    EOFError,
    KeyError,  # a part is missing
    LookupError,  # an encoding that is none
    NotImplementedError,  # a part is packed in a way that Office does not use
    RuntimeError,  # a part is encrypted
    ValueError,
)


class Reader:
    """The callbacks for a part's elements, by their names without the usual namespaces."""

    def start(self, name: str, attributes: Attributes) -> None:
        """Take the start of an element."""

    def end(self, name: str) -> None:
        """Take the end of an element."""

    def characters(self, text: str) -> None:
        """Take a piece of an element's text."""


@dataclass(frozen=True, slots=True)
class Relationship:
    """A relationship to a part of the package; `kind` is the last part of its type."""

    kind: str
    part: str


@contextmanager
def open_package(content: bytes) -> "Iterator[Package]":
    """Open a package; raise VerdictError for a damaged one, and for one that unpacks too big."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            yield Package(archive)
    except _DAMAGES as error:
        raise VerdictError(Verdict.DAMAGED) from error


class Package:
    """The parts of a package, by names without case, as its rules have it."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        # A part's declared size is its maximum: zipfile reads no further.
        if sum(part.file_size for part in archive.infolist()) > MAX_UNPACKED_BYTES:
            raise VerdictError(Verdict.UNPACKS_TOO_BIG)
        self._archive = archive
        self._parts = {
            info.filename.replace("\\", "/").lstrip("/").lower(): info
            for info in archive.infolist()
        }

    def __contains__(self, part: str) -> bool:
        """Whether there is a part of that name."""
        return part.lower() in self._parts

    def main_part(self, usual: str) -> str:
        """Return the main part of a document; `usual` for a package without relationships."""
        for relationship in self.relationships("").values():
            if relationship.kind == "officeDocument" and relationship.part in self:
                return relationship.part
        return usual

    def related(self, part: str, kind: str, usual: str = "") -> str | None:
        """Return the first part of a kind that a part names, else `usual` if there is such one."""
        for relationship in self.relationships(part).values():
            if relationship.kind == kind and relationship.part in self:
                return relationship.part
        return usual if usual in self else None

    def relationships(self, part: str) -> Mapping[str, Relationship]:
        """Return the relationships within the package of a part, or of the package, by id."""
        folder, name = posixpath.split(part)
        listed = posixpath.join(folder, "_rels", f"{name}.rels")
        reader = _Relationships(folder)
        if listed in self:
            self.parse(listed, reader)
        return reader.found

    def read(self, part: str) -> bytes:
        """Return the bytes of a part."""
        info = self._info(part)
        with self._archive.open(info) as file:
            return file.read(info.file_size + 1)  # without a size, zipfile unpacks all at once

    def parse(
        self,
        part: str,
        reader: Reader,
        local: Callable[[str], str] | None = None,
        *,
        typed: bool = False,
    ) -> None:
        """Hand a part's elements to a reader. Names have no namespace unless `local` keeps it.

        A document type is refused unless the part may be `typed`. Its own entities are refused in
        any case, so that none can grow.
        """
        shorten = lru_cache(_MAX_NAMES)(local or _without_namespace)
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.EntityDeclHandler = _refuse
        if not typed:
            parser.StartDoctypeDeclHandler = _refuse
        parser.StartElementHandler = lambda name, attributes: reader.start(
            shorten(name), {shorten(key): value for key, value in attributes.items()}
        )
        parser.EndElementHandler = lambda name: reader.end(shorten(name))
        parser.CharacterDataHandler = reader.characters
        with self._archive.open(self._info(part)) as file:
            parser.ParseFile(file)

    def _info(self, part: str) -> zipfile.ZipInfo:
        info = self._parts[part.lower()]
        if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise VerdictError(Verdict.DAMAGED)
        return info


def _refuse(*_: object) -> NoReturn:
    raise VerdictError(Verdict.DAMAGED)


def _without_namespace(name: str) -> str:
    return name.rpartition(" ")[2]


def with_relationships(name: str) -> str:
    """Return a name without its namespace; `r:` stands before those of relationships."""
    namespace, _, own = name.rpartition(" ")
    return f"r:{own}" if namespace.endswith("/relationships") else own


class _Relationships(Reader):
    """The relationships of a part: those to others in its package."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self.found: dict[str, Relationship] = {}

    def start(self, name: str, attributes: Attributes) -> None:
        if name != "Relationship" or attributes.get("TargetMode") == "External":
            return
        if len(self.found) == MAX_RELATIONSHIPS:
            raise VerdictError(Verdict.TOO_COMPLEX)
        target = unquote(attributes.get("Target", "")).replace("\\", "/").partition("#")[0]
        part = posixpath.normpath(posixpath.join("/", self._folder, target)).lstrip("/")
        kind = attributes.get("Type", "").rpartition("/")[2]
        self.found[attributes.get("Id", "")] = Relationship(kind, part)

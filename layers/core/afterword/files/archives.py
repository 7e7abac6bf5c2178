"""Zip archives by their directory: its names, and the start of a part, within fixed bounds."""

import zlib
from collections.abc import Iterator
from struct import Struct

from afterword.records import dataclass

MAX_PARTS = 10_000
"""Names that are read; Word's documents have tens."""
_END = Struct("<4s4xHHIIH")
_ENTRY = Struct("<4s6xH8xI4xHHH8xI")
_LOCAL = Struct("<4s22xHH")
_STORED, _DEFLATED = 0, 8


@dataclass(frozen=True, slots=True)
class _Part:
    method: int
    size: int
    at: int


class Archive:
    """The parts of a zip archive, up to its directory's first fault.

    Names are compared as those of OPC (ECMA-376, part 2): without case, with `/` between folders.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._parts = dict(_parts(content))

    def __contains__(self, name: str) -> bool:
        """Whether there is a part of that name, in lower case."""
        return name in self._parts

    def __len__(self) -> int:
        """Return the number of parts that were found."""
        return len(self._parts)

    def __iter__(self) -> Iterator[str]:
        """Return the parts' names, in lower case."""
        return iter(self._parts)

    def start(self, name: str, most: int) -> bytes:
        """Return up to `most` bytes of a part; none for a missing or damaged one."""
        part = self._parts.get(name)
        if part is None or part.at + _LOCAL.size > len(self._content):
            return b""
        mark, length, extra = _LOCAL.unpack_from(self._content, part.at)
        begin = part.at + _LOCAL.size + length + extra
        if mark != b"PK\x03\x04":
            return b""
        packed = self._content[begin : begin + min(part.size, most)]
        if part.method == _STORED:
            return packed
        if part.method != _DEFLATED:
            return b""
        try:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, most)
        except zlib.error:
            return b""


def _parts(content: bytes) -> Iterator[tuple[str, _Part]]:
    end = content.rfind(b"PK\x05\x06", max(0, len(content) - _END.size - 65_535))
    if end < 0 or end + _END.size > len(content):
        return
    _, _, count, _, at, _ = _END.unpack_from(content, end)
    for _ in range(min(count, MAX_PARTS)):
        if at + _ENTRY.size > end:
            return
        mark, method, size, length, extra, comment, local = _ENTRY.unpack_from(content, at)
        if mark != b"PK\x01\x02":
            return
        at += _ENTRY.size
        name = content[at : at + length].decode("utf-8", "replace").replace("\\", "/").lower()
        yield name.removeprefix("/"), _Part(method, size, local)
        at += length + extra + comment

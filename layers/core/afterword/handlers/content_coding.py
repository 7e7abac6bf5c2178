"""Bodies with a Content-Encoding (RFC 9110, section 8.4): gzip is unpacked, others are refused."""

import re
import zlib
from codecs import BOM_UTF8

from afterword.errors import TooLargeError, UnsupportedCodingError

ACCEPTED = "gzip, identity"
"""The codings that are taken, as `Accept-Encoding` names them (RFC 9110, section 12.5.3)."""
MAX_MEMBERS = 100
"""Members of a gzip stream; blocked gzip has one for each 64 KB of at most 6 MB."""

_GZIP = {"gzip", "x-gzip"}
_NAMED = {"br", "compress", "dcb", "dcz", "deflate", "x-compress", "zstd"}
"""Codings that a message may repeat; other words of a caller are none of its business."""
_GZIP_FORMAT = 16 + zlib.MAX_WBITS


def unpack(content_encoding: str, body: bytes, most: int) -> bytes:
    """Return a body without its content coding, and without a byte order mark before its text.

    No more than `most` bytes are unpacked. Raises UnsupportedCodingError for other codings and for
    a body that is not what its header says, and TooLargeError.
    """
    words = re.split(r"[\s,]+", content_encoding.lower())
    codings = [word for word in words if word not in {"", "identity"}]
    if codings and body:
        for coding in codings:
            if coding not in _GZIP:
                named = coding if coding in _NAMED else "another coding"
                raise UnsupportedCodingError(
                    f"Content-Encoding: must be gzip or left out, not {named}: send the body with"
                    " gzip, or as it is."
                )
        if len(codings) > 1:
            raise UnsupportedCodingError("Content-Encoding: must be gzip once, not several times.")
        body = _unpack_gzip(body, most)
    return body.removeprefix(BOM_UTF8)


def _unpack_gzip(body: bytes, most: int) -> bytes:
    """Return the contents of all members of a gzip stream (RFC 1952, section 2.2)."""
    unpacked = bytearray()
    for _ in range(MAX_MEMBERS):
        member = zlib.decompressobj(_GZIP_FORMAT)
        try:
            unpacked += member.decompress(body, most + 1 - len(unpacked))
        except zlib.error as error:
            raise _broken() from error
        if len(unpacked) > most:
            raise TooLargeError(f"The body must have at most {most} bytes when it is unpacked.")
        if not member.eof:
            break
        body = member.unused_data
        if not body:
            return bytes(unpacked)
    raise _broken()


def _broken() -> UnsupportedCodingError:
    return UnsupportedCodingError(
        "Content-Encoding: must be left out where the body is not one whole gzip stream; a proxy"
        " may have changed it."
    )

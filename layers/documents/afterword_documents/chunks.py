"""The text of what a DOCX embeds in another format (w:altChunk): of a page, an RTF or a text."""

import binascii
import re

from afterword_documents import encodings, rtf, web_pages

for _usual in ("cp1252", "utf-16-le", "utf-16-be"):  # before the process gives up opening files
    encodings.codec(_usual)

_HEADER = re.compile(rb"([\w-]{1,60}):[ \t]*([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)\r?\n")
_BOUNDARY = re.compile(rb"""(?i)\bboundary=(?:"([^"\r\n]{1,200})"|([^\s;"]{1,200}))""")
_START = 1_000
_MAX_HEADERS = 50
_MAX_PARTS = 1_000


def text(content: bytes) -> str:
    """Return the text of a page, of a page in MIME, of an RTF, or of a plain text."""
    if content[:_START].lstrip().lower().startswith(b"mime-version:"):
        content = _page_in_mime(content)
    if content[:_START].lstrip().startswith(b"{\\rtf"):
        return rtf.text(content)
    decoded = _decode(content)
    start = decoded[:_START].lstrip().lower()
    if start.startswith("<") or "<html" in start:
        return web_pages.page_text(decoded, titled=False)
    return decoded


def _decode(content: bytes) -> str:
    decoded = encodings.decode(content, encodings.declared(content))
    return content.decode("utf-8", "replace") if decoded is None else decoded


def _page_in_mime(content: bytes) -> bytes:
    """Return the first page among the parts of a MIME document (MHT), as Word reads it."""
    headers, body = _split(content)
    found = _BOUNDARY.search(headers.get(b"content-type", b""))
    parts = [content]
    if found is not None:
        parts = body.split(b"--" + (found[1] or found[2]), _MAX_PARTS)[1:]
    for part in parts:
        headers, body = _split(part.lstrip(b"\r\n"))
        if headers.get(b"content-type", b"").lower().startswith(b"text/html"):
            encoding = headers.get(b"content-transfer-encoding", b"").strip().lower()
            if encoding == b"quoted-printable":
                return binascii.a2b_qp(body)
            return binascii.a2b_base64(body) if encoding == b"base64" else body
    return b""


def _split(part: bytes) -> tuple[dict[bytes, bytes], bytes]:
    """Return the headers of a part by their names in lower case, and what follows them."""
    headers: dict[bytes, bytes] = {}
    at = 0
    while len(headers) < _MAX_HEADERS and (found := _HEADER.match(part, at)):
        headers[found[1].lower()] = found[2]
        at = found.end()
    return headers, part[at:]

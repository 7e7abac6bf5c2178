"""Bodies with a Content-Encoding, and with a byte order mark."""

import gzip
import zlib
from codecs import BOM_UTF8

import pytest

from afterword.errors import TooLargeError, UnsupportedCodingError
from afterword.handlers.content_coding import MAX_MEMBERS, unpack
from afterword.handlers.http import MAX_BODY_BYTES

TEXT = b'{"text": "A text."}'
PACKED = gzip.compress(TEXT, mtime=0)  # the ids of tests are the same in each process


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("", TEXT),
        ("identity", TEXT),
        ("Identity", TEXT),
        ("gzip", PACKED),
        ("GZIP", PACKED),
        ("x-gzip", PACKED),
        (" gzip ", PACKED),
        ("identity, gzip", PACKED),
        ("gzip", gzip.compress(TEXT[:5], mtime=0) + gzip.compress(TEXT[5:], mtime=0)),
        ("", BOM_UTF8 + TEXT),
        ("gzip", gzip.compress(BOM_UTF8 + TEXT, mtime=0)),
    ],
)
def test_a_body_is_unpacked(coding: str, body: bytes) -> None:
    """A body of gzip is unpacked with all its members, and a byte order mark dropped."""
    assert unpack(coding, body, 1_000) == TEXT


@pytest.mark.parametrize("coding", ["gzip", "br", "nonsense"])
def test_no_body_has_no_coding(coding: str) -> None:
    """A client that names a coding and sends no body has done no harm."""
    assert unpack(coding, b"", 1_000) == b""


@pytest.mark.parametrize(
    ("coding", "named"),
    [
        ("deflate", "deflate"),
        ("br", "br"),
        ("zstd", "zstd"),
        ("gzip, br", "br"),
        ("br, gzip", "br"),
        ("aw_secret", "another coding"),
        ("gzip;q=1", "another coding"),
    ],
)
def test_another_coding_is_refused_by_name(coding: str, named: str) -> None:
    """The refusal names the coding, if there is such a one, and says what to do."""
    with pytest.raises(UnsupportedCodingError) as caught:
        unpack(coding, b"x", 1_000)
    assert str(caught.value) == (
        f"Content-Encoding: must be gzip or left out, not {named}: send the body with gzip, or as"
        " it is."
    )


def test_gzip_in_gzip_is_refused() -> None:
    """A body that was packed twice could unpack to a bomb."""
    with pytest.raises(UnsupportedCodingError, match="gzip once"):
        unpack("gzip, gzip", gzip.compress(PACKED), 1_000)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(TEXT, id="not packed"),
        pytest.param(PACKED[:-1], id="cut"),
        pytest.param(PACKED[:5], id="header alone"),
        pytest.param(PACKED[:-8] + bytes(8), id="wrong checksum"),
        pytest.param(PACKED + b"x", id="more behind it"),
        pytest.param(zlib.compress(TEXT), id="zlib"),
        pytest.param(PACKED.decode("utf-8", "replace").encode(), id="replacement characters"),
        pytest.param(gzip.compress(b"") * (MAX_MEMBERS + 1), id="empty members"),
    ],
)
def test_a_body_that_is_no_gzip_is_refused(body: bytes) -> None:
    """A damaged body, and one that gives nothing for its time, are refused."""
    with pytest.raises(UnsupportedCodingError, match="one whole gzip stream"):
        unpack("gzip", body, 1_000)


def test_the_largest_body_in_blocked_gzip_is_taken() -> None:
    """Blocked gzip has a member for each 64 KB, and one without content at its end."""
    block = 65_280
    text = bytes(MAX_BODY_BYTES)
    parts = (text[at : at + block] for at in range(0, len(text), block))
    body = b"".join(map(gzip.compress, parts)) + gzip.compress(b"")
    assert unpack("gzip", body, MAX_BODY_BYTES) == text
    members = gzip.compress(b"x") * 101
    with pytest.raises(UnsupportedCodingError, match="one whole gzip stream"):
        unpack("gzip", members, MAX_BODY_BYTES)


def test_what_is_unpacked_is_bounded() -> None:
    """No more is unpacked than a body may have, whatever its ratio and its members."""
    assert unpack("gzip", gzip.compress(b"x" * 1_000), 1_000) == b"x" * 1_000
    for bomb in (gzip.compress(bytes(50_000_000)), gzip.compress(bytes(600)) * 2):
        with pytest.raises(TooLargeError, match="at most 1000 bytes when it is unpacked"):
            unpack("gzip", bomb, 1_000)

"""Makes PDFs by hand (ISO 32000-1), good ones and bad ones."""

import base64
import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence

CATALOG = b"<</Type/Catalog/Pages 2 0 R>>"
FONT = (
    b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica"
    b"/Encoding<</BaseEncoding/WinAnsiEncoding/Differences[1/fi/fl]>>>>"
)
_PASSWORD_PADDING = bytes.fromhex(
    "28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A"
)
_ID = b"0123456789abcdef"


def assemble(objects: Sequence[bytes], trailer: bytes = b"") -> bytes:
    """Return the PDF of these objects, numbered from 1, with what else the trailer is to have."""
    out = bytearray(b"%PDF-1.7\n")
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    for offset in offsets:
        out += b"%010d 00000 n \n" % offset
    out += b"trailer\n<</Size %d/Root 1 0 R%b>>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        trailer,
        start,
    )
    return bytes(out)


def stream(data: bytes, entries: bytes = b"") -> bytes:
    """Return a stream object."""
    return b"<<%b/Length %d>>\nstream\n%b\nendstream" % (entries, len(data), data)


def show(lines: str) -> bytes:
    """Return the content of a page that shows these lines from the top."""
    shown = b"".join(
        b"<%b> Tj T*\n" % line.encode("cp1252").hex().encode() for line in lines.split("\n")
    )
    return b"BT /F 12 Tf 14 TL 50 780 Td\n" + shown + b"ET"


def with_pages(*pages: str) -> bytes:
    """Return a PDF with a page for each text, whose lines are shown one below the other."""
    return assemble(_objects(pages, lambda _number, data: data))


def _objects(
    pages: Sequence[str], encrypt: Callable[[int, bytes], bytes], first: int = 4
) -> list[bytes]:
    kids = b" ".join(b"%d 0 R" % (first + 2 * number) for number in range(len(pages)))
    objects = [CATALOG, b"<</Type/Pages/Kids[%b]/Count %d>>" % (kids, len(pages)), FONT]
    for number, page in enumerate(pages):
        content = first + 2 * number + 1
        objects += [
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents %d 0 R"
            b"/Resources<</Font<</F 3 0 R>>>>>>" % content,
            stream(encrypt(content, show(page))),
        ]
    return objects


def with_glyphs(text: str, to_unicode: Mapping[int, int], shift: int = 0) -> bytes:
    """Return a PDF that shows a text by glyphs of a font, whose codes are those of ASCII.

    `to_unicode` says which characters they stand for; `shift` is taken from each code.
    """
    pairs = b" ".join(b"<%04x> <%04x>" % pair for pair in to_unicode.items())
    cmap = (
        b"begincmap 1 begincodespacerange <0000> <ffff> endcodespacerange"
        b" %d beginbfchar %b endbfchar endcmap" % (len(to_unicode), pairs)
    )
    font = (
        b"<</Type/Font/Subtype/Type0/BaseFont/ABCDEF+Own/Encoding/Identity-H"
        b"/DescendantFonts[6 0 R]%b>>" % (b"/ToUnicode 8 0 R" if to_unicode else b"")
    )
    page = (
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 5 0 R"
        b"/Resources<</Font<</F 3 0 R>>>>>>"
    )
    glyph_font = (
        b"<</Type/Font/Subtype/CIDFontType2/BaseFont/ABCDEF+Own/DW 600/FontDescriptor 7 0 R"
        b"/CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)/Supplement 0>>>>"
    )
    glyphs = b"".join((ord(each) - shift).to_bytes(2) for each in text)
    return assemble(
        [
            CATALOG,
            b"<</Type/Pages/Kids[4 0 R]/Count 1>>",
            font,
            page,
            stream(b"BT /F 8 Tf 50 780 Td <%b> Tj ET" % glyphs.hex().encode()),
            glyph_font,
            b"<</Type/FontDescriptor/FontName/ABCDEF+Own/Flags 4/FontBBox[0 -200 1000 800]>>",
            stream(cmap),
        ]
    )


def encrypted(text: str, password: str) -> bytes:
    """Return a PDF of one page, encrypted with a user's password (RC4, 40 bits, revision 2)."""
    user = (password.encode() + _PASSWORD_PADDING)[:32]
    owner = (b"owner" + _PASSWORD_PADDING)[:32]
    owner_entry = _rc4(hashlib.md5(owner).digest()[:5], user)  # noqa: S324 - PDF's own
    permissions = (-4).to_bytes(4, "little", signed=True)
    key = hashlib.md5(user + owner_entry + permissions + _ID).digest()[:5]  # noqa: S324
    user_entry = _rc4(key, _PASSWORD_PADDING)

    def encrypt(number: int, data: bytes) -> bytes:
        salted = key + number.to_bytes(3, "little") + b"\0\0"
        return _rc4(hashlib.md5(salted).digest()[:10], data)  # noqa: S324

    objects = _objects([text], encrypt)
    objects.append(
        b"<</Filter/Standard/V 1/R 2/Length 40/P -4/O<%b>/U<%b>>>"
        % (owner_entry.hex().encode(), user_entry.hex().encode())
    )
    file_id = _ID.hex().encode()
    entries = b"/Encrypt %d 0 R/ID[<%b><%b>]" % (len(objects), file_id, file_id)
    return assemble(objects, entries)


def _rc4(key: bytes, data: bytes) -> bytes:
    state = list(range(256))
    j = 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    i = j = 0
    out = bytearray()
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)


def with_a_form(value: str) -> bytes:
    """Return a PDF of one page with a form whose only field is filled in."""
    appearance = b"BT /F 12 Tf 2 4 Td (%b) Tj ET" % value.encode("cp1252")
    objects = _objects(["Name:"], lambda _number, data: data)
    objects[0] = (
        b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[6 0 R]/DR<</Font<</F 3 0 R>>>>"
        b"/DA(/F 12 Tf)>>>>"
    )
    objects[3] = objects[3].removesuffix(b">>") + b"/Annots[6 0 R]>>"
    objects += [
        b"<</Type/Annot/Subtype/Widget/FT/Tx/T(name)/V(%b)/F 4/Rect[50 700 300 720]/P 4 0 R"
        b"/AP<</N 7 0 R>>>>" % value.encode("cp1252"),
        stream(
            appearance,
            b"/Type/XObject/Subtype/Form/BBox[0 0 250 20]/Resources<</Font<</F 3 0 R>>>>",
        ),
    ]
    return assemble(objects)


def with_empty_pages(count: int) -> bytes:
    """Return a PDF with so many pages that have nothing on them."""
    kids = b" ".join(b"%d 0 R" % (3 + number) for number in range(count))
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>"
    pages = b"<</Type/Pages/Kids[%b]/Count %d>>" % (kids, count)
    return assemble([CATALOG, pages, *[page] * count])


def with_pictures_in_pictures(levels: int, copies: int) -> bytes:
    """Return a small PDF with much to show: each picture shows so many copies of the next one."""
    shows = b"/X Do " * copies
    page = (
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 5 0 R"
        b"/Resources<</XObject<</X 6 0 R>>>>>>"
    )
    objects = [CATALOG, b"<</Type/Pages/Kids[4 0 R]/Count 1>>", FONT, page, stream(shows)]
    form = b"/Type/XObject/Subtype/Form/BBox[0 0 600 800]/Resources<<"
    objects += [
        stream(shows, form + b"/XObject<</X %d 0 R>>>>" % number) for number in range(7, 6 + levels)
    ]
    objects.append(stream(b"BT /F 9 Tf (x) Tj ET", form + b"/Font<</F 3 0 R>>>>"))
    return assemble(objects)


def that_unpacks_to(megabytes: int, pages: int = 1) -> bytes:
    """Return a small PDF, each page of which is that big once it is unpacked, and shows nothing."""
    packer = zlib.compressobj(9)
    blanks = b" " * 1_000_000
    data = b"".join(packer.compress(blanks) for _ in range(megabytes)) + packer.flush()
    kids = b"4 0 R " * pages
    return assemble(
        [
            CATALOG,
            b"<</Type/Pages/Kids[%b]/Count %d>>" % (kids, pages),
            FONT,
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 5 0 R>>",
            stream(data, b"/Filter/FlateDecode"),
        ]
    )


def with_circular_pages() -> bytes:
    """Return a PDF whose tree of pages contains itself."""
    pages = b"<</Type/Pages/Kids[3 0 R]/Count 1/Parent 3 0 R>>"
    return assemble([CATALOG, pages, b"<</Type/Pages/Kids[2 0 R]/Count 1/Parent 2 0 R>>"])


def with_circular_tables() -> bytes:
    """Return a PDF whose table of objects says that it goes on in itself."""
    good = with_pages("Hello")
    at = good.index(b"\nxref") + 1
    return good.replace(b"/Root 1 0 R", b"/Root 1 0 R/Prev %d" % at)


# with_pages("Facture no 42") through pypdf's PdfWriter.encrypt("", "owner", algorithm="AES-256").
_OPEN_TO_ALL = (
    "eNqNVDuIXFUYRgIunMJCqzThKKwkEHPeLxhWNjszKEncZUejsCxynpMbZ+9d79wNSQqxUBILsbK1ChaWoigIKhZRKwsJ"
    "ipUYbNXCzsZz78xOJoyF9wHn/873P853/nPWd/rDZ8g5BtZ/u//Dj4BADCt3FfR6AL144zBCtGUbO6nGAO3YcZxCmgm7"
    "YGMDxDK0RLri0PEAulCEKdyDrOXDfYC2qqOygWTJlf2na5uojpk6y4QuxVDY89X1HAvnV2IMdf67iGWTiVPIZ8zdOK2O"
    "ap+LbCMO8+xsAMVxzbNvnp4vpb8Yy3FzBRrZzk+bOtoD8NSTP316/9sn/uFbr/zxzq2fT3/14fCzR88+Bu+t/XkufP/0"
    "2Qtvrt1+fO2NO78X4LWPX+i/Hj7/8pHIT9775q93Pzr17N07+x+8deIM+O7E3cMxN7+8d/rvtw/OXP3k6y9eZWKvEe//"
    "2tYxTzWvSKwI0i4CoNGRazqzBQlA5+00dstDz8XJtdgU3gI0KH0VinLcrbllLAD0clFultPiGACoX6QUs8itVnuQQJSK"
    "/E+yqA8pJJfquQxFVhjKhVZU5PEO5NRwIxU1NCtdTJpYQzRqbBlsHQDahj1HhFMyeOGdFI7qoIKXySuplOBU82RUcAFT"
    "lZxkWnCvQ+ACi0C8FzZixrWgQUpLOTHaOiwkFcbQZJ0nyfgNgF6CPcKi5sIzhZkI0QcdnKHauaSTkY4aoUnyNiegPLJs"
    "E5W8JJqlyGX2Nd5Tqz0PzltBPJOR5YBOs4CTY8TwnGVr2Ek7asJ8tHnUXBlca1sV9Su/fRjLlnQJos3B6DJbCMXoXNXs"
    "ejCEswCtUT8wtgewx52QiQsZtGPUEsd0IFIw6wwmFIdolLKK6IhlJMzglNfOtMEuCWVM4p0QbZgUJbM8ZC8trXVWOuIc"
    "xlKkSIhSGBtBtKdeRCGj0THvBsm6KqayH2E5zE6sD/IhSiZLZZzM+xQ40QRTbBRn7UZJrWhYbpXrdUwAQwXw4oFSCCZg"
    "gguM5AbvZsoHmOQrGKFsBaMCr2DMyBVM8CVeU9tiEuuuf0fFzZjLQ7tVlW+h2YXxfD93f49H6aUPKneeptrLmFtSt5Ec"
    "D4I6ufF/KPvdAaxvHDZQHt8208bWTScMyZqD9fXB9hD8C1sBgrM="
)


def with_an_owners_password() -> bytes:
    """Return a PDF, encrypted with AES-256, that anybody may read and only its owner change."""
    return zlib.decompress(base64.b64decode(_OPEN_TO_ALL))

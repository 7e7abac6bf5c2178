"""The kinds of files that are not taken, in the words of messages to their senders."""

from afterword.files.archives import Archive

_OLD_OFFICE = (
    ("__properties_version1.0", "an Outlook message (.msg): save it as EML or text"),
    ("EncryptedPackage", "a document that asks for a password: send a copy without one"),
    ("WordDocument", "an old Word document (.doc): save it as DOCX"),
    ("Workbook", "an old Excel workbook (.xls): save it as XLSX or CSV"),
    ("Book", "an old Excel workbook (.xls): save it as XLSX or CSV"),
    ("PowerPoint Document", "an old PowerPoint presentation (.ppt): save it as PPTX or PDF"),
    ("VisioDocument", "a Visio drawing: save it as PDF"),
    ("Quill", "a Publisher document: save it as PDF"),
    ("MatOST", "an old Works document: save it as DOCX"),
)
"""Streams in a compound file ([MS-CFB]), whose names are in UTF-16."""
_ZIPPED = (
    ("xl/workbook.bin", "a binary Excel workbook (.xlsb): save it as XLSX"),
    ("visio/document.xml", "a Visio drawing: save it as PDF"),
    ("fixeddocseq.fdseq", "an XPS document: save it as PDF"),
    ("index/document.iwa", "a Pages, Numbers or Keynote document: export it as DOCX or PDF"),
    ("index.xml", "a Pages, Numbers or Keynote document: export it as DOCX or PDF"),
    ("androidmanifest.xml", "a program"),
    ("meta-inf/manifest.mf", "a program"),
)
_OPEN_DOCUMENTS = (
    ("opendocument.spreadsheet", "an OpenDocument spreadsheet: save it as XLSX"),
    ("opendocument.presentation", "an OpenDocument presentation: save it as PPTX"),
    ("opendocument.graphics", "an OpenDocument drawing: save it as PDF"),
)
"""Ends of the part `mimetype` of OpenDocument."""

type _Signature = tuple[tuple[int, bytes], ...]
_SIGNATURES: tuple[tuple[str, tuple[_Signature, ...]], ...] = (
    (
        "a TIFF picture",
        (((0, b"II*\0"),), ((0, b"MM\0*"),), ((0, b"II+\0"),), ((0, b"MM\0+"),)),
    ),
    (
        "a HEIC picture",
        tuple(
            ((0, b"\0\0"), (4, b"ftyp" + brand))
            for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
        ),
    ),
    ("an AVIF picture", (((0, b"\0\0"), (4, b"ftypavi")),)),
    ("a sound recording (M4A)", (((0, b"\0\0"), (4, b"ftypM4")),)),
    ("a raw picture", (((0, b"\0\0"), (4, b"ftypcrx ")),)),
    ("a video (MP4 or MOV)", (((0, b"\0\0"), (4, b"ftyp")),)),
    (
        "a video (MOV)",
        tuple(((0, b"\0\0"), (4, kind)) for kind in (b"moov", b"mdat", b"wide", b"free", b"skip")),
    ),
    (
        "a BMP picture",
        tuple(
            ((0, b"BM"), (14, bytes([size, 0, 0, 0]))) for size in (12, 40, 52, 56, 64, 108, 124)
        ),
    ),
    ("an icon", (((0, b"\0\0\1\0"), (5, b"\0")), ((0, b"\0\0\2\0"), (5, b"\0")))),
    ("a Photoshop picture", (((0, b"8BPS\0"),),)),
    ("a JPEG 2000 picture", (((0, b"\0\0\0\x0cjP  \r\n"),), ((0, b"\xff\x4f\xff\x51"),))),
    ("a JPEG XL picture", (((0, b"\0\0\0\x0cJXL \r\n"),), ((0, b"\xff\x0a"),))),
    ("a PNG picture", (((0, b"\x89PNG\r\n\x1a\n"),),)),
    ("a damaged PNG picture", (((0, b"\x89PNG"),),)),
    ("a JPEG picture", (((0, b"\xff\xd8\xff"),),)),
    ("a GIF picture", (((0, b"GIF87a"),), ((0, b"GIF89a"),))),
    ("a WebP picture", (((0, b"RIFF"), (8, b"WEBP")),)),
    (
        "a Windows metafile picture",
        (((0, b"\xd7\xcd\xc6\x9a"),), ((0, b"\1\0\0\0"), (40, b" EMF"))),
    ),
    ("a DjVu document: save it as PDF", (((0, b"AT&TFORM"), (12, b"DJV")),)),
    ("a picture", (((0, b"gimp xcf"),), ((0, b"FORM"), (8, b"ILBM")))),
    ("a video (AVI)", (((0, b"RIFF"), (8, b"AVI ")),)),
    ("a sound recording (WAV)", (((0, b"RIFF"), (8, b"WAVE")), ((0, b"RF64"), (8, b"WAVE")))),
    ("a video (Matroska or WebM)", (((0, b"\x1a\x45\xdf\xa3"),),)),
    ("a video (Flash)", (((0, b"FLV\1"),),)),
    (
        "a video (MPEG)",
        (
            ((0, b"\0\0\1\xb3"),),
            ((0, b"\0\0\1\xba"),),
            ((0, b"G"), (188, b"G"), (376, b"G"), (564, b"G")),
        ),
    ),
    (
        "a video or sound recording (Windows Media)",
        (((0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),),),
    ),
    (
        "a sound recording (MP3)",
        (
            *(((0, b"ID3" + bytes([version, 0])),) for version in (2, 3, 4)),
            *(((0, bytes([0xFF, layer])),) for layer in (0xFB, 0xF3, 0xF2, 0xFA)),
        ),
    ),
    (
        "a sound recording (AAC)",  # its first two bytes are letters of Cyrillic as well
        tuple(
            ((0, bytes([0xFF, version])), (2, bytes([0x40 | rate << 2])))
            for version in (0xF1, 0xF9)
            for rate in range(13)
        ),
    ),
    ("a sound recording or video (Ogg)", (((0, b"OggS\0"),),)),
    ("a sound recording (FLAC)", (((0, b"fLaC\0"),),)),
    ("a sound recording (AIFF)", (((0, b"FORM"), (8, b"AIF")),)),
    ("a MIDI file", (((0, b"MThd\0\0\0\6"),),)),
    ("a sound recording", (((0, b"#!AMR"),), ((0, b"caff\0"),))),
    ("a compressed file (gzip): unpack it", (((0, b"\x1f\x8b\x08"),),)),
    ("a compressed file (bzip2): unpack it", (((0, b"BZh"), (4, b"1AY&SY")),)),
    ("a compressed file (xz): unpack it", (((0, b"\xfd7zXZ\0"),),)),
    ("a compressed file (zstd): unpack it", (((0, b"\x28\xb5\x2f\xfd"),),)),
    ("a compressed file: unpack it", (((0, b"\x1f\x9d"),), ((0, b"\x1f\xa0"),))),
    ("a 7z archive: unpack it", (((0, b"7z\xbc\xaf\x27\x1c"),),)),
    ("a RAR archive: unpack it", (((0, b"Rar!\x1a\7"),),)),
    ("a CAB archive: unpack it", (((0, b"MSCF\0\0\0\0"),),)),
    ("a tar archive: unpack it", (((257, b"ustar"),),)),
    ("a disc image", (((32_769, b"CD001"),),)),
    ("a Windows help file (.chm): save it as HTML", (((0, b"ITSF\3\0"),),)),
    (
        "a program",
        (
            ((0, b"\x7fELF"),),
            *(((0, b"MZ"), (at, b"\0")) for at in (3, 5, 7, 9, 11)),
            ((0, b"\xca\xfe\xba\xbe"),),
            *(((0, bytes([last, 0xFA, 0xED, 0xFE])),) for last in (0xCE, 0xCF)),
            *(((0, bytes([0xFE, 0xED, 0xFA, last])),) for last in (0xCE, 0xCF)),
            ((0, b"\0asm"),),
            ((0, b"dex\n03"),),
            ((0, b"!<arch>\n"),),
            ((1, b"\r\r\n"), (16, b"\xe3\0")),
        ),
    ),
    (
        "a font",
        tuple(
            ((0, mark),)
            for mark in (b"\0\1\0\0\0", b"OTTO\0", b"true\0", b"ttcf\0", b"wOFF", b"wOF2")
        ),
    ),
    (
        "a database",
        (
            ((0, b"SQLite format 3\0"),),
            ((0, b"\0\1\0\0Standard Jet DB"),),
            ((0, b"\0\1\0\0Standard ACE DB"),),
        ),
    ),
    (
        "a data file: save it as CSV or JSON",
        (
            ((0, b"PAR1\x15"),),
            *(((0, mark),) for mark in (b"Obj\1", b"ARROW1\0", b"\x89HDF\r\n\x1a\n", b"\x93NUMPY")),
        ),
    ),
    ("a Kindle book: save it as EPUB or HTML", (((60, b"BOOKMOBI"),), ((60, b"TEXtREAd"),))),
    ("a WordPerfect document: save it as DOCX", (((0, b"\xffWPC"),),)),
    ("an old Word document (.doc): save it as DOCX", (((0, b"\xdb\xa5"), (3, b"\0")),)),
    (
        "an old Excel workbook (.xls): save it as XLSX",
        tuple(((0, bytes([9, kind])), (3, b"\0")) for kind in (0, 2, 4, 8)),
    ),
    (
        "a PostScript document: save it as PDF",
        (((0, b"%!PS"),), ((0, b"\xc5\xd0\xd3\xc6"), (5, b"\0"))),
    ),
    ("a property list", (((0, b"bplist0"),),)),
    (
        "a network recording",
        (((0, b"\xd4\xc3\xb2\xa1"),), ((0, b"\xa1\xb2\xc3\xd4\0"),), ((0, b"\n\r\r\n"),)),
    ),
    (
        "an encrypted file",
        (((0, b"Salted__"),), ((0, b"-----BEGIN PGP MESSAGE"),), ((0, b"age-encryption.org/"),)),
    ),
    ("an Outlook mailbox (.pst): save its messages as EML", (((0, b"!BDN"),),)),
)
"""Kinds of files by their signatures: bytes at places, all of which a file has."""


def find(content: bytes) -> str | None:
    """Return the name of a file's kind by its first bytes, with a remedy; None for others."""
    for kind, signatures in _SIGNATURES:
        for signature in signatures:
            if all(content.startswith(mark, at) for at, mark in signature):
                return kind
    return None


def describe(content: bytes) -> str:
    """Return the kind of a file that is not taken: a noun with its article, and a remedy."""
    if content.startswith(b"PK"):
        return _zipped(content)
    if content.startswith(b"\xd0\xcf\x11\xe0"):
        return _compound(content)
    known = find(content)
    if known is not None:
        return known
    return "a binary file of an unknown kind" if content else "an empty file"


def _zipped(content: bytes) -> str:
    archive = Archive(content)
    if not len(archive):
        return "a zip archive that is damaged or cut off"
    kind = archive.start("mimetype", 200).decode("ascii", "replace")
    for end, name in _OPEN_DOCUMENTS:
        if end in kind:
            return name
    for part, name in _ZIPPED:
        if part in archive:
            return name
    return "a zip archive: unpack it, and send the files in it"


def _compound(content: bytes) -> str:
    for stream, kind in _OLD_OFFICE:
        if f"{stream}\0".encode("utf-16-le") in content:
            return kind
    return "an old Office file: save it as DOCX or PDF"

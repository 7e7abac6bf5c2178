"""The kinds of files that are not taken, in the words of messages to their senders."""

import re

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

_SIGNATURES = tuple(
    (re.compile(pattern, re.DOTALL), kind)
    for pattern, kind in (
        (rb"II\*\x00|MM\x00\*|II\+\x00|MM\x00\+", "a TIFF picture"),
        (rb"\x00\x00..ftyp(?:heic|heix|heim|heis|hevc|hevx|mif1|msf1)", "a HEIC picture"),
        (rb"\x00\x00..ftyp(?:avif|avis)", "an AVIF picture"),
        (rb"\x00\x00..ftyp(?:M4A|M4B|M4P)", "a sound recording (M4A)"),
        (rb"\x00\x00..ftyp(?:crx )", "a raw picture"),
        (rb"\x00\x00..ftyp", "a video (MP4 or MOV)"),
        (rb"\x00\x00..(?:moov|mdat|wide|free|skip)", "a video (MOV)"),
        (rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\x00\x00\x00", "a BMP picture"),
        (rb"\x00\x00[\x01\x02]\x00[\x01-\xff]\x00", "an icon"),
        (rb"8BPS\x00", "a Photoshop picture"),
        (rb"\x00\x00\x00\x0cjP  \r\n|\xff\x4f\xff\x51", "a JPEG 2000 picture"),
        (rb"\x00\x00\x00\x0cJXL \r\n|\xff\x0a", "a JPEG XL picture"),
        (rb"\x89PNG\r\n\x1a\n", "a PNG picture"),
        (rb"\x89PNG", "a damaged PNG picture"),
        (rb"\xff\xd8\xff", "a JPEG picture"),
        (rb"GIF8[79]a", "a GIF picture"),
        (rb"RIFF....WEBP", "a WebP picture"),
        (rb"\xd7\xcd\xc6\x9a|\x01\x00\x00\x00.{36} EMF", "a Windows metafile picture"),
        (rb"AT&TFORM....DJV", "a DjVu document: save it as PDF"),
        (rb"gimp xcf|FORM....(?:ILBM|PBM )", "a picture"),
        (rb"RIFF....AVI ", "a video (AVI)"),
        (rb"RIFF....WAVE|RF64....WAVE", "a sound recording (WAV)"),
        (rb"\x1a\x45\xdf\xa3", "a video (Matroska or WebM)"),
        (rb"FLV\x01", "a video (Flash)"),
        (rb"\x00\x00\x01[\xb3\xba]", "a video (MPEG)"),
        (rb"G.{187}G.{187}G", "a video (MPEG)"),
        (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a video or sound recording (Windows Media)"),
        (rb"ID3[\x02-\x04]\x00", "a sound recording (MP3)"),
        (rb"\xff[\xfb\xf3\xf2\xfa][\x10-\xef]", "a sound recording (MP3)"),
        (rb"\xff[\xf1\xf9][\x40-\xff]", "a sound recording (AAC)"),
        (rb"OggS\x00", "a sound recording or video (Ogg)"),
        (rb"fLaC\x00", "a sound recording (FLAC)"),
        (rb"FORM....AIF[FC]", "a sound recording (AIFF)"),
        (rb"MThd\x00\x00\x00\x06", "a MIDI file"),
        (rb"#!AMR|caff\x00", "a sound recording"),
        (rb"\x1f\x8b\x08", "a compressed file (gzip): unpack it"),
        (rb"BZh[1-9]1AY&SY", "a compressed file (bzip2): unpack it"),
        (rb"\xfd7zXZ\x00", "a compressed file (xz): unpack it"),
        (rb"\x28\xb5\x2f\xfd", "a compressed file (zstd): unpack it"),
        (rb"\x1f[\x9d\xa0]", "a compressed file: unpack it"),
        (rb"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it"),
        (rb"Rar!\x1a\x07", "a RAR archive: unpack it"),
        (rb"MSCF\x00\x00\x00\x00", "a CAB archive: unpack it"),
        (rb".{257}ustar", "a tar archive: unpack it"),
        (rb"ITSF\x03\x00", "a Windows help file (.chm): save it as HTML"),
        (rb"\x7fELF", "a program"),
        (rb"MZ.{0,64}\x00", "a program"),
        (rb"\xca\xfe\xba\xbe|\xfe\xed\xfa[\xce\xcf]|[\xce\xcf]\xfa\xed\xfe", "a program"),
        (rb"\x00asm|dex\n03|!<arch>\n", "a program"),
        (rb"[\x00-\xff]\x0d\x0d\n.{8,12}\xe3\x00", "a program"),
        (rb"\x00\x01\x00\x00\x00|OTTO\x00|true\x00|ttcf\x00|wOF[F2]", "a font"),
        (rb"SQLite format 3\x00|\x00\x01\x00\x00Standard (?:Jet|ACE) DB", "a database"),
        (rb"PAR1|Obj\x01|ARROW1\x00", "a data file: save it as CSV or JSON"),
        (rb"\x89HDF\r\n\x1a\n|\x93NUMPY", "a data file: save it as CSV or JSON"),
        (rb".{60}(?:BOOKMOBI|TEXtREAd)", "a Kindle book: save it as EPUB or HTML"),
        (rb"\xffWPC", "a WordPerfect document: save it as DOCX"),
        (rb"\xdb\xa5.\x00", "an old Word document (.doc): save it as DOCX"),
        (rb"\x09[\x00\x02\x04\x08][\x04-\x08]\x00", "an old Excel workbook (.xls): save it as XLSX"),
        (rb"%!PS|\xc5\xd0\xd3\xc6.\x00", "a PostScript document: save it as PDF"),
        (rb"bplist0", "a property list"),
        (rb"\xd4\xc3\xb2\xa1|\xa1\xb2\xc3\xd4\x00|\n\r\r\n", "a network recording"),
        (rb"Salted__|-----BEGIN PGP MESSAGE|age-encryption.org/", "an encrypted file"),
        (rb"!BDN", "an Outlook mailbox (.pst): save its messages as EML"),
    )
)
_DISC = slice(32_769, 32_774)


def find(content: bytes) -> str | None:
    """Return the name of a file's kind by its first bytes, with a remedy; None for others."""
    start = content[:1_024]
    for signature, kind in _SIGNATURES:
        if signature.match(start):
            return kind
    if content[_DISC] == b"CD001":
        return "a disc image"
    return None


def describe(content: bytes) -> str:
    """Return what a file is that is not taken, as a noun with its article, with a remedy."""
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

"""The names of files that are not taken."""

import io
import zipfile

import pytest

from afterword.files import media_types, signatures
from tests.harness.seeds import SEED_PARAMS, seeded


def archive(*names: str, mimetype: str = "") -> bytes:
    """Return a zip archive with files of these names, and a part that names its type."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as opened:
        if mimetype:
            opened.writestr("mimetype", mimetype)
        for name in names:
            opened.writestr(name, "x" * 100)
    return out.getvalue()


def compound(*streams: str) -> bytes:
    """Return a compound file ([MS-CFB]) with the names of these streams."""
    entries = b"".join(name.encode("utf-16-le").ljust(128, b"\0") for name in streams)
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504) + entries


MP4 = b"\0\0\0\x18ftypisom\0\0\2\0isomiso2"
OPEN_DOCUMENT = "application/vnd.oasis.opendocument"


@pytest.mark.parametrize(
    ("content", "description"),
    [
        (b"II*\0\x08\0\0\0", "a TIFF picture"),
        (b"MM\0*\0\0\0\x08", "a TIFF picture"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC picture"),
        (b"\0\0\0\x1cftypavif", "an AVIF picture"),
        (b"BM" + bytes(8) + b"\x36\0\0\0\x28\0\0\0", "a BMP picture"),
        (b"\x89PNG\n\x1a\n\0\0", "a damaged PNG picture"),
        (b"8BPS\0\1", "a Photoshop picture"),
        (MP4, "a video (MP4 or MOV)"),
        (b"RIFF\0\0\0\0AVI LIST", "a video (AVI)"),
        (b"\x1a\x45\xdf\xa3\x01", "a video (Matroska or WebM)"),
        (b"ID3\x03\0\0\0\0\0\0", "a sound recording (MP3)"),
        (b"\xff\xfb\x90\x64\0", "a sound recording (MP3)"),
        (b"\xff\xf1\x50\x80\x2e\x7f\xfc", "a sound recording (AAC)"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "a sound recording (WAV)"),
        (b"OggS\0\2", "a sound recording or video (Ogg)"),
        (b"\0\0\0\x20ftypM4A ", "a sound recording (M4A)"),
        (compound("Root Entry", "WordDocument"), "an old Word document (.doc): save it as DOCX"),
        (compound("PowerPoint Document"), "an old PowerPoint presentation (.ppt): save it as PPTX"),
        (compound("Workbook"), "an old Excel workbook (.xls): save it as XLSX"),
        (compound("EncryptedPackage"), "a document that asks for a password: send a copy without"),
        (compound("__properties_version1.0"), "an Outlook message (.msg): save it as EML"),
        (compound("Contents"), "an old Office file: save it as DOCX or PDF"),
        (archive("a.txt"), "a zip archive: unpack it, and send the files in it"),
        (archive("a.txt")[:-10], "a zip archive that is damaged or cut off"),
        (archive("classes.dex", "AndroidManifest.xml"), "a program"),
        (archive("Index/Document.iwa"), "a Pages, Numbers or Keynote document: export it as DOCX"),
        (archive(mimetype=f"{OPEN_DOCUMENT}.spreadsheet"), "an OpenDocument spreadsheet: save it"),
        (b"\x1f\x8b\x08\0", "a compressed file (gzip): unpack it"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it"),
        (b"Rar!\x1a\x07\1\0", "a RAR archive: unpack it"),
        (b"a.txt".ljust(257, b"\0") + b"ustar\x0000", "a tar archive: unpack it"),
        (b"\x7fELF\2\1\1", "a program"),
        (b"MZ\x90\0\3\0\0\0", "a program"),
        (b"\xca\xfe\xba\xbe\0\0\0\x34", "a program"),
        (b"OTTO\0\x0b", "a font"),
        (b"wOF2\0\1\0\0", "a font"),
        (b"SQLite format 3\0", "a database"),
        (b"PAR1\x15\x04", "a data file: save it as CSV or JSON"),
        (b"%!PS-Adobe-3.0\n", "a PostScript document: save it as PDF"),
        (b"-----BEGIN PGP MESSAGE-----\n", "an encrypted file"),
        (bytes(40), "a binary file of an unknown kind"),
    ],
)
def test_a_file_that_is_not_taken_is_named(content: bytes, description: str) -> None:
    """The kind is told by the first bytes, with what to send instead where there is something."""
    assert media_types.detect(content) == media_types.UNKNOWN
    assert signatures.describe(content).startswith(description)


@pytest.mark.parametrize(
    "text",
    [
        "BM of the month: the best.",
        "MM* is a mark.",
        "MZ is Mozambique's code.",
        "RIFF means a short melody. WAVE too.",
        "Rar! said the lion.",
        "ID3 is a tag.",
        "OTTO and true friends.",
        "GIF pictures.",
        "PAR is a score.",
        "PAR1 is a lamp.",
        "ORC is a file format.",
        "BZh9 is a mark.",
        "Salted caramel.",
        "From age to age.",
    ],
)
def test_a_text_about_files_is_a_text(text: str) -> None:
    """Words that begin like other files are words."""
    assert media_types.detect(text.encode()) in media_types.TEXTS


def test_a_text_that_begins_as_a_recording_does_is_a_text() -> None:
    """The letters that AAC begins with are Cyrillic in windows-1251."""
    assert media_types.detect("ясно, что делать".encode("cp1251")) == media_types.TEXT


@pytest.mark.parametrize("seed", SEED_PARAMS)
def test_noise_is_no_text(seed: int) -> None:
    """Random bytes are never taken for a text, but for a handful of them."""
    rng = seeded(seed)
    for _ in range(200):
        noise = rng.randbytes(rng.randrange(100, 2_000))
        assert media_types.detect(noise) == media_types.UNKNOWN
        assert signatures.describe(noise)

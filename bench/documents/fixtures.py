"""Real documents: the fixtures in the source distributions of well-known libraries.

`packages.txt` pins the distributions by version and hash. Each is downloaded once, into a folder
that git ignores. The documents are read from the archives.
"""

import re
import subprocess
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGES = Path(__file__).parent / "packages.txt"
CACHE = Path(__file__).parents[2] / ".local" / "documents"
MAILS = Path(sysconfig.get_path("stdlib")) / "test" / "test_email" / "data"
"""The mails of CPython's own tests, which not every Python has beside it."""
MAX_BYTES = 20_000_000
"""Of a fixture; a larger one is left out."""
FORMATS = {
    "csv": "CSV",
    "docx": "DOCX",
    "eml": "EML, MBOX",
    "epub": "EPUB",
    "htm": "HTML",
    "html": "HTML",
    "mbox": "EML, MBOX",
    "odt": "ODT",
    "pdf": "PDF",
    "pptx": "PPTX",
    "rtf": "RTF",
    "txt": "text",
    "xlsx": "XLSX",
    "xhtml": "HTML",
}
"""The formats by suffix."""

_NO_FIXTURE = re.compile(
    r"\.egg-info/|(^|/)(licen[cs]es?|notices?|authors|requirements[^/]*|top_level|cmakelists"
    r"|manifest|sources|entry_points|mimetype)(\.[^/]*)?$",
    re.IGNORECASE,
)
"""Files of the packages themselves."""
_MADE_TO_FAIL = re.compile(
    r"encrypt|passw|protected|crypt|corrupt|broken|damaged|invalid|malformed|fuzz|truncat|(^|[/_-])bad"
    r"|bomb|poc|zero_?byte|(^|[/_-])empty|blank|\boob\b|attack",
    re.IGNORECASE,
)
"""Names of fixtures that no reader is meant to read: locked, damaged or without a text."""


@dataclass(frozen=True, slots=True)
class Fixture:
    """A real document, by its package and its path in there."""

    package: str
    path: str
    format: str
    content: bytes

    @property
    def is_made_to_fail(self) -> bool:
        """Whether the fixture's name says that a reader should refuse it."""
        return _MADE_TO_FAIL.search(self.path.partition("/")[2]) is not None


def download(python: str) -> list[Path]:
    """Return the archives, those that are missing downloaded by this Python's pip.

    Each package is asked for alone, since pip keeps none where one of them fails.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    archives: list[Path] = []
    for line in PACKAGES.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        requirement, _, digest = line.partition(" --hash=")
        kept = CACHE / digest.removeprefix("sha256:")[:16]
        if not any(kept.glob("*")):
            print(f"downloading {requirement}", flush=True)
            _fetch(python, line, kept)
        archives += kept.glob("*")
    return sorted(archives, key=lambda archive: archive.name)


def _fetch(python: str, line: str, kept: Path) -> None:
    """Download a source distribution; without success, it is left out and said."""
    wanted = CACHE / "wanted.txt"
    wanted.write_text(f"{line}\n")
    options = ("--quiet", "--no-deps", "--no-binary", ":all:", "--require-hashes")
    command = [python, "-m", "pip", "download", *options, "-r", str(wanted), "-d", str(kept)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 # nosec B603
    if done.returncode:
        print(f"left out: {(done.stderr.strip().splitlines() or ['pip failed'])[-1]}", flush=True)


def read(archives: list[Path]) -> Iterator[Fixture]:
    """Yield the documents of archives, each content once."""
    seen: set[bytes] = set()
    for archive in archives:
        package = re.split(r"-\d", archive.name)[0]
        for path, content in _members(archive):
            if content and content not in seen:
                seen.add(content)
                kind = FORMATS[path.rpartition(".")[2].lower()]
                yield Fixture(package, path, kind, content)
    for mail in sorted(MAILS.glob("msg_*.txt")):
        yield Fixture("CPython", f"data/{mail.name}", FORMATS["eml"], mail.read_bytes())


def _members(archive: Path) -> Iterator[tuple[str, bytes]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            for info in zipped.infolist():
                if not info.is_dir() and _is_wanted(info.filename, info.file_size):
                    yield info.filename, zipped.read(info)
        return
    with tarfile.open(archive) as packed:
        for member in packed:
            if member.isfile() and _is_wanted(member.name, member.size):
                file = packed.extractfile(member)
                if file is not None:
                    yield member.name, file.read()


def _is_wanted(path: str, size: int) -> bool:
    suffix = path.rpartition(".")[2].lower()
    return suffix in FORMATS and size <= MAX_BYTES and not _NO_FIXTURE.search(path)

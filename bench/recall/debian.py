"""Debian's books in six languages: packages of fixed versions, fetched once from its archive."""

import re
import subprocess
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from io import BytesIO
from pathlib import Path

from afterword_documents import web_pages
from bench.recall.corpus import Document

FOLDER = Path(".local/recall")
HANDBOOK = "debian-handbook=11.20220922"
REFERENCES = {
    language: f"debian-reference-{language if language != 'zh' else 'zh-cn'}=2.100"
    for language in ("de", "en", "es", "fr", "ja", "zh")
}
"""The packages of Debian Reference by language; those of Debian 12."""
_PAGES = re.compile(
    r".*/debian-reference/ch(?P<chapter>\d\d)\.(?P<reference>de|en|es|fr|ja|zh)[-.\w]*html"
    r"|.*/debian-handbook/html/(?P<handbook>de-DE|en-US|es-ES|fr-FR|ja-JP|zh-CN)/(?P<page>.+)\.html"
)
_NAVIGATION = re.compile(
    r'<(?P<tag>div|ul|p) (?:class="(?:navheader|navfooter|docnav[^"]*|toc)"|id="(?:banner|title)")'
    r".*?</(?P=tag)>",
    re.DOTALL,
)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.DOTALL)
_SECTION = re.compile(r"^#+ (\d+(?:\.\d+)+)\.?\s", re.MULTILINE)


@cache
def documents(language: str) -> tuple[Document, ...]:
    """Return the chapters of Debian Reference, and the pages of the handbook, in a language."""
    return tuple(each for spoken, each in _everything() if spoken == language)


def find_sections(document: Document, start: int, end: int) -> frozenset[str]:
    """Return the sections that have text between two characters of a document."""
    return frozenset(
        section for section, first, last in _sections(document) if first < end and last > start
    )


@cache
def _sections(document: Document) -> tuple[tuple[str, int, int], ...]:
    book = document.id.partition("/")[0]
    headings = list(_SECTION.finditer(document.text))
    ends = [*(each.start() for each in headings[1:]), len(document.text)]
    return tuple(
        (f"{book}{heading[1]}", heading.start(), end)
        for heading, end in zip(headings, ends, strict=False)  # a page may have no heading
    )


@cache
def _everything() -> tuple[tuple[str, Document], ...]:
    with ThreadPoolExecutor(2) as pool:
        packages = list(pool.map(_fetch, (HANDBOOK, *REFERENCES.values())))
    return tuple(each for package in packages for each in _read(package))


def _fetch(package: str) -> Path:
    """Return the package's file. Exits with what to do where the archive does not give it."""
    name, _, version = package.partition("=")
    path = FOLDER / f"{name}_{version}_all.deb"
    if not path.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        command = ["apt-get", "download", "--quiet", package]
        try:
            subprocess.run(command, cwd=FOLDER, check=True, capture_output=True)  # noqa: S603 - of fixed words # nosec B603
        except (OSError, subprocess.CalledProcessError) as error:
            raise SystemExit(
                f"The corpus needs Debian 12's package {package}, and `apt-get download` fails."
                f" Put {path.name} into {FOLDER}, or measure with `--quick`."
            ) from error
    return path


def _read(package: Path) -> Iterator[tuple[str, Document]]:
    command = ["dpkg-deb", "--fsys-tarfile", str(package)]
    archive = subprocess.run(command, check=True, capture_output=True).stdout  # noqa: S603 - the same # nosec B603
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        for member in sorted(files.getmembers(), key=lambda each: each.name):
            found = _PAGES.fullmatch(member.name)
            content = files.extractfile(member) if found and member.isfile() else None
            if found is None or content is None:
                continue
            page = _NAVIGATION.sub("", content.read().decode())
            title = " ".join((_TITLE.search(page) or [""])[1].split())
            book, name = ("R", found["chapter"]) if found["chapter"] else ("H", found["page"])
            language = (found["reference"] or found["handbook"])[:2]
            yield (
                language,
                Document(f"{book}/{language}/{name}", title, web_pages.text(page.encode())),
            )

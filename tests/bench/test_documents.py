"""The measure of real documents: which fixtures are taken, and how their outcomes are told."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from bench.documents import __main__ as documents
from bench.documents import fixtures
from bench.documents.__main__ import Finding, Outcome
from bench.documents.fixtures import Fixture
from tests.harness import docx_files

PAGE = b"<!doctype html><title>Returns</title><p>Within 30 days."


def test_fixtures_are_read_from_their_archives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Documents of tar and zip archives are taken once each, and files of the package are not."""
    monkeypatch.setattr(fixtures, "MAILS", tmp_path / "none")
    tar = tmp_path / "reader-1.0.tar.gz"
    with tarfile.open(tar, "w:gz") as packed:
        for name, content in (
            ("reader-1.0/tests/a.html", PAGE),
            ("reader-1.0/tests/same.html", PAGE),
            ("reader-1.0/LICENSE.txt", b"A license."),
            ("reader-1.0/reader.egg-info/top_level.txt", b"reader"),
            ("reader-1.0/reader.py", b"code"),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    zipped = tmp_path / "other-2.zip"
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("other-2/tests/encrypted.pdf", b"%PDF-1.7")
    found = list(fixtures.read([tar, zipped]))
    assert [(each.package, each.path, each.format) for each in found] == [
        ("reader", "reader-1.0/tests/a.html", "HTML"),
        ("other", "other-2/tests/encrypted.pdf", "PDF"),
    ]
    assert [each.is_made_to_fail for each in found] == [False, True]


def test_each_package_is_pinned_by_its_hash() -> None:
    """Each line of packages.txt has one version and one hash, which pip asks for."""
    lines = [line for line in fixtures.PACKAGES.read_text().splitlines() if line[:1] != "#"]
    assert lines
    for line in lines:
        requirement, _, digest = line.partition(" --hash=sha256:")
        assert requirement.count("==") == 1
        assert len(bytes.fromhex(digest)) == 32


@pytest.mark.parametrize(
    ("kind", "content", "outcome"),
    [
        ("HTML", PAGE, Outcome.READ),
        ("DOCX", docx_files.docx(docx_files.paragraph("A letter.")), Outcome.READ),
        ("DOCX", docx_files.docx(docx_files.paragraph(" ")), Outcome.NO_TEXT),
        ("HTML", b"Just words, and no tag.", Outcome.AS_SOURCE),
        ("text", b"\x7fELF\x00\x01", Outcome.REFUSED),
        ("PDF", b"%PDF-1.7 broken", Outcome.REFUSED),
    ],
)
def test_an_outcome_is_that_of_the_reader(kind: str, content: bytes, outcome: Outcome) -> None:
    """A document is read by its bytes, and its outcome is told by what the reader says."""
    fixture = Fixture("reader", "reader-1/a", kind, content)
    assert documents._read(fixture).outcome is outcome  # noqa: SLF001 - the measure itself


def test_the_table_counts_by_format(capsys: pytest.CaptureFixture[str]) -> None:
    """A row has the outcomes of a format; documents without a text are left out of the share."""
    found = [Fixture("reader", f"reader-1/{name}", "PDF", b"") for name in "abc"]
    outcomes = (Outcome.READ, Outcome.NO_TEXT, Outcome.REFUSED)
    findings = [Finding(fixture, outcome) for fixture, outcome in zip(found, outcomes, strict=True)]
    documents._print_table("Documents", findings)  # noqa: SLF001 - the measure itself
    assert "| PDF | 3 | 1 | 1 | 0 | 1 | 0 | 0.50 |" in capsys.readouterr().out.splitlines()

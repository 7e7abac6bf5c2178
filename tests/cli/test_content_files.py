"""Which files of a folder become contents, and what is made of each."""

import os
from pathlib import Path

import pytest

from afterword.errors import AfterwordError
from afterword.files import media_types
from afterword.knowledge import MAX_NAME
from cli import content_files
from cli.content_files import File, FileError, OtherTypeError, Root, Skipped
from tests.harness import docx_files, packages, pdf_files


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return an empty folder `Manual`."""
    folder = tmp_path / "Manual"
    folder.mkdir()
    return folder


def write(root: Path, *names: str) -> None:
    """Write files with a text."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("A text.")


def ids(root: Path) -> list[str]:
    """Return the external ids of the files that are found in a folder."""
    return [file.external_id for file in content_files.find([root], None, "").files]


def made_of(content: bytes, name: str = "a.txt") -> tuple[str, str]:
    """Return the name and the text of a file."""
    return content_files.extract(File(Path(name), name, "Manual"), content)


def test_a_folder_is_taken_with_all_that_is_in_it(root: Path) -> None:
    """A file of a folder is known by its path in the folder, whose name its folder has."""
    write(root, "b.md", "a/c.md", "a/b/d e.txt")
    found = content_files.find([root], None, "")
    assert [(file.external_id, file.folder, file.root is None) for file in found.files] == [
        ("b.md", "Manual", False),
        ("a/c.md", "Manual", False),
        ("a/b/d e.txt", "Manual", False),
    ]
    assert (found.failed, found.skipped) == ([], [])


def test_a_file_is_known_by_its_name(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is given itself goes to General, and into what --folder says, under its name."""
    write(root, "a/b.md", ".hidden.md")
    monkeypatch.chdir(root)
    files = content_files.find([Path("a/b.md"), Path(".hidden.md")], None, "").files
    assert [(file.external_id, file.folder, file.root is None) for file in files] == [
        ("b.md", "General", True),
        (".hidden.md", "General", True),
    ]
    (file,) = content_files.find([root / "a/b.md"], "Help", "x/").files
    assert (file.external_id, file.folder) == ("x/b.md", "Help")
    (file,) = content_files.find([Path("a")], None, "").files
    assert (file.external_id, file.folder) == ("b.md", "a")
    monkeypatch.chdir(root / "a")
    (root / "current").symlink_to("a")
    for given, folder in (
        (Path(), "a"),
        (Path("../../Manual/a"), "a"),
        (root / "current", "current"),
    ):
        (file,) = content_files.find([given], None, "").files
        assert (file.external_id, file.folder) == ("b.md", folder)
    (file,) = content_files.find([Path("..")], None, "").files
    assert (file.external_id, file.folder) == ("a/b.md", "Manual")


def test_what_is_hidden_or_leads_away_is_skipped(root: Path, tmp_path: Path) -> None:
    """Dot files, links out of the folder, links to folders and broken ones are not followed."""
    write(root, "a.md", ".env", ".git/config", "inside/b.md")
    write(tmp_path, "secret.md", "elsewhere/c.md")
    (root / "d.md").symlink_to("inside/b.md")
    (root / "out.md").symlink_to(tmp_path / "secret.md")
    (root / "there").symlink_to(tmp_path / "elsewhere")
    (root / "round").symlink_to(root)
    (root / "broken.md").symlink_to("none.md")
    (root / "loop.md").symlink_to("loop.md")
    os.mkfifo(root / "pipe.md")
    found = content_files.find([root], None, "")
    assert [file.external_id for file in found.files] == ["a.md", "d.md", "inside/b.md"]
    assert sorted(found.skipped) == [
        (f"{root}/.env", Skipped.HIDDEN),
        (f"{root}/.git", Skipped.HIDDEN),
        (f"{root}/broken.md", Skipped.LINK),
        (f"{root}/loop.md", Skipped.LINK),
        (f"{root}/out.md", Skipped.LINK),
        (f"{root}/pipe.md", Skipped.OTHER),
        (f"{root}/round", Skipped.LINK),
        (f"{root}/there", Skipped.LINK),
    ]


def test_a_file_that_is_given_twice_is_one(root: Path) -> None:
    """A file beside the folder that it is in is taken once; two of the same id are told."""
    write(root, "a.md", "b/a.md")
    found = content_files.find([root, root / "a.md", root / "b/a.md"], None, "")
    assert [file.external_id for file in found.files] == ["a.md", "b/a.md"]
    assert found.failed == [(f"{root}/b/a.md", f"its external id a.md is that of {root}/a.md too.")]


def test_what_is_in_a_folder_is_there_whatever_becomes_of_it(root: Path) -> None:
    """A file is there, and so is all below a link; a hidden or an absent one is not."""
    write(root, "a/b.md", ".env")
    (root / "there").symlink_to(root.parent)
    found = content_files.find([root], None, "v2/")
    assert [
        name
        for name in ("v2/a/b.md", "v2/there", "v2/there/c.md", "v2/.env", "v2/a", "a/b.md")
        if found.has(name)
    ] == ["v2/a/b.md", "v2/there", "v2/there/c.md"]


def test_each_type_that_is_read_has_a_suffix() -> None:
    """A file of each type that is read is told by its suffix, in any case."""
    assert set(content_files.SUFFIXES.values()) >= media_types.DOCUMENTS
    assert content_files.is_expected(Path("A.DOCX"))
    assert not content_files.is_expected(Path("logo.gif"))
    assert not content_files.is_expected(Path("README"))


def test_a_fingerprint_tells_the_folder_that_was_given() -> None:
    """A file of a folder has the folder's mark; given itself it keeps the one that it has."""
    digest = content_files.fingerprint(b"A text.")
    manual, other = (Root(Path("x"), name, "Help") for name in ("Manual", "Other"))
    with_prefix = Root(Path("x"), "Manual", "Help", "v1-")
    below = File(Path("x"), "a.md", "Help", manual)
    itself = File(Path("x"), "a.md", "Help")
    marked = content_files.mark(digest, below, None)
    assert content_files.is_from(marked, manual)
    assert not content_files.is_from(marked, other)
    assert not content_files.is_from(marked, with_prefix)
    assert content_files.mark(digest, below, digest) == marked
    assert content_files.mark(digest, itself, marked) == marked
    assert content_files.mark(digest, itself, None) == digest
    assert not content_files.is_from(digest, manual)
    assert not content_files.is_from(None, manual)


def test_the_same_name_is_the_same_on_every_system(root: Path) -> None:
    """A name with accents gives one external id, however the system writes it."""
    write(root, "e\u0301te\u0301.md")
    assert ids(root) == ["\u00e9t\u00e9.md"]


def test_a_name_that_is_no_text_is_told(root: Path) -> None:
    """A file whose name is not UTF-8 is reported, and the others are taken."""
    write(root, "a.md")
    Path(os.fsdecode(bytes(root) + b"/caf\xe9.md")).write_text("A text.")
    found = content_files.find([root], None, "")
    assert [file.external_id for file in found.files] == ["a.md"]
    assert found.failed == [(f"{root}/caf\ufffd.md", "its name is not UTF-8.")]


def test_a_folder_that_cannot_be_read_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that may not be looked into is reported, and the others are taken."""
    write(root, "a.md", "shut/b.md")
    look = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", str(path))
        return look(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = content_files.find([root], None, "")
    assert [file.external_id for file in found.files] == ["a.md"]
    assert found.failed == [(f"{root}/shut", "Permission denied.")]
    assert not found.is_whole


@pytest.mark.parametrize(
    ("content", "name"),
    [
        pytest.param("Intro.\n\n## The *best* [way](x.md) `C#` ##\n", "The best way C#", id="ATX"),
        pytest.param("Two   words\n=========\n\n- a\n", "Two words", id="underlined"),
        pytest.param("```sh\n# no heading\n```\n# Heading\n", "Heading", id="behind code"),
        pytest.param("# Windows\r\n\r\nA text.\r\n", "Windows", id="CRLF"),
        pytest.param("---\nid: 1\ntitle: 'My page'\n---\n## Part\n", "My page", id="front matter"),
        pytest.param("---\nid: 1\n---\n## Part\n", "Part", id="front matter without a title"),
        pytest.param("```sh\n# no heading\n```\n", "a.txt", id="no heading"),
        pytest.param("# ``\n", "a.txt", id="blank"),
        pytest.param("<html><title> My\npage </title><h1>Top</h1>", "My page", id="title"),
        pytest.param("<html><p>Hi</p><h2>Top</h2>", "Top", id="page without a title"),
        pytest.param("<html><p>Hi</p>", "a.txt", id="page without headings"),
        pytest.param("Just a text.\nNo more.", "a.txt", id="text"),
        pytest.param("a,b,c\n1,2,3\n# 4,5,6\n", "a.txt", id="CSV"),
        pytest.param('{"title": "x"}', "a.txt", id="JSON"),
        pytest.param(f"# {'x' * 500}\n", "x" * (MAX_NAME - 1) + "…", id="long"),
    ],
)
def test_a_content_is_named_after_its_heading(content: str, name: str) -> None:
    """A content has the name of a page's title or its first heading, else of its file."""
    assert made_of(content.encode())[0] == name


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"# One\n\nA text.\n", ("One", "# One\n\nA text.\n"), id="Markdown"),
        pytest.param(b"<h1>One</h1><p>A text.</p>", ("One", "# One\n\nA text."), id="HTML"),
        pytest.param(b"a,b\n1,2\n3,4\n", ("a.txt", "a,b\n1,2\n3,4\n"), id="CSV"),
        pytest.param(b"[1, 2]", ("a.txt", "[1, 2]"), id="JSON"),
        pytest.param(pdf_files.with_pages("A text."), ("a.txt", "A text."), id="PDF"),
        pytest.param(
            docx_files.docx(docx_files.paragraph("A text.")), ("a.txt", "A text."), id="DOCX"
        ),
        pytest.param(
            packages.xlsx({"S": packages.row(packages.cell("A text."))}),
            ("a.txt", "# S\n\n| A text. |"),
            id="XLSX",
        ),
        pytest.param(
            packages.pptx([packages.shape("One", "title")]), ("a.txt", "## One"), id="PPTX"
        ),
        pytest.param(
            packages.odt('<text:h text:outline-level="1">One</text:h>'), ("One", "# One"), id="ODT"
        ),
        pytest.param(b"{\\rtf1 A text.}", ("a.txt", "A text."), id="RTF"),
        pytest.param(
            packages.epub({}), ("The Book", "# The Book\n\nZo\u00e9 N\u00e9el"), id="EPUB"
        ),
        pytest.param(
            b"From: a@b\nSubject: One\n\nA text.",
            ("One", "# One\n\nFrom: a@b\nSubject: One\n\nA text."),
            id="EML",
        ),
        pytest.param(
            b"From a 10:00\nFrom: a@b\nSubject: One\n\nA text.",
            ("a.txt", "# One\n\nFrom: a@b\nSubject: One\n\nA text."),
            id="MBOX",
        ),
    ],
)
def test_each_type_is_read(content: bytes, expected: tuple[str, str]) -> None:
    """The type is told by the bytes, whatever the file is called, and gives its text."""
    assert made_of(content) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty."),
        (b"GIF89a", "it is a GIF picture; taken are: text, Markdown, HTML, PDF,"),
        (b"\x00\x01", "it is a binary file of an unknown kind; taken are: text,"),
    ],
)
def test_other_types_are_not_taken(content: bytes, message: str) -> None:
    """Pictures, programs and empty files have no text to answer from."""
    with pytest.raises(OtherTypeError) as caught:
        made_of(content)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("content", [b"%PDF-1.7 broken", b" \n\n "])
def test_a_file_without_a_text_is_told(content: bytes) -> None:
    """A damaged file, and one with nothing in it, says what to do about it."""
    with pytest.raises(AfterwordError, match="The document"):
        made_of(content)


def test_a_file_that_is_too_big_is_not_read(root: Path) -> None:
    """A file beyond the bound is told by its size."""
    path = root / "big.txt"
    with path.open("wb") as file:
        file.truncate(content_files.MAX_BYTES + 1)
    with pytest.raises(FileError, match="too big, 50000001 bytes; at most 50000000 are taken"):
        content_files.read(File(path, "big.txt", "Manual"))


def test_a_file_that_is_gone_is_told(root: Path) -> None:
    """A file that went away since it was found is told."""
    with pytest.raises(FileError, match="not a regular file"):
        content_files.read(File(root / "none.md", "none.md", "Manual"))


def test_a_fingerprint_is_of_the_bytes_and_of_what_is_made_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another byte, or another way to make a text of them, is another fingerprint."""
    before = content_files.fingerprint(b"A text.")
    assert before == content_files.fingerprint(b"A text.")
    assert before != content_files.fingerprint(b"A text!")
    monkeypatch.setattr(content_files, "EXTRACTION", content_files.EXTRACTION + 1)
    assert before != content_files.fingerprint(b"A text.")


def test_an_address_is_the_path_below_the_base() -> None:
    """Where a file is to be read: its path without the prefix of its id, escaped."""
    file = File(Path("x"), "v2/a b/é.md", "Manual")
    for base in ("https://example.com/docs", "https://example.com/docs/"):
        address = content_files.address(base, file, "v2/")
        assert address == "https://example.com/docs/a%20b/%C3%A9.md"

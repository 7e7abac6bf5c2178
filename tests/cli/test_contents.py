"""`afterword content`, under moto."""

import json
import os
import shutil
import threading
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from afterword.files import media_types
from afterword.knowledge import Content, Draft, folder_id
from afterword.knowledge.store import ContentChange, ContentStore
from afterword.knowledge.vector_store import Vectors
from afterword.runtime.clients import clients
from afterword.runtime.dynamodb import Table
from afterword.services import services
from afterword.tenants.registry import Registry
from afterword_documents import extraction
from cli import content_files, contents
from tests.cli.conftest import Afterword, CloudFormation, usage_error
from tests.conftest import SetClock
from tests.harness import docx_files, pdf_files
from tests.harness.deployment import EMBED_QUEUE_NAME, REFERENCES
from tests.harness.stand_in_aws import count_messages

pytestmark = pytest.mark.usefixtures("stack", "set_clock")

ADD, LIST, REMOVE = (("content", verb, "demo") for verb in ("add", "list", "remove"))
FILES = {
    "contract.pdf": pdf_files.with_pages("A contract."),
    "faq/letters.docx": docx_files.docx(docx_files.paragraph("A letter.")),
    "faq/page.html": b"<html><title>Questions</title><p>Many questions.",
    "prices.csv": b"thing,price\nlamp,46\nchair,80\n",
    "returns.md": b"# Returns\n\nWithin 30 days.\n",
}


@pytest.fixture
def store(registry: Registry) -> ContentStore:
    """Return the store of contents, with a tenant demo."""
    registry.create_tenant("demo", "Demo")
    return services().contents


@pytest.fixture
def manual(store: ContentStore, tmp_path: Path) -> Path:  # noqa: ARG001 - asked for its effect
    """Return a folder Manual with FILES."""
    folder = tmp_path / "Manual"
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def items() -> list[dict[str, Any]]:
    """Return all that the table of contents has."""
    found = clients().dynamodb.scan(TableName=REFERENCES["ContentsTable"])["Items"]
    return sorted(map(dict, found), key=lambda item: (item["pk"]["S"], item["sk"]["S"]))


def by_external_id(tenant: str = "demo") -> dict[str, Content]:
    """Return a tenant's contents by external id."""
    page = services().contents.list_contents(tenant, None, 100, None)
    assert page.after is None
    return {content.external_id or "": content for content in page.items}


def test_a_folder_becomes_contents(afterword: Afterword, manual: Path) -> None:
    """`content add` takes all files of a folder, by type, into a folder of the same name."""
    result = afterword(*ADD, manual)
    assert (result.exit_code, result.stdout, result.stderr) == (
        0,
        "",
        "5 added, 0 updated, 0 unchanged, 0 failed.\n",
    )
    added = by_external_id()
    assert {external_id: content.name for external_id, content in added.items()} == {
        "contract.pdf": "contract.pdf",
        "faq/letters.docx": "letters.docx",
        "faq/page.html": "Questions",
        "prices.csv": "prices.csv",
        "returns.md": "Returns",
    }
    for content in added.values():
        assert (content.folder.name, content.tags, content.source) == ("Manual", (), None)
    selection = services().contents.select("demo", (), ())
    texts = {each.passage.text for each in services().contents.read_candidates(selection)}
    assert {"A contract.", "A letter."} <= texts


def test_what_has_not_changed_is_neither_read_nor_written(
    afterword: Afterword, manual: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same command again leaves everything as it is, and no text is made of any file."""
    command = (*ADD, manual, "--tag", "Help", "--source-base", "https://example.com")
    assert afterword(*command).exit_code == 0
    before = items()

    def fail(*_: object) -> str:
        raise AssertionError

    monkeypatch.setattr(extraction, "extract", fail)
    monkeypatch.setattr(ContentStore, "put", fail)
    again = afterword(*command)
    assert (again.exit_code, again.stderr) == (0, "0 added, 0 updated, 5 unchanged, 0 failed.\n")
    assert items() == before


def test_what_has_changed_is_updated(afterword: Afterword, manual: Path) -> None:
    """A file that has changed updates its content, which keeps its id; the others stay."""
    afterword(*ADD, manual)
    before = by_external_id()
    (manual / "returns.md").write_text("# Sending back\n\nWithin 14 days.\n")
    (manual / "new.txt").write_text("A new text.")
    result = afterword(*ADD, manual)
    assert result.stderr == "1 added, 1 updated, 4 unchanged, 0 failed.\n"
    after = by_external_id()
    assert after["returns.md"].id == before["returns.md"].id
    assert (after["returns.md"].name, after["new.txt"].name) == ("Sending back", "new.txt")
    assert {name: after[name] for name in before if name != "returns.md"} == {
        name: before[name] for name in before if name != "returns.md"
    }


@pytest.mark.parametrize(
    ("options", "updated"),
    [
        (("--tag", "Help"), 0),
        (("--tag", " HELP "), 0),
        (("--tag", "Help", "--tag", "Shop"), 1),
        ((), 1),
        (("--tag", "Help", "--source-base", "https://example.com/"), 1),
    ],
)
def test_other_options_change_what_is_there(
    afterword: Afterword, manual: Path, options: tuple[str, ...], updated: int
) -> None:
    """Other tags or another address update the same file's content, and nothing else does."""
    file = manual / "returns.md"
    assert afterword(*ADD, file, "--tag", "Help").exit_code == 0
    result = afterword(*ADD, file, *options)
    assert result.stderr == f"0 added, {updated} updated, {1 - updated} unchanged, 0 failed.\n"
    again = afterword(*ADD, file, *options)
    assert again.stderr == "0 added, 0 updated, 1 unchanged, 0 failed.\n"


def test_a_file_is_read_anew_when_more_is_made_of_it(
    afterword: Afterword, manual: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When files give other texts than before, a file that has not changed is updated too."""
    afterword(*ADD, manual / "returns.md")
    monkeypatch.setattr(content_files, "EXTRACTION", content_files.EXTRACTION + 1)
    result = afterword(*ADD, manual / "returns.md")
    assert result.stderr == "0 added, 1 updated, 0 unchanged, 0 failed.\n"


def test_a_content_says_where_it_is_from(afterword: Afterword, manual: Path) -> None:
    """Folder, tags, address and external id are what the options say."""
    result = afterword(
        *ADD, manual, "--folder", "Help", "--tag", "FAQ", "--tag", "Shop",
        "--source-base", "https://example.com/docs/", "--id-prefix", "v2/",
    )  # fmt: skip
    assert result.exit_code == 0
    content = by_external_id()["v2/faq/page.html"]
    assert (content.folder.name, content.source) == (
        "Help",
        "https://example.com/docs/faq/page.html",
    )
    assert sorted(tag.name for tag in content.tags) == ["FAQ", "Shop"]


def test_files_go_to_general(afterword: Afterword, manual: Path) -> None:
    """Files that are given themselves are known by their names, in the folder General."""
    result = afterword(*ADD, manual / "faq/page.html", manual / "returns.md")
    assert result.stderr == "2 added, 0 updated, 0 unchanged, 0 failed.\n"
    assert {name: content.folder.name for name, content in by_external_id().items()} == {
        "page.html": "General",
        "returns.md": "General",
    }


def test_an_interrupted_command_goes_on(
    afterword: Afterword, manual: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C ends with 130 and says how far it came; the same command does the rest."""
    with monkeypatch.context() as patch:
        patch.setattr(ContentStore, "put", failing_at(3, ContentStore.put, KeyboardInterrupt()))
        stopped = afterword(*ADD, manual)
    assert (stopped.exit_code, stopped.stdout) == (130, "")
    added = len(by_external_id())
    assert stopped.stderr == (
        f"Stopped after {added} of 5 files ({added} added, 0 updated, 0 unchanged, 0 failed):"
        " the same command goes on with the others.\n"
    )
    rest = afterword(*ADD, manual)
    assert (rest.exit_code, rest.stderr) == (
        0,
        f"{len(FILES) - added} added, 0 updated, {added} unchanged, 0 failed.\n",
    )
    assert len(by_external_id()) == len(FILES)


def test_aws_out_of_reach_stops(
    afterword: Afterword, manual: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When AWS does not answer it stops, and says how far it came and why."""
    lost = EndpointConnectionError(endpoint_url="https://aws.invalid")
    monkeypatch.setattr(ContentStore, "put", failing_at(3, ContentStore.put, lost))
    stopped = afterword(*ADD, manual)
    so_far, why = stopped.stderr.splitlines()
    assert stopped.exit_code == 1
    added = len(by_external_id())
    assert added < len(FILES)
    assert so_far.startswith(f"Stopped after {added} of 5 files ({added} added, ")
    assert why.startswith("afterword: AWS does not answer: check the region")


def failing_at(number: int, call: Callable[..., object], error: BaseException) -> Any:  # noqa: ANN401 - a method
    """Return a method that does as `call` does, but fails when it is called so often."""
    calls = count(1)

    def fail(*arguments: object) -> object:
        if next(calls) == number:
            raise error
        return call(*arguments)

    return fail


def test_a_file_that_fails_leaves_the_others(afterword: Afterword, manual: Path) -> None:
    """A file that cannot be read is told with the reason, the others are added; exit code 1."""
    (manual / "broken.pdf").write_bytes(b"%PDF-1.7 broken")
    (manual / "blank.md").write_text("\n\n")
    deep = manual / ("d" * 200) / ("e" * 100)
    deep.parent.mkdir()
    deep.write_text("A text.")
    result = afterword(*ADD, manual)
    *failed, summary = result.stderr.splitlines()
    assert (result.exit_code, summary) == (1, "5 added, 0 updated, 0 unchanged, 3 failed.")
    assert failed[0].startswith(f"afterword: {manual}/blank.md: The document has no text in it")
    assert failed[1].startswith(f"afterword: {manual}/broken.pdf: The document is damaged")
    assert failed[2].startswith(f"afterword: {deep}: external_id: ")
    assert by_external_id().keys() == FILES.keys()


def test_what_no_flow_can_answer_from_is_skipped(afterword: Afterword, manual: Path) -> None:
    """In a folder, pictures, empty and hidden files and links are named with why, and counted."""
    (manual / "logo.gif").write_bytes(b"GIF89a")
    (manual / "__init__.py").touch()
    (manual / ".git").mkdir()
    (manual / "outside.md").symlink_to("/etc/hostname")
    result = afterword(*ADD, manual)
    assert (result.exit_code, result.stderr) == (
        0,
        (
            f"afterword: skipped {manual}/.git: its name begins with a dot.\n"
            f"afterword: skipped {manual}/outside.md: it is a link to a folder, out of the folder,"
            " or to nothing.\n"
            f"afterword: skipped {manual}/__init__.py: it is empty.\n"
            f"afterword: skipped {manual}/logo.gif: it is a GIF picture;"
            f" taken are: {media_types.NAMES}.\n"
            "5 added, 0 updated, 0 unchanged, 0 failed;"
            " skipped: 1 hidden, 1 linked, 2 of other types.\n"
        ),
    )
    assert by_external_id().keys() == FILES.keys()


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\x7fELF\x00\x01"])
def test_a_file_of_a_suffix_that_is_read_is_not_skipped(
    afterword: Afterword, manual: Path, content: bytes
) -> None:
    """A file called as one of a type that is read, and is none, is a failure; exit code 1."""
    paths = [manual / f"page{suffix.upper()}" for suffix in content_files.SUFFIXES]
    for path in paths:
        path.write_bytes(content)
    result = afterword(*ADD, manual, "--dry-run")
    assert result.exit_code == 1
    *failed, summary = result.stderr.splitlines()
    assert {line.split(": ")[1] for line in failed} == set(map(str, paths))
    assert summary.endswith(f"it would be: 5 added, 0 updated, 0 unchanged, {len(paths)} failed.")


def test_a_file_that_is_named_is_not_skipped(afterword: Afterword, manual: Path) -> None:
    """A file that is asked for by its name, and has no text, is a failure."""
    path = manual / "logo.gif"
    path.write_bytes(b"GIF89a")
    result = afterword(*ADD, path)
    assert (result.exit_code, result.stderr) == (
        1,
        (
            f"afterword: {path}: it is a GIF picture; taken are: {media_types.NAMES}.\n"
            "0 added, 0 updated, 0 unchanged, 1 failed.\n"
        ),
    )


def test_another_folder_keeps_what_it_has(
    afterword: Afterword, manual: Path, tmp_path: Path
) -> None:
    """A file does not replace the content of the same id in another folder, unless told to."""
    other = tmp_path / "Shop"
    other.mkdir()
    (other / "returns.md").write_text("# Shops\n\nNever.\n")
    afterword(*ADD, manual)
    before = by_external_id()["returns.md"]
    refused = afterword(*ADD, other)
    assert (refused.exit_code, refused.stderr) == (
        1,
        (
            f"afterword: {other}/returns.md: its external id is taken in the folder Manual:"
            " --move takes it over, --id-prefix gives it another.\n"
            "0 added, 0 updated, 0 unchanged, 1 failed.\n"
        ),
    )
    assert by_external_id()["returns.md"] == before
    assert afterword(*ADD, other, "--id-prefix", "shop/").exit_code == 0
    assert by_external_id()["shop/returns.md"].folder.name == "Shop"
    moved = afterword(*ADD, other, "--move")
    assert (moved.exit_code, moved.stderr) == (0, "0 added, 1 updated, 0 unchanged, 0 failed.\n")
    after = by_external_id()["returns.md"]
    assert (after.id, after.folder.name, after.name) == (before.id, "Shop", "Shops")


def test_two_files_of_one_id_are_told(afterword: Afterword, manual: Path) -> None:
    """Of two files with the same external id in one command the first is added; exit code 1."""
    (manual / "faq/returns.md").write_text("Another text.")
    result = afterword(*ADD, manual / "returns.md", manual / "faq/returns.md")
    assert (result.exit_code, result.stderr) == (
        1,
        (
            f"afterword: {manual}/faq/returns.md: its external id returns.md is that of"
            f" {manual}/returns.md too.\n"
            "1 added, 0 updated, 0 unchanged, 1 failed.\n"
        ),
    )


def test_a_dry_run_writes_nothing(afterword: Afterword, manual: Path) -> None:
    """`--dry-run` reads all, says what would be added and updated, and what would fail."""
    (manual / "broken.pdf").write_bytes(b"%PDF-1.7 broken")
    afterword(*ADD, manual / "prices.csv", manual / "returns.md", "--folder", "Manual")
    (manual / "returns.md").write_text("# Other\n\nText.")
    before = items()
    result = afterword(*ADD, manual, "--dry-run")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "added contract.pdf",
        "updated prices.csv",
        "updated returns.md",
        "added faq/letters.docx",
        "added faq/page.html",
    ]
    failed, summary = result.stderr.splitlines()
    assert failed.startswith(f"afterword: {manual}/broken.pdf: The document is damaged")
    assert summary == "Nothing was written, it would be: 3 added, 2 updated, 0 unchanged, 1 failed."
    assert items() == before


def test_what_became_of_each_file_comes_as_json(afterword: Afterword, manual: Path) -> None:
    """With --json, standard output has every file, its content's id, and why it failed."""
    (manual / "faq/letters.docx").unlink()
    (manual / "faq/page.html").unlink()
    (manual / "contract.pdf").write_bytes(b"%PDF-1.7 broken")
    (manual / "faq/logo.gif").write_bytes(b"GIF89a")
    afterword(*ADD, manual / "returns.md", "--folder", "Manual")
    result = afterword(*ADD, manual, "--json")
    added = by_external_id()
    assert result.exit_code == 1
    assert json.loads(result.stdout) == [
        {
            "path": f"{manual}/contract.pdf",
            "external_id": "contract.pdf",
            "outcome": "failed",
            "id": None,
            "message": "The document is damaged: open it, save it anew, and send that copy.",
        },
        {
            "path": f"{manual}/prices.csv",
            "external_id": "prices.csv",
            "outcome": "added",
            "id": added["prices.csv"].id,
            "message": None,
        },
        {
            "path": f"{manual}/returns.md",
            "external_id": "returns.md",
            "outcome": "updated",
            "id": added["returns.md"].id,
            "message": None,
        },
        {
            "path": f"{manual}/faq/logo.gif",
            "external_id": "faq/logo.gif",
            "outcome": "skipped",
            "id": None,
            "message": f"it is a GIF picture; taken are: {media_types.NAMES}.",
        },
    ]


def test_people_see_how_far_it_is(
    afterword: Afterword, manual: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal a bar counts the files, with what became of them and the one at hand."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    (manual / "a\x1b[31m.txt").write_text("A text.")
    result = afterword(*ADD, manual)
    assert result.stdout == ""
    assert "0/6" in result.stderr
    assert "6/6" in result.stderr
    assert "6 added, 0 updated, 0 unchanged, 0 failed  faq/page.html" in result.stderr
    assert "\x1b[31m.txt" not in result.stderr


def test_a_log_sees_how_far_it_is(
    afterword: Afterword, manual: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a terminal a line tells the counts now and then."""
    monkeypatch.setattr(contents, "_REPORT_SECONDS", 0.0)
    lines = afterword(*ADD, manual).stderr.splitlines()
    assert lines == [
        *(
            f"{done} of 5 files ({done} added, 0 updated, 0 unchanged, 0 failed)"
            for done in range(1, 6)
        ),
        "5 added, 0 updated, 0 unchanged, 0 failed.",
    ]


def test_writes_overlap_and_their_transactions_do_not(
    afterword: Afterword, store: ContentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to WRITERS contents are written at once, and their transactions take turns."""
    folder = tmp_path / "Many"
    folder.mkdir()
    for number in range(3 * contents.WRITERS):
        (folder / f"{number}.md").write_text(f"Page {number}.")
    writes, transactions = Together(), Together()
    put, transact = ContentStore.put, Table.transact
    monkeypatch.setattr(
        ContentStore, "put", lambda *given: writes.during(lambda: put(*given), seconds=0.05)
    )
    monkeypatch.setattr(
        Table, "transact", lambda *given: transactions.during(lambda: transact(*given))
    )
    result = afterword(*ADD, folder)
    assert result.stderr == "24 added, 0 updated, 0 unchanged, 0 failed.\n"
    assert (writes.most, transactions.most) == (contents.WRITERS, 1)
    assert len(by_external_id()) == 3 * contents.WRITERS
    (counted,) = store.list_folders("demo")
    assert counted.contents == 3 * contents.WRITERS


class Together:
    """The most calls that were under way at once."""

    def __init__(self) -> None:
        self.most = self._now = 0
        self._lock = threading.Lock()

    def during[Answer](self, call: Callable[[], Answer], seconds: float = 0.0) -> Answer:
        """Call, after so many seconds, and count the call meanwhile."""
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(seconds)
        try:
            return call()
        finally:
            with self._lock:
                self._now -= 1


# --- pruning --------------------------------------------------------------------------------------


def test_what_is_gone_from_the_folder_is_removed(afterword: Afterword, manual: Path) -> None:
    """`--prune` removes the contents of files that are gone, and nothing else."""
    afterword(*ADD, manual)
    (manual / "returns.md").unlink()
    (manual / "faq/page.html").unlink()
    kept = afterword(*ADD, manual)
    assert kept.stderr == "0 added, 0 updated, 3 unchanged, 0 failed.\n"
    result = afterword(*ADD, manual, "--prune", "--yes")
    assert (result.exit_code, result.stderr) == (
        0,
        "0 added, 0 updated, 3 unchanged, 0 failed, 2 removed.\n",
    )
    assert by_external_id().keys() == FILES.keys() - {"returns.md", "faq/page.html"}
    again = afterword(*ADD, manual, "--prune")
    assert again.stderr == "0 added, 0 updated, 3 unchanged, 0 failed, 0 removed.\n"


def test_a_removal_is_asked_for(afterword: Afterword, manual: Path) -> None:
    """Before it writes anything, `--prune` names what is gone and asks; no leaves all as it is."""
    afterword(*ADD, manual)
    (manual / "returns.md").unlink()
    (manual / "new.md").write_text("# New\n\nA text.")
    before = items()
    refused = afterword(*ADD, manual, "--prune", typed="n\n")
    assert refused.exit_code == 1
    assert f"gone: {manual}/returns.md\n" in refused.stderr
    assert "Remove their contents of tenant demo (1)?" in refused.stderr
    assert items() == before
    agreed = afterword(*ADD, manual, "--prune", typed="y\n")
    assert agreed.exit_code == 0
    assert by_external_id().keys() == (FILES.keys() | {"new.md"}) - {"returns.md"}


def test_a_dry_run_says_what_would_be_removed(afterword: Afterword, manual: Path) -> None:
    """`--prune --dry-run` asks nothing, removes nothing, and prints what would be removed."""
    afterword(*ADD, manual)
    (manual / "returns.md").unlink()
    before = items()
    result = afterword(*ADD, manual, "--prune", "--dry-run")
    assert (result.exit_code, result.stdout) == (0, "removed returns.md\n")
    assert result.stderr == (
        "Nothing was written, it would be: 0 added, 0 updated, 4 unchanged, 0 failed, 1 removed.\n"
    )
    assert items() == before


def test_what_came_from_elsewhere_is_not_pruned(
    afterword: Afterword, manual: Path, store: ContentStore, tmp_path: Path
) -> None:
    """Contents of the API, of other folders, of other prefixes and of single files stay."""
    other = tmp_path / "Shop"
    other.mkdir()
    (other / "shop.md").write_text("A shop.")
    single = tmp_path / "single.md"
    single.write_text("A single file.")
    store.put("demo", Draft(name="API", text="A text.", folder="Manual", external_id="api.md"))
    store.create("demo", Draft(name="Without an id", text="A text.", folder="Manual"))
    afterword(*ADD, other, "--folder", "Manual")
    afterword(*ADD, single, "--folder", "Manual")
    afterword(*ADD, manual, "--id-prefix", "v1/")
    afterword(*ADD, manual)
    (manual / "returns.md").unlink()
    before = {
        content.id for content in services().contents.list_contents("demo", None, 100, None).items
    }
    result = afterword(*ADD, manual, "--prune", "--yes", "--id-prefix", "v1/")
    assert result.exit_code == 0
    after = {
        content.id for content in services().contents.list_contents("demo", None, 100, None).items
    }
    assert len(before - after) == 1
    assert by_external_id().keys() >= {"api.md", "shop.md", "single.md", "returns.md"}
    assert "v1/returns.md" not in by_external_id()


def test_a_file_that_fails_keeps_its_content(afterword: Afterword, manual: Path) -> None:
    """A file that is there and cannot be read any more keeps the content that it had."""
    afterword(*ADD, manual)
    (manual / "returns.md").write_bytes(b"\x7fELF\x00\x01")
    (manual / "prices.csv").unlink()
    (manual / "prices.csv").symlink_to("/etc/hostname")
    result = afterword(*ADD, manual, "--prune", "--yes")
    assert result.exit_code == 1
    assert (
        "0 added, 0 updated, 3 unchanged, 1 failed, 0 removed; skipped: 1 linked." in result.stderr
    )
    assert by_external_id().keys() == FILES.keys()


def test_contents_of_another_prefix_are_not_pruned(afterword: Afterword, manual: Path) -> None:
    """Contents that were added with a prefix stay where the folder is pruned without one."""
    afterword(*ADD, manual, "--id-prefix", "v1-")
    afterword(*ADD, manual)
    (manual / "returns.md").unlink()
    result = afterword(*ADD, manual, "--prune", "--yes")
    assert result.stderr == "0 added, 0 updated, 4 unchanged, 0 failed, 1 removed.\n"
    both = FILES.keys() | {f"v1-{name}" for name in FILES}
    assert by_external_id().keys() == both - {"returns.md"}


def test_a_renamed_folder_leaves_no_contents_to_another_one(
    afterword: Afterword, manual: Path
) -> None:
    """A file that has not changed is of the folder that gave it last, and of none before."""
    afterword(*ADD, manual, "--folder", "Help")
    renamed = manual.rename(manual.parent / "Handbook")
    result = afterword(*ADD, renamed, "--folder", "Help")
    assert result.stderr == "0 added, 5 updated, 0 unchanged, 0 failed.\n"
    again = afterword(*ADD, renamed, "--folder", "Help")
    assert again.stderr == "0 added, 0 updated, 5 unchanged, 0 failed.\n"
    manual.mkdir()
    (manual / "other.md").write_text("# Another manual")
    other = afterword(*ADD, manual, "--folder", "Help", "--prune", "--yes")
    assert other.stderr == "1 added, 0 updated, 0 unchanged, 0 failed, 0 removed.\n"


def test_an_empty_folder_beside_one_of_its_name_prunes_nothing(
    afterword: Afterword, manual: Path, tmp_path: Path
) -> None:
    """Of two folders of one name, neither is spared the doubt by the files of the other."""
    other = tmp_path / "other" / "Manual"
    other.mkdir(parents=True)
    (other / "other.md").write_text("# Other")
    afterword(*ADD, manual, other)
    shutil.rmtree(manual)
    manual.mkdir()
    before = by_external_id().keys()
    result = afterword(*ADD, manual, other, "--prune", "--yes")
    assert result.exit_code == 1
    assert f"nothing was removed, since no file of {manual} was taken" in result.stderr
    assert by_external_id().keys() == before


def test_a_folder_that_is_given_twice_is_pruned(afterword: Afterword, manual: Path) -> None:
    """A folder by two of its paths is one, whose files are there."""
    afterword(*ADD, manual)
    (manual / "returns.md").unlink()
    result = afterword(*ADD, manual, manual / "faq" / "..", "--prune", "--yes")
    assert result.stderr == "0 added, 0 updated, 4 unchanged, 0 failed, 1 removed.\n"


def test_an_empty_folder_prunes_nothing(afterword: Afterword, manual: Path) -> None:
    """A folder of which no file was taken may be a disk that is away: exit code 1."""
    afterword(*ADD, manual)
    shutil.rmtree(manual)
    manual.mkdir()
    (manual / "lost+found").mkdir()
    before = items()
    result = afterword(*ADD, manual, "--prune", "--yes")
    assert (result.exit_code, result.stderr) == (
        1,
        (
            f"afterword: --prune: nothing was removed, since no file of {manual} was taken:"
            " `afterword content remove --folder` removes a whole folder.\n"
            "0 added, 0 updated, 0 unchanged, 1 failed, 0 removed.\n"
        ),
    )
    assert items() == before


@pytest.mark.parametrize("name", ["scandir", "read_bytes"])
def test_a_read_that_fails_prunes_nothing(
    afterword: Afterword, manual: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Where a folder, or a file's bytes, cannot be read, nothing is removed; exit code 1."""
    afterword(*ADD, manual)
    (manual / "returns.md").unlink()
    owner: Any = os if name == "scandir" else Path
    look = getattr(owner, name)

    def refuse(path: object, *more: object) -> object:
        if str(path).endswith(("faq", "page.html")):
            raise OSError(5, "Input/output error", str(path))
        return look(path, *more)

    monkeypatch.setattr(owner, name, refuse)
    result = afterword(*ADD, manual, "--prune", "--yes")
    assert result.exit_code == 1
    assert (
        "afterword: --prune: nothing was removed, since some files could not be read."
        in result.stderr.splitlines()
    )
    assert by_external_id().keys() == FILES.keys()


def test_pruning_needs_a_folder(afterword: Afterword, manual: Path) -> None:
    """With files alone there is nothing to compare with: exit code 2."""
    result = afterword(*ADD, manual / "returns.md", "--prune")
    assert "for --prune: give a folder, which it compares with" in usage_error(result)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none.md",), "ath 'none.md' does not exist."),
        ((".", "--source-base", "example.com"), "for --source-base: 'example.com' is no http"),
        ((".", "--source-base", "http://["), "for --source-base: 'http://[' is no http address"),
    ],
)
def test_wrong_options_of_add_are_usage_errors(
    afterword: Afterword, store: ContentStore, arguments: tuple[str, ...], message: str
) -> None:
    """A path that is not there, or an address that is none, ends with exit code 2."""
    assert message in usage_error(afterword(*ADD, *arguments))
    assert store.list_folders("demo") == []


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (("--folder", "x" * 201), "folder"),
        (("--tag", " "), "tags"),
        (tuple(part for number in range(21) for part in ("--tag", f"t{number}")), "tags"),
    ],
)
def test_what_no_folder_or_tag_can_be_called_is_one_line(
    afterword: Afterword, manual: Path, options: tuple[str, ...], field: str
) -> None:
    """A name that no folder or tag can have is told once, by its field, and not for each file."""
    result = afterword(*ADD, manual, *options)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert result.stderr.startswith(f"afterword: {field}: ")
    assert items() == []


@pytest.fixture
def three(store: ContentStore, set_clock: SetClock) -> list[Content]:
    """Add three contents to two folders, an hour after another."""
    added = []
    for name, folder, tags in (
        ("Returns", "Help", ("FAQ", "Shop")),
        ("Lamps", "Catalogue", ()),
        ("Parcels", "Help", ()),
    ):
        draft = Draft(
            name=name,
            text=f"{name}: a text.",
            folder=folder,
            tags=tags,
            external_id=f"{name.lower()}.md",
        )
        content, outcome = store.put("demo", draft)
        assert outcome is ContentChange.ADDED
        added.append(content)
        set_clock.advance(hours=1)
    return added


def test_contents_are_listed_by_folder(afterword: Afterword, three: list[Content]) -> None:
    """`content list` shows the contents by folder and name, and then the folders."""
    returns, lamps, parcels = three
    result = afterword(*LIST)
    assert (result.exit_code, result.stderr) == (0, "")
    blank = " " * 36
    assert result.stdout.splitlines() == [
        f"ID{blank}NAME     EXTERNAL ID  FOLDER     TAGS       PASSAGES  UPDATED (UTC)",
        f"{lamps.id}  Lamps    lamps.md     Catalogue             1         2026-11-10 10:00",
        f"{parcels.id}  Parcels  parcels.md   Help                  1         2026-11-10 11:00",
        f"{returns.id}  Returns  returns.md   Help       FAQ, Shop  1         2026-11-10 09:00",
        "",
        f"FOLDER ID{blank[7:]}FOLDER     CONTENTS",
        f"{lamps.folder.id}  Catalogue  1",
        f"{returns.folder.id}  Help       2",
    ]


def test_a_folder_is_listed_alone(afterword: Afterword, three: list[Content]) -> None:
    """`content list --folder` shows one folder, by its name in any case or by its id."""
    for name in ("catalogue", three[1].folder.id):
        lines = afterword(*LIST, "--folder", name).stdout.splitlines()
        assert [line.split()[0] for line in lines if line] == [
            "ID",
            three[1].id,
            "FOLDER",
            three[1].folder.id,
        ]
    unknown = afterword(*LIST, "--folder", "Shop")
    assert (unknown.exit_code, unknown.stdout, unknown.stderr) == (
        1,
        "",
        "afterword: There is no folder Shop.\n",
    )


def test_contents_are_listed_as_json(afterword: Afterword, three: list[Content]) -> None:
    """With --json, the list has all that is known of a content but its text."""
    returns = three[0]
    listed = json.loads(afterword(*LIST, "--folder", "Help", "--json").stdout)
    assert listed["folders"] == [{"id": folder_id("demo", "Help"), "name": "Help", "contents": 2}]
    assert [content["name"] for content in listed["contents"]] == ["Parcels", "Returns"]
    assert listed["contents"][1] == {
        "id": returns.id,
        "name": "Returns",
        "external_id": "returns.md",
        "folder": {"id": returns.folder.id, "name": "Help"},
        "tags": [{"id": tag.id, "name": tag.name} for tag in returns.tags],
        "source": None,
        "characters": 16,
        "passages": 1,
        "embedded": None,
        "created_at": "2026-11-10T09:00:00+00:00",
        "updated_at": "2026-11-10T09:00:00+00:00",
    }


def test_all_pages_are_listed(
    afterword: Afterword, three: list[Content], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many contents there are, all are listed."""
    monkeypatch.setattr(contents, "PAGE", 1)
    listed = json.loads(afterword(*LIST, "--json").stdout)["contents"]
    assert {content["id"] for content in listed} == {content.id for content in three}


def test_contents_are_removed_one_by_one(afterword: Afterword, three: list[Content]) -> None:
    """`content remove` takes ids and external ids; an absent content is told, exit code 1."""
    result = afterword(*REMOVE, three[0].id, "none.md", "parcels.md")
    assert (result.exit_code, result.stdout, result.stderr) == (
        1,
        "",
        "afterword: none.md: There is no such content.\nRemoved 2 of 3.\n",
    )
    assert by_external_id().keys() == {"lamps.md"}
    rest = afterword(*REMOVE, "lamps.md")
    assert (rest.exit_code, rest.stderr) == (0, "Removed 1 of 1.\n")


def test_a_folder_is_removed_when_its_owner_says_so(
    afterword: Afterword,
    three: list[Content],  # noqa: ARG001 - asked for its effect
) -> None:
    """`content remove --folder` asks first; only a yes removes, and only that folder's."""
    question = "Remove all contents of folder Help of tenant demo (2)? [y/N]:"
    for typed in ("n\n", "\n", ""):
        refused = afterword(*REMOVE, "--folder", "help", typed=typed)
        assert refused.exit_code == 1
        assert refused.stderr.startswith(question)
        assert len(by_external_id()) == 3
    agreed = afterword(*REMOVE, "--folder", "help", typed="y\n")
    assert agreed.exit_code == 0
    assert agreed.stderr.endswith("Removed 2 of 2.\n")
    assert by_external_id().keys() == {"lamps.md"}


@pytest.mark.usefixtures("three")
def test_a_folder_is_removed_unasked(afterword: Afterword) -> None:
    """With --yes nothing is asked; an empty folder is fine, an unknown one is not."""
    result = afterword(*REMOVE, "--folder", "Help", "--yes")
    assert (result.exit_code, result.stderr) == (0, "Removed 2 of 2.\n")
    again = afterword(*REMOVE, "--folder", "Help")
    assert (again.exit_code, again.stderr) == (0, "Removed 0 of 0.\n")
    unknown = afterword(*REMOVE, "--folder", "Shop", "--yes")
    assert (unknown.exit_code, unknown.stderr) == (1, "afterword: There is no folder Shop.\n")
    assert by_external_id().keys() == {"lamps.md"}


@pytest.mark.usefixtures("three")
def test_an_interrupted_removal_says_how_far_it_came(
    afterword: Afterword, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C ends with 130; the same command removes the others."""
    command = (*REMOVE, "--folder", "Help", "--yes")
    with monkeypatch.context() as patch:
        remove = failing_at(2, ContentStore.remove, KeyboardInterrupt())
        patch.setattr(ContentStore, "remove", remove)
        stopped = afterword(*command)
    assert (stopped.exit_code, stopped.stderr) == (130, "Stopped: 1 of 2 are removed.\n")
    assert afterword(*command).stderr == "Removed 1 of 1.\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Invalid value for REFERENCE: give at least one, or --folder"),
        (("a.md", "--folder", "Help"), "Invalid value for --folder: takes all: give no REFERENCE"),
    ],
)
@pytest.mark.usefixtures("three")
def test_a_folder_or_some_must_be_said(
    afterword: Afterword, arguments: tuple[str, ...], message: str
) -> None:
    """Without a reference, or with one and a folder, it is a usage error; nothing is removed."""
    assert message in usage_error(afterword(*REMOVE, *arguments))
    assert len(by_external_id()) == 3


@pytest.mark.parametrize("arguments", [("add", "/dev/null"), ("list",), ("remove", "x")])
def test_contents_need_a_tenant(afterword: Afterword, arguments: tuple[str, ...]) -> None:
    """Without such a tenant no file is read and nothing is changed."""
    verb, *rest = arguments
    result = afterword("content", verb, "nobody", *rest)
    assert (result.exit_code, result.stdout, result.stderr) == (
        1,
        "",
        "afterword: There is no tenant nobody.\n",
    )


def test_tenants_do_not_see_each_other(
    afterword: Afterword, registry: Registry, three: list[Content], manual: Path
) -> None:
    """Contents are added to, listed for and removed from one tenant alone."""
    registry.create_tenant("other", "Other")
    (manual / "lamps.md").write_text("# Other lamps\n\nA text.")
    assert afterword("content", "add", "other", manual / "lamps.md").exit_code == 0
    assert by_external_id()["lamps.md"] == three[1]
    assert by_external_id("other")["lamps.md"].name == "Other lamps"
    assert afterword("content", "remove", "other", three[0].id).exit_code == 1
    assert afterword("content", "remove", "other", "lamps.md").exit_code == 0
    assert by_external_id()["lamps.md"] == three[1]


# --- embedding ----------------------------------------------------------------------------------

EMBED = ("content", "embed", "demo")


@pytest.fixture
def embedding(stack: None, cloudformation: CloudFormation) -> None:  # noqa: ARG001 - its effect
    """Let the stack have an embedding model."""
    cloudformation.parameters |= {
        "EmbeddingProvider": "bedrock",
        "EmbeddingModel": "amazon.titan-embed-text-v2:0",
    }
    outputs = dict(cloudformation.outputs["afterword"])
    cloudformation.outputs["afterword"] = outputs | {"EmbedQueueUrl": REFERENCES["EmbedQueue"]}


def test_contents_without_vectors_are_sent_to_the_embedder(
    embedding: None,  # noqa: ARG001 - asked for its effect
    afterword: Afterword,
    three: list[Content],
) -> None:
    """`content embed` sends what has no vectors of the stack's model, of all or of one folder."""
    result = afterword(*EMBED, "--folder", "Help")
    said = "to be embedded by amazon.titan-embed-text-v2:0/512.\n"
    assert (result.exit_code, result.stderr) == (0, f"Sent 2 {said}")
    assert count_messages(EMBED_QUEUE_NAME) == 2
    vectors = services().vectors
    for content, model, missing in zip(
        three, ("amazon.titan-embed-text-v2:0/512",) * 2 + ("older",), (0, 1, 0), strict=True
    ):
        assert vectors.save(content, Vectors(model, 8, b""), missing)
    assert afterword(*EMBED).stderr == f"Sent 1 {said}"
    assert afterword(*EMBED, "--again").stderr == f"Sent 2 {said}"
    listed = json.loads(afterword(*LIST, "--json").stdout)["contents"]
    assert {each["embedded"]["model"] for each in listed} == {
        "amazon.titan-embed-text-v2:0/512",
        "older",
    }
    clients().sqs.purge_queue(QueueUrl=REFERENCES["EmbedQueue"])
    assert afterword(*EMBED, "--all").stderr == f"Sent 3 {said}"
    queue = REFERENCES["EmbedQueue"]
    messages = clients().sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    bodies = [json.loads(message["Body"]) for message in messages]
    assert {body["id"] for body in bodies} == {content.id for content in three}
    assert [body["again"] for body in bodies] == [True] * 3


@pytest.mark.usefixtures("embedding", "three")
def test_added_contents_are_announced(afterword: Afterword, tmp_path: Path) -> None:
    """`content add` tells the embedder of each content that it adds, and of no unchanged one."""
    (tmp_path / "a.md").write_text("# A\n\nOne.")
    assert afterword("content", "add", "demo", str(tmp_path)).exit_code == 0
    assert count_messages(EMBED_QUEUE_NAME) == 1


@pytest.mark.usefixtures("three")
def test_a_stack_without_a_model_embeds_nothing(afterword: Afterword) -> None:
    """`content embed` names the parameter that is missing."""
    result = afterword(*EMBED)
    assert result.exit_code == 1
    assert "EmbeddingProvider" in result.stderr

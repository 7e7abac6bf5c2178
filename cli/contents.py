"""`afterword content`."""

import time
from collections import Counter, deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.progress import TextColumn
from rich.table import Column

from afterword.errors import AfterwordError, NotFoundError, UnprocessableError
from afterword.knowledge import Draft, check_draft, folder_id, tag_id
from afterword_documents.extraction import MAX_PARALLEL
from cli import content_files, stack
from cli.arguments import AsJson, TenantId
from cli.content_files import (
    GENERAL,
    SKIPPED_BECAUSE,
    File,
    FileError,
    FoundFiles,
    OtherTypeError,
    Skipped,
    UnreadableFileError,
)
from cli.terminal import minute, plain, plain_log, progress, result, result_json, result_table, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from afterword.knowledge import Content, Folder
    from afterword.knowledge.store import ContentStore

app = typer.Typer(no_args_is_help=True, help="Contents: the documents that flows answer from.")

PAGE = 100
WRITERS = 8
"""Contents that are written at once: more only wait for the tenant's one count of contents."""
_INTERRUPTED = 130
_AHEAD = 2 * (MAX_PARALLEL + WRITERS)
"""Files that are under way at once, whose texts are in memory."""
_REPORT_SECONDS = 5.0
_SHOWN = 20
"""Contents that are named before they are removed."""


class Outcome(StrEnum):
    """The outcome of a file."""

    ADDED = "added"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    REMOVED = "removed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The outcome of a file, with the content's id if there is one, and why it was not taken.

    `unreadable` says that the system did not give the file's bytes.
    """

    path: str
    external_id: str | None
    outcome: Outcome
    content: str | None = None
    message: str | None = None
    skipped: Skipped | None = None
    unreadable: bool = False


@app.command()
def add(  # noqa: PLR0913, PLR0917 - a command's options are its parameters
    context: typer.Context,
    tenant: TenantId,
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH", exists=True, help="Files, and folders with all in them."),
    ],
    folder: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The folder they go to. Default: the name of the folder that is given, or General"
            " for files.",
        ),
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A tag for all of them; repeatable.")
    ] = None,
    source_base: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Where they are to be read: their paths come below it."),
    ] = None,
    id_prefix: Annotated[
        str, typer.Option(metavar="TEXT", help="What their external ids begin with.")
    ] = "",
    *,
    move: Annotated[
        bool, typer.Option("--move", help="Take over the same external ids from other folders.")
    ] = False,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune", help="Remove contents that were added from the folder and are gone from it."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before --prune removes.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read all, say what would change, write nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Add files as contents, and update those that have changed; exit code 1 if some failed.

    A file is known again by its external id, its path in the folder that is given. Unchanged files
    are left alone, so that a command that was interrupted goes on when run again.
    """
    if source_base is not None and not _is_address(source_base):
        raise typer.BadParameter(f"{source_base!r} is no http address", param_hint="--source-base")
    tags = tuple(tag or ())
    _check_labels(folder, tags)
    services = stack.of(context)
    services.registry.get_tenant(tenant)
    found = content_files.find(paths, folder, id_prefix)
    if prune and not found.roots:
        raise typer.BadParameter("give a folder, which it compares with", param_hint="--prune")
    adding = _Adding(
        services.contents, tenant, tags, source_base, id_prefix, move=move, dry=dry_run
    )
    adding.look_up(found)
    gone = adding.find_gone(found) if prune else []
    if gone and not (yes or dry_run):
        _confirm(gone, tenant)
    report = _Report(len(found.files), prunes=prune, show=dry_run and not as_json)
    try:
        with plain_log(), report.watched():
            report.note_left_out(found)
            _each(found.files, adding.prepare, adding.write, report.note)
            if prune:
                _prune(adding, found, gone, report)
    finally:
        if as_json:
            result_json([_end_facts(end) for end in report.ends])
    say(report.summary(dry=dry_run))
    if report.has_failed:
        raise typer.Exit(1)


@app.command("list")
def list_contents(
    context: typer.Context,
    tenant: TenantId,
    folder: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this folder, by name or id.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List a tenant's contents by folder and name, and its folders with how many each has."""
    services = stack.of(context)
    services.registry.get_tenant(tenant)
    folders = services.contents.list_folders(tenant)
    if folder is not None:
        folders = [_folder(folders, tenant, folder)]
    each = sorted(
        _contents(services.contents, tenant, None if folder is None else folders[0].id),
        key=lambda content: (content.folder.name.casefold(), content.name.casefold(), content.id),
    )
    if as_json:
        result_json(
            {
                "folders": [_folder_facts(folder) for folder in folders],
                "contents": [_facts(content) for content in each],
            }
        )
        return
    result_table(
        ("ID", "NAME", "EXTERNAL ID", "FOLDER", "TAGS", "PASSAGES", "UPDATED (UTC)"),
        [
            (
                content.id,
                content.name,
                content.external_id or "",
                content.folder.name,
                ", ".join(tag.name for tag in content.tags),
                str(content.passages),
                minute(content.updated_at),
            )
            for content in each
        ],
    )
    result("")
    result_table(
        ("FOLDER ID", "FOLDER", "CONTENTS"),
        [(folder.id, folder.name, str(folder.contents)) for folder in folders],
    )


@app.command()
def remove(
    context: typer.Context,
    tenant: TenantId,
    references: Annotated[
        list[str] | None,
        typer.Argument(metavar="REFERENCE", help="Contents, by id or external id."),
    ] = None,
    folder: Annotated[
        str | None, typer.Option(metavar="NAME", help="All of this folder, by name or id.")
    ] = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a folder.")] = False,
) -> None:
    """Remove contents, or all those of a folder; exit code 1 if some are not there."""
    if folder is not None and references:
        raise typer.BadParameter("takes all: give no REFERENCE beside it", param_hint="--folder")
    if folder is None and not references:
        raise typer.BadParameter("give at least one, or --folder", param_hint="REFERENCE")
    services = stack.of(context)
    services.registry.get_tenant(tenant)
    if folder is None:
        _remove_each(services.contents, tenant, references or [])
        return
    chosen = _folder(services.contents.list_folders(tenant), tenant, folder)
    ids = [content.id for content in _contents(services.contents, tenant, chosen.id)]
    if ids and not yes:
        question = f"Remove all contents of folder {chosen.name} of tenant {tenant} ({len(ids)})?"
        typer.confirm(plain(question), abort=True, err=True)
    _remove_each(services.contents, tenant, ids)


@app.command()
def embed(
    context: typer.Context,
    tenant: TenantId,
    folder: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this folder, by name or id.")
    ] = None,
    *,
    again: Annotated[
        bool,
        typer.Option("--again", help="Also those with a piece that has no vector."),
    ] = False,
    everything: Annotated[
        bool,
        typer.Option("--all", help="All, for a new vector index; the model makes no vector twice."),
    ] = False,
) -> None:
    """Send contents to the embedder that have no vectors of the deployment's model."""
    services = stack.of(context)
    services.registry.get_tenant(tenant)
    queue = services.embed_queue
    if queue is None or services.settings.embedding_provider is None:
        raise UnprocessableError(
            "stack",
            "must have an embedding model: set its parameter EmbeddingProvider.",
        )
    model = services.embedding_model.name
    chosen = None
    if folder is not None:
        chosen = _folder(services.contents.list_folders(tenant), tenant, folder).id
    sent = 0
    with _stopping(lambda: f"Stopped: {sent} are sent. The same command sends them all again."):
        for content in _contents(services.contents, tenant, chosen):
            state = content.embedded
            missing = state is None or state.model != model or (again and state.missing > 0)
            if missing or everything:
                body = {"tenant": tenant, "id": content.id, "again": everything}
                queue.send_later(tenant, body, 0)
                sent += 1
    say(f"Sent {sent} to be embedded by {model}.")


# --- adding ---------------------------------------------------------------------------------------


class _Adding:
    """Makes contents of files: `prepare` reads a file, `write` writes its content."""

    def __init__(  # noqa: PLR0913 - what a content is made of
        self,
        contents: "ContentStore",
        tenant: str,
        tags: tuple[str, ...],
        source_base: str | None,
        id_prefix: str,
        *,
        move: bool,
        dry: bool,
    ) -> None:
        self._contents = contents
        self._tenant = tenant
        self._tags = tags
        self._source_base = source_base
        self._id_prefix = id_prefix
        self._move = move
        self._dry = dry
        self._known: Mapping[str, Content] = {}

    def look_up(self, found: FoundFiles) -> None:
        """Read what there is in the folders that whole folders go to: one query for many files."""
        ids = {folder_id(self._tenant, root.folder) for root in found.roots}
        self._known = {
            content.external_id: content
            for folder in ids & {folder.id for folder in self._contents.list_folders(self._tenant)}
            for content in _contents(self._contents, self._tenant, folder)
            if content.external_id is not None
        }

    def find_gone(self, found: FoundFiles) -> list[End]:
        """Return the contents that were added from the given folders, and are gone from them.

        A content that was added by other means, from a folder of another name, or with another
        prefix, is not one.
        """
        gone = []
        for external_id, content in sorted(self._known.items()):
            if found.has(external_id):
                continue
            place = external_id.removeprefix(self._id_prefix)
            root = next(
                (
                    root
                    for root in found.roots
                    if content.folder.id == folder_id(self._tenant, root.folder)
                    and content_files.is_from(content.fingerprint, root)
                ),
                None,
            )
            if root is not None:
                end = End(
                    path=content_files.show_path(root.path / place),
                    external_id=external_id,
                    outcome=Outcome.REMOVED,
                    content=content.id,
                )
                gone.append(end)
        return gone

    def prepare(self, file: File) -> End | Draft:
        """Return the content to write for a file, or its outcome if there is none to write.

        An unchanged file is not extracted.
        """
        try:
            content = content_files.read(file)
            fingerprint = content_files.fingerprint(content)
            known = self._find(file)
            if known is not None and self._is_same(known, file, fingerprint):
                return _end(file, Outcome.UNCHANGED, known.id)
            before = None if known is None else known.fingerprint
            fingerprint = content_files.mark(fingerprint, file, before)
            draft = self._draft(file, fingerprint, *content_files.extract(file, content))
        except OtherTypeError as error:
            if file.root is None or content_files.is_expected(file.path):
                return _failed(file, error)
            return _end(file, Outcome.SKIPPED, message=str(error), skipped=Skipped.OTHER)
        except AfterwordError as error:
            return _failed(file, error)
        if self._dry:
            outcome = Outcome.ADDED if known is None else Outcome.UPDATED
            return _end(file, outcome, None if known is None else known.id)
        return draft

    def write(self, file: File, draft: Draft) -> End:
        """Write a content and return what became of the file."""
        try:
            content, outcome = self._contents.put(self._tenant, draft)
        except AfterwordError as error:
            return _failed(file, error)
        return _end(file, Outcome(outcome.name.lower()), content.id)

    def remove(self, gone: End) -> End:
        """Remove a content that is gone from its folder, and return what became of it."""
        if self._dry or gone.content is None:
            return gone
        try:
            self._contents.remove(self._tenant, gone.content)
        except NotFoundError:
            return gone  # by another request, meanwhile
        except AfterwordError as error:
            return replace(gone, outcome=Outcome.FAILED, message=str(error))
        return gone

    def _find(self, file: File) -> "Content | None":
        """Return the content that a file is already; raise FileError if it is in another folder."""
        known = self._known.get(file.external_id)
        if known is None:
            known = self._contents.find(self._tenant, file.external_id)
        here = folder_id(self._tenant, file.folder)
        if known is not None and known.folder.id != here and not self._move:
            raise FileError(
                f"its external id is taken in the folder {known.folder.name}: --move takes it over,"
                " --id-prefix gives it another."
            )
        return known

    def _is_same(self, known: "Content", file: File, fingerprint: str) -> bool:
        tags = {tag_id(self._tenant, tag) for tag in self._tags}
        return (
            known.fingerprint == content_files.mark(fingerprint, file, known.fingerprint)
            and known.folder.id == folder_id(self._tenant, file.folder)
            and {tag.id for tag in known.tags} == tags
            and known.source == self._source(file)
        )

    def _draft(self, file: File, fingerprint: str, name: str, text: str) -> Draft:
        """Return the content; raise UnprocessableError for what no content can be."""
        return check_draft(
            Draft(
                name=name,
                text=text,
                folder=file.folder,
                tags=self._tags,
                external_id=file.external_id,
                source=self._source(file),
                fingerprint=fingerprint,
            )
        )

    def _source(self, file: File) -> str | None:
        if self._source_base is None:
            return None
        return content_files.address(self._source_base, file, self._id_prefix)


class _Report:
    """The end of each file, and the progress: a bar on a terminal, else a line now and then."""

    def __init__(self, files: int, *, prunes: bool, show: bool) -> None:
        self.ends: list[End] = []
        self._files = files
        self._prunes = prunes
        self._show = show
        self._found = 0
        self._bar = progress(
            TextColumn(
                "{task.description}",
                markup=False,
                table_column=Column(no_wrap=True, overflow="ellipsis"),
            )
        )
        self._task = self._bar.add_task("", total=files)
        self._said_at = time.monotonic()

    @property
    def has_failed(self) -> bool:
        """Whether a file could not be taken, or a content not be removed."""
        return any(end.outcome is Outcome.FAILED for end in self.ends)

    @property
    def is_unreadable(self) -> bool:
        """Whether the system did not give some file's bytes."""
        return any(end.unreadable for end in self.ends)

    @contextmanager
    def watched(self) -> "Iterator[None]":
        """Show the bar; say how far it came when it is interrupted."""
        with _stopping(self._so_far), self._bar:
            yield

    def note_left_out(self, found: FoundFiles) -> None:
        """Note the files that are not read at all."""
        for path, message in found.failed:
            self._note(End(path=path, external_id=None, outcome=Outcome.FAILED, message=message))
        for path, why in found.skipped:
            self._note(
                End(
                    path=path,
                    external_id=None,
                    outcome=Outcome.SKIPPED,
                    message=SKIPPED_BECAUSE[why],
                    skipped=why,
                )
            )
        self._found = len(self.ends)

    def note(self, end: End) -> None:
        """Note what became of a file, and show how far it is."""
        self._note(end)
        if self._show and end.outcome in {Outcome.ADDED, Outcome.UPDATED, Outcome.REMOVED}:
            result(f"{end.outcome} {end.external_id}")
        self._bar.update(
            self._task, advance=1, description=plain(f"{self._counts()}  {end.external_id}")
        )
        if self._bar.disable and time.monotonic() >= self._said_at + _REPORT_SECONDS:
            self._said_at = time.monotonic()
            say(f"{len(self.ends) - self._found} of {self._files} files ({self._counts()})")

    def add_work(self, more: int) -> None:
        """Expect more than the files."""
        self._files += more
        self._bar.update(self._task, total=self._files)

    def refuse(self, why: str) -> None:
        """Note that nothing was removed, and why."""
        message = f"nothing was removed, since {why}"
        self._note(End(path="--prune", external_id=None, outcome=Outcome.FAILED, message=message))

    def summary(self, *, dry: bool) -> str:
        """Return the counts as one sentence."""
        skipped = Counter(end.skipped for end in self.ends)
        left_out = ", ".join(f"{skipped[why]} {why}" for why in Skipped if skipped[why])
        return (
            ("Nothing was written, it would be: " if dry else "")
            + self._counts()
            + (f"; skipped: {left_out}." if left_out else ".")
        )

    def _note(self, end: End) -> None:
        self.ends.append(end)
        if end.outcome is Outcome.FAILED:
            say(f"afterword: {end.path}: {end.message}")
        elif end.outcome is Outcome.SKIPPED:
            say(f"afterword: skipped {end.path}: {end.message}")

    def _counts(self) -> str:
        counts = Counter(end.outcome for end in self.ends)
        return ", ".join(
            f"{counts[outcome]} {outcome}"
            for outcome in Outcome
            if outcome is not Outcome.SKIPPED and (self._prunes or outcome is not Outcome.REMOVED)
        )

    def _so_far(self) -> str:
        return (
            f"Stopped after {len(self.ends) - self._found} of {self._files} files"
            f" ({self._counts()}): the same command goes on with the others."
        )


def _each[Job, Ready](
    jobs: "Iterable[Job]",
    prepare: "Callable[[Job], End | Ready]",
    write: "Callable[[Job, Ready], End]",
    note: "Callable[[End], None]",
) -> None:
    """Do jobs by threads, a few ahead of the one that is noted, and note their ends in order.

    Jobs that were done when another one stopped all are noted, too.
    """
    preparers = ThreadPoolExecutor(MAX_PARALLEL, thread_name_prefix="prepare")
    writers = ThreadPoolExecutor(WRITERS, thread_name_prefix="write")
    pending: deque[Future[Future[End]]] = deque()

    def start(job: Job) -> Future[End]:
        ready = prepare(job)
        if not isinstance(ready, End):
            return writers.submit(write, job, ready)
        done: Future[End] = Future()
        done.set_result(ready)
        return done

    try:
        for job in jobs:
            pending.append(preparers.submit(start, job))
            if len(pending) == _AHEAD:
                note(pending.popleft().result().result())
        while pending:
            note(pending.popleft().result().result())
    finally:
        preparers.shutdown(cancel_futures=True)
        writers.shutdown(cancel_futures=True)
        for end in _done(pending):
            note(end)


def _done(pending: "Iterable[Future[Future[End]]]") -> "Iterator[End]":
    """Return the ends of jobs that were done."""
    for started in pending:
        if not started.cancelled() and started.exception() is None:
            written = started.result()
            if not written.cancelled() and written.exception() is None:
                yield written.result()


def _end(  # noqa: PLR0913 - the fields of an end
    file: File,
    outcome: Outcome,
    content: str | None = None,
    message: str | None = None,
    skipped: Skipped | None = None,
    *,
    unreadable: bool = False,
) -> End:
    return End(
        path=content_files.show_path(file.path),
        external_id=file.external_id,
        outcome=outcome,
        content=content,
        message=message,
        skipped=skipped,
        unreadable=unreadable,
    )


def _failed(file: File, error: AfterwordError) -> End:
    unreadable = isinstance(error, UnreadableFileError)
    return _end(file, Outcome.FAILED, message=str(error), unreadable=unreadable)


def _end_facts(end: End) -> dict[str, object]:
    return {
        "path": end.path,
        "external_id": end.external_id,
        "outcome": end.outcome,
        "id": end.content,
        "message": end.message,
    }


# --- pruning --------------------------------------------------------------------------------------


def _confirm(gone: "Sequence[End]", tenant: str) -> None:
    """Name the contents that would be removed, and ask; end the command if the answer is no."""
    for end in gone[:_SHOWN]:
        say(f"gone: {end.path}")
    if len(gone) > _SHOWN:
        say(f"and {len(gone) - _SHOWN} more")
    question = f"Remove their contents of tenant {tenant} ({len(gone)})?"
    typer.confirm(plain(question), abort=True, err=True)


def _prune(adding: _Adding, found: FoundFiles, gone: "Sequence[End]", report: _Report) -> None:
    """Remove what is gone from the folders, if there is no doubt that it is gone.

    A folder that could not be read, or has nothing that was taken, may be a disk that is away.
    """
    if not found.is_whole or report.is_unreadable:
        report.refuse("some files could not be read.")
        return
    outcomes = {Outcome.ADDED, Outcome.UPDATED, Outcome.UNCHANGED}
    taken = {end.path for end in report.ends if end.outcome in outcomes}
    roots = {file.root for file in found.files if content_files.show_path(file.path) in taken}
    there = {root.path.resolve() for root in roots if root is not None}
    for root in found.roots:
        if root.path.resolve() not in there:
            report.refuse(
                f"no file of {content_files.show_path(root.path)} was taken:"
                " `afterword content remove --folder` removes a whole folder."
            )
            return
    report.add_work(len(gone))
    _each(gone, lambda end: (end,), lambda _, ready: adding.remove(*ready), report.note)


def _check_labels(folder: str | None, tags: tuple[str, ...]) -> None:
    """Raise UnprocessableError if a folder or a tag can have no such name."""
    check_draft(Draft(name="any", text="any", folder=folder or GENERAL, tags=tags))


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.netloc)


# --- removing -------------------------------------------------------------------------------------


def _remove_each(contents: "ContentStore", tenant: str, references: "Sequence[str]") -> None:
    """Remove contents one by one; exit with 1 if some are not there."""
    removed = 0
    with (
        plain_log(),
        _stopping(lambda: f"Stopped: {removed} of {len(references)} are removed."),
        progress() as bar,
    ):
        for reference in bar.track(references):
            try:
                contents.remove(tenant, contents.get(tenant, reference).id)
                removed += 1
            except NotFoundError as error:
                say(f"afterword: {reference}: {error}")
    say(f"Removed {removed} of {len(references)}.")
    if removed < len(references):
        raise typer.Exit(1)


# --- what several commands do ---------------------------------------------------------------------


@contextmanager
def _stopping(say_how_far: "Callable[[], str]") -> "Iterator[None]":
    """Say how far it came when it is interrupted, or AWS does not let it go on."""
    try:
        yield
    except KeyboardInterrupt as error:
        say(say_how_far())
        raise typer.Exit(_INTERRUPTED) from error
    except (BotoCoreError, ClientError):
        say(say_how_far())
        raise


def _contents(contents: "ContentStore", tenant: str, folder: str | None) -> "Iterator[Content]":
    """Return the contents of a folder, or all, page by page."""
    after = None
    while True:
        page = contents.list_contents(tenant, folder, PAGE, after)
        yield from page.items
        after = page.after
        if after is None:
            return


def _folder(folders: "Iterable[Folder]", tenant: str, text: str) -> "Folder":
    """Return the folder of this name or id; raise NotFoundError."""
    ids = {text, folder_id(tenant, text)}
    found = next((folder for folder in folders if folder.id in ids), None)
    if found is None:
        raise NotFoundError(f"There is no folder {text}.")
    return found


def _folder_facts(folder: "Folder") -> dict[str, object]:
    return {"id": folder.id, "name": folder.name, "contents": folder.contents}


def _facts(content: "Content") -> dict[str, object]:
    return {
        "id": content.id,
        "name": content.name,
        "external_id": content.external_id,
        "folder": {"id": content.folder.id, "name": content.folder.name},
        "tags": [{"id": tag.id, "name": tag.name} for tag in content.tags],
        "source": content.source,
        "characters": content.characters,
        "passages": content.passages,
        "embedded": None if content.embedded is None else asdict(content.embedded),
        "created_at": content.created_at.isoformat(),
        "updated_at": content.updated_at.isoformat(),
    }

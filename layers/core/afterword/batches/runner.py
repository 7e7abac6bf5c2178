"""The turns of a batch: lines are submitted, their ends are counted, and results written.

A turn looks at the open lines, adjusts the window (afterword.batches.window), fills it with the
next lines of the file, and ends. The pause until the next one is that of its message. At the
batch's deadline, the open lines are canceled and no further ones submitted.

A turn may end at any moment, and the next one goes on from the stored progress. Its work is
idempotent: a line's generation has one id, and a part of the results one content.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from functools import partial
from itertools import batched
from typing import TYPE_CHECKING, NamedTuple, Protocol

from afterword import batches, clock
from afterword.batches import (
    MAX_FILE_BYTES,
    MAX_LINES,
    MAX_WINDOW,
    Batch,
    BatchFailedError,
    BatchLease,
    Counts,
    State,
    Window,
    line_id,
    line_key,
)
from afterword.batches import lines as batch_lines
from afterword.batches import window as batch_window
from afterword.batches.files import PART_BYTES
from afterword.batches.store import LINES_PER_WRITE
from afterword.engine.submission import KeyedSubmission
from afterword.errors import (
    AfterwordError,
    ConflictError,
    KeyReusedError,
    NotFoundError,
    UnavailableError,
)
from afterword.limits import LimitedError
from afterword.runtime import telemetry
from afterword.runtime.queue import MAX_SENT

if TYPE_CHECKING:
    from datetime import datetime

    from afterword.batches.files import BatchFiles
    from afterword.batches.lines import Line
    from afterword.batches.store import BatchStore
    from afterword.engine.submission import Submitter
    from afterword.generations import Generation, Status, Submission
    from afterword.generations.progress import Progress
    from afterword.generations.store import GenerationStore
    from afterword.runtime.deadline import Deadline
    from afterword.tenants import StoredFlow

MAX_SUBMITTERS = 10
RESULTS_PER_READ = 25
"""Results, each of which may be big, that are in memory at once."""
MIN_PAUSE = timedelta(seconds=1)
"""The least pause between two turns: a turn's message is sent before its lease is released."""


type Cancel = Callable[[str, str], Status]
"""A function of a tenant and an open generation's id that ends it, and returns its status."""


class TurnResult(NamedTuple):
    """The lease after some work, and the pause until the next turn; None where none is needed."""

    lease: BatchLease
    pause: timedelta | None


class LeaseLostError(Exception):
    """A later turn has the batch."""


class LineFormat(Protocol):
    """The format of a batch's lines, and of its results."""

    def parse(self, batch: Batch, content: bytes, /) -> "tuple[Submission, StoredFlow]":
        """Return a line's submission and its flow; raise AfterwordError for a bad line."""
        ...

    def render_result(
        self, line: int, generation_id: str, generation: "Generation | None", /
    ) -> str:
        """Return the result of a line as one line; the generation is None if it is missing."""
        ...

    def render_bad(self, line: int, error: str, /) -> str:
        """Return the result of a bad line as one line."""
        ...

    def render_unsubmitted(self, line: int, /) -> str:
        """Return the result of a line that the batch's deadline has cut off, as one line."""
        ...


@dataclass(slots=True)
class _SubmittedLines:
    """The outcome of a chunk of lines: the bad ones' errors, and the last accepted or bad one.

    `retry_after` are the seconds until the line after it may be submitted, None where none waits.
    """

    accepted: list[int]
    bad: dict[int, str]
    last: "Line | None"
    retry_after: int | None


@dataclass(slots=True)
class _Signs:
    """The signs of open and ended lines, as `Look` has them."""

    waits: list[float] = field(default_factory=list)
    calls: list[float] = field(default_factory=list)
    returned: bool = False
    submitted: "list[datetime]" = field(default_factory=list)
    """The submissions of all lines that were open at the last look, or submitted after it."""
    claims: list[float] = field(default_factory=list)
    """The waits of those that were claimed since."""

    @property
    def shortest(self) -> float | None:
        """The shortest wait; None unless all lines are of one turn, and claimed since then."""
        if not self.submitted or len(self.claims) < len(self.submitted):
            return None
        one_turn = max(self.submitted) - min(self.submitted) < MIN_PAUSE
        return min(self.claims) if one_turn else None

    def note_claim(self, line: "Progress", looked_at: "datetime | None") -> None:
        """Note the submission of a line of any age, and its wait if it was claimed since."""
        self.submitted.append(line.created_at)
        if line.claimed_at is not None and (looked_at is None or line.claimed_at > looked_at):
            self.claims.append((line.claimed_at - line.created_at).total_seconds())

    def note(self, line: "Progress", looked_at: "datetime | None", now: "datetime") -> None:
        """Note what a line says of the model; `looked_at` is the time of the last look."""
        self.returned |= line.returned
        if line.claimed_at is None:
            if not line.attempted and not line.status.terminal:
                self.waits.append((now - line.created_at).total_seconds())
            return
        if looked_at is None or line.claimed_at > looked_at:
            self.waits.append((line.claimed_at - line.created_at).total_seconds())
        if line.finished_at is not None and not line.returned:
            self.calls.append((line.finished_at - line.claimed_at).total_seconds())


class BatchRunner:
    """Runs turns of batches."""

    def __init__(  # noqa: PLR0913, PLR0917 - the stores of a batch and its lines
        self,
        store: "BatchStore",
        files: "BatchFiles",
        generations: "GenerationStore",
        submitter: "Submitter",
        cancel: Cancel,
        lines: LineFormat,
    ) -> None:
        self._store = store
        self._files = files
        self._generations = generations
        self._submitter = submitter
        self._cancel = cancel
        self._lines = lines

    def run(self, lease: BatchLease, deadline: "Deadline") -> TurnResult:
        """Run a turn until the deadline; raise LeaseLostError if a later turn has the batch.

        The lease returns with the batch's progress, whose last step the caller saves.
        """
        steps = {
            State.READING: self._feed,
            State.RUNNING: self._feed,
            State.WRITING: self._write,
        }
        next_pause = MIN_PAUSE
        while (step := steps.get(lease.batch.state)) is not None and not deadline.passed:
            try:
                lease, pause = step(lease, deadline)
            except BatchFailedError as error:
                lease = replace(lease, batch=self._failed(lease.batch, str(error)))
                break
            if pause is not None:
                next_pause = pause
                break
        ended = step is None or lease.batch.state.terminal
        return TurnResult(lease, None if ended else next_pause)

    def _save(self, lease: BatchLease, batch: Batch) -> BatchLease:
        saved = self._store.save(lease, batch)
        if saved is None:
            raise LeaseLostError
        return saved

    @staticmethod
    def _failed(batch: Batch, reason: str) -> Batch:
        telemetry.logger().info("failed a batch", extra={"batch_id": batch.id})
        return replace(batch, state=State.FAILED, reason=reason, finished_at=clock.now())

    # --- the window ------------------------------------------------------------------------------

    def _feed(self, lease: BatchLease, deadline: "Deadline") -> TurnResult:
        """Look at the open lines, and submit the next ones; the last look ends the batch's wait."""
        if lease.batch.lines is None:
            lease = self._save(lease, self._counted(lease.batch))
        batch, window, look = self._look(lease.batch)
        last = batch.read
        if batch.deadline_at is not None and batch.deadline_at <= clock.now():
            batch, window = self._close(batch, window, deadline)
            if not window.open and window.seen == batch.read:
                return self._looked(lease, replace(batch, window=window))
            return self._looked(lease, replace(batch, window=window), MIN_PAUSE)
        window = batch_window.adjust(window, look, last, clock.now())
        lease = replace(lease, batch=replace(batch, window=window))
        retry_after = None
        if window.seen == last and last < (batch.lines or 0):
            lease, retry_after = self._fill(lease, deadline)
            lease = replace(lease, again=False)
        batch = lease.batch
        assert batch.window is not None  # noqa: S101 - it was set above
        if batch.read == batch.lines and not batch.window.open and batch.window.seen == batch.read:
            return self._looked(lease, batch)
        pause = batch_window.pause(batch.window)
        if retry_after is not None:
            pause = max(pause, timedelta(seconds=retry_after))
        if batch.deadline_at is not None:
            pause = min(pause, batch.deadline_at - clock.now())
        return self._looked(lease, batch, max(pause, MIN_PAUSE))

    @staticmethod
    def _looked(lease: BatchLease, batch: Batch, pause: timedelta | None = None) -> TurnResult:
        """Return the result of a look: a pause while lines are open, else the next state."""
        state = State.WRITING if pause is None else State.READING
        if pause is not None and batch.read == batch.lines:
            state = State.RUNNING
        return TurnResult(replace(lease, batch=replace(batch, state=state)), pause)

    def _counted(self, batch: Batch) -> Batch:
        """Return a batch with the number of its lines; raise BatchFailedError for a wrong one."""
        source = batch.source
        assert source is not None  # noqa: S101 - a batch in this state has a file
        if source.size > MAX_FILE_BYTES:
            raise BatchFailedError(f"Its file has more than {MAX_FILE_BYTES} bytes.")
        read = partial(self._files.read, source)
        total = batch_lines.count_lines(read, source.size, MAX_LINES)
        if not 1 <= total <= MAX_LINES or not source.size:
            raise BatchFailedError(f"Its file does not have 1 to {MAX_LINES} lines.")
        return replace(batch, lines=total)

    # --- looking ---------------------------------------------------------------------------------

    def _look(self, batch: Batch) -> tuple[Batch, Window, batch_window.Look]:
        """Count the ends of open lines, and note what they say of the model."""
        window = batch.window or Window(looked_at=clock.now())
        opened, seen = self._submitted_before(batch, window)
        now = clock.now()
        still_open: list[int] = []
        counts = asdict(batch.counts)
        signs = _Signs()
        ended = 0
        for some in batched(opened, LINES_PER_WRITE, strict=False):
            found = self._progress(batch, some)
            for line in some:
                if line not in found:  # DynamoDB was busy
                    still_open.append(line)
                    continue
                progress = found[line]
                if progress is None or progress.status.terminal:
                    counts["missing" if progress is None else str(progress.status)] += 1
                    ended += 1
                else:
                    still_open.append(line)
                if progress is None:
                    continue
                signs.note_claim(progress, window.looked_at)
                if line > window.cut_at:
                    signs.note(progress, window.looked_at, now)
        look = batch_window.Look(
            waits=signs.waits,
            calls=signs.calls,
            returned=signs.returned,
            shortest=signs.shortest,
            ended=ended,
            full=len(opened) >= window.size,
        )
        batch = replace(batch, counts=Counts(**counts))
        return batch, replace(window, open=tuple(still_open), seen=seen), look

    def _submitted_before(self, batch: Batch, window: Window) -> tuple[list[int], int]:
        """Return the open lines, and the last one in the window.

        Lines that an earlier version has submitted all at once come into it bit by bit.
        """
        further = range(window.seen + 1, batch.read + 1)[: MAX_WINDOW - len(window.open)]
        if not further:
            return list(window.open), window.seen
        bad = self._store.read_bad(batch, further[0], further[-1])
        return [*window.open, *(line for line in further if line not in bad)], further[-1]

    def _progress(self, batch: Batch, lines: Sequence[int]) -> Mapping[int, "Progress | None"]:
        """Return the progress of some lines; None for a missing one, and without unread ones."""
        ids = {line_id(batch.tenant, batch.id, line): line for line in lines}
        found = self._generations.get_progress(batch.tenant, ids.keys())
        return {ids[generation_id]: progress for generation_id, progress in found.items()}

    def _close(self, batch: Batch, window: Window, deadline: "Deadline") -> tuple[Batch, Window]:
        """Cancel the open lines of a batch past its deadline, and count their ends."""
        counts = asdict(batch.counts)
        left = list(window.open)

        def cancel(line: int) -> str | None:
            if deadline.passed:
                return None
            generation_id = line_id(batch.tenant, batch.id, line)
            try:
                return str(self._cancel(batch.tenant, generation_id))
            except NotFoundError:
                return "missing"

        with ThreadPoolExecutor(max_workers=MAX_SUBMITTERS) as threads:
            for line, end in zip(window.open, threads.map(cancel, window.open), strict=True):
                if end is not None:
                    counts[end] += 1
                    left.remove(line)
        return replace(batch, counts=Counts(**counts)), replace(window, open=tuple(left))

    # --- submitting ------------------------------------------------------------------------------

    def _fill(self, lease: BatchLease, deadline: "Deadline") -> tuple[BatchLease, int | None]:
        """Submit lines until the window is full; with the seconds until a limit lets go on."""
        batch, window = lease.batch, lease.batch.window
        source = batch.source
        assert source is not None  # noqa: S101 - a batch in this state has a file
        assert window is not None  # noqa: S101 - the look has made one
        wanted, retry_after = window.size - len(window.open), None
        room = self._submitter.get_room(batch.tenant) if wanted > 0 else None
        if room is not None and room.submissions < wanted:
            # Without an open line, a refusal finds the slots that lost processes have left behind.
            wanted = max(room.submissions, 0 if window.open else 1)
            retry_after = room.retry_after
        if wanted <= 0:
            return lease, retry_after
        reader = batch_lines.read_lines(
            partial(self._files.read, source),
            source.size,
            batch.read,
            batch.offset,
            batch_lines.piece_for(wanted, source.size, batch.lines or 1),
        )
        with ThreadPoolExecutor(max_workers=MAX_SUBMITTERS) as threads:
            while wanted > 0 and batch.read < (batch.lines or 0):
                some = batch_lines.next_lines(reader, min(wanted, LINES_PER_WRITE))
                done = self._submit(threads, batch, some)
                if done.bad or lease.again:  # a lost reader may have stored others for these lines
                    self._store.put_bad(batch, batch.read + 1, done.bad)
                lease = replace(lease, again=False)
                if done.last is not None:
                    batch = _submitted(batch, done)
                    lease = replace(lease, batch=batch)
                if done.retry_after is not None:
                    return lease, max(1, done.retry_after)
                wanted -= len(done.accepted)
                if deadline.passed:
                    break
                if wanted > 0 and batch.read < (batch.lines or 0):
                    lease = self._save(lease, batch)
        return lease, retry_after

    def _submit(
        self, threads: ThreadPoolExecutor, batch: Batch, some: "Sequence[Line]"
    ) -> _SubmittedLines:
        """Submit lines, MAX_SENT at a time, and count them up to the first that has to wait."""
        done = _SubmittedLines([], {}, None, None)
        for few in batched(some, MAX_SENT, strict=False):
            for line, refused in zip(few, self._submit_few(threads, batch, few), strict=True):
                if isinstance(refused, LimitedError):
                    done.retry_after = refused.retry_after
                    return done
                if refused is None:
                    done.accepted.append(line.number)
                else:
                    done.bad[line.number] = str(refused)
                done.last = line
        return done

    def _submit_few(
        self, threads: ThreadPoolExecutor, batch: Batch, few: "Sequence[Line]"
    ) -> list[AfterwordError | None]:
        """Submit lines side by side; return the error of each refused one, else None."""
        parsed = list(threads.map(partial(self._parse, batch), few))
        good = [each for each in parsed if not isinstance(each, AfterwordError)]
        group = batches.message_group(batch.tenant)
        refusals = iter(self._submitter.submit_many(batch.tenant, good, group, threads))
        return [
            each if isinstance(each, AfterwordError) else _unless_stored(next(refusals))
            for each in parsed
        ]

    def _parse(self, batch: Batch, line: "Line") -> KeyedSubmission | AfterwordError:
        """Return the submission of a line; the error of a bad one."""
        if line.content is None:
            return BatchFailedError(f"The line has more than {batches.MAX_LINE_BYTES} bytes.")
        try:
            submission, flow = self._lines.parse(batch, line.content)
        except UnavailableError:
            raise
        except AfterwordError as error:
            return error
        return KeyedSubmission(line_key(batch.id, line.number), submission, flow)

    # --- writing ---------------------------------------------------------------------------------

    def _write(self, lease: BatchLease, deadline: "Deadline") -> TurnResult:
        """Write the results; the next turn builds an unfinished part again."""
        batch, key = lease.batch, lease.batch.results_key
        upload = batch.upload or self._files.start(key)
        part = bytearray()
        for last, some in self._results(batch):
            part += some
            if len(part) >= PART_BYTES and last < (batch.lines or 0):
                added = self._files.add(key, upload, bytes(part))
                if added is None:
                    return _write_anew(lease, batch)
                upload = added
                batch = replace(batch, upload=upload, written=last)
                lease = self._save(lease, batch)
                part.clear()
                if deadline.passed:
                    return TurnResult(lease, MIN_PAUSE)
        added = self._files.add(key, upload, bytes(part))
        if added is None or self._files.complete(key, added) is None:
            return _write_anew(lease, batch)
        batch = replace(batch, state=State.FINISHED, finished_at=clock.now(), upload=None)
        telemetry.logger().info("finished a batch", extra={"batch_id": batch.id})
        return TurnResult(replace(lease, batch=replace(batch, written=batch.lines or 0)), None)

    def _results(self, batch: Batch) -> Iterator[tuple[int, bytes]]:
        """Yield chunks of results, each with the number of its last line."""
        for some in batched(
            range(batch.written + 1, (batch.lines or 0) + 1), RESULTS_PER_READ, strict=False
        ):
            has_bad = batch.counts.bad > 0 and some[0] <= batch.read
            bad = self._store.read_bad(batch, some[0], some[-1]) if has_bad else {}
            ids = {
                line: line_id(batch.tenant, batch.id, line)
                for line in some
                if line not in bad and line <= batch.read
            }
            found = self._generations.get_many(batch.tenant, ids.values()) if ids else {}
            rendered = []
            for line in some:
                if line > batch.read:
                    rendered.append(self._lines.render_unsubmitted(line))
                elif line in bad:
                    rendered.append(self._lines.render_bad(line, bad[line]))
                else:
                    rendered.append(
                        self._lines.render_result(line, ids[line], found.get(ids[line]))
                    )
            yield some[-1], "".join(f"{row}\n" for row in rendered).encode()


def _unless_stored(refused: AfterwordError | None) -> AfterwordError | None:
    """Return a refusal; None where a lost reader's submission stands, though its flow differed."""
    return None if isinstance(refused, KeyReusedError | ConflictError) else refused


def _submitted(batch: Batch, done: _SubmittedLines) -> Batch:
    """Return a batch with a chunk of lines submitted."""
    assert done.last is not None  # noqa: S101 - the caller has looked
    assert batch.window is not None  # noqa: S101 - the look has made one
    last = done.last.number
    window = replace(batch.window, open=(*batch.window.open, *done.accepted), seen=last)
    counts = replace(
        batch.counts,
        accepted=batch.counts.accepted + len(done.accepted),
        bad=batch.counts.bad + len(done.bad),
    )
    return replace(batch, read=last, offset=done.last.next, counts=counts, window=window)


def _write_anew(lease: BatchLease, batch: Batch) -> TurnResult:
    """Return the result of a turn whose parts of the results are gone."""
    return TurnResult(replace(lease, batch=replace(batch, upload=None, written=0)), MIN_PAUSE)

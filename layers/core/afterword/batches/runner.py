"""The turns of a batch: lines are submitted, their ends are counted, and results written.

A turn may end at any moment, and the next one goes on from the stored progress. Its work is
idempotent: a line's generation has one id, and a part of the results one content.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from itertools import batched
from typing import TYPE_CHECKING, NamedTuple, Protocol

from afterword import batches, clock
from afterword.batches import (
    MAX_FILE_BYTES,
    MAX_LINES,
    Batch,
    BatchFailedError,
    BatchLease,
    Counts,
    State,
    line_id,
    line_key,
)
from afterword.batches import lines as batch_lines
from afterword.batches.files import PART_BYTES
from afterword.batches.store import LINES_PER_WRITE
from afterword.errors import AfterwordError, ConflictError, KeyReusedError, UnavailableError
from afterword.limits import LimitedError
from afterword.runtime import telemetry

if TYPE_CHECKING:
    from afterword.batches.files import BatchFiles
    from afterword.batches.lines import Line
    from afterword.batches.store import BatchStore
    from afterword.engine.submission import Submitter
    from afterword.generations import Generation, Submission
    from afterword.generations.store import GenerationStore
    from afterword.runtime.deadline import Deadline
    from afterword.tenants import StoredFlow

MAX_SUBMITTERS = 10
RESULTS_PER_READ = 25
"""Results, each of which may be big, that are in memory at once."""


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


@dataclass(slots=True)
class _SubmittedLines:
    """The outcome of a chunk of lines: the bad ones' errors, and the last accepted or bad one.

    `retry_after` are the seconds until the line after it may be submitted, None where none waits.
    """

    accepted: int
    bad: dict[int, str]
    last: "Line | None"
    retry_after: int | None


class BatchRunner:
    """Runs turns of batches."""

    def __init__(
        self,
        store: "BatchStore",
        files: "BatchFiles",
        generations: "GenerationStore",
        submitter: "Submitter",
        lines: LineFormat,
    ) -> None:
        self._store = store
        self._files = files
        self._generations = generations
        self._submitter = submitter
        self._lines = lines

    def run(self, lease: BatchLease, deadline: "Deadline") -> TurnResult:
        """Run a turn until the deadline; raise LeaseLostError if a later turn has the batch."""
        steps = {
            State.READING: self._read,
            State.RUNNING: self._watch,
            State.WRITING: self._write,
        }
        next_pause = timedelta()
        while (step := steps.get(lease.batch.state)) is not None and not deadline.passed:
            try:
                lease, pause = step(lease, deadline)
            except BatchFailedError as error:
                lease = self._save(lease, self._failed(lease.batch, str(error)))
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

    # --- reading ---------------------------------------------------------------------------------

    def _read(self, lease: BatchLease, deadline: "Deadline") -> TurnResult:
        source = lease.batch.source
        assert source is not None  # noqa: S101 - a batch in this state has a file
        read = partial(self._files.read, source)
        if lease.batch.lines is None:
            if source.size > MAX_FILE_BYTES:
                raise BatchFailedError(f"Its file has more than {MAX_FILE_BYTES} bytes.")
            total = batch_lines.count_lines(read, source.size, MAX_LINES)
            if not 1 <= total <= MAX_LINES or not source.size:
                raise BatchFailedError(f"Its file does not have 1 to {MAX_LINES} lines.")
            lease = self._save(lease, replace(lease.batch, lines=total))
        batch = lease.batch
        reader = batch_lines.read_lines(read, source.size, batch.read, batch.offset)
        first = True
        with ThreadPoolExecutor(max_workers=MAX_SUBMITTERS) as threads:
            for some in batch_lines.group_lines(reader, LINES_PER_WRITE):
                done = self._submit(threads, batch, some)
                if done.bad or first:  # a lost reader may have stored others for the same lines
                    self._store.put_bad(batch, batch.read + 1, done.bad)
                first = False
                if done.last is not None:
                    counts = replace(
                        batch.counts,
                        accepted=batch.counts.accepted + done.accepted,
                        bad=batch.counts.bad + len(done.bad),
                    )
                    batch = replace(
                        batch, read=done.last.number, offset=done.last.next, counts=counts
                    )
                    lease = self._save(lease, batch)
                if done.retry_after is not None:
                    return TurnResult(lease, timedelta(seconds=max(1, done.retry_after)))
                if deadline.passed:
                    return TurnResult(lease, timedelta())
        return TurnResult(self._save(lease, replace(batch, state=State.RUNNING)), None)

    def _submit(
        self, threads: ThreadPoolExecutor, batch: Batch, some: "Sequence[Line]"
    ) -> _SubmittedLines:
        """Submit lines in parallel, and count them up to the first that has to wait."""
        limited: list[LimitedError] = []

        def submit(line: "Line") -> AfterwordError | None:
            if limited:  # all later lines would wait as well
                return limited[0]
            refused = self._submit_one(batch, line)
            if isinstance(refused, LimitedError):
                limited.append(refused)
            return refused

        done = _SubmittedLines(0, {}, None, None)
        for line, refused in zip(some, threads.map(submit, some), strict=True):
            if isinstance(refused, LimitedError):
                done.retry_after = refused.retry_after
                break
            if refused is None:
                done.accepted += 1
            else:
                done.bad[line.number] = str(refused)
            done.last = line
        return done

    def _submit_one(self, batch: Batch, line: "Line") -> AfterwordError | None:
        """Submit a line; return the error of a refused one, None for an accepted one."""
        if line.content is None:
            return BatchFailedError(f"The line has more than {batches.MAX_LINE_BYTES} bytes.")
        try:
            submission, flow = self._lines.parse(batch, line.content)
            key = line_key(batch.id, line.number)
            self._submitter.submit(batch.tenant, submission, key, flow)
        except (KeyReusedError, ConflictError):
            return None  # a lost reader's submission was accepted; the flow has changed since
        except UnavailableError:
            raise
        except AfterwordError as error:
            return error
        return None

    # --- waiting ---------------------------------------------------------------------------------

    def _watch(self, lease: BatchLease, deadline: "Deadline") -> TurnResult:
        batch = lease.batch
        lines = batch.lines or 0
        while batch.ended < lines:
            last = min(batch.ended + LINES_PER_WRITE, lines)
            further = self._ended(batch, last)
            progressed = further.ended > batch.ended
            batch = further if progressed else replace(batch, quiet=batch.quiet + 1)
            lease = self._save(lease, batch)
            if batch.ended < last:
                return TurnResult(lease, batches.poll_pause(batch.quiet))
            if deadline.passed:
                return TurnResult(lease, timedelta())
        return TurnResult(self._save(lease, replace(batch, state=State.WRITING)), None)

    def _ended(self, batch: Batch, last: int) -> Batch:
        """Count the ends of lines up to `last`, in order, until the first open generation."""
        bad = self._store.read_bad(batch, batch.ended + 1, last)
        ids = {
            line: line_id(batch.tenant, batch.id, line)
            for line in range(batch.ended + 1, last + 1)
            if line not in bad
        }
        ends = self._generations.get_ends(batch.tenant, ids.values()) if ids else {}
        counts = {name: getattr(batch.counts, name) for name in Counts.__slots__}
        ended = batch.ended
        for line in range(batch.ended + 1, last + 1):
            if line not in bad:
                if ids[line] not in ends:
                    break
                end = ends[ids[line]]
                counts["missing" if end is None else str(end.status)] += 1
            ended = line
        return replace(batch, ended=ended, quiet=0, counts=Counts(**counts))

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
                    return TurnResult(
                        self._save(lease, replace(batch, upload=None, written=0)), timedelta()
                    )
                upload = added
                batch = replace(batch, upload=upload, written=last)
                lease = self._save(lease, batch)
                part.clear()
                if deadline.passed:
                    return TurnResult(lease, timedelta())
        added = self._files.add(key, upload, bytes(part))
        if added is None or self._files.complete(key, added) is None:
            return TurnResult(
                self._save(lease, replace(batch, upload=None, written=0)), timedelta()
            )
        batch = replace(batch, state=State.FINISHED, finished_at=clock.now(), upload=None)
        telemetry.logger().info("finished a batch", extra={"batch_id": batch.id})
        return TurnResult(self._save(lease, replace(batch, written=batch.lines or 0)), None)

    def _results(self, batch: Batch) -> Iterator[tuple[int, bytes]]:
        """Yield chunks of results, each with the number of its last line."""
        for some in batched(
            range(batch.written + 1, (batch.lines or 0) + 1), RESULTS_PER_READ, strict=False
        ):
            bad = self._store.read_bad(batch, some[0], some[-1])
            ids = {line: line_id(batch.tenant, batch.id, line) for line in some if line not in bad}
            found = self._generations.get_many(batch.tenant, ids.values()) if ids else {}
            rendered = []
            for line in some:
                if line in bad:
                    rendered.append(self._lines.render_bad(line, bad[line]))
                else:
                    rendered.append(
                        self._lines.render_result(line, ids[line], found.get(ids[line]))
                    )
            yield some[-1], "".join(f"{row}\n" for row in rendered).encode()

"""What is done for a batch, turn by turn: lines are read and waited for, and results written.

A turn may end at any moment, and the next one goes on where the batch says. What it does again is
the same: a line's generation has one id, and a part of the results one content.
"""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from itertools import batched
from typing import TYPE_CHECKING, Protocol

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
    from afterword.tenants import StoredFlow

MAX_SUBMITTERS = 10
RESULTS_PER_READ = 25
"""How many results, each of which may be big, are in memory at once."""

type Next = timedelta | None
"""After how long the next turn is; None if there is none, or it is another reader's."""


class LeaseLostError(Exception):
    """Another reader has taken the batch over."""


class LineFormat(Protocol):
    """How the lines of a batch, and of its results, are written."""

    def parse(self, batch: Batch, content: bytes, /) -> "tuple[Submission, StoredFlow]":
        """Return what a line asks for, and of which flow; an AfterwordError says why it is bad."""
        ...

    def render_result(
        self, line: int, generation_id: str, generation: "Generation | None", /
    ) -> str:
        """Return the result of a line as one line; None is one that is not there any more."""
        ...

    def render_bad(self, line: int, error: str, /) -> str:
        """Return the result of a bad line as one line."""
        ...


@dataclass(slots=True)
class _SubmittedLines:
    """What has become of some lines that were read together."""

    accepted: int
    bad: dict[int, str]
    last: "Line | None"
    retry_after: int | None


class BatchRunner:
    """Does turns of batches."""

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

    def run(self, turn: BatchLease, until: float) -> tuple[BatchLease, Next]:
        """Do what can be done until that monotonic time; return the turn and when to go on.

        Raises LostError when another reader has taken the batch over.
        """
        steps = {
            State.READING: self._read,
            State.RUNNING: self._watch,
            State.WRITING: self._write,
        }
        next_turn: Next = timedelta()
        while (step := steps.get(turn.batch.state)) is not None and time.monotonic() < until:
            try:
                turn, pause = step(turn, until)
            except BatchFailedError as error:
                turn = self._save(turn, self._failed(turn.batch, str(error)))
                break
            if pause is not None:
                next_turn = pause
                break
        return turn, None if step is None or turn.batch.state.terminal else next_turn

    def _save(self, turn: BatchLease, batch: Batch) -> BatchLease:
        saved = self._store.save(turn, batch)
        if saved is None:
            raise LeaseLostError
        return saved

    @staticmethod
    def _failed(batch: Batch, reason: str) -> Batch:
        telemetry.logger().info("a batch failed", extra={"batch_id": batch.id})
        return replace(batch, state=State.FAILED, reason=reason, finished_at=clock.now())

    # --- reading ---------------------------------------------------------------------------------

    def _read(self, turn: BatchLease, until: float) -> tuple[BatchLease, Next]:
        source = turn.batch.source
        assert source is not None  # noqa: S101 - of a batch that is being read
        read = partial(self._files.read, source)
        if turn.batch.lines is None:
            if source.size > MAX_FILE_BYTES:
                raise BatchFailedError(f"Its file has more than {MAX_FILE_BYTES} bytes.")
            total = batch_lines.count_lines(read, source.size, MAX_LINES)
            if not 1 <= total <= MAX_LINES or not source.size:
                raise BatchFailedError(f"Its file does not have 1 to {MAX_LINES} lines.")
            turn = self._save(turn, replace(turn.batch, lines=total))
        batch = turn.batch
        reader = batch_lines.read_lines(read, source.size, batch.read, batch.offset)
        first = True
        with ThreadPoolExecutor(max_workers=MAX_SUBMITTERS) as threads:
            for some in batch_lines.group_lines(reader, LINES_PER_WRITE):
                done = self._submit(threads, batch, some)
                if done.bad or first:  # a lost reader may have noted others for the same lines
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
                    turn = self._save(turn, batch)
                if done.retry_after is not None:
                    return turn, timedelta(seconds=max(1, done.retry_after))
                if time.monotonic() >= until:
                    return turn, timedelta()
        return self._save(turn, replace(batch, state=State.RUNNING)), None

    def _submit(
        self, threads: ThreadPoolExecutor, batch: Batch, some: "Sequence[Line]"
    ) -> _SubmittedLines:
        """Submit lines side by side, and count them up to the first that has to wait."""
        limited: list[LimitedError] = []

        def submit(line: "Line") -> AfterwordError | None:
            if limited:  # those after it would wait as well
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
        """Submit a line; return why it is not accepted, None if it is."""
        if line.content is None:
            return BatchFailedError(f"It has more than {batches.MAX_LINE_BYTES} bytes.")
        try:
            submission, flow = self._lines.parse(batch, line.content)
            key = line_key(batch.id, line.number)
            self._submitter.submit(batch.tenant, submission, key, flow)
        except (KeyReusedError, ConflictError):
            return None  # a reader that was lost had it accepted; its flow is another one now
        except UnavailableError:
            raise
        except AfterwordError as error:
            return error
        return None

    # --- waiting ---------------------------------------------------------------------------------

    def _watch(self, turn: BatchLease, until: float) -> tuple[BatchLease, Next]:
        batch = turn.batch
        lines = batch.lines or 0
        while batch.ended < lines:
            last = min(batch.ended + LINES_PER_WRITE, lines)
            further = self._ended(batch, last)
            progressed = further.ended > batch.ended
            batch = further if progressed else replace(batch, quiet=batch.quiet + 1)
            turn = self._save(turn, batch)
            if batch.ended < last:
                return turn, batches.poll_pause(batch.quiet)
            if time.monotonic() >= until:
                return turn, timedelta()
        return self._save(turn, replace(batch, state=State.WRITING)), None

    def _ended(self, batch: Batch, last: int) -> Batch:
        """Count the lines up to `last`, in order and up to the first that has not ended."""
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

    def _write(self, turn: BatchLease, until: float) -> tuple[BatchLease, Next]:
        """Write the results; a part that is not full is made again by the next turn."""
        batch, key = turn.batch, turn.batch.results_key
        upload = batch.upload or self._files.start(key)
        part = bytearray()
        for last, some in self._results(batch):
            part += some
            if len(part) >= PART_BYTES and last < (batch.lines or 0):
                added = self._files.add(key, upload, bytes(part))
                if added is None:
                    return self._save(turn, replace(batch, upload=None, written=0)), timedelta()
                upload = added
                batch = replace(batch, upload=upload, written=last)
                turn = self._save(turn, batch)
                part.clear()
                if time.monotonic() >= until:
                    return turn, timedelta()
        added = self._files.add(key, upload, bytes(part))
        if added is None or self._files.complete(key, added) is None:
            return self._save(turn, replace(batch, upload=None, written=0)), timedelta()
        batch = replace(batch, state=State.FINISHED, finished_at=clock.now(), upload=None)
        telemetry.logger().info("a batch finished", extra={"batch_id": batch.id})
        return self._save(turn, replace(batch, written=batch.lines or 0)), None

    def _results(self, batch: Batch) -> Iterator[tuple[int, bytes]]:
        """Yield the results of some lines at a time, with the number of the last of them."""
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

"""The turns of a batch: read, waited for, written, and gone on with after any of them is lost."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from afterword import batches, clock
from afterword.batches import (
    MAX_LINES,
    Batch,
    BatchFailedError,
    BatchLease,
    Counts,
    LeaseRefused,
    Source,
    State,
    Upload,
    Window,
    line_id,
)
from afterword.batches import lines as batch_lines
from afterword.batches import runner as batch_runner
from afterword.batches.runner import BatchRunner, LeaseLostError
from afterword.errors import InvalidRequestError, NotFoundError
from afterword.generations import Generation, Submission
from afterword.runtime import deadline
from afterword.runtime.clients import clients
from afterword.runtime.deadline import Deadline
from afterword.services import services
from afterword.tenants import StoredFlow
from tests.conftest import FLOW, Call, SetClock, Tenant
from tests.harness.deployment import REFERENCES

KEY = "intake/demo/mails.jsonl"
BUCKET = REFERENCES["BatchBucket"]


class NumberedLines:
    """Lines that are numbers; any other line is bad."""

    def parse(self, batch: Batch, content: bytes) -> tuple[Submission, StoredFlow]:
        """Return a mail with the number in it."""
        if not content.isdigit():
            raise InvalidRequestError("A line of words.")
        mail = Submission(
            dialect="native",
            flow=FLOW,
            inputs={"body": content.decode()},
            template=f"Reply {content.decode()}.",
            external={},
        )
        return mail, services().registry.get_flow(batch.tenant, FLOW)

    def render_result(self, line: int, generation_id: str, generation: Generation | None) -> str:
        """Return the line's number, its generation's id and its status."""
        return json.dumps([line, generation_id, generation and generation.status])

    def render_bad(self, line: int, error: str) -> str:
        """Return the line's number and the error."""
        return json.dumps([line, error])

    def render_unsubmitted(self, line: int) -> str:
        """Return the line's number alone."""
        return json.dumps([line])


@pytest.fixture
def runner(tenant: Tenant) -> BatchRunner:
    """Return a runner of the tenant's batches."""
    assert tenant.id == "demo"
    return BatchRunner(
        services().batches,
        services().batch_files,
        services().store,
        services().submitter,
        services().outbox.cancel,
        NumberedLines(),
    )


def put(content: bytes, deadline: timedelta | None = None) -> Batch:
    """Put a file into the bucket, and return the batch that it becomes."""
    there = clients().s3.put_object(Bucket=BUCKET, Key=KEY, Body=content)
    source = Source(key=KEY, version=there.get("VersionId"), etag=there["ETag"], size=len(content))
    return services().batches.create(
        Batch(
            tenant="demo",
            id=batches.id_for_file(BUCKET, source),
            created_at=clock.now(),
            expires_at=clock.now() + timedelta(days=30),
            deadline_at=None if deadline is None else clock.now() + deadline,
            state=State.READING,
            source=source,
        )
    )


def taken(batch: Batch, number: int = 0, seconds: float = 60) -> BatchLease:
    """Take a batch for a turn."""
    lease = clock.now() + timedelta(seconds=seconds)
    turn = services().batches.take_lease(batch.tenant, batch.id, number, lease)
    assert isinstance(turn, BatchLease)
    return turn


def refusal(batch: Batch, number: int) -> BatchLease | LeaseRefused:
    """Try to take a batch that a message of a turn does not get."""
    return services().batches.take_lease("demo", batch.id, number, clock.now())


def run(
    runner: BatchRunner, turn: BatchLease, seconds: float = 60
) -> tuple[Batch, timedelta | None]:
    """Do a turn to its end; return the batch and when the next turn is."""
    turn, following = runner.run(turn, Deadline.after(seconds))
    assert services().batches.save(turn, turn.batch, release=True)
    return services().batches.get("demo", turn.batch.id), following


def end(batch: Batch, *lines: int) -> None:
    """End the generations of some lines."""
    for line in lines:
        services().outbox.cancel("demo", line_id("demo", batch.id, line))


def results(batch: Batch) -> list[Any]:
    """Return the results of a finished batch."""
    written = clients().s3.get_object(Bucket=BUCKET, Key=batch.results_key)["Body"].read()
    return [json.loads(line) for line in written.decode().splitlines()]


def stored() -> int:
    """Return how many generations there are."""
    return clients().dynamodb.scan(TableName=REFERENCES["GenerationsTable"])["Count"]


def test_a_batch_from_its_first_turn_to_its_last(runner: BatchRunner) -> None:
    """Good lines become generations, and when all have ended the results are there, in order."""
    batch = put(b"1\n2\nthree\n4\n")
    batch, following = run(runner, taken(batch))
    assert (batch.state, batch.lines, batch.read) == (State.RUNNING, 4, 4)
    assert (batch.counts, following) == (Counts(accepted=3, bad=1), timedelta(seconds=1))
    assert stored() == 3

    end(batch, 1, 4)
    batch, following = run(runner, taken(batch, 1))
    assert (batch.state, batch.counts.ended, batch.counts.canceled) == (State.RUNNING, 3, 2)
    assert following == timedelta(seconds=1)

    end(batch, 2)
    batch, following = run(runner, taken(batch, 2))
    assert (batch.state, following) == (State.FINISHED, None)
    assert batch.counts == Counts(accepted=3, bad=1, canceled=3)
    assert batch.finished_at
    ids = {line: line_id("demo", batch.id, line) for line in (1, 2, 4)}
    assert results(batch) == [
        [1, ids[1], "canceled"],
        [2, ids[2], "canceled"],
        [3, "A line of words."],
        [4, ids[4], "canceled"],
    ]


def test_a_lost_message_of_a_turn_is_done_again(runner: BatchRunner, set_clock: SetClock) -> None:
    """Of two readers of a batch one does nothing, and a late one changes nothing."""
    batch = put(b"1\n2\n")
    lost = taken(batch)
    assert refusal(batch, 0) == LeaseRefused(60)
    set_clock.advance(seconds=61)
    turn = taken(batch)
    with pytest.raises(LeaseLostError):
        runner.run(lost, Deadline.after(60))
    batch, following = run(runner, turn)
    assert (batch.state, following) == (State.RUNNING, timedelta(seconds=1))
    assert refusal(batch, 0) == LeaseRefused(None)
    set_clock.advance(minutes=5)
    taken(batch, 1)


def test_a_lost_reader_changes_nothing_after_a_release(
    runner: BatchRunner, set_clock: SetClock
) -> None:
    """Where another has taken the same turn and given it back, the one before is too late."""
    lost = taken(put(b"1\n2\n"))
    set_clock.advance(seconds=61)
    batch, _ = run(runner, taken(lost.batch))
    assert services().batches.save(lost, replace(lost.batch, read=1), release=True) is None
    assert services().batches.get("demo", batch.id) == batch


@pytest.mark.usefixtures("runner")
def test_a_message_of_the_next_turn_waits_for_the_one_before(set_clock: SetClock) -> None:
    """The next turn's message, sent before the batch was given back, is not lost."""
    batch = put(b"1\n")
    taken(batch)
    assert refusal(batch, 1) == LeaseRefused(60)
    set_clock.advance(seconds=60)
    assert taken(batch, 1).number == 2
    assert refusal(batch, 0) == LeaseRefused(None)


@pytest.mark.usefixtures("tenant", "set_clock")
def test_a_lease_whose_answer_was_lost_is_known(lose_answer: Callable[[str], None]) -> None:
    """A reader has its lease though botocore repeats the write, and another with it has not."""
    batch = put(b"\n")
    lose_answer("dynamodb.UpdateItem")
    assert taken(batch).number == 1
    lose_answer("dynamodb.UpdateItem")
    assert refusal(batch, 0) == LeaseRefused(60)


def test_a_released_lease_is_taken_again_at_once(runner: BatchRunner) -> None:
    """A reader that cannot go on gives its turn back, and the same message goes on."""
    batch = put(b"1\n")
    services().batches.release_lease(taken(batch))
    assert run(runner, taken(batch))[0].state is State.RUNNING


@pytest.mark.usefixtures("set_clock")  # on a slow machine the open lines would shrink the window
def test_time_runs_out_between_lines(runner: BatchRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn ends in time, and the next one goes on at the line where it stopped."""
    monkeypatch.setattr(batch_runner, "LINES_PER_WRITE", 2)
    batch = put(b"1\n2\nthree\n4\nfive\n")
    number = 0
    reads = []
    while batch.state is State.READING:
        turn = taken(batch, number)
        ticks = iter([0.0, *[9.0] * 99])
        with monkeypatch.context() as clockwork:
            monotonic = SimpleNamespace(monotonic=lambda ticks=ticks: next(ticks))
            clockwork.setattr(deadline, "time", monotonic)
            turn, following = runner.run(turn, Deadline(5.0))
        assert following is not None
        assert services().batches.save(turn, turn.batch, release=True)
        batch, number = services().batches.get("demo", batch.id), turn.number
        reads.append(batch.read)
    assert reads == [2, 4, 5]
    assert batch.counts == Counts(accepted=3, bad=2)
    assert stored() == 3


def test_results_are_written_in_parts(runner: BatchRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Big results are written part by part, a part a turn if time is short, each line once."""
    monkeypatch.setattr(batch_runner, "RESULTS_PER_READ", 2)
    monkeypatch.setattr(
        NumberedLines, "render_bad", lambda _, line, why: json.dumps([line, why * 90_000])
    )
    batch = put(b"x\n" * 9)
    turn = taken(batch)
    services().batches.put_bad(batch, 1, dict.fromkeys(range(1, 10), "A line of words."))
    unwritten = replace(batch, state=State.WRITING, lines=9, read=9, counts=Counts(bad=9))
    saved = services().batches.save(turn, unwritten)
    assert saved
    turn, number, written = saved, 1, []
    while batch.state is not State.FINISHED:
        ticks = iter([0.0, *[9.0] * 99])
        with monkeypatch.context() as clockwork:
            monotonic = SimpleNamespace(monotonic=lambda ticks=ticks: next(ticks))
            clockwork.setattr(deadline, "time", monotonic)
            turn, _ = runner.run(turn, Deadline(5.0))
        assert services().batches.save(turn, turn.batch, release=True)
        batch = services().batches.get("demo", batch.id)
        written.append(batch.written)
        if batch.state is not State.FINISHED:
            turn, number = taken(batch, number), number + 1
    assert written == [4, 8, 9]
    assert [line for line, _ in results(batch)] == list(range(1, 10))
    assert clients().s3.head_object(Bucket=BUCKET, Key=batch.results_key)["ETag"].endswith('-3"')


def test_parts_that_are_gone_are_written_anew(
    runner: BatchRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When S3 has dropped what was written, the results are written from the first line on."""
    upload_part = clients().s3.upload_part

    def upload(**request: Any) -> Any:  # noqa: ANN401 - botocore's own
        if request["UploadId"] == "gone":
            raise ClientError({"Error": {"Code": "NoSuchUpload"}}, "UploadPart")
        return upload_part(**request)

    monkeypatch.setattr(clients().s3, "upload_part", upload)
    batch = put(b"x\ny\n")
    turn = taken(batch)
    half_written = replace(
        batch,
        state=State.WRITING,
        lines=2,
        read=2,
        written=1,
        counts=Counts(bad=2),
        upload=Upload(id="gone", parts=('"a"',)),
    )
    services().batches.put_bad(batch, 1, {1: "Bad.", 2: "Worse."})
    saved = services().batches.save(turn, half_written)
    assert saved
    batch, following = run(runner, saved)
    assert (batch.state, batch.upload, batch.written) == (State.WRITING, None, 0)
    assert following == timedelta(seconds=1)
    batch, following = run(runner, taken(batch, 1))
    assert (batch.state, following) == (State.FINISHED, None)
    assert results(batch) == [[1, "Bad."], [2, "Worse."]]


def test_a_line_of_another_life_of_its_flow_is_no_bad_line(
    runner: BatchRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that a lost reader has submitted stands, though it would be read otherwise now."""
    batch = put(b"1\n")
    lost = taken(batch)
    runner.run(lost, Deadline.after(60))
    monkeypatch.setattr(NumberedLines, "parse", other_mail)
    batch, _ = run(runner, lost)
    assert batch.counts == Counts(accepted=1)
    assert stored() == 1


def other_mail(_: NumberedLines, batch: Batch, content: bytes) -> tuple[Submission, StoredFlow]:
    """Return another mail than NumberedLines does."""
    mail = Submission(
        dialect="native", flow=FLOW, inputs={"text": content.decode()}, template=None, external={}
    )
    return mail, services().registry.get_flow(batch.tenant, FLOW)


def test_a_generation_that_is_gone_is_missing(runner: BatchRunner) -> None:
    """A line whose generation is not there any more ends as missing, and has a line of results."""
    batch = put(b"1\n")
    batch, _ = run(runner, taken(batch))
    generation_id = line_id("demo", batch.id, 1)
    clients().dynamodb.delete_item(
        TableName=REFERENCES["GenerationsTable"], Key={"pk": {"S": f"demo#{generation_id}"}}
    )
    batch, _ = run(runner, taken(batch, 1))
    assert (batch.state, batch.counts) == (State.FINISHED, Counts(accepted=1, missing=1))
    assert results(batch) == [[1, generation_id, None]]


@pytest.mark.parametrize(
    ("content", "size", "reason"),
    [
        (b"", 0, "Its file does not have 1 to 50000 lines."),
        (b"\n" * (MAX_LINES + 1), MAX_LINES + 1, "Its file does not have 1 to 50000 lines."),
        (b"1\n", 2**30 + 1, "Its file has more than 1073741824 bytes."),
    ],
)
def test_a_file_that_is_no_batch_fails(
    runner: BatchRunner, content: bytes, size: int, reason: str
) -> None:
    """A file that is empty or too big fails before any of it is submitted, and says why."""
    batch = put(content)
    assert batch.source
    turn = taken(batch)
    turn = replace(turn, batch=replace(batch, source=replace(batch.source, size=size)))
    batch, following = run(runner, turn)
    assert (batch.state, batch.reason, following) == (State.FAILED, reason, None)
    assert batch.finished_at
    assert stored() == 0


def test_a_file_is_read_as_it_was(runner: BatchRunner) -> None:
    """A file that is written again meanwhile is read to its end as it was; a deleted one fails."""
    batch = put(b"1\nx\n")
    put(b"y\n")
    other = put(b"1\n")
    assert other.source
    version = other.source.version or ""
    clients().s3.delete_object(Bucket=BUCKET, Key=KEY, VersionId=version)
    batch, _ = run(runner, taken(batch))
    assert batch.counts == Counts(accepted=1, bad=1)
    other, _ = run(runner, taken(other))
    assert (other.state, other.reason) == (State.FAILED, "Its file was deleted or replaced.")


def test_without_versions_a_file_is_known_by_its_etag(runner: BatchRunner) -> None:
    """Where no versions are kept, a file that was written again is not taken for the first."""
    source = put(b"1\n").source
    assert source
    unversioned = replace(source, version=None)
    assert services().batch_files.read(unversioned, 0, 2) == b"1\n"
    put(b"2\n")
    with pytest.raises(BatchFailedError):
        services().batch_files.read(unversioned, 0, 2)
    assert isinstance(runner, BatchRunner)


def test_a_server_that_knows_no_ranges_is_read_all_the_same(
    runner: BatchRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A storage that answers a range with the whole file, as it may, gives the same lines."""
    source = put(b"12\n34\n56\n").source
    assert source
    get_object = clients().s3.get_object

    def all_of_it(**request: Any) -> Any:  # noqa: ANN401 - botocore's own
        request.pop("Range")
        return get_object(**request)

    monkeypatch.setattr(clients().s3, "get_object", all_of_it)
    assert services().batch_files.read(source, 3, 4) == b"34\n5"
    assert isinstance(runner, BatchRunner)


def test_a_line_that_is_too_long_is_bad(
    runner: BatchRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line with more bytes than are taken is bad, and the others go on."""
    monkeypatch.setattr(batch_lines, "MAX_LINE_BYTES", 3)
    batch = put(b"1\n1234\n2\n")
    batch, _ = run(runner, taken(batch))
    assert batch.counts == Counts(accepted=2, bad=1)
    assert services().batches.read_bad(batch, 1, 3) == {2: "The line has more than 1000000 bytes."}


def test_a_slow_line_holds_up_no_other(runner: BatchRunner) -> None:
    """While the first line is open, those behind it end and the next ones are submitted."""
    batch, _ = run(runner, taken(put(b"1\n2\n3\n4\n5\n6\n7\n")))
    end(batch, 2, 3, 4)
    batch, _ = run(runner, taken(batch, 1))
    assert (batch.read, batch.counts.canceled) == (7, 3)
    assert batch.window is not None
    assert batch.window.open == (1, 5, 6, 7)


def test_lines_have_a_message_group_of_their_own(runner: BatchRunner, calls: list[Call]) -> None:
    """SQS serves a tenant's other requests beside its batches' lines."""
    run(runner, taken(put(b"1\n2\n")))
    (sent,) = [call.params for call in calls if "SendMessage" in call.operation]
    groups = [entry["MessageGroupId"] for entry in sent["Entries"]]
    assert groups == ["demo/batches", "demo/batches"]


def test_at_its_deadline_a_batch_ends_with_what_it_has(
    runner: BatchRunner, set_clock: SetClock
) -> None:
    """Open lines are canceled, the rest is never submitted, and each line has its result."""
    batch = put(b"1\nx\n2\n3\n4\n5\n6\n", deadline=timedelta(minutes=5))
    batch, _ = run(runner, taken(batch))
    services().outbox.cancel("demo", line_id("demo", batch.id, 1))
    clients().dynamodb.delete_item(
        TableName=REFERENCES["GenerationsTable"],
        Key={"pk": {"S": f"demo#{line_id('demo', batch.id, 3)}"}},
    )
    set_clock.advance(minutes=5)
    batch, following = run(runner, taken(batch, 1))
    assert (batch.state, following, stored()) == (State.FINISHED, None, 3)
    assert batch.counts == Counts(accepted=4, bad=1, canceled=3, missing=1)
    assert batch.unsubmitted == 2
    ids = {line: line_id("demo", batch.id, line) for line in range(1, 6)}
    canceled = [[line, ids[line], "canceled"] for line in (1, 4, 5)]
    assert results(batch) == [
        canceled[0], [2, "A line of words."], [3, ids[3], None], *canceled[1:], [6], [7]
    ]  # fmt: skip


def test_the_last_pause_is_until_the_deadline(runner: BatchRunner) -> None:
    """No turn is later than the batch's deadline, so that it ends in time."""
    batch = put(b"1\n", deadline=timedelta(minutes=1))
    turn = taken(batch)
    slow = Window(call=600.0, quiet=5)
    turn = replace(turn, batch=replace(batch, window=slow))
    _, following = run(runner, turn)
    assert following is not None
    assert timedelta(seconds=58) < following <= timedelta(minutes=1)


def test_a_deadline_with_more_lines_than_a_turn_cancels_ends_later(
    runner: BatchRunner, set_clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where time is short, the next turn cancels the rest of the lines."""
    batch, _ = run(runner, taken(put(b"1\n2\n3\n", deadline=timedelta(minutes=5))))
    set_clock.advance(minutes=5)
    turn = taken(batch, 1)
    ticks = iter([0.0, 0.0, *[9.0] * 99])
    with monkeypatch.context() as clockwork:
        monotonic = SimpleNamespace(monotonic=lambda: next(ticks))
        clockwork.setattr(deadline, "time", monotonic)
        clockwork.setattr(batch_runner, "MAX_SUBMITTERS", 1)
        turn, following = runner.run(turn, Deadline(5.0))
    assert (turn.batch.state, following) == (State.RUNNING, timedelta(seconds=1))
    assert services().batches.save(turn, turn.batch, release=True)
    batch, _ = run(runner, taken(turn.batch, 2))
    assert (batch.state, batch.counts.canceled) == (State.FINISHED, 3)


def test_an_unread_line_stays_open(runner: BatchRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that DynamoDB had no time for is neither counted nor taken for missing."""
    batch, _ = run(runner, taken(put(b"1\n2\n")))
    monkeypatch.setattr(services().store, "get_progress", lambda *_: {})
    batch, _ = run(runner, taken(batch, 1))
    assert (batch.state, batch.counts) == (State.RUNNING, Counts(accepted=2))
    assert batch.window is not None
    assert batch.window.open == (1, 2)


def test_bad_lines_of_a_lost_reader_are_forgotten(runner: BatchRunner, set_clock: SetClock) -> None:
    """A line that a lost reader took for bad, and that is good now, is no bad line."""
    lost = taken(put(b"1\n2\n"))
    services().batches.put_bad(lost.batch, 1, {1: "Bad."})
    set_clock.advance(seconds=61)
    batch, _ = run(runner, taken(lost.batch))
    assert services().batches.read_bad(batch, 1, 2) == {}
    assert batch.counts == Counts(accepted=2)


def test_a_turn_without_bad_lines_writes_the_batch_alone(
    runner: BatchRunner, calls: list[Call]
) -> None:
    """A turn costs two writes of the batch: its lease, and its progress with the release."""
    batch, _ = run(runner, taken(put(b"1\n2\n3\n4\n5\n")))
    end(batch, 1, 2)
    calls.clear()
    run(runner, taken(batch, 1))
    table = REFERENCES["BatchesTable"]
    written = [call.operation for call in calls if call.params.get("TableName") == table]
    assert written == ["dynamodb.UpdateItem", "dynamodb.UpdateItem", "dynamodb.GetItem"]


@pytest.mark.usefixtures("runner")
def test_an_expired_batch_is_not_there(set_clock: SetClock) -> None:
    """After its retention a batch is gone, though DynamoDB may still have it."""
    batch = put(b"1\n")
    set_clock.advance(days=30)
    with pytest.raises(NotFoundError):
        services().batches.get("demo", batch.id)

"""Batches of the version before, and batches that it has gone on with after a rollback.

That version submits all lines at once, counts ends in the order of lines, and has no window.
"""

import json
from datetime import timedelta
from typing import Any, Literal

import pytest

from afterword import clock
from afterword.batches import Batch, BatchLease, Counts, Source, State, Window, line_id
from afterword.batches.intake import IntakeMessage
from afterword.batches.runner import BatchRunner
from afterword.dialects.native.batches import Lines
from afterword.runtime.clients import clients
from afterword.runtime.deadline import Deadline
from afterword.services import services
from tests.batches.test_runner import NumberedLines
from tests.conftest import SetClock, Tenant
from tests.harness.deployment import REFERENCES

TABLE = REFERENCES["BatchesTable"]
ID = "019a6f3e-7c00-7000-8000-000000000001"
KEY = {"tenant": {"S": "demo"}, "id": {"S": ID}}


@pytest.fixture
def runner(tenant: Tenant, set_clock: SetClock) -> BatchRunner:  # noqa: ARG001 - its clock
    """Return a runner of the tenant's batches; time stands still, so no line waits."""
    assert tenant.id == "demo"
    return BatchRunner(
        services().batches,
        services().batch_files,
        services().store,
        services().submitter,
        services().outbox.cancel,
        NumberedLines(),
    )


def created(content: bytes, **more: Any) -> Batch:  # noqa: ANN401 - fields of a batch
    """Store a batch with its file in the bucket."""
    bucket, key = REFERENCES["BatchBucket"], "intake/demo/mails.jsonl"
    there = clients().s3.put_object(Bucket=bucket, Key=key, Body=content)
    source = Source(key=key, version=there["VersionId"], etag=there["ETag"], size=len(content))
    return services().batches.create(
        Batch(
            tenant="demo",
            id=ID,
            created_at=clock.now(),
            expires_at=clock.now() + timedelta(days=30),
            source=source,
            **more,
        )
    )


def item() -> dict[str, Any]:
    """Return the batch's item."""
    return dict(clients().dynamodb.get_item(TableName=TABLE, Key=KEY)["Item"])


def changed(**attributes: Any) -> None:  # noqa: ANN401 - attributes of the item
    """Change the batch's item, as another version does; None removes an attribute."""
    left = {name: value for name, value in (item() | attributes).items() if value is not None}
    clients().dynamodb.put_item(TableName=TABLE, Item=left)


def delayed() -> int:
    """Return the number of messages of later turns."""
    name: Literal["ApproximateNumberOfMessagesDelayed"] = "ApproximateNumberOfMessagesDelayed"
    queue = REFERENCES["IntakeQueue"]
    answer = clients().sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=[name])
    return int(answer["Attributes"][name])


def turn(runner: BatchRunner, number: int) -> Batch:
    """Run a turn of the batch."""
    until = clock.now() + timedelta(minutes=1)
    lease = services().batches.take_lease("demo", ID, number, until)
    assert isinstance(lease, BatchLease)
    result = runner.run(lease, Deadline.after(60))
    assert services().batches.save(result.lease, result.lease.batch, release=True)
    return services().batches.get("demo", ID)


def submitted(runner: BatchRunner) -> Batch:
    """Return a batch of four lines, one of them bad, whose first turn is over."""
    created(b"1\n2\nx\n4\n", state=State.READING)
    return turn(runner, 0)


def end(*lines: int) -> None:
    """End the generations of lines."""
    for line in lines:
        services().outbox.cancel("demo", line_id("demo", ID, line))


COUNTS = {"accepted": 3, "bad": 1, "succeeded": 0, "failed": 0, "canceled": 0, "missing": 0}


def stored(**counts: int) -> dict[str, Any]:
    """Return counts as the item has them."""
    return {"M": {name: {"N": str(n)} for name, n in (COUNTS | counts).items()}}


def test_the_version_before_counts_a_batch_from_its_first_line(runner: BatchRunner) -> None:
    """While lines are open the item has no ends, which the version before counts in order."""
    submitted(runner)
    end(2, 4)
    batch = turn(runner, 1)
    assert (batch.counts.canceled, batch.counts.ended) == (2, 3)
    assert (item()["ended"], item()["counts"]) == ({"N": "0"}, stored())
    end(1)
    turn(runner, 2)
    assert (item()["ended"], item()["counts"]) == ({"N": "4"}, stored(canceled=3))
    assert "window" not in item()


@pytest.mark.parametrize("prefix", [0, 1])
def test_a_batch_of_the_version_before_goes_on(runner: BatchRunner, prefix: int) -> None:
    """A batch with all lines submitted is counted to its end, from wherever its count was."""
    submitted(runner)
    end(1, 4)
    changed(
        window=None,
        tries=None,
        deadline_at=None,
        ended={"N": str(prefix)},
        quiet={"N": "3"},
        counts=stored(canceled=prefix),
    )
    batch = turn(runner, 1)
    assert (batch.state, batch.counts) == (State.RUNNING, Counts(accepted=3, bad=1, canceled=2))
    assert batch.window is not None
    assert batch.window.open == (2,)
    end(2)
    assert turn(runner, 2).counts == Counts(accepted=3, bad=1, canceled=3)


def test_a_batch_after_a_rollback_is_counted_anew(runner: BatchRunner) -> None:
    """A window from before the version before has submitted further lines is not used."""
    created(b"1\n2\n3\n4\n5\n6\n", state=State.READING)
    turn(runner, 0)
    end(1, 2)
    batch = turn(runner, 1)
    assert (batch.read, batch.counts.ended) == (6, 2)
    window = item()["window"]
    changed(read={"N": "5"}, counts=stored(accepted=5, bad=0))
    assert services().batches.get("demo", ID).window is None
    changed(read={"N": "6"}, counts=stored(accepted=6, bad=0), window=window)
    assert services().batches.get("demo", ID).counts.canceled == 2
    changed(ended={"N": "2"}, counts=stored(accepted=6, bad=0, canceled=2))
    again = services().batches.get("demo", ID)
    assert (again.window, again.counts.canceled) == (Window(seen=2), 2)
    batch = turn(runner, 2)
    assert batch.counts.ended == 2
    end(3, 4, 5, 6)
    assert turn(runner, 3).counts == Counts(accepted=6, canceled=6)


def test_a_batch_without_a_deadline_has_none(runner: BatchRunner) -> None:
    """A batch that the version before has made is not ended at a time that nobody has set."""
    batch = submitted(runner)
    assert batch.deadline_at is None
    assert batch.state is State.RUNNING


def test_a_batch_in_a_state_of_another_version_waits_for_it(runner: BatchRunner) -> None:
    """A batch in an unknown state keeps a turn, and all it has, until a version knows it again."""
    submitted(runner)
    changed(state={"S": "paused"})
    before = item()
    message = {"tenant": "demo", "batch": ID, "turn": 1}
    received = IntakeMessage(id="one", receipt_handle="one", body=json.dumps(message))
    intake = services().intake(Lines(services().registry, lambda: services().knowledge))
    assert intake.process([received], Deadline.after(60)) == []
    of_turns = ("turn", "lease", "lease_id", "tries")
    assert item() == before | {name: item()[name] for name in of_turns}
    assert delayed() == 1
    changed(state={"S": "running"})
    end(1, 2, 4)
    assert turn(runner, 2).counts == Counts(accepted=3, bad=1, canceled=3)


def test_a_batch_in_a_state_of_another_version_has_one_turn_at_a_time(runner: BatchRunner) -> None:
    """A turn's message that is received twice is followed by one message, not by two."""
    submitted(runner)
    changed(state={"S": "paused"})
    body = json.dumps({"tenant": "demo", "batch": ID, "turn": 1})
    received = [IntakeMessage(id=name, receipt_handle=name, body=body) for name in ("one", "two")]
    intake = services().intake(Lines(services().registry, lambda: services().knowledge))
    assert intake.process(received, Deadline.after(60)) == []
    assert delayed() == 1
    assert item()["tries"] == {"N": "0"}


def test_many_lines_of_the_version_before_are_looked_at_bit_by_bit(
    runner: BatchRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of fifty thousand lines that were submitted at once, a thousand are looked at in a turn."""
    looked: list[int] = []

    def get_progress(_: str, ids: Any) -> dict[str, None]:  # noqa: ANN401 - ids
        looked.append(len(ids))
        return dict.fromkeys(ids)

    monkeypatch.setattr(services().store, "get_progress", get_progress)
    created(b"1\n", state=State.RUNNING, lines=50_000, read=50_000, counts=Counts(accepted=50_000))
    batch = turn(runner, 0)
    assert (sum(looked), max(looked)) == (1_000, 100)
    assert (batch.counts.missing, batch.window and batch.window.seen) == (1_000, 1_000)
    assert isinstance(batch.window, Window)

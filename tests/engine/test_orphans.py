"""The sweep of objects: payloads that no item names are deleted, and no others."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from afterword import clock, generations
from afterword.engine import orphans
from afterword.engine.orphans import ItemsMissingError, OrphanSweeper
from afterword.files import SubmittedFile
from afterword.generations import Submission, SubmissionOptions
from afterword.generations.ends import ObjectSweep
from afterword.knowledge import Change, Draft
from afterword.runtime import payloads
from afterword.runtime.clients import clients
from afterword.runtime.deadline import Deadline
from afterword.runtime.payloads import INLINE_BYTES
from afterword.services import services
from tests.conftest import FLOW, Call, SetClock
from tests.harness.deployment import REFERENCES
from tests.harness.fake_model import completion

BIG = "x" * (INLINE_BYTES + 1)
TEXTS, CONTENTS = REFERENCES["Bucket"], REFERENCES["ContentsBucket"]
WHERE = f"demo/{'019a6f3e-7c00-7000-8000-000000000001'}"


@pytest.fixture(autouse=True)
def today(aws: None, set_clock: SetClock) -> SetClock:  # noqa: ARG001 - asked for its effect
    """Set the clock to that of the objects' times, which the stand-in for S3 writes."""
    set_clock.moment = datetime.now(UTC)
    return set_clock


def keys(bucket: str = TEXTS) -> set[str]:
    """Return the keys of all objects."""
    listed = clients().s3.list_objects_v2(Bucket=bucket).get("Contents", [])
    return {each["Key"] for each in listed}


def put_object(key: str, bucket: str = TEXTS) -> str:
    """Put an object that nothing names; return its key."""
    clients().s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    return key


def put(**fields: Any) -> str:  # noqa: ANN401 - of a submission
    """Store a queued generation; return its id."""
    generation_id = generations.new_id()
    submission = Submission(
        dialect="native", flow=FLOW, template=None, **{"inputs": {}, "external": {}, **fields}
    )
    options = SubmissionOptions(flow_version=1, retention=timedelta(days=30))
    services().store.put("demo", generation_id, submission, options)
    return generation_id


def sweep(seconds: float = 900) -> Mapping[str, int]:
    """Run the sweep of objects once."""
    return services().orphan_sweeper.sweep(Deadline.after(seconds))


def test_a_payload_that_an_item_names_stays(today: SetClock) -> None:
    """Requests, metadata, files, results and steps in the bucket outlive each sweep."""
    file = SubmittedFile(input="f", name="a", media_type="text/plain", content=b"Hello")
    for inputs in ({"text": "A"}, {"text": BIG}):
        external = {"metadata": f'"{BIG}"'}
        generation_id = put(inputs=inputs, external=external, files=(file,))
        store = services().store
        claim = store.claim("demo", generation_id, clock.now() + timedelta(minutes=1))
        assert claim is not None
        claim = store.finish_step(claim, completion(BIG))
        assert claim is not None
        assert store.succeed(claim, completion(BIG))
    before = keys()
    assert len(before) == 9
    today.advance(days=2)
    assert sweep() == {"pages": 2, "objects": 9}
    assert keys() == before


def test_an_orphan_is_deleted(today: SetClock) -> None:
    """Objects of absent, deleted and other generations' writers are deleted."""
    kept = put(inputs={"text": BIG})
    named = keys()
    deleted = put(inputs={"text": BIG})
    services().store.cancel("demo", deleted)
    services().store.delete("demo", deleted)
    for key in ("request-1", "file-1-1", "text-1-1", "step-1-1-1"):
        put_object(f"demo/{kept}/{key}")
    put_object(f"demo/{deleted}/text-1-1")
    put_object(f"{WHERE}/text-1-1")
    today.advance(days=2)
    assert sweep()["deleted"] == 6
    assert keys() == named


def test_a_young_payload_stays(today: SetClock) -> None:
    """An object of the last day may have a writer still, and is not asked about."""
    put_object(f"{WHERE}/text-1-1")
    today.advance(hours=23)
    assert "deleted" not in sweep()
    assert keys() == {f"{WHERE}/text-1-1"}


def test_a_payload_that_expires_soon_is_left_to_its_bucket(today: SetClock) -> None:
    """An item may expire before its texts, which is no loss of an item."""
    put_object(f"{WHERE}/text-1-1")
    today.advance(days=28, hours=1)
    assert "deleted" not in sweep()
    today.advance(days=-1)
    services().store.save_object_sweep(ObjectSweep(began_at=clock.now()))
    assert sweep()["deleted"] == 1


def test_an_object_of_another_form_stays(today: SetClock) -> None:
    """A key that no writer of ours makes is counted, and left alone."""
    strange = {put_object(key) for key in ("readme.txt", "demo/a", f"{WHERE}/a/b", "/a/b")}
    today.advance(days=2)
    assert sweep()["unknown"] == 4
    assert keys() == strange


def test_contents_keep_the_texts_that_they_name(today: SetClock) -> None:
    """Of a content the text and its metadata file stay; older and lost ones are deleted."""
    contents = services().contents
    content = contents.create("demo", Draft(name="A", text="One.", folder="F"))
    removed = contents.create("demo", Draft(name="B", text="Two.", folder="F"))
    contents.update("demo", content.id, Change(folder="G"))
    contents.remove("demo", removed.id)
    named = keys(CONTENTS)
    assert len(named) == 2
    for content_id in (content.id, removed.id):
        for name in ("old.txt", "old.txt.metadata.json"):
            put_object(f"demo/{content_id}/{name}", CONTENTS)
    today.advance(days=400)
    assert sweep()["deleted"] == 4
    assert keys(CONTENTS) == named


def test_a_content_that_moves_meanwhile_keeps_its_texts(
    today: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A content between the two reads of a sweep is left for the next one."""
    contents = services().contents
    content = contents.create("demo", Draft(name="A", text="One.", folder="F"))
    before = keys(CONTENTS)
    get_all = contents._table.get_all  # noqa: SLF001 - the seam between the reads

    def and_then_moves(asked: Any) -> Any:  # noqa: ANN401 - the table's own
        found = get_all(asked)
        monkeypatch.setattr(contents._table, "get_all", get_all)  # noqa: SLF001 - the same
        contents.update("demo", content.id, Change(folder="G"))
        return found

    monkeypatch.setattr(contents._table, "get_all", and_then_moves)  # noqa: SLF001 - the same
    today.advance(days=2)
    assert "deleted" not in sweep()
    assert keys(CONTENTS) == before


def test_a_sweep_begins_once_a_week(today: SetClock, calls: list[Call]) -> None:
    """Between two sweeps a daily run costs one read."""
    today.advance(days=2)
    sweep()
    calls.clear()
    today.advance(days=6, hours=23)
    assert sweep() == {}
    assert [call.operation for call in calls] == ["dynamodb.GetItem"]
    today.advance(hours=1, seconds=1)
    assert sweep()["pages"] == 2


def test_a_sweep_goes_on_where_the_last_run_stopped(
    today: SetClock, monkeypatch: pytest.MonkeyPatch, calls: list[Call]
) -> None:
    """A run has a bound, and several runs look at each object once."""
    monkeypatch.setattr(payloads, "PAGE", 2)
    monkeypatch.setattr(orphans, "MAX_PAGES", 1)
    for number in range(5):
        put_object(f"{WHERE}/text-{number}-1")
    today.advance(days=2)
    assert [sweep().get("objects") for _ in range(5)] == [2, 2, 1, None, None]
    assert keys() == set()
    listed = [call.params for call in calls if call.operation == "s3.ListObjectsV2"]
    after = [params["StartAfter"] for params in listed if "MaxKeys" in params]
    assert after == ["", f"{WHERE}/text-1-1", f"{WHERE}/text-3-1", ""]


def test_a_run_ends_before_its_invocation(today: SetClock) -> None:
    """Without time for a page a run begins none."""
    put_object(f"{WHERE}/text-1-1")
    today.advance(days=2)
    assert sweep(seconds=orphans.STOP_SECONDS - 1) == {}


def test_a_page_that_fails_ends_no_sweep(
    today: SetClock, cut_off: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that cannot be swept is counted, and the next one is looked at."""
    monkeypatch.setattr(payloads, "PAGE", 1)
    for number in range(2):
        put_object(f"{WHERE}/text-{number}-1")
    today.advance(days=2)
    cut_off("s3.DeleteObjects")
    assert sweep() == {"pages": 3, "objects": 2, "failed": 2}


@pytest.mark.parametrize("number", [orphans.FEW, orphans.FEW + 1])
def test_items_that_are_missing_cost_no_text(today: SetClock, number: int) -> None:
    """Where most objects of a page have no item, items are lost: the texts stay, with an alarm."""
    for each in range(number):
        put_object(f"{WHERE}/text-{each}-1")
    today.advance(days=2)
    if number <= orphans.FEW:
        assert sweep()["deleted"] == number
        return
    with pytest.raises(ItemsMissingError):
        sweep()
    assert len(keys()) == number
    assert sweep() == {}


def test_the_sweeper_has_both_buckets() -> None:
    """The generations' bucket expires payloads with the retention; the contents' keeps them."""
    sweeper = services().orphan_sweeper
    assert isinstance(sweeper, OrphanSweeper)
    retentions = [part.retention for part in sweeper._parts]  # noqa: SLF001 - no call shows them
    assert retentions == [timedelta(days=30), None]

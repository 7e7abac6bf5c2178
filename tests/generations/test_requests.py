"""Requests as items of their own: put first, read with the claim, gone with their generation."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from afterword import clock, generations
from afterword.errors import GoneError, NotFoundError
from afterword.files import SubmittedFile
from afterword.generations import Status, Submission, SubmissionOptions
from afterword.generations.claims import Claim
from afterword.generations.ends import DISPATCH_TIME, DUE_SHARDS, STALLED_AFTER
from afterword.generations.requests import BATCH
from afterword.generations.store import GenerationStore
from afterword.runtime.clients import clients
from afterword.runtime.dynamodb import millis
from afterword.runtime.item_size import size
from afterword.runtime.payloads import StoredPayload
from afterword.services import services
from tests.conftest import FLOW, START, Call, SetClock, Stored
from tests.harness.deployment import REFERENCES
from tests.harness.fake_model import completion
from tests.harness.long_texts import LONG
from tests.harness.stand_in_aws import put_items, read_items

ID = "019a6f3e-7c00-7000-8000-000000000001"
FILE = SubmittedFile(input="f", name="a", media_type="text/plain", content=b"Hello")
OPTIONS = SubmissionOptions(flow_version=1, retention=timedelta(days=30))

type ReadItem = Callable[[str, str], dict[str, Any]]


@pytest.fixture(autouse=True)
def _clock(set_clock: SetClock) -> None:
    """Set the clock."""
    assert set_clock


def submission(text: str = LONG, conversation: str | None = None, **further: Any) -> Submission:  # noqa: ANN401 - its fields
    """Return a submission with a text."""
    return Submission(
        dialect="native",
        flow=FLOW,
        inputs={"text": text},
        template=None,
        external={},
        conversation=conversation,
        **further,
    )


def claim(store: GenerationStore, generation_id: str = ID) -> Claim:
    """Claim a generation."""
    claimed = store.claim("demo", generation_id, clock.now() + timedelta(minutes=1))
    assert claimed is not None
    return claimed


def requests() -> list[dict[str, Any]]:
    """Return all requests that are items of their own."""
    return [each for each in read_items("GenerationsTable") if "status" not in each]


def lose_requests() -> None:
    """Delete all requests that are items of their own, as nothing of ours does."""
    for request in requests():
        clients().dynamodb.delete_item(
            TableName=REFERENCES["GenerationsTable"], Key={"pk": request["pk"]}
        )


def operations(calls: list[Call]) -> list[str]:
    """Return the operations called since the last time."""
    named = [call.operation for call in calls]
    calls.clear()
    return named


def test_a_long_request_is_an_item_of_its_own(store: GenerationStore, read_item: ReadItem) -> None:
    """The request stands under its generation's key, on no index, and expires with it."""
    store.put("demo", ID, submission(), OPTIONS)
    item = read_item("demo", ID)
    (request,) = requests()
    assert request.keys() == {"pk", "request", "expires_at"}
    assert request["pk"]["S"] == f"demo#{ID}#request-{item['request_item']['S']}"
    assert request["expires_at"] == item["expires_at"]
    assert "request" not in item
    assert claim(store).inputs == {"text": LONG}


def test_a_short_request_stays_in_its_item(store: GenerationStore, calls: list[Call]) -> None:
    """A generation of less than a write unit is one item, put and claimed by one call each."""
    store.put("demo", ID, submission("Hello. " * 100), OPTIONS)
    claim(store)
    assert operations(calls) == ["dynamodb.PutItem", "dynamodb.UpdateItem"]
    assert requests() == []


def test_an_acceptance_writes_one_unit(store: GenerationStore, read_item: ReadItem) -> None:
    """However long a request is, its generation's item has 1 KB at most."""
    sizes = set()
    for length in range(0, 300, 10):
        generation_id = generations.new_id()
        store.put("demo", generation_id, submission(LONG[:length]), OPTIONS)
        item = read_item("demo", generation_id)
        sizes.add("request_item" in item)
        assert size(item) <= 1_024
    assert sizes == {False, True}


def test_a_request_is_apart_only_where_that_is_cheaper(
    store: GenerationStore, calls: list[Call]
) -> None:
    """A short request stays in an item that is long without it."""
    sent = replace(submission("Hello"), external={"metadata": json.dumps(LONG)})
    store.put("demo", ID, sent, OPTIONS)
    assert operations(calls) == ["dynamodb.PutItem"]
    store.put("demo", generations.new_id(), replace(sent, inputs={"text": LONG}), OPTIONS)
    assert operations(calls) == ["dynamodb.PutItem", "dynamodb.PutItem"]


def test_a_long_request_takes_one_call_more(store: GenerationStore, calls: list[Call]) -> None:
    """Its put comes before the acceptance, and its read after the claim; a reader needs neither."""
    store.put("demo", ID, submission(), OPTIONS)
    assert operations(calls) == ["dynamodb.PutItem", "dynamodb.PutItem"]
    claim(store)
    assert operations(calls) == ["dynamodb.UpdateItem", "dynamodb.GetItem"]
    store.get("demo", ID)
    assert operations(calls) == ["dynamodb.GetItem"]
    store.get_detail("demo", ID)
    assert operations(calls) == ["dynamodb.GetItem", "dynamodb.GetItem"]


def test_a_request_that_could_not_be_put_is_no_acceptance(
    store: GenerationStore, cut_off: Callable[[str], None], stored: Callable[[], Stored]
) -> None:
    """Without the request's put nothing is stored, and the submitter hears of it."""
    cut_off("dynamodb.PutItem")
    with pytest.raises(EndpointConnectionError):
        store.put("demo", ID, submission(), OPTIONS)
    assert stored().items == 0


def test_a_request_without_its_generation_expires(
    store: GenerationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that dies before the acceptance leaves a request that DynamoDB deletes itself."""
    table = store._table  # noqa: SLF001 - the seam between the two puts
    real_put = table.put

    def die_at_the_second(item: Any, condition: Any = None) -> Any:  # noqa: ANN401 - the table's
        if condition is not None:
            raise KeyboardInterrupt
        return real_put(item, condition)

    monkeypatch.setattr(table, "put", die_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        store.put("demo", ID, submission(), OPTIONS)
    monkeypatch.undo()
    (orphan,) = requests()
    assert orphan["expires_at"] == {"N": str(int((START + OPTIONS.retention).timestamp()))}
    store.put("demo", ID, submission(), OPTIONS)
    assert claim(store).inputs == {"text": LONG}


@pytest.mark.parametrize("text", [LONG, LONG[::-1]])
def test_a_refused_submission_leaves_no_request(store: GenerationStore, text: str) -> None:
    """The request of another submission under the id is deleted, and the first one's stays."""
    store.put("demo", ID, submission(), OPTIONS)
    before = requests()
    assert store.put("demo", ID, submission(text), OPTIONS).same is (text == LONG)
    assert requests() == before
    assert claim(store).inputs == {"text": LONG}


def test_a_refused_request_that_is_left_is_logged(
    store: GenerationStore,
    cut_off: Callable[[str], None],
    log_lines: Callable[[], list[dict[str, Any]]],
) -> None:
    """A refused submission is answered even where its request cannot be deleted."""
    store.put("demo", ID, submission(), OPTIONS)
    cut_off("dynamodb.DeleteItem")
    assert store.put("demo", ID, submission(), OPTIONS).same
    assert [line["message"] for line in log_lines()] == [
        "could not delete a refused request, which expires"
    ]


def test_a_submission_that_meets_itself_keeps_its_request(
    store: GenerationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A put whose lost answer lets botocore send it again does not delete its own request."""
    table = store._table  # noqa: SLF001 - the seam between store and botocore
    real_put = table.put

    def put_twice(item: Any, condition: Any = None) -> Any:  # noqa: ANN401 - the table's
        real_put(item, condition)
        return real_put(item, condition)

    monkeypatch.setattr(table, "put", put_twice)
    assert store.put("demo", ID, submission(), OPTIONS).same
    monkeypatch.undo()
    assert claim(store).inputs == {"text": LONG}


def test_a_deletion_takes_the_request_first(
    store: GenerationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deletion that stops halfway leaves no text of the request, and can be repeated."""

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    store.put("demo", ID, submission(), OPTIONS)
    store.cancel("demo", ID)
    monkeypatch.setattr(store._table, "update", die)  # noqa: SLF001 - the seam between the two
    with pytest.raises(KeyboardInterrupt):
        store.delete("demo", ID)
    assert requests() == []
    monkeypatch.undo()
    store.delete("demo", ID)
    with pytest.raises(NotFoundError):
        store.get("demo", ID)


def test_a_request_that_is_gone_is_told(store: GenerationStore) -> None:
    """A worker, a list and a retry are told that the request is gone, and a reader needs none."""
    store.put("demo", ID, submission(), OPTIONS)
    lose_requests()
    assert store.get("demo", ID).status is Status.QUEUED
    detail = store.get_detail("demo", ID)
    assert (detail.inputs, detail.generation.gone) == ({}, True)
    assert claim(store).gone
    with pytest.raises(GoneError):
        store.get_submission("demo", ID)


def test_files_of_a_request_elsewhere_are_named(store: GenerationStore) -> None:
    """Files are no orphans while their request stands beside its generation."""
    store.put("demo", ID, submission(files=(FILE,)), OPTIONS)
    (file,) = store.get_detail("demo", ID).files
    other = file.key[:-1] + ("0" if file.key[-1] != "0" else "1")
    payloads = [StoredPayload(key, START) for key in (file.key, other)]
    assert store.find_orphans(payloads) == [other]
    store.cancel("demo", ID)
    store.delete("demo", ID)
    assert store.find_orphans(payloads) == [file.key, other]
    assert clients().s3.list_objects_v2(Bucket=REFERENCES["Bucket"])["KeyCount"] == 0


def test_a_page_reads_its_requests_by_one_call(
    store: GenerationStore, set_clock: SetClock, calls: list[Call]
) -> None:
    """A page takes a query, a read of its items and a read of those requests that are items."""
    for text in (LONG, "Hello", LONG[::-1]):
        set_clock.advance(seconds=1)
        store.put("demo", generations.new_id(), submission(text), OPTIONS)
    calls.clear()
    page = services().listings.read_page("demo", FLOW, 10)
    assert [each.inputs["text"] for each in page.items] == [LONG[::-1], "Hello", LONG]
    assert operations(calls) == ["dynamodb.Query", "dynamodb.BatchGetItem", "dynamodb.BatchGetItem"]


def test_a_read_of_many_requests_takes_a_call_for_each_batch(
    store: GenerationStore, set_clock: SetClock, calls: list[Call]
) -> None:
    """More requests than one call can read are read by several, each in its conversation."""
    store.put("demo", ID, submission(conversation="0"), OPTIONS)
    item, request = read_items("GenerationsTable")
    if "status" not in item:
        item, request = request, item
    copies = []
    for number in range(1, BATCH + 1):
        set_clock.advance(seconds=1)
        other = generations.new_id()
        copies.append(
            item
            | {
                "pk": {"S": f"demo#{other}"},
                "id": {"S": other},
                "list_order": {"S": generations.list_order(clock.now(), other)},
                "conversation": {"S": f"demo#{FLOW}#{number % 2}"},
            }
        )
        writer = item["request_item"]["S"]
        copies.append(request | {"pk": {"S": f"demo#{other}#request-{writer}"}})
    put_items("GenerationsTable", copies)
    calls.clear()
    read = services().listings.read_conversations("demo", FLOW, ["0", "1"], BATCH)
    assert [len(questions) for questions in read] == [BATCH // 2 + 1, BATCH // 2]
    assert all(each.inputs == {"text": LONG} for questions in read for each in questions)
    assert operations(calls).count("dynamodb.BatchGetItem") == 4


def test_an_item_of_the_version_before_is_read(store: GenerationStore) -> None:
    """An ended generation as it was stored before has its inputs, its steps and its text."""
    step: dict[str, Any] = {
        "model": {"S": "m"},
        "stop_reason": {"S": "stop"},
        "tokens_in": {"N": "1"},
        "tokens_out": {"N": "2"},
    }
    put_items(
        "GenerationsTable",
        [
            step
            | {
                "pk": {"S": f"demo#{ID}"},
                "list_key": {"S": f"demo#{FLOW}"},
                "list_order": {"S": f"{clock.to_millis(START)}#{ID}"},
                "tenant": {"S": "demo"},
                "id": {"S": ID},
                "dialect": {"S": "native"},
                "flow": {"S": FLOW},
                "flow_version": {"N": "1"},
                "status": {"S": "succeeded"},
                "attempt": {"N": "1"},
                "failures": {"N": "0"},
                "created_at": {"N": str(clock.to_millis(START))},
                "deadline_at": {"N": str(clock.to_millis(START) + 3_600_000)},
                "finished_at": {"N": str(clock.to_millis(START) + 5_000)},
                "expires_at": {"N": str(int(START.timestamp()) + 86_400)},
                "fingerprint": {"S": submission("Hello").fingerprint()},
                "request": {"S": '{"inputs": {"text": "Hello"}, "template": null}'},
                "external": {"S": '{"external_ref": "\\"case-457\\""}'},
                "step_1": {"M": step | {"text": {"S": "A draft"}}},
                "text": {"S": "Dear Ada"},
            }
        ],
    )
    detail = store.get_detail("demo", ID)
    assert detail.inputs == {"text": "Hello"}
    assert detail.generation.external == {"external_ref": '"case-457"'}
    assert detail.generation.completion is not None
    assert detail.generation.completion.text == "Dear Ada"
    assert [result.text for result in store.get_step_results("demo", ID)] == ["A draft"]
    assert store.put("demo", ID, submission("Hello"), OPTIONS).same
    (listed,) = services().listings.read_page("demo", FLOW, 10).items
    assert listed == detail
    store.delete("demo", ID)


@pytest.mark.parametrize("wrote_compact", [True, False])
@pytest.mark.parametrize("text", ["Hello. " * 100, LONG])
def test_either_layout_is_read_and_finished(
    store: GenerationStore, text: str, *, wrote_compact: bool
) -> None:
    """A generation of the layout before is claimed, ended, listed and repeated, and vice versa."""
    other = GenerationStore(
        clients().dynamodb,
        REFERENCES["GenerationsTable"],
        services()._payloads,  # noqa: SLF001 - the store's own
        compact=False,
    )
    writer, reader = (store, other) if wrote_compact else (other, store)
    sent = submission(text, files=(FILE,))
    writer.put("demo", ID, sent, OPTIONS)
    claimed = claim(reader)
    assert (claimed.inputs, [file.name for file in claimed.files]) == ({"text": text}, ["a"])
    assert reader.succeed(claimed, completion("Dear Ada. " * 50)) is not None
    assert writer.get("demo", ID).completion == completion("Dear Ada. " * 50)
    assert reader.get_detail("demo", ID).inputs == {"text": text}
    assert reader.get_submission("demo", ID)[0].inputs == sent.inputs
    reader.delete("demo", ID)
    assert requests() == []


@pytest.mark.parametrize("text", ["Hello. " * 100, LONG])
def test_the_layout_before_is_written_when_asked_for(
    aws: None, monkeypatch: pytest.MonkeyPatch, read_item: ReadItem, text: str
) -> None:
    """With CompactItems=false the version before can read all that is written."""
    assert aws is None
    monkeypatch.setenv("AFTERWORD_COMPACT_ITEMS", "false")
    store = services().store
    store.put("demo", ID, submission(text), OPTIONS)
    store.succeed(claim(store), completion("Dear Ada. " * 50))
    item = read_item("demo", ID)
    assert item["request"]["S"].startswith('{"inputs": {"text": "')
    assert item["text"] == {"S": "Dear Ada. " * 50}
    assert requests() == []
    assert all("B" not in value for value in item.values())


def finish_after(store: GenerationStore, set_clock: SetClock, time: timedelta) -> None:
    """Store a generation whose end has a receiver, and let it succeed so long after."""
    options = SubmissionOptions(flow_version=1, retention=timedelta(days=30), notify=True)
    store.put("demo", ID, submission(), options)
    claimed = claim(store)
    set_clock.moment += time
    assert store.succeed(claimed, completion("Dear Ada")) is not None


def test_an_early_end_stays_due_when_it_was(
    store: GenerationStore, set_clock: SetClock, read_item: ReadItem
) -> None:
    """An end with an outbox does not write the index of due times where that is far enough."""
    finish_after(store, set_clock, STALLED_AFTER - DISPATCH_TIME)
    assert read_item("demo", ID)["due_at"] == millis(START + STALLED_AFTER)


def test_a_later_end_is_due_later(
    store: GenerationStore, set_clock: SetClock, read_item: ReadItem
) -> None:
    """An end that the sweeper would look at too soon gets two minutes for its dispatch."""
    finish_after(store, set_clock, STALLED_AFTER - DISPATCH_TIME + timedelta(milliseconds=1))
    assert read_item("demo", ID)["due_at"] == millis(clock.now() + STALLED_AFTER)


@pytest.mark.parametrize("after", [timedelta(seconds=5), timedelta(minutes=1, seconds=50)])
def test_an_end_whose_process_died_is_due_within_two_minutes(
    store: GenerationStore, set_clock: SetClock, after: timedelta
) -> None:
    """The sweeper finds an end that was never dispatched, whenever it came."""
    finish_after(store, set_clock, after)
    set_clock.moment += STALLED_AFTER
    due = [key for shard in range(DUE_SHARDS) for key in store.read_due(shard, 10)]
    (stalled,) = store.read_stalled(due).stalled
    assert (stalled.id, stalled.finished_at) == (ID, START + after)

"""Payloads of writes that were refused: deleted by their writer, unless the item names them."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from afterword import clock, generations
from afterword.files import SubmittedFile
from afterword.generations import Submission, SubmissionOptions, items
from afterword.generations.claims import Claim
from afterword.generations.store import GenerationStore
from afterword.runtime.clients import clients
from afterword.runtime.dynamodb import ConditionFailed
from afterword.runtime.payloads import INLINE_BYTES
from tests.conftest import FLOW, SetClock, Stored
from tests.harness.deployment import REFERENCES
from tests.harness.fake_model import completion

ID = "019a6f3e-7c00-7000-8000-000000000001"
BIG = "x" * (INLINE_BYTES + 1)
FILE = SubmittedFile(input="f", name="a", media_type="text/plain", content=b"Hello")
OPTIONS = SubmissionOptions(flow_version=1, retention=timedelta(days=30))

type Count = Callable[[], Stored]


@pytest.fixture(autouse=True)
def _clock(set_clock: SetClock) -> None:
    """Set the clock."""
    assert set_clock


def submission(text: str = BIG) -> Submission:
    """Return a submission with a big request and a file."""
    return Submission(
        dialect="native",
        flow=FLOW,
        inputs={"text": text},
        template=None,
        external={},
        files=(FILE,),
    )


def claimed(store: GenerationStore) -> Claim:
    """Store a generation without objects, and claim it."""
    small = Submission(dialect="native", flow=FLOW, inputs={}, template=None, external={})
    store.put("demo", ID, small, OPTIONS)
    claim = store.claim("demo", ID, clock.now() + timedelta(minutes=1))
    assert claim is not None
    return claim


def keys() -> set[str]:
    """Return the keys of all objects."""
    listed = clients().s3.list_objects_v2(Bucket=REFERENCES["Bucket"]).get("Contents", [])
    return {each["Key"] for each in listed}


@pytest.mark.parametrize("end", ["canceled", "deleted", "taken over"])
def test_a_result_that_comes_too_late_is_deleted(
    store: GenerationStore, stored: Count, set_clock: SetClock, end: str
) -> None:
    """Texts of a lost claim are gone when its write is refused, of a step and of the whole."""
    claim = claimed(store)
    if end == "taken over":
        set_clock.advance(minutes=2)
        store.claim("demo", ID, clock.now() + timedelta(minutes=1))
    else:
        store.cancel("demo", ID)
    if end == "deleted":
        store.delete("demo", ID)
    assert store.finish_step(claim, completion(BIG)) is None
    assert store.succeed(claim, completion(BIG)) is None
    assert stored().objects == 0


def test_a_late_result_takes_no_others_text(store: GenerationStore, set_clock: SetClock) -> None:
    """A refused writer deletes its own text, and the stored one stays."""
    late = claimed(store)
    set_clock.advance(minutes=2)
    current = store.claim("demo", ID, clock.now() + timedelta(minutes=1))
    assert current is not None
    store.succeed(current, completion(BIG))
    before = keys()
    assert store.succeed(late, completion(BIG + "late")) is None
    assert keys() == before
    assert store.get("demo", ID).completion == completion(BIG)


def repeat_the_write(store: GenerationStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next write be sent twice, as botocore does after a lost answer."""
    table = store._table  # noqa: SLF001 - the seam between store and botocore

    def put(item: Mapping[str, Any], condition: Any) -> ConditionFailed:  # noqa: ANN401 - the table's
        assert real_put(item, condition) is None
        refused = real_put(item, condition)
        assert refused is not None
        return refused

    def update(*args: Any, **kwargs: Any) -> object:  # noqa: ANN401 - the table's
        assert not isinstance(real_update(*args, **kwargs), ConditionFailed)
        return real_update(*args, **kwargs)

    real_put, real_update = table.put, table.update
    monkeypatch.setattr(table, "put", put)
    monkeypatch.setattr(table, "update", update)


def test_a_write_that_meets_itself_keeps_its_text(
    store: GenerationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A result that is stored already, by the same write, is not deleted."""
    claim = claimed(store)
    repeat_the_write(store, monkeypatch)
    store.succeed(claim, completion(BIG))
    monkeypatch.undo()
    assert len(keys()) == 1
    item = clients().dynamodb.get_item(
        TableName=REFERENCES["GenerationsTable"], Key={"pk": {"S": f"demo#{ID}"}}
    )["Item"]
    assert keys() == {item["text_key"]["S"]}


@pytest.mark.parametrize("text", ["A", BIG])
def test_a_submission_that_meets_itself_keeps_its_texts(
    store: GenerationStore, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """Request and file of an accepted submission stay, in the item or in the bucket."""
    generation_id = generations.new_id()
    repeat_the_write(store, monkeypatch)
    assert store.put("demo", generation_id, submission(text), OPTIONS).same
    monkeypatch.undo()
    assert len(keys()) == (2 if text == BIG else 1)


@pytest.mark.parametrize("text", ["A", BIG])
def test_a_refused_submission_leaves_nothing(store: GenerationStore, text: str) -> None:
    """Neither the same submission again nor another one with its id adds or takes an object."""
    generation_id = generations.new_id()
    store.put("demo", generation_id, submission(text), OPTIONS)
    before = keys()
    assert store.put("demo", generation_id, submission(text), OPTIONS).same
    assert not store.put("demo", generation_id, submission(text + "B"), OPTIONS).same
    assert keys() == before
    store.cancel("demo", generation_id)
    store.delete("demo", generation_id)
    assert store.put("demo", generation_id, submission(text), OPTIONS).deleted
    assert keys() == set()


def test_texts_stay_where_the_outcome_is_unknown(store: GenerationStore) -> None:
    """A submission whose answer is lost may be stored, so its objects stay."""
    generation_id = generations.new_id()

    def lose(**_: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://aws.invalid")

    clients().dynamodb.meta.events.register("after-call.dynamodb.PutItem", lose)
    with pytest.raises(EndpointConnectionError):
        store.put("demo", generation_id, submission(), OPTIONS)
    assert store.get_submission("demo", generation_id)[0].files[0].content == b"Hello"


@pytest.mark.parametrize(
    ("key", "named"),
    [
        ("request-abc", True),
        ("file-1-abc", True),
        ("file-12-abc", True),
        ("file-1-abd", False),
        ("file-1", False),
        ("request-abd", False),
        ("text-1-abc", False),
        ("text-1", True),
        ("step-1-1", True),
        ("step-2-1", False),
    ],
)
def test_an_item_names_the_files_of_its_request(key: str, *, named: bool) -> None:
    """The files of a request in the bucket are known by its key, as in the version before."""
    where = f"demo/{ID}"
    item = {
        "list_key": {"S": "demo#flow"},
        "request_key": {"S": f"{where}/request-abc"},
        "text_key": {"S": f"{where}/text-1"},
        "step_1": {"M": {"text_key": {"S": f"{where}/step-1-1"}}},
    }
    assert items.names_payload(item, f"{where}/{key}") is named  # type: ignore[arg-type] # an item
    assert not items.names_payload(item, f"demo/other/{key}")  # type: ignore[arg-type] # an item

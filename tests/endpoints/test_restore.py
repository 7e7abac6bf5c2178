"""A table restored to an earlier moment, and a changed retention, as operations.md has them."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import boto3
import pytest

from afterword import clock, generations
from afterword.engine.orphans import ItemsMissingError
from afterword.errors import NotFoundError
from afterword.generations import GONE, Reason, Status, Submission, SubmissionOptions
from afterword.runtime.deadline import Deadline
from afterword.runtime.payloads import INLINE_BYTES
from afterword.services import services
from tests.conftest import FLOW, ROOT, Event, SetClock
from tests.endpoints.test_gone_texts import lose
from tests.harness.api import invoke
from tests.harness.deployment import REFERENCES
from tests.harness.fake_model import FakeModel, completion, saying
from tests.harness.long_texts import LONG
from tests.harness.native_generations import NOT_FOUND, Native, problem
from tests.harness.stand_in_aws import put_items, read_items

BIG = "x" * (INLINE_BYTES + 1)
TABLE = REFERENCES["GenerationsTable"]


def documented_script() -> str:
    """Return the script of docs/operations.md that restores generations, with the tables' names."""
    page = (ROOT / "docs/operations.md").read_text()
    scripts = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (script,) = [each for each in scripts if "restored-generations" in each]
    return str(script.replace("afterword-GenerationsTable-…", TABLE))


def put(text: str = "A", *, ended: str | None = "Hi") -> str:
    """Store a generation, with its result if it has ended; return its id."""
    generation_id = generations.new_id()
    submission = Submission(
        dialect="native", flow=FLOW, inputs={"text": text}, template=None, external={}
    )
    options = SubmissionOptions(flow_version=1, retention=timedelta(days=30), notify=True)
    services().store.put("demo", generation_id, submission, options)
    if ended is not None:
        claim = services().store.claim("demo", generation_id, clock.now() + timedelta(minutes=1))
        assert claim is not None
        services().store.succeed(claim, completion(ended))
    return generation_id


@pytest.fixture
def lose_items(native: Native) -> Callable[..., None]:
    """Return a function that makes the table of now the restored one, and loses these items."""
    assert native

    def lose_some(*ids: str) -> None:
        client = boto3.client("dynamodb")
        table = client.describe_table(TableName=TABLE)["Table"]
        client.create_table(
            TableName="restored-generations",
            KeySchema=table["KeySchema"],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        for item in read_items("GenerationsTable"):
            client.put_item(TableName="restored-generations", Item=item)
            if any(item["pk"]["S"].startswith(f"demo#{each}") for each in ids):
                client.delete_item(TableName=TABLE, Key={"pk": item["pk"]})

    return lose_some


def restore() -> None:
    """Run the documented script."""
    exec(compile(documented_script(), "docs/operations.md", "exec"), {})  # noqa: S102 - what operators run


def test_what_has_ended_comes_back_as_it_was(
    native: Native, lose_items: Callable[..., None]
) -> None:
    """A lost generation is there again with its text, and its end is not dispatched again."""
    ended = put()
    lose_items(ended)
    assert native.ask("get_generation", ended) == NOT_FOUND
    restore()
    assert native.ask("get_generation", ended)["body"]["output"] == "Hi"
    assert native.pages() == [[ended]]
    assert all("due_at" not in item for item in read_items("GenerationsTable"))


def test_a_long_request_comes_back_with_its_generation(lose_items: Callable[..., None]) -> None:
    """A request that is an item of its own is there again, unless its generation was deleted."""
    ended, deleted = put(LONG), put(LONG)
    lose_items(ended)
    services().store.delete("demo", deleted)
    restore()
    assert services().store.get_detail("demo", ended).inputs == {"text": LONG}
    assert [item for item in read_items("GenerationsTable") if deleted in item["pk"]["S"]] == [
        item for item in read_items("GenerationsTable") if "deleted_at" in item
    ]


def test_what_has_changed_since_stays_as_it_is(
    native: Native, lose_items: Callable[..., None]
) -> None:
    """A restore undoes neither a deletion nor a later end."""
    deleted, canceled = put(), put(ended=None)
    lose_items()
    native.ask("delete_generation", deleted)
    native.ask("cancel_generation", canceled)
    restore()
    assert native.ask("get_generation", deleted) == NOT_FOUND
    assert native.ask("get_generation", canceled)["body"]["status"] == "canceled"


def test_what_was_open_is_left_out(lose_items: Callable[..., None]) -> None:
    """A restore pays for no model: a generation that was open stays lost."""
    lost = put(ended=None)
    lose_items(lost)
    restore()
    with pytest.raises(NotFoundError):
        services().store.get("demo", lost)


def test_a_text_that_is_gone_since_is_gone(native: Native, lose_items: Callable[..., None]) -> None:
    """A restored generation whose object has expired is a 410, and in lists like the others."""
    ended, other = put(ended=BIG), put()
    lose_items(ended, other)
    lose()
    restore()
    assert native.ask("get_generation", ended) == problem(410, GONE)
    assert {item["id"] for item in native.page()["body"]["items"]} == {ended, other}


def test_what_was_open_and_is_put_back_comes_to_its_end(
    native: Native,
    set_clock: SetClock,
    message_event: Callable[[str], Event],
    use_model: Callable[[FakeModel], None],
) -> None:
    """Of generations that are put back open, none is left open, and none without inputs is paid."""
    assert native
    use_model(model := saying("Hi"))
    late = put(ended=None)
    set_clock.advance(minutes=50)
    without_inputs = put(BIG, ended=None)
    before = read_items("GenerationsTable")
    lose()
    set_clock.advance(minutes=20)
    put_items("GenerationsTable", before)
    assert invoke("sweep", {}) == {"failed": 1, "sent": 1}
    assert invoke("generate", message_event(without_inputs)) == {"batchItemFailures": []}
    ends = {id_: services().store.get("demo", id_) for id_ in (late, without_inputs)}
    assert {each.status for each in ends.values()} == {Status.FAILED}
    assert ends[late].reason is Reason.DEADLINE
    assert ends[without_inputs].reason is Reason.INPUT_MISSING
    assert model.prompts == []


@pytest.fixture
def retain(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that deploys another RetentionDays."""

    def deploy(days: int) -> None:
        monkeypatch.setenv("AFTERWORD_RETENTION_DAYS", str(days))
        services.cache_clear()

    return deploy


def test_a_lower_retention_takes_big_texts_alone(
    native: Native, set_clock: SetClock, retain: Callable[[int], None]
) -> None:
    """Generations of before show their small texts, and say of the others that they are gone."""
    small, big = put(), put(ended=BIG)
    set_clock.advance(days=8)
    retain(7)
    lose()  # S3's lifecycle
    assert native.ask("get_generation", small)["body"]["output"] == "Hi"
    assert native.ask("get_generation", big) == problem(410, GONE)
    shown = {item["id"]: item["gone"] for item in native.page()["body"]["items"]}
    assert shown == {small: False, big: True}
    new = native.submitted()
    set_clock.advance(days=7)
    assert native.ask("get_generation", new) == NOT_FOUND
    assert native.ask("get_generation", small)["statusCode"] == 200


def test_a_higher_retention_leaves_texts_to_the_bucket(
    native: Native, set_clock: SetClock, retain: Callable[[int], None]
) -> None:
    """Texts whose items have expired before them are deleted where they are few, else reported."""
    assert native
    set_clock.moment = datetime.now(UTC)
    kept = put(BIG, ended=None)
    for _ in range(21):
        put(BIG, ended=None)
    retain(90)
    set_clock.advance(days=40)
    items = [item for item in read_items("GenerationsTable") if item["id"]["S"] != kept]
    for item in items:  # DynamoDB's TTL
        boto3.client("dynamodb").delete_item(TableName=TABLE, Key={"pk": item["pk"]})
    with pytest.raises(ItemsMissingError):
        services().orphan_sweeper.sweep(Deadline.after(900))
    assert lose() == 22

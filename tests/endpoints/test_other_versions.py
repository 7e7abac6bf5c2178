"""Items of another version: while versions change, or after a rollback, each is read or left alone.

The items are written by this version, and then changed as a newer one might have written them.
"""

import json
import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest

from afterword import clock
from afterword.errors import ConflictError
from afterword.generations import FeedbackKind, Reason, Status
from afterword.generations.feedback import FeedbackChange
from afterword.runtime.clients import clients
from afterword.runtime.stored import read_word
from afterword.services import services
from afterword.tenants.keys import Scope
from afterword.webhooks import Disabled
from tests.conftest import SetClock, Tenant
from tests.harness import api as apis
from tests.harness.api import Api, invoke
from tests.harness.belongings import generation_parameters, make_belongings, submitted
from tests.harness.classes import CHOSEN, give_classes, submit_classification
from tests.harness.deployment import REFERENCES
from tests.harness.fake_model import FakeModel, completion, saying
from tests.harness.native_generations import Native
from tests.harness.stand_in_aws import TABLES, put_items, read_items

READS = sorted(name for route, name in apis.routes().items() if route.startswith("GET "))
NEW = {"L": [{"M": {"depth": {"N": "3"}}}]}
"""An attribute of a newer version."""
WORDS: Mapping[str, Mapping[str, Any]] = {
    "reason": {"S": "bored"},
    "output": {"S": "yaml"},
    "scopes": {"SS": ["admin", "audit", "read", "submit"]},
    "events": {"L": [{"S": "generation.finished"}, {"S": "generation.started"}]},
    "event": {"S": "generation.started"},
    "disabled_reason": {"S": "weather"},
    "state": {"S": "paused"},
}
"""Words of a newer version, by attribute."""

type Item = dict[str, Any]


def newer(item: Item, status: str | None) -> Item:
    """Return an item as a newer version might have written it."""
    changed = deepcopy(item) | {"of_a_newer_version": NEW}
    changed |= {name: word for name, word in WORDS.items() if name in item}
    if status is not None and "status" in item:
        changed["status"] = {"S": status}
    for name in ("request", "document", "sources", "source"):
        if name in item and (text := item[name].get("S", "")).startswith(("{", "[")):
            changed[name] = {"S": json.dumps(_with_more(json.loads(text)))}
    if "answers" in item:
        answers = json.loads(item["answers"]["S"])
        changed["answers"] = {"S": json.dumps([[*answer, 0.5] for answer in answers])}
    if "counts" in item:
        changed["counts"]["M"]["parked"] = {"N": "3"}
    return changed


def _with_more(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return JSON with another member in each object of fixed members."""
    if isinstance(value, list):
        return [_with_more(each) for each in value]
    if not isinstance(value, dict):
        return value
    more = {name: each if name == "inputs" else _with_more(each) for name, each in value.items()}
    return more | {"of_a_newer_version": True}


def let_a_newer_version_write(status: str | None = None) -> None:
    """Change all items of all tables."""
    for table in TABLES:
        put_items(table, [newer(item, status) for item in read_items(table)])


def change(generation_id: str, **values: Mapping[str, Any]) -> None:
    """Set attributes of a generation."""
    (item,) = [item for item in read_items("GenerationsTable") if item["id"]["S"] == generation_id]
    put_items("GenerationsTable", [item | values])


@pytest.fixture
def api(tenant: Tenant, set_clock: SetClock) -> Api:
    """Return a client with all rights, of a tenant that has one of each thing."""
    names = make_belongings(tenant)
    key = services().registry.create_key(tenant.id, list(Scope))[1]
    endpoint = services().webhook_endpoints.create(tenant.id, "https://hooks.example.com/two")[0]
    services().webhook_store.disable(endpoint, Disabled.FAILING)
    succeeded, failed, queued = (submitted(tenant) for _ in range(3))
    give_classes(tenant)
    classified = submit_classification(tenant)
    store = services().store
    lease = set_clock() + timedelta(minutes=5)
    for generation_id in (succeeded, failed, classified):
        claim = store.claim(tenant.id, generation_id, lease)
        assert claim is not None
        if generation_id == failed:
            assert store.fail(claim, Reason.TIMED_OUT, "Too slow.")
        else:
            assert store.succeed(claim, completion("Hi" if generation_id == succeeded else CHOSEN))
    ended = {"ended": succeeded, "failed": failed, "classified": classified}
    return Api(key, names | generation_parameters(queued) | ended)


@pytest.mark.parametrize("status", [None, "paused"])
def test_each_read_answers_about_items_of_another_version(api: Api, status: str | None) -> None:
    """No item with unknown words and attributes makes a GET or a list fail."""
    ids = [api.parameters[name] for name in ("id", "ended", "failed", "classified")]

    def answers() -> dict[tuple[str, str], int]:
        return {
            (name, generation_id): api.naming(**generation_parameters(generation_id)).call(name)[
                "statusCode"
            ]
            for name in READS
            for generation_id in (
                ids if re.search("log|generation|classification", name) else ids[:1]
            )
            if name not in {"get_docs", "get_docs_file", "get_openapi", "get_root", "health"}
        }

    before = answers()
    assert before["get_mail_classification", api.parameters["classified"]] == 200
    let_a_newer_version_write(status)
    after = answers()
    failed_log = ("get_flow_log", api.parameters["failed"])
    assert before.pop(failed_log) == 504
    assert after.pop(failed_log) == (
        502 if status is None else 202
    )  # a failure with no word of ours
    assert {200, 202, 404} >= {*before.values(), *after.values()}
    if status is None:
        assert after == before


def test_unknown_words_are_shown_as_their_text(native: Native, set_clock: SetClock) -> None:
    """An unknown reason is its text, in a reading, in a list and in the usage."""
    generation_id = native.submitted()
    claim = services().store.claim("demo", generation_id, set_clock() + timedelta(minutes=1))
    assert claim is not None
    services().store.fail(claim, Reason.TIMED_OUT, "Too slow.")
    change(generation_id, reason={"S": "bored"})
    error = native.ask("get_generation", generation_id)["body"]["error"]
    assert error == {"reason": "bored", "message": "Too slow."}
    (item,) = native.page(status="failed")["body"]["items"]
    assert item["error"]["reason"] == "bored"
    day = set_clock().date()
    (tally,) = services().statistics.get_tallies("demo", day, day).values()
    assert tally.failures == {"bored": 1}


def test_unknown_feedback_is_shown_and_moves_between_counts(
    native: Native, set_clock: SetClock
) -> None:
    """Feedback of an unknown kind is its text, and a known kind takes its place in the count."""
    generation_id = native.submitted()
    services().outbox.cancel("demo", generation_id)
    bored = FeedbackChange(sets_kind=True, kind=read_word(FeedbackKind, "bored"))
    services().feedback.give("demo", generation_id, None, bored)
    shown = native.ask("get_generation", generation_id)["body"]["feedback"]
    assert shown == {"kind": "bored", "note": None}
    day = set_clock().date()

    def count() -> Mapping[FeedbackKind, int]:
        (tally,) = services().statistics.get_tallies("demo", day, day).values()
        return tally.feedback

    assert count() == {"bored": 1}
    positive = FeedbackChange(sets_kind=True, kind=FeedbackKind.POSITIVE)
    services().feedback.give("demo", generation_id, None, positive)
    assert count() == {"positive": 1}


def test_an_unknown_last_error_is_shown_as_its_text(native: Native) -> None:
    """A setback of another version has its word, and its parts that are known here."""
    generation_id = native.submitted()
    error = {"reason": {"S": "bored"}, "code": {"S": "E1"}, "mood": {"S": "low"}}
    change(generation_id, last_error={"M": error})
    shown = native.ask("get_generation", generation_id)["body"]["last_error"]
    assert shown == {"reason": "bored", "code": "E1", "retry_at": None}
    change(generation_id, last_error={"M": {"reason": {"S": "bored"}}})
    shown = native.ask("get_generation", generation_id)["body"]["last_error"]
    assert shown == {"reason": "bored", "code": None, "retry_at": None}


def test_an_ended_generation_of_another_version_has_no_last_error(native: Native) -> None:
    """A version that does not know setbacks leaves one behind at the end, which is not shown."""
    generation_id = native.submitted()
    services().outbox.cancel("demo", generation_id)
    change(generation_id, last_error={"M": {"reason": {"S": "throttled"}}})
    assert native.ask("get_generation", generation_id)["body"]["last_error"] is None


def test_an_unknown_status_is_neither_claimed_nor_ended(
    native: Native, set_clock: SetClock, read_item: Callable[[str, str], Item]
) -> None:
    """A generation in a status of another version is shown as running, and nothing changes it."""
    generation_id = native.submitted()
    change(generation_id, status={"S": "paused"})
    before = read_item("demo", generation_id)
    assert native.ask("get_generation", generation_id)["body"]["status"] == "running"
    assert [item["status"] for item in native.page(status="running")["body"]["items"]] == [
        "running"
    ]
    store = services().store
    assert store.claim("demo", generation_id, set_clock() + timedelta(minutes=1)) is None
    assert services().outbox.cancel("demo", generation_id) is Status.RUNNING
    assert services().outbox.fail_unclaimed("demo", generation_id, Reason.DEADLINE, "Late.") is (
        Status.RUNNING
    )
    assert store.get_end("demo", generation_id) is None
    assert store.get_ends("demo", [generation_id]) == {}
    with pytest.raises(ConflictError):
        store.delete("demo", generation_id)
    with pytest.raises(ConflictError):
        services().submitter.retry("demo", generation_id)
    assert native.ask("cancel_generation", generation_id)["statusCode"] == 409
    assert read_item("demo", generation_id) == before


def test_a_worker_runs_a_flow_without_its_unknown_fields(
    native: Native,
    message_event: Callable[[str], Any],
    use_model: Callable[[FakeModel], None],
) -> None:
    """A request and a flow that a newer version has stored are run by what this one knows."""
    use_model(saying("Soon."))
    generation_id = native.submitted()
    let_a_newer_version_write()
    assert invoke("generate", message_event(generation_id)) == {"batchItemFailures": []}
    assert native.ask("get_generation", generation_id)["body"]["output"] == "Soon."


def test_a_flow_that_cannot_be_run_here_waits_for_a_worker_that_can(
    native: Native,
    message_event: Callable[[str], Any],
    use_model: Callable[[FakeModel], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A flow with an unknown choice is requeued like one whose model is out of reach."""
    use_model(saying("Soon."))
    monkeypatch.setattr("afterword.runtime.queue.Queue.change_visibility", lambda *_: None)
    generation_id = native.submitted()
    for item in read_items("RegistryTable"):
        if "document" in item:
            document = json.loads(item["document"]["S"])
            document["steps"][0]["output"] = "yaml"
            put_items("RegistryTable", [item | {"document": {"S": json.dumps(document)}}])
    event = message_event(generation_id)
    invoke("generate", event)
    shown = native.ask("get_generation", generation_id)["body"]
    assert (shown["status"], shown["attempts"]) == ("queued", 1)


def test_an_input_of_an_unknown_kind_is_a_text(native: Native) -> None:
    """A submission to a flow with an input of a new kind is accepted, as a text."""
    for item in read_items("RegistryTable"):
        if "document" in item:
            document = json.loads(item["document"]["S"])
            document["inputs"] = [{"name": "text", "kind": "voice", "loud": True}]
            put_items("RegistryTable", [item | {"document": {"S": json.dumps(document)}}])
    assert native.submit()["statusCode"] == 202


def test_a_key_keeps_the_scopes_that_are_known(tenant: Tenant) -> None:
    """An unknown scope of a key allows nothing, and takes no other one away."""
    key, _ = services().registry.create_key(tenant.id, [Scope.READ])
    pk = {"pk": {"S": f"key#{key.id}"}, "sk": {"S": "key"}}
    clients().dynamodb.update_item(
        TableName=REFERENCES["RegistryTable"],
        Key=pk,
        UpdateExpression="SET scopes = :scopes",
        ExpressionAttributeValues={":scopes": {"SS": ["audit", "read"]}},
    )
    read = services().registry.get_key(key.id)
    assert read is not None
    assert read.scopes == {"audit", Scope.READ}
    assert clock.now() >= read.created_at

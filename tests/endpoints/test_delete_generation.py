"""Deleting through the native API: the generation is gone, and its end still made known."""

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from afterword import clock, generations
from afterword.errors import NotFoundError
from afterword.files import SubmittedFile
from afterword.generations import Completion, Reason, Status, Submission, SubmissionOptions
from afterword.generations.claims import Claim
from afterword.limits import Limits
from afterword.limits.quotas import Quotas, QuotaStatus
from afterword.runtime.clients import clients
from afterword.runtime.packing import unpack
from afterword.runtime.payloads import INLINE_BYTES
from afterword.services import services
from tests.conftest import FLOW, Event, SetClock, Stored, Tenant
from tests.endpoints.conftest import NO_SUCH_GENERATION
from tests.harness.api import invoke
from tests.harness.deployment import REFERENCES
from tests.harness.fake_model import FakeModel, completion, saying
from tests.harness.native_generations import NOT_FOUND, QUESTION, Native, problem
from tests.harness.response_headers import NO_STORE

WORD = "Quokka"
BIG = WORD + "x" * INLINE_BYTES

type ReadItem = Callable[[str, str], dict[str, Any]]


def claimed(generation_id: str) -> Claim:
    """Claim a generation as a worker does."""
    claim = services().store.claim("demo", generation_id, clock.now() + timedelta(minutes=1))
    assert claim is not None
    return claim


def result(text: str) -> Completion:
    """Return a completion of 160 tokens."""
    return completion(text)


def used() -> QuotaStatus:
    """Return the tenant's quotas."""
    return Quotas(clients().dynamodb, REFERENCES["QuotasTable"]).get_status("demo")


def everything() -> str:
    """Return all that is stored of generations, as text."""
    items = clients().dynamodb.scan(TableName=REFERENCES["GenerationsTable"])["Items"]
    objects = clients().s3.list_objects_v2(Bucket=REFERENCES["Bucket"]).get("Contents", [])
    keys = [each["Key"] for each in objects]
    return json.dumps([items, keys], default=lambda packed: unpack({"B": packed}))


@pytest.mark.parametrize("size", ["small", "big"])
def test_what_has_ended_is_deleted_with_all_its_texts(
    native: Native, stored: Callable[[], Stored], size: str
) -> None:
    """Nothing is left of inputs, metadata, files, results and titles, in items or objects."""
    text = WORD if size == "small" else BIG
    submission = Submission(
        dialect="native",
        flow=FLOW,
        inputs={"text": text},
        template=text,
        external={"external_ref": f'"{WORD}"', "metadata": json.dumps({"a": text})},
        files=(SubmittedFile(input="f", name=WORD, media_type="text/plain", content=b"Quokka"),),
        conversation=WORD,
    )
    generation_id = services().submitter.submit("demo", submission)
    claim = services().store.finish_step(claimed(generation_id), result(text))
    assert claim is not None
    services().outbox.succeed(claim, result(text))
    services().store.set_title("demo", generation_id, FLOW, WORD)
    assert WORD in everything()
    gone = native.ask("delete_generation", generation_id)
    assert gone == {"statusCode": 204, "headers": {**NO_STORE}, "body": ""}
    assert WORD not in everything()
    assert stored().objects == 0


def test_a_deleted_generation_is_not_found(
    native: Native, tenant: Tenant, load_event: Callable[[str], Event]
) -> None:
    """A deleted generation is absent everywhere: here, in lists, and for every dialect."""
    generation_id = native.submitted(external_ref="case-457", conversation="s")
    services().outbox.fail_unclaimed(
        "demo", generation_id, Reason.DEAD_LETTER, "No.", {"MessageId": "m"}
    )
    order = services().store.get("demo", generation_id).order
    assert native.ask("delete_generation", generation_id)["statusCode"] == 204
    for name in ("get", "cancel", "delete", "retry"):
        assert native.ask(f"{name}_generation", generation_id) == NOT_FOUND
    assert native.pages() == native.pages(external_ref="case-457") == [[]]
    store = services().store
    assert services().listings.read_page("demo", FLOW, 100).items == ()
    assert services().listings.read_conversation("demo", FLOW, "s", until=order) == []
    assert list(services().listings.list_dead_letters("demo")) == []
    for note in (
        lambda: store.set_title("demo", generation_id, FLOW, "x"),
        lambda: store.rate("demo", generation_id, FLOW, 1),
        lambda: services().outbox.cancel("demo", generation_id),
    ):
        with pytest.raises(NotFoundError):
            note()
    event = load_event("get_mail_generation")
    event["headers"]["authorization"] = f"Bearer {tenant.key}"
    event["pathParameters"]["processCuid"] = generation_id
    assert invoke("get_mail_generation", event) == NO_SUCH_GENERATION


@pytest.mark.parametrize("running", [False, True])
def test_what_is_open_is_canceled_first(
    native: Native, read_item: ReadItem, *, running: bool
) -> None:
    """An open generation is a conflict, and stays as it is."""
    generation_id = native.submitted()
    if running:
        claimed(generation_id)
    before = read_item("demo", generation_id)
    refused = problem(409, "The generation has not ended: cancel it first.")
    assert native.ask("delete_generation", generation_id) == refused
    assert read_item("demo", generation_id) == before
    native.ask("cancel_generation", generation_id)
    assert native.ask("delete_generation", generation_id)["statusCode"] == 204


def test_a_late_worker_changes_nothing(
    native: Native,
    read_item: ReadItem,
    message_event: Callable[[str], Event],
    use_model: Callable[[FakeModel], None],
) -> None:
    """A late message from or to a worker brings nothing of a deleted generation back."""
    generation_id = native.submitted()
    claim = claimed(generation_id)
    native.ask("cancel_generation", generation_id)
    native.ask("delete_generation", generation_id)
    before = read_item("demo", generation_id)
    assert not services().outbox.succeed(claim, result(WORD))
    assert services().store.finish_step(claim, result(WORD)) is None
    assert not services().store.requeue(claim, failed=True)
    use_model(saying(WORD))
    assert invoke("generate", message_event(generation_id)) == {"batchItemFailures": []}
    assert read_item("demo", generation_id) == before


def test_an_undispatched_end_is_dispatched_after_the_deletion(
    native: Native,
    tenant: Tenant,
    set_clock: SetClock,
    read_item: ReadItem,
) -> None:
    """A slot comes back and the tokens are counted, though the process died that was to do it."""
    services().registry.set_limits(tenant.id, Limits(running_at_once=1))
    generation_id = native.submitted()
    claim = services().store.finish_step(claimed(generation_id), result(WORD))
    assert claim is not None
    services().store.fail(claim, Reason.TIMED_OUT, "Too late.")  # and dies
    assert native.ask("delete_generation", generation_id)["statusCode"] == 204
    assert used() == QuotaStatus(requests=1, running=1, tokens=0)
    set_clock.advance(minutes=3)
    assert invoke("sweep", {})["dispatched"] == 1
    assert used() == QuotaStatus(requests=0, running=0, tokens=160)
    assert "due_at" not in read_item("demo", generation_id)


def test_the_end_is_made_known_all_the_same(
    native: Native, load_event: Callable[[str], Event], read_item: ReadItem, stored: object
) -> None:
    """The end of a deleted generation still reaches its webhook endpoints."""
    assert stored
    generation_id = generations.new_id()
    submission = Submission(
        dialect="native", flow=FLOW, inputs={"text": WORD}, template=None, external={}
    )
    options = SubmissionOptions(flow_version=1, retention=timedelta(days=30), notify=True)
    services().store.put("demo", generation_id, submission, options)
    services().store.cancel("demo", generation_id)
    assert native.ask("delete_generation", generation_id)["statusCode"] == 204
    ended = services().store.get_end("demo", generation_id)
    assert ended is not None
    assert (ended.status, ended.dispatched, ended.notify) == (Status.CANCELED, False, True)
    event = load_event("deliver")
    event["Records"][0]["body"] = json.dumps({"tenant": "demo", "id": generation_id})
    assert invoke("deliver", event) == {"batchItemFailures": []}
    assert "due_at" not in read_item("demo", generation_id)


def test_a_deleted_generation_is_counted_as_before(native: Native, set_clock: SetClock) -> None:
    """The statistics still count a deleted generation: its tokens were paid for."""
    generation_id = native.submitted()
    services().outbox.succeed(claimed(generation_id), result(WORD))
    hour = set_clock().replace(minute=0, second=0, microsecond=0)
    before = list(services().listings.read_ended(hour, "demo"))
    assert len(before) == 1
    native.ask("delete_generation", generation_id)
    assert list(services().listings.read_ended(hour, "demo")) == before


def test_a_key_stands_for_what_was_deleted(
    native: Native, tenant: Tenant, stored: Callable[[], Stored]
) -> None:
    """A client that repeats its submission after the deletion makes no second generation.

    The repetition takes no slot, and once the tombstone has expired, the key is free.
    """
    services().registry.set_limits(tenant.id, Limits(running_at_once=1))
    generation_id = native.submit(idempotency_key="case-457")["body"]["id"]
    native.ask("cancel_generation", generation_id)
    native.ask("delete_generation", generation_id)
    before = stored()
    refused = problem(409, "Its generation was deleted, and is not made again.")
    assert native.submit(idempotency_key="case-457") == refused
    assert native.submit({**QUESTION, "external_ref": "A"}, idempotency_key="case-457") == refused
    assert (stored(), used().running) == (before, 0)


def test_an_expired_one_is_made_again(native: Native, set_clock: SetClock) -> None:
    """When its time is over, nothing stands for the key any more."""
    generation_id = native.submit(idempotency_key="case-457")["body"]["id"]
    native.ask("cancel_generation", generation_id)
    native.ask("delete_generation", generation_id)
    set_clock.advance(days=31)
    again = native.submit(idempotency_key="case-457")
    assert (again["statusCode"], again["body"]["id"]) == (202, generation_id)


def test_objects_that_cannot_be_deleted_hinder_nothing(
    native: Native,
    cut_off: Callable[[str], None],
    log_lines: Callable[[], list[Mapping[str, Any]]],
) -> None:
    """The generation is gone, and the log says that payloads are left, which expire."""
    generation_id = native.submitted(inputs={"text": BIG})
    native.ask("cancel_generation", generation_id)
    assert clients().s3
    cut_off("s3.DeleteObjects")
    assert native.ask("delete_generation", generation_id)["statusCode"] == 204
    assert native.ask("get_generation", generation_id) == NOT_FOUND
    (line,) = [line for line in log_lines() if "payloads" in line["message"]]
    assert WORD not in json.dumps(line)


def test_two_who_delete_at_once_do_it_once(
    native: Native, monkeypatch: pytest.MonkeyPatch, read_item: ReadItem
) -> None:
    """The second one finds nothing, and changes nothing."""
    generation_id = native.submitted()
    native.ask("cancel_generation", generation_id)
    store = services().store
    found = store._found  # noqa: SLF001 - the seam between read and write

    def and_then_another(tenant: str, an_id: str) -> object:
        item = found(tenant, an_id)
        monkeypatch.setattr(store, "_found", found)
        store.delete(tenant, an_id)
        return item

    monkeypatch.setattr(store, "_found", and_then_another)
    assert native.ask("delete_generation", generation_id) == NOT_FOUND
    assert "deleted_at" in read_item("demo", generation_id)

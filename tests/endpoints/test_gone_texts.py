"""Texts that are gone from the bucket: the state of a record, and not a failure of AWS."""

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from afterword import clock, generations
from afterword.dialects.native.batches import Lines
from afterword.files import SubmittedFile
from afterword.generations import GONE, Reason, Status, Submission, SubmissionOptions
from afterword.knowledge import Draft
from afterword.runtime.clients import clients
from afterword.runtime.payloads import INLINE_BYTES
from afterword.services import services
from afterword.tenants.keys import Scope
from tests.conftest import FLOW, FLOW_DOCUMENT, Event, Tenant
from tests.harness.api import Api, invoke
from tests.harness.deployment import REFERENCES
from tests.harness.fake_model import FakeModel, completion, saying
from tests.harness.native_generations import Native, problem

BIG = "x" * 2 * INLINE_BYTES
LOST = f"gone: {GONE}"

type MessageEvent = Callable[[str], Event]


def lose(name: str = "", bucket: str = "Bucket") -> int:
    """Delete the objects whose name begins so, as S3's lifecycle does; return how many."""
    listed = clients().s3.list_objects_v2(Bucket=REFERENCES[bucket]).get("Contents", [])
    keys = [each["Key"] for each in listed if each["Key"].split("/")[2].startswith(name)]
    for key in keys:
        clients().s3.delete_object(Bucket=REFERENCES[bucket], Key=key)
    return len(keys)


def put(**fields: Any) -> str:  # noqa: ANN401 - of a submission
    """Store a queued generation; return its id."""
    generation_id = generations.new_id()
    submission = {"inputs": {"text": "A"}, "external": {}, "dialect": "native", **fields}
    options = SubmissionOptions(flow_version=1, retention=timedelta(days=30))
    services().store.put(
        "demo", generation_id, Submission(flow=FLOW, template=None, **submission), options
    )
    return generation_id


def succeed(generation_id: str) -> str:
    """End a generation with a text too big for its item; return its id."""
    claim = services().store.claim("demo", generation_id, clock.now() + timedelta(minutes=1))
    assert claim is not None
    assert services().outbox.succeed(claim, completion(BIG))
    return generation_id


def run(event: Event) -> None:
    """Run a worker on a message, which is done then."""
    assert invoke("generate", event) == {"batchItemFailures": []}


@pytest.fixture
def ask(tenant: Tenant) -> Callable[..., Mapping[str, Any]]:
    """Return a function that calls a function about a generation, with a key for its flow."""
    services().registry.put_flow("demo", FLOW, FLOW_DOCUMENT)
    key = services().registry.create_key(tenant.id, [*Scope], flow=FLOW)[1]

    def call(function: str, generation_id: str = "", body: object = None) -> Mapping[str, Any]:
        names = ("processCuid", "text_gen_id", "logId", "questionId", "id")
        parameters = {"companyCuid": "demo", "orchestratorCuid": FLOW, "flow": FLOW}
        api = Api(key, {**parameters, **dict.fromkeys(names, generation_id)})
        return api.call(function, body)

    return call


type Ask = Callable[..., Mapping[str, Any]]


# --- results ------------------------------------------------------------------------------------


def test_a_result_that_is_gone_is_a_410(native: Native) -> None:
    """A client that polls learns that there is nothing to wait for."""
    generation_id = succeed(put())
    assert lose() == 1
    assert native.ask("get_generation", generation_id) == problem(410, GONE)


@pytest.mark.long
def test_a_submission_that_is_repeated_too_late_is_a_410(native: Native) -> None:
    """An idempotency key whose result is gone says so."""
    accepted = native.submit(idempotency_key="case-457")
    succeed(accepted["body"]["id"])
    lose()
    assert native.submit(idempotency_key="case-457") == problem(410, GONE)


def test_a_list_shows_the_rest_and_marks_what_is_gone(native: Native) -> None:
    """One text that is gone hides no other generation."""
    lost, open_one = succeed(put()), put()
    lose()
    shown = {item["id"]: item for item in native.page()["body"]["items"]}
    assert shown.keys() == {lost, open_one}
    assert (shown[lost]["status"], shown[lost]["output"]) == ("succeeded", None)
    assert (shown[lost]["gone"], shown[open_one]["gone"]) == (True, False)


@pytest.mark.long
def test_metadata_that_are_gone_hide_no_result(native: Native) -> None:
    """A generation is shown without the metadata that are gone, and marked."""
    metadata = json.dumps({"a": BIG})
    generation_id = succeed(put(external={"external_ref": '"case-457"', "metadata": metadata}))
    assert lose("external") == 1
    shown = native.ask("get_generation", generation_id)
    assert shown["statusCode"] == 200
    assert (shown["body"]["output"], shown["body"]["metadata"]) == (BIG, None)
    assert shown["body"]["gone"] is True


def test_a_mails_reply_that_is_gone_has_failed(ask: Ask) -> None:
    """Dialonce's state of a reply that will never come is `failed`."""
    generation_id = succeed(put())
    lose()
    shown = ask("get_mail_generation", generation_id)
    assert shown["statusCode"] == 200
    assert (shown["body"]["status"], shown["body"]["response"]) == ("failed", None)


def test_an_apps_text_that_is_gone_has_failed(ask: Ask) -> None:
    """GenAI Stack's state is `failed`, with the reason, in lists and alone."""
    generation_id = succeed(put(inputs={"text": BIG}))
    assert lose() == 2
    listed = ask("list_text_generations")
    shown = ask("get_text_generation", generation_id)
    titled = ask("update_text_generation", generation_id, {"title": "A"})
    assert listed["body"] == [shown["body"]]
    assert titled["body"] == {**shown["body"], "title": "A"}
    body = shown["body"]
    assert (body["status"], body["inputs"], body["outputs"]) == ("failed", {}, {})
    assert body["logs"].endswith(LOST)
    told = {"reason": "gone", "message": GONE, "gone": True}
    assert told.items() <= body["meta_data"].items()


@pytest.mark.long
def test_a_chat_says_which_answer_is_gone(ask: Ask) -> None:
    """A session whose answer is gone has the explanation in its place."""
    succeed(put())
    chat = json.dumps({**json.loads(FLOW_DOCUMENT), "type": "chat"})
    services().registry.put_flow("demo", FLOW, chat)
    lose()
    (session,) = ask("get_stack_app")["body"]["chat_sessions"]
    assert [turn["message"] for turn in session["data"]] == ["A", GONE]


def test_a_runs_result_that_is_gone_is_a_410(ask: Ask) -> None:
    """Promptitude's code of a log whose result is gone is 410, and its rating stays."""
    generation_id = succeed(put())
    lose()
    rated = ask("rate_flow_log", generation_id, {"rating": {"rating": 3}})
    assert rated["statusCode"] == 200
    shown = ask("get_flow_log", generation_id)
    assert shown["statusCode"] == shown["body"]["code"] == 410
    assert (shown["body"]["message"], shown["body"]["results"]["rating"]) == (LOST, 3)


def test_an_answer_that_is_gone_is_an_error(ask: Ask) -> None:
    """Unless' state of an answer that is gone is `ERROR`, with the reason."""
    generation_id = succeed(put(dialect="unless"))
    lose()
    body = {"questionId": generation_id, "status": "ERROR", "error": LOST}
    assert ask("get_answer", generation_id)["body"] == body


def test_a_conversation_leaves_out_the_questions_that_are_gone(ask: Ask) -> None:
    """The history of an answer has the turns that are there."""
    succeed(put(dialect="unless", conversation="s", inputs={"text": "Gone?"}))
    lose()
    second = succeed(put(dialect="unless", conversation="s", inputs={"text": "There?"}))
    history = ask("get_answer", second)["body"]["chatData"]["history"]
    assert [turn["message"] for turn in history] == ["There?", BIG]


@pytest.mark.usefixtures("tenant")
def test_many_are_read_though_one_is_gone() -> None:
    """A batch reads the results of its lines, and marks the one that is gone."""
    lost, kept = succeed(put()), put()
    lose()
    found = services().store.get_many("demo", [lost, kept])
    line = json.loads(Lines.render_result(1, lost, found[lost]))
    assert (line["status"], line["output"]) == ("succeeded", None)
    assert line["error"] == {"reason": "gone", "message": GONE}
    assert not found[kept].gone


# --- inputs -------------------------------------------------------------------------------------


def failure(generation_id: str) -> tuple[Reason | None, int]:
    """Return the reason of a failed generation, and the number of its attempts."""
    generation = services().store.get("demo", generation_id)
    assert generation.status is Status.FAILED
    return generation.reason, generation.attempt


@pytest.mark.usefixtures("tenant")
def test_inputs_that_are_gone_fail_the_first_attempt(
    message_event: MessageEvent, use_model: Callable[[FakeModel], None]
) -> None:
    """A generation without its inputs fails at once, with its reason, and asks no model."""
    use_model(model := saying("Hi"))
    generation_id = put(inputs={"text": BIG})
    lose()
    run(message_event(generation_id))
    assert failure(generation_id) == (Reason.INPUT_MISSING, 1)
    assert model.prompts == []


@pytest.mark.long
@pytest.mark.usefixtures("tenant")
def test_a_file_that_is_gone_fails_the_first_attempt(
    message_event: MessageEvent, use_model: Callable[[FakeModel], None]
) -> None:
    """A generation without one of its files fails with the same reason."""
    use_model(saying("Hi"))
    file = SubmittedFile(input="f", name="a.txt", media_type="text/plain", content=b"Hello")
    generation_id = put(files=(file,))
    assert lose("file") == 1
    run(message_event(generation_id))
    assert failure(generation_id) == (Reason.INPUT_MISSING, 1)


@pytest.mark.long
@pytest.mark.usefixtures("tenant")
def test_a_steps_result_that_is_gone_fails_the_next_attempt(
    message_event: MessageEvent, use_model: Callable[[FakeModel], None]
) -> None:
    """No step is paid for twice, so an attempt without an earlier result fails."""
    use_model(saying("Hi"))
    generation_id = put()
    store = services().store
    claim = store.claim("demo", generation_id, clock.now() + timedelta(minutes=1))
    assert claim is not None
    claim = store.finish_step(claim, completion(BIG))
    assert claim is not None
    store.requeue(claim, failed=False)
    assert lose("step") == 1
    run(message_event(generation_id))
    assert failure(generation_id) == (Reason.INPUT_MISSING, 2)


def test_a_retry_without_its_inputs_is_a_410(native: Native) -> None:
    """A failed generation whose inputs are gone cannot be submitted again."""
    generation_id = put(inputs={"text": BIG})
    services().outbox.cancel("demo", generation_id)
    lose()
    refused = problem(410, "A text of this record is gone from storage.")
    assert native.ask("retry_generation", generation_id) == refused


@pytest.mark.long
def test_what_is_gone_can_be_deleted(native: Native) -> None:
    """A generation whose objects are gone is deleted like any other."""
    generation_id = succeed(put(inputs={"text": BIG}))
    lose()
    assert native.ask("delete_generation", generation_id)["statusCode"] == 204


@pytest.mark.usefixtures("tenant")
def test_a_contents_text_that_is_gone_fails_with_what_to_do(
    message_event: MessageEvent, use_model: Callable[[FakeModel], None]
) -> None:
    """An answer that would lack a content is none, and the message names the content."""
    use_model(saying("Hi"))
    step = {"name": "answer", "prompt": "{{text}}", "context": {}}
    services().registry.put_flow(
        "demo", FLOW, json.dumps({"id": FLOW, "name": "Ask", "steps": [step]})
    )
    content = services().contents.create("demo", Draft(name="A", text=BIG, folder="Help"))
    assert lose(bucket="ContentsBucket") == 2
    generation_id = generations.new_id()
    options = SubmissionOptions(flow_version=2, retention=timedelta(days=30))
    submission = Submission(
        dialect="native", flow=FLOW, inputs={"text": "x"}, template=None, external={}
    )
    services().store.put("demo", generation_id, submission, options)
    run(message_event(generation_id))
    generation = services().store.get("demo", generation_id)
    assert generation.reason is Reason.KNOWLEDGE_UNAVAILABLE
    assert generation.message is not None
    assert content.id in generation.message


# --- a right that is lost is not a text that is gone --------------------------------------------


def deny(**_: object) -> Any:  # noqa: ANN401 - botocore takes an answer
    """Answer as S3 does to a caller whose rights are lost."""
    error = {"Error": {"Code": "AccessDenied", "Message": "Access Denied"}}
    return SimpleNamespace(status_code=403), error


def test_a_right_that_is_lost_is_a_503(native: Native) -> None:
    """A denied read is no answer: clients come again, and read the text when it is allowed."""
    generation_id = succeed(put())
    clients().s3.meta.events.register_first("before-call.s3.GetObject", deny)
    denied = native.ask("get_generation", generation_id)
    assert (denied["statusCode"], denied["headers"]["retry-after"]) == (503, "1")
    clients().s3.meta.events.unregister("before-call.s3.GetObject", deny)
    assert native.ask("get_generation", generation_id)["body"]["output"] == BIG


@pytest.mark.usefixtures("tenant")
def test_a_right_that_is_lost_fails_no_generation(
    message_event: MessageEvent, use_model: Callable[[FakeModel], None]
) -> None:
    """An attempt that may not read its inputs leaves the generation to a later one."""
    use_model(saying("Hi"))
    generation_id = put(inputs={"text": BIG})
    clients().s3.meta.events.register_first("before-call.s3.GetObject", deny)
    event = message_event(generation_id)
    assert len(invoke("generate", event)["batchItemFailures"]) == 1
    assert services().store.get("demo", generation_id).status is Status.RUNNING

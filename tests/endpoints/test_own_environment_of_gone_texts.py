"""The rights of each function for texts that are gone, and for those that it has to delete again.

The other tests of own environments leave these rights out: a good request needs neither.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from afterword import batches, generations
from afterword.engine import waiting
from afterword.generations import Submission, SubmissionOptions
from afterword.knowledge import Draft
from afterword.runtime.clients import clients
from afterword.services import services
from afterword.tenants.keys import Scope
from tests.conftest import FLOW, FLOW_DOCUMENT, Call, Event, LambdaContext, SetClock, Tenant
from tests.endpoints.test_gone_texts import lose
from tests.endpoints.test_own_environment import (
    is_of_gone_texts,
    ours,
    run_alone,
    somebody_else_succeeds,
    unused,
)
from tests.harness import roles
from tests.harness.api import Api, invoke
from tests.harness.batches import BUCKET, KEY, MAIL, Inbox, created, file, turns
from tests.harness.classes import CLASSES_DOCUMENT
from tests.harness.deployment import REFERENCES, Deployment
from tests.harness.fake_model import FakeModel, saying
from tests.harness.long_texts import LONG
from tests.harness.stand_in_aws import read_items

__all__ = ["run_alone"]
BIG = "x" * 20_000


def bodies(text: str) -> Mapping[str, Any]:
    """Return requests with a text, by the functions that submit them."""
    return {
        "submit_mail_generation": {"subject": "A", "body": text},
        "submit_mail_classification": {"mail": {"subject": "A", "body": text}},
        "create_text_generation": urlencode({"text": text}),
        "generate_flow": {"userId": "u", "flow": {"inputs": {"text": text}}},
        "generate_prompt": {"prompt": {"promptId": FLOW, "inputs": {"text": text}}},
        "send_chat_message": {"chatKey": "text", "inputs": {"text": text}},
        "submit_query": {
            "query": text[:1_000],
            "sessionId": "s",
            "visitorId": "v",
            "metadata": {"a": text},
        },
        "answer_query": {
            "query": text[:1_000],
            "sessionId": "s",
            "visitorId": "v",
            "metadata": {"a": text},
        },
        "submit_generation": {"flow": FLOW, "inputs": {"text": text}},
    }


BODIES = bodies(BIG)
"""Requests with big texts, by the functions that submit them."""
READERS = {
    "get_mail_generation": 200,
    "get_mail_classification": 200,
    "get_stack_app": 200,
    "list_text_generations": 200,
    "get_text_generation": 200,
    "update_text_generation": 200,
    "list_chat_sessions": 200,
    "get_chat_session": 200,
    "get_flow_log": 410,
    "rate_flow_log": 200,
    "get_answer": 200,
    "get_generation": 410,
    "list_generations": 200,
    "cancel_generation": 409,
    "delete_generation": 204,
}
"""The statuses of requests about a generation whose texts are gone, by function."""
SHOWN = {*BODIES, *READERS, "retry_generation", "generate", "intake", "sweep_objects"}
SHOWN_ELSEWHERE = {"embed"}
"""Whose rights are all used in test_own_environment_of_embeddings.py."""


def short_of(functions: Mapping[str, object], *short: str) -> list[Any]:
    """Return the functions as parameters, those that are not named for the long form."""
    return [
        pytest.param(each, marks=[] if each in short else [pytest.mark.long]) for each in functions
    ]


def uses(function: str) -> None:
    """Check that a function has used its rights for texts that are gone."""
    deployed = roles.deployed()
    own = {each for each in deployed.in_force(function) if is_of_gone_texts(each)}
    assert own
    assert own <= deployed.used


def objects() -> int:
    """Return how many objects there are."""
    listed: int = clients().s3.list_objects_v2(Bucket=REFERENCES["Bucket"])["KeyCount"]
    return listed


@pytest.fixture
def api(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> Api:
    """Return a client with a key for the flow, which waits for nothing."""
    monkeypatch.setattr(waiting, "WAIT_SECONDS", 0.0)
    services().registry.put_flow(tenant.id, FLOW, FLOW_DOCUMENT)
    key = services().registry.create_key(tenant.id, [*Scope], flow=FLOW)[1]
    names = {"companyCuid": "demo", "orchestratorCuid": FLOW, "flowId": FLOW, "flow": FLOW}
    names["chat_session_id"] = services().chat_sessions.create(tenant.id, FLOW, None).id
    return Api(key, names)


def put_big(conversation: str | None = None, *, classifies: bool = False, text: str = BIG) -> str:
    """Store a queued generation whose texts are in the bucket, or another one; return its id."""
    generation_id = generations.new_id()
    submission = Submission(
        dialect="unless",
        flow=FLOW,
        inputs={"text": text},
        template=None,
        external={"metadata": json.dumps({"a": text})},
        classifies=classifies,
        conversation=conversation,
    )
    options = SubmissionOptions(flow_version=1, retention=timedelta(days=30))
    services().store.put("demo", generation_id, submission, options)
    return generation_id


def test_every_function_with_these_rights_is_shown() -> None:
    """No function has a right for texts that are gone without a test."""
    having = {each.function for each in roles.deployed().grants if is_of_gone_texts(each)}
    assert having == SHOWN | SHOWN_ELSEWHERE


def submit_twice(api: Api, function: str, headers: Mapping[str, str]) -> None:
    """Submit a request that is an item of its own twice; the second one is deleted again."""
    counts = []
    for _ in range(2):
        answer = api.call(function, bodies(LONG)[function], headers=headers)
        assert answer["statusCode"] in {200, 202, 504}
        counts.append(len(read_items("GenerationsTable")))
    assert counts[0] == counts[1]


@pytest.mark.parametrize("function", short_of(BODIES, "submit_generation"))
def test_a_refused_submission_leaves_no_text(api: Api, function: str) -> None:
    """A repeated submission's texts are deleted; a result that is gone is no failure of AWS."""
    headers = {"idempotency-key": "case-457"}
    if function == "submit_mail_classification":
        services().registry.put_flow("demo", FLOW, CLASSES_DOCUMENT)
    if function == "create_text_generation":
        headers["content-type"] = "application/x-www-form-urlencoded"
    assert api.call(function, BODIES[function], headers=headers)["statusCode"] in {200, 202, 504}
    before = objects()
    roles.deployed().used.clear()
    again = api.call(function, BODIES[function], headers=headers)
    assert again["statusCode"] in {200, 202, 504}
    assert objects() == before == 1
    submit_twice(api, function, {**headers, "idempotency-key": "case-458"})
    if function in {"submit_mail_classification", "submit_mail_generation", "submit_query"}:
        return uses(function)
    somebody_else_succeeds(generations.id_for_key("demo", "case-457"))
    lose()
    gone = api.call(function, BODIES[function], headers=headers)
    shows = {"create_text_generation", "send_chat_message"}
    assert gone["statusCode"] == (200 if function in shows else 410)
    return uses(function)


@pytest.mark.parametrize("function", short_of(READERS, "get_generation", "list_generations"))
def test_a_reader_tells_what_is_gone(api: Api, function: str) -> None:
    """A function that reads texts may know of an absent one that it is absent."""
    generation_id = put_big(
        api.parameters["chat_session_id"], classifies=function == "get_mail_classification"
    )
    somebody_else_succeeds(generation_id)
    assert lose() == 3
    names = ("processCuid", "text_gen_id", "logId", "questionId", "id")
    about = api.naming(**dict.fromkeys(names, generation_id))
    roles.deployed().used.clear()
    assert about.call(function)["statusCode"] == READERS[function]
    uses(function)


def test_a_retry_leaves_no_text(api: Api) -> None:
    """A repeated retry's texts are deleted, and one without inputs is a 410."""
    generation_id = put_big()
    services().outbox.cancel("demo", generation_id)
    about = api.naming(id=generation_id)
    assert about.call("retry_generation")["statusCode"] == 202
    before = objects()
    roles.deployed().used.clear()
    assert about.call("retry_generation")["statusCode"] == 202
    assert objects() == before == 4
    lose()
    assert about.call("retry_generation")["statusCode"] == 410
    long = put_big(text=LONG)
    services().outbox.cancel("demo", long)
    counts = []
    for _ in range(2):
        assert api.naming(id=long).call("retry_generation")["statusCode"] == 202
        counts.append(len(read_items("GenerationsTable")))
    assert counts[0] == counts[1]
    uses("retry_generation")


@pytest.mark.usefixtures("api")
def test_the_worker_leaves_no_text(
    message_event: Callable[[str], Event], use_model: Callable[[FakeModel], None]
) -> None:
    """A result that comes too late is deleted; inputs and contents that are gone fail."""
    generation_id = put_big()

    def too_late(_: object) -> str:
        services().outbox.cancel("demo", generation_id)
        return BIG

    model = saying(BIG)
    answer = model.generate

    def generate(prompt: Any, timeout: float) -> Any:  # noqa: ANN401 - the model's own
        too_late(prompt)
        return answer(prompt, timeout)

    model.generate = generate  # type: ignore[method-assign] # the moment between claim and end
    use_model(model)
    assert invoke("generate", message_event(generation_id)) == {"batchItemFailures": []}
    assert objects() == 2
    step = {"name": "answer", "prompt": "{{text}}", "context": {}}
    flow = json.dumps({"id": FLOW, "name": "Ask", "steps": [step]})
    services().registry.put_flow("demo", FLOW, flow)
    services().contents.create("demo", Draft(name="A", text=BIG, folder="Help"))
    lose(bucket="ContentsBucket")
    for inputs in ("x", BIG):
        other = generations.new_id()
        options = SubmissionOptions(flow_version=3, retention=timedelta(days=30))
        submission = Submission(
            dialect="native", flow=FLOW, inputs={"text": inputs}, template=None, external={}
        )
        services().store.put("demo", other, submission, options)
        lose()
        assert invoke("generate", message_event(other)) == {"batchItemFailures": []}
        generation = services().store.get("demo", other)
        assert generation.reason in {"knowledge_unavailable", "input_missing"}
    uses("generate")


def lose_file(event: Event, *, has_versions: bool) -> Event:
    """Delete the file of S3's event, of a bucket with versions or without; return the event."""
    there = event["Records"][0]["s3"]["object"]
    where = {"Bucket": BUCKET, "Key": there["key"]}
    clients().s3.delete_object(**where, VersionId=there["versionId"])
    if not has_versions:
        del there["versionId"]
    return event


@pytest.mark.long
@pytest.mark.usefixtures("set_clock")
def test_the_intake_leaves_no_text(
    tenant: Tenant, load_event: Callable[[str], Event], calls: list[Call]
) -> None:
    """A repeated event's texts are deleted, and a line whose result is gone says so."""
    inbox = Inbox(load_event("intake"))
    event = json.loads(load_event("intake")["Records"][0]["body"])
    event["detail"]["inputs"] = {"text": BIG}
    inbox.take(event)
    inbox.take(event)
    assert objects() == 1
    event["detail"]["inputs"] = {"text": LONG}
    event["id"] = f"{generations.new_id()}"
    inbox.take(event)
    before = len(read_items("GenerationsTable"))
    inbox.take(event)
    assert len(read_items("GenerationsTable")) == before
    inbox.take(created(KEY, file(MAIL)))
    batch = turns(calls)[-1][0]["batch"]
    line = batches.line_id(tenant.id, batch, 1)
    for _ in range(9):
        inbox.take(turns(calls)[-1][0])
        if services().batches.get(tenant.id, batch).state.terminal:
            break
        if services().store.get_end(tenant.id, line) is None:
            somebody_else_succeeds(line)
            lose()
    for number, has_versions in enumerate((True, False)):
        lost = f"intake/demo/lost-{number}.jsonl"
        inbox.take(lose_file(created(lost, file(MAIL)), has_versions=has_versions))
        inbox.take(turns(calls)[-1][0])
    reasons = [item["reason"]["S"] for item in read_items("BatchesTable") if "reason" in item]
    assert reasons == ["Its file was deleted or replaced."] * 2
    key = services().batches.get(tenant.id, batch).results_key
    row = clients().s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    assert json.loads(row)["error"]["reason"] == "gone"
    uses("intake")


def test_the_sweep_of_objects_has_what_it_needs(
    api: Api,
    set_clock: SetClock,
    load_event: Callable[[str], Event],
    run_alone: Callable[[str], set[str]],
    deployment: Deployment,
) -> None:
    """The sweep of objects uses all its variables and permissions, and no other."""
    assert api
    set_clock.moment = datetime.now(UTC)
    put_big()
    content = services().contents.create("demo", Draft(name="A", text="B", folder="C"))
    for bucket in ("Bucket", "ContentsBucket"):
        clients().s3.put_object(Bucket=REFERENCES[bucket], Key=f"demo/{content.id}/old", Body=b"x")
    set_clock.advance(days=2)
    asked = run_alone("sweep_objects")
    context = LambdaContext(milliseconds=900_000)
    swept = invoke("sweep_objects", load_event("sweep_objects"), context)
    assert swept == {"pages": 2, "objects": 6, "deleted": 2}
    assert asked == ours(deployment, "sweep_objects")
    assert unused("sweep_objects") == set()
    uses("sweep_objects")

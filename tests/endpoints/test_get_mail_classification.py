"""Reading the class of a mail through Dialonce's API: the handler with its event, under moto."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from afterword.generations import AnswerToken, Completion, Output, Reason
from afterword.generations.claims import Claim
from afterword.runtime.clients import clients
from afterword.services import services
from tests.conftest import FLOW, Event, SetClock, Tenant
from tests.endpoints.conftest import HEADERS, NO_SUCH_GENERATION
from tests.harness.api import Api, invoke
from tests.harness.classes import CHOSEN, CLASSES, CLASSES_DOCUMENT, submit_classification
from tests.harness.deployment import REFERENCES
from tests.harness.fake_model import FakeModel, completion, saying

READ = "get_mail_classification"
EXTERNAL = '"external_ref": "case-457", "external_metadata": {"user_id": "abc-789"}'
RESULT = '{"classification": "refund_request", "confidence": 0.92}'
STORED = '{"classification": "refund_request", "confidence": 0.92, "confidence_source": "answer"}'

type UseModel = Callable[[FakeModel], None]
type MessageEvent = Callable[[str], Event]


@pytest.fixture
def api(tenant: Tenant, set_clock: SetClock) -> Api:
    """Return a client of a tenant with the flow of the sample event."""
    assert set_clock()
    services().registry.put_flow(tenant.id, CLASSES, CLASSES_DOCUMENT)
    return Api(tenant.key)


@pytest.fixture
def process(api: Api) -> str:
    """Submit the sample mail and return its process id."""
    cuid: str = api.call("submit_mail_classification")["body"]["process_cuid"]
    return cuid


def read(api: Api, process: str, function: str = READ, flow: str = CLASSES) -> dict[str, Any]:
    """Return the whole result about a process."""
    return invoke(function, api.event(function, processCuid=process, orchestratorCuid=flow))


def claim(process: str) -> Claim:
    """Claim the generation as a worker does."""
    store = services().store
    generation = store.get("demo", process)
    claimed = store.claim("demo", process, generation.created_at + timedelta(seconds=70))
    assert claimed is not None
    return claimed


def shown(status: str, result: str, external: str = EXTERNAL) -> dict[str, Any]:
    """Return the whole result for a generation; `result` is a JSON text."""
    body = f'{{"status": "{status}", "result": {result}, {external}}}'
    return {"statusCode": 200, "headers": HEADERS, "body": body}


def chosen(text: str = STORED) -> Completion:
    """Return a worker's completion."""
    return replace(completion(text), output=Output.JSON)


def test_an_open_classification_has_started(api: Api, process: str) -> None:
    """A classification that waits for a worker, or that one has, is `started` without a result."""
    assert read(api, process) == shown("started", "null")
    claimed = claim(process)
    assert read(api, process) == shown("started", "null")
    services().store.requeue(claimed, failed=False)
    assert read(api, process) == shown("started", "null")


def test_a_finished_classification_is_completed(
    api: Api, process: str, message_event: MessageEvent, use_model: UseModel
) -> None:
    """The worker's choice is answered in exactly the documented form."""
    use_model(saying(CHOSEN))
    assert invoke("generate", message_event(process)) == {"batchItemFailures": []}
    assert read(api, process) == shown("completed", RESULT)


def test_log_probabilities_are_the_confidence(
    api: Api, tenant: Tenant, process: str, message_event: MessageEvent, use_model: UseModel
) -> None:
    """With log probabilities the confidence is measured; native's output says where it is from."""
    tokens = (
        AnswerToken(b'{"classification": "', -9.0),
        AnswerToken(b"refund", -0.25),
        AnswerToken(b"_request", -0.25),
        AnswerToken(b'", "confidence": 0.92}', -9.0),
    )
    use_model(FakeModel(lambda _: replace(completion(CHOSEN), tokens=tokens)))
    assert invoke("generate", message_event(process)) == {"batchItemFailures": []}
    result = '{"classification": "refund_request", "confidence": 0.6065}'
    assert read(api, process) == shown("completed", result)
    native = Api(tenant.key).call("get_generation", id=process)["body"]
    assert native["output"] == {
        "classification": "refund_request",
        "confidence": 0.6065,
        "confidence_source": "log_probabilities",
    }


def test_a_class_outside_of_the_list_has_failed(
    api: Api, process: str, message_event: MessageEvent, use_model: UseModel
) -> None:
    """An answer with a class that the flow does not have fails the generation."""
    use_model(saying('{"classification": "spam", "confidence": 1}'))
    assert invoke("generate", message_event(process)) == {"batchItemFailures": []}
    assert read(api, process) == shown("failed", "null")
    assert services().store.get("demo", process).reason is Reason.INVALID_OUTPUT


def test_a_failed_or_canceled_classification_has_failed(api: Api, tenant: Tenant) -> None:
    """A classification that failed or was canceled is `failed` and has no result."""
    failed, canceled = (submit_classification(tenant, CLASSES) for _ in range(2))
    services().store.fail(claim(failed), Reason.REFUSED_CONTENT, "The model refused it.")
    services().store.cancel("demo", canceled)
    external = '"external_ref": null, "external_metadata": null'
    for process in (failed, canceled):
        assert read(api, process) == shown("failed", "null", external)


@pytest.mark.parametrize("text", ["Dear Ada,", "{}", '{"classification": 7, "confidence": 1}'])
def test_a_result_without_a_class_has_failed(api: Api, process: str, text: str) -> None:
    """A text that another version's worker has left is no class."""
    services().store.succeed(claim(process), completion(text))
    assert read(api, process) == shown("failed", "null")


def test_a_lost_result_has_failed(api: Api, process: str) -> None:
    """A result that is gone from storage is no class."""
    services().store.succeed(claim(process), chosen(STORED + " " * 20_000))
    assert read(api, process) == shown("completed", RESULT)
    (found,) = clients().s3.list_objects_v2(Bucket=REFERENCES["Bucket"])["Contents"]
    clients().s3.delete_object(Bucket=REFERENCES["Bucket"], Key=found["Key"])
    assert read(api, process) == shown("failed", "null")


@pytest.mark.parametrize(
    ("reference", "metadata"),
    [
        (r'"\u0041\/\ud83d\ude00"', r'{"caf\u00e9": "\u00e9", "é": "é"}'),
        ("null", "null"),
        ('"1"', '{"price": 1.10, "big": 123456789012345678901234567890, "huge": 1e400}'),
    ],
)
def test_external_data_come_back_byte_for_byte(api: Api, reference: str, metadata: str) -> None:
    """External data come back in the same bytes, before the end and after."""
    body = (
        f'{{"external_metadata":{metadata},"mail": {{"subject":"A","body":"B"}},'
        f' "external_ref" :  {reference}}}'
    )
    process = api.call("submit_mail_classification", body)["body"]["process_cuid"]
    external = f'"external_ref": {reference}, "external_metadata": {metadata}'
    assert read(api, process) == shown("started", "null", external)
    services().store.succeed(claim(process), chosen())
    assert read(api, process) == shown("completed", RESULT, external)


def test_each_path_has_its_own_processes(api: Api, process: str) -> None:
    """A reply is no classification and a classification no reply: each is absent at the other."""
    reply = api.call(
        "submit_mail_generation", {"subject": "A", "body": "B"}, orchestratorCuid=CLASSES
    )["body"]["process_cuid"]
    assert read(api, reply, "get_mail_generation")["statusCode"] == 200
    assert read(api, reply) == NO_SUCH_GENERATION
    assert read(api, process, "get_mail_generation") == NO_SUCH_GENERATION


def test_a_reply_of_a_flow_with_classes_is_its_json(
    api: Api, message_event: MessageEvent, use_model: UseModel
) -> None:
    """`generation-async` of a flow with classes answers the choice as the text of its response."""
    process = api.call(
        "submit_mail_generation", {"subject": "A", "body": "B"}, orchestratorCuid=CLASSES
    )["body"]["process_cuid"]
    use_model(saying(CHOSEN))
    assert invoke("generate", message_event(process)) == {"batchItemFailures": []}
    result = read(api, process, "get_mail_generation")
    assert json.loads(result["body"])["response"] == STORED


def test_a_classification_belongs_to_its_orchestrator(api: Api, process: str) -> None:
    """Another orchestrator of the same company does not have it."""
    assert read(api, process, flow=FLOW) == NO_SUCH_GENERATION


def test_what_is_foreign_looks_absent(api: Api, process: str, other_tenant: Tenant) -> None:
    """Another tenant's process gets the bytes of an absent one."""
    services().registry.put_flow(other_tenant.id, CLASSES, CLASSES_DOCUMENT)
    theirs = submit_classification(other_tenant, CLASSES)
    absent = read(api, "019a6f3e-7c00-7000-8000-000000000009")
    assert read(api, theirs) == read(api, "nonsense") == absent == NO_SUCH_GENERATION
    assert read(api, process)["statusCode"] == 200


def test_an_expired_classification_is_gone(api: Api, process: str, set_clock: SetClock) -> None:
    """After the retention a classification is as absent as one that never was."""
    set_clock.advance(days=30, milliseconds=-1)
    assert read(api, process)["statusCode"] == 200
    set_clock.advance(milliseconds=1)
    assert read(api, process) == NO_SUCH_GENERATION

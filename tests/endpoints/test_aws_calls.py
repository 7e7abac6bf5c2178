"""How many calls of AWS a request costs: money and time, so each one is counted."""

import json
from collections.abc import Callable

import pytest

from afterword.limits import Limits
from afterword.services import services
from tests.conftest import Call, Event, LambdaContext
from tests.harness.api import invoke
from tests.harness.deployment import REFERENCES
from tests.harness.fake_model import FakeModel, saying
from tests.harness.genai_stack import Client
from tests.harness.long_texts import LONG
from tests.harness.native_generations import Native

GENERATIONS, REGISTRY = REFERENCES["GenerationsTable"], REFERENCES["RegistryTable"]


def made(calls: list[Call]) -> list[tuple[str, str]]:
    """Return the calls made since the last time, with the table, queue or bucket of each."""
    what = [
        (call.operation, call.params[name])
        for call in calls
        for name in ("TableName", "QueueUrl", "Bucket")
        if name in call.params
    ]
    calls.clear()
    return what


@pytest.fixture
def process_cuid(submission_event: Event, context: LambdaContext) -> str:
    """Submit the sample mail, which warms everything up, and return its process id."""
    cuid: str = json.loads(invoke("submit_mail_generation", submission_event, context)["body"])[
        "process_cuid"
    ]
    return cuid


@pytest.mark.usefixtures("process_cuid")
def test_a_submission_takes_two_calls(
    submission_event: Event, context: LambdaContext, calls: list[Call]
) -> None:
    """A warm submission puts its item and sends its message."""
    calls.clear()
    invoke("submit_mail_generation", submission_event, context)
    assert made(calls) == [
        ("dynamodb.PutItem", GENERATIONS),
        ("sqs.SendMessage", REFERENCES["Queue"]),
    ]


def test_a_native_submission_takes_two_calls(native: Native, calls: list[Call]) -> None:
    """A warm submission of the native API answers from what it has put."""
    native.submitted()
    calls.clear()
    native.submitted()
    assert operations(calls) == ["dynamodb.PutItem", "sqs.SendMessage"]


@pytest.mark.usefixtures("process_cuid")
def test_without_a_cache_each_submission_reads_its_flow(
    submission_event: Event,
    context: LambdaContext,
    calls: list[Call],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With FlowCacheSeconds=0 a submission always gets the newest version."""
    monkeypatch.setenv("AFTERWORD_FLOW_CACHE_SECONDS", "0")
    services.cache_clear()
    for _ in range(2):
        calls.clear()
        invoke("submit_mail_generation", submission_event, context)
    assert made(calls)[0] == ("dynamodb.GetItem", REGISTRY)


def test_a_first_submission_takes_three_more(
    submission_event: Event, context: LambdaContext, calls: list[Call]
) -> None:
    """Once a minute key and limits are looked up as well, and each few seconds the flow."""
    calls.clear()
    invoke("submit_mail_generation", submission_event, context)
    assert len(made(calls)) == 5


def test_a_big_submission_takes_one_more(
    submission_event: Event, context: LambdaContext, calls: list[Call], process_cuid: str
) -> None:
    """An input too big for the item takes a put of its own, before the item's."""
    assert process_cuid
    calls.clear()
    submission_event["body"] = json.dumps({"subject": "A", "body": "x" * 20_000})
    invoke("submit_mail_generation", submission_event, context)
    assert operations(calls) == ["s3.PutObject", "dynamodb.PutItem", "sqs.SendMessage"]


@pytest.mark.usefixtures("process_cuid")
def test_a_longer_submission_takes_one_more(
    submission_event: Event, context: LambdaContext, calls: list[Call]
) -> None:
    """A request that is an item of its own takes a put of its own, before its generation's."""
    calls.clear()
    submission_event["body"] = json.dumps({"subject": "A", "body": LONG})
    invoke("submit_mail_generation", submission_event, context)
    assert operations(calls) == ["dynamodb.PutItem", "dynamodb.PutItem", "sqs.SendMessage"]


def test_a_reading_takes_one_call(
    process_cuid: str,
    reading_event: Callable[[str], Event],
    context: LambdaContext,
    calls: list[Call],
) -> None:
    """A warm reading reads its item, and nothing else."""
    invoke("get_mail_generation", reading_event(process_cuid), context)
    calls.clear()
    assert invoke("get_mail_generation", reading_event(process_cuid), context)["statusCode"] == 200
    assert made(calls) == [("dynamodb.GetItem", GENERATIONS)]


def test_a_refusal_of_the_body_takes_no_call(
    process_cuid: str, submission_event: Event, context: LambdaContext, calls: list[Call]
) -> None:
    """A warm function refuses a bad body without asking anybody."""
    assert process_cuid
    calls.clear()
    submission_event["body"] = "{}"
    assert invoke("submit_mail_generation", submission_event, context)["statusCode"] == 400
    assert made(calls) == []


def test_a_generation_takes_two_writes(
    submission_event: Event,
    message_event: Callable[[str], Event],
    context: LambdaContext,
    use_model: Callable[[FakeModel], None],
    calls: list[Call],
) -> None:
    """A worker claims and finishes; only a version of a flow that is new to it is read."""
    use_model(saying('{"nom_du_client": "Jean Dupont"}'))
    events = [
        message_event(
            json.loads(invoke("submit_mail_generation", submission_event, context)["body"])[
                "process_cuid"
            ]
        )
        for _ in range(2)
    ]
    calls.clear()
    invoke("generate", events[0], context)
    assert made(calls) == [
        ("dynamodb.UpdateItem", GENERATIONS),
        ("dynamodb.GetItem", REGISTRY),
        ("dynamodb.UpdateItem", GENERATIONS),
    ]
    invoke("generate", events[1], context)
    assert made(calls) == [("dynamodb.UpdateItem", GENERATIONS)] * 2


def test_a_dead_letter_takes_two_writes(
    process_cuid: str,
    message_event: Callable[[str], Event],
    context: LambdaContext,
    calls: list[Call],
) -> None:
    """A dead letter ends its generation, and notes that nothing is left to do."""
    calls.clear()
    invoke("dead_letter", message_event(process_cuid), context)
    assert made(calls) == [("dynamodb.UpdateItem", GENERATIONS)] * 2


def test_a_tenant_with_limits_pays_for_them(
    submission_event: Event,
    message_event: Callable[[str], Event],
    context: LambdaContext,
    use_model: Callable[[FakeModel], None],
    calls: list[Call],
) -> None:
    """Limits take one write more to get in, and two at the end."""
    use_model(saying('{"nom_du_client": "Jean Dupont"}'))
    services().registry.set_limits("demo", Limits(running_at_once=10))
    for _ in range(2):
        calls.clear()
        cuid = json.loads(invoke("submit_mail_generation", submission_event, context)["body"])[
            "process_cuid"
        ]
        submitted = made(calls)
        invoke("generate", message_event(cuid), context)
    assert submitted == [
        ("dynamodb.UpdateItem", REFERENCES["QuotasTable"]),
        ("dynamodb.PutItem", GENERATIONS),
        ("sqs.SendMessage", REFERENCES["Queue"]),
    ]
    assert made(calls) == [
        ("dynamodb.UpdateItem", GENERATIONS),
        ("dynamodb.UpdateItem", GENERATIONS),
        ("dynamodb.UpdateItem", REFERENCES["QuotasTable"]),
        ("dynamodb.UpdateItem", GENERATIONS),
    ]


def test_ten_end_messages_take_one_call_of_eventbridge(
    submission_event: Event,
    context: LambdaContext,
    calls: list[Call],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A batch of ends is published at once; each is read before and noted after.

    A tenant's webhooks are looked up once for all of them.
    """
    monkeypatch.setenv("AFTERWORD_EVENT_BUS", "default")
    records = []
    for number in range(10):
        cuid = json.loads(invoke("submit_mail_generation", submission_event, context)["body"])[
            "process_cuid"
        ]
        services().outbox.cancel("demo", cuid)
        body = json.dumps({"tenant": "demo", "id": cuid})
        records.append({"messageId": str(number), "receiptHandle": "", "body": body})
    calls.clear()
    assert invoke("deliver", {"Records": records}, context) == {"batchItemFailures": []}
    operations = [call.operation for call in calls]
    assert operations == [
        *["dynamodb.GetItem"] * 10,
        "dynamodb.Query",  # the tenant's webhooks
        "eventbridge.PutEvents",
        *["dynamodb.UpdateItem"] * 10,
    ]


def operations(calls: list[Call]) -> list[str]:
    """Return the operations called since the last time."""
    named = [call.operation for call in calls]
    calls.clear()
    return named


def test_a_form_takes_two_calls(form: Client, calls: list[Call]) -> None:
    """A warm form puts its item, sends its message, and answers from what it has put."""
    form.submitted(("topic", "Snow"))
    calls.clear()
    form.submitted(("topic", "Snow"))
    assert made(calls) == [
        ("dynamodb.PutItem", GENERATIONS),
        ("sqs.SendMessage", REFERENCES["Queue"]),
    ]


def test_a_file_takes_one_more(form: Client, calls: list[Call]) -> None:
    """Each file takes a put of its own, before the item's, and is not read back."""
    form.submitted(("topic", "Snow"))
    calls.clear()
    form.submitted(("topic", "Snow"), ("sources", ("a", b"a")), ("sources", ("b", b"b")))
    assert operations(calls) == [
        "s3.PutObject",
        "s3.PutObject",
        "dynamodb.PutItem",
        "sqs.SendMessage",
    ]


def test_a_refused_form_takes_no_call(form: Client, calls: list[Call]) -> None:
    """A form that does not fit costs nothing, once its flow is known."""
    form.submitted(("topic", "Snow"))
    calls.clear()
    assert form.submit(("topic", ""))["statusCode"] == 422
    assert made(calls) == []


def test_a_page_takes_two_calls(client: Client, calls: list[Call]) -> None:
    """A page queries the index and reads its items at once; an empty one has none to read."""
    client.list()
    calls.clear()
    client.list()
    assert operations(calls) == ["dynamodb.Query"]
    for _ in range(3):
        client.submitted()
    calls.clear()
    assert client.list()["statusCode"] == 200
    assert operations(calls) == ["dynamodb.Query", "dynamodb.BatchGetItem"]
    assert client.list(limit="0")["statusCode"] == 400
    assert calls == []


def test_an_app_takes_three_calls(client: Client, calls: list[Call]) -> None:
    """An app is its flow and a page."""
    client.submitted()
    calls.clear()
    assert client.app()["statusCode"] == 200
    assert operations(calls) == ["dynamodb.GetItem", "dynamodb.Query", "dynamodb.BatchGetItem"]


def test_a_generation_and_its_title_take_one_call(client: Client, calls: list[Call]) -> None:
    """Reading a generation is one read, giving it a title one write that gives it back."""
    generation_id = client.submitted()
    calls.clear()
    client.get(generation_id)
    assert made(calls) == [("dynamodb.GetItem", GENERATIONS)]
    client.set_title(generation_id, "Refunds")
    assert made(calls) == [("dynamodb.UpdateItem", GENERATIONS)]
    client.update(generation_id, "{}")
    assert made(calls) == [("dynamodb.GetItem", GENERATIONS)]
    client.get("nonsense")
    assert made(calls) == []

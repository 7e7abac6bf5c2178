"""Submitting a mail through Dialonce's API: the handler with its event, under moto."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from afterword.generations import Generation, Status, Values, is_id
from afterword.handlers import http
from afterword.runtime.clients import clients
from afterword.services import services
from tests.conftest import FLOW, Event, LambdaContext, SetClock, Stored, Tenant
from tests.endpoints.conftest import HEADERS, TRY_AGAIN
from tests.harness.api import invoke
from tests.harness.deployment import REFERENCES


def accepted(result: dict[str, Any]) -> str:
    """Compare a whole result with an acceptance, and return its process id."""
    process_cuid: str = json.loads(result["body"])["process_cuid"]
    assert is_id(process_cuid)
    assert result == {
        "statusCode": 200,
        "headers": HEADERS,
        "body": json.dumps({"process_cuid": process_cuid}),
    }
    return process_cuid


def send(body: str, event: Event, context: LambdaContext) -> Generation:
    """Submit a body that is accepted, and return its generation."""
    event["body"] = body
    return services().store.get("demo", accepted(invoke("submit_mail_generation", event, context)))


def request_of(generation: Generation) -> tuple[Values, str | None]:
    """Return the inputs and the template that a worker gets."""
    claim = services().store.claim("demo", generation.id, generation.deadline_at)
    assert claim is not None
    return claim.inputs, claim.template


def test_a_mail_is_accepted_stored_and_queued(
    tenant: Tenant,
    submission_event: Event,
    context: LambdaContext,
    set_clock: SetClock,
    stored: Callable[[], Stored],
) -> None:
    """A mail is answered with its process id, and stands in the table and in the queue."""
    process_cuid = accepted(invoke("submit_mail_generation", submission_event, context))
    generation = services().store.get(tenant.id, process_cuid)
    assert (generation.status, generation.flow, generation.flow_version) == (
        Status.QUEUED,
        FLOW,
        1,
    )
    assert generation.created_at == set_clock()
    assert generation.external == {
        "external_ref": '"case-457"',
        "external_metadata": '{"user_id": "abc-789"}',
    }
    assert stored() == Stored(items=1, messages=1, objects=0)
    message = clients().sqs.receive_message(QueueUrl=REFERENCES["Queue"])["Messages"][0]
    assert json.loads(message["Body"]) == {"tenant": tenant.id, "id": process_cuid}
    assert request_of(generation) == (
        {
            "subject": "Demande de remboursement suite à un accident de voiture",
            "body": "Bonjour, Je vous écris pour déclarer un sinistre...",
            "metadata": '{"date": "2024-09-11", "policy_number": "123456789",'
            ' "sender": "jean.dupont@mail.com"}',
        },
        "Bonjour [Nom du Client], Merci de nous avoir contactés...",
    )


def test_two_submissions_of_one_mail_are_two_generations(
    submission_event: Event, context: LambdaContext, stored: Callable[[], Stored]
) -> None:
    """The same mail sent twice is answered twice."""
    first = accepted(invoke("submit_mail_generation", submission_event, context))
    assert accepted(invoke("submit_mail_generation", submission_event, context)) != first
    assert stored() == Stored(items=2, messages=2, objects=0)


def test_a_submission_has_the_newest_version_of_its_flow(
    submission_event: Event, context: LambdaContext
) -> None:
    """A submission runs with the flow as it stands at its acceptance."""
    flow = services().registry.get_flow("demo", FLOW)
    services().registry.put_flow("demo", FLOW, flow.document)
    assert send('{"subject": "A", "body": "B"}', submission_event, context).flow_version == 2


def test_fields_that_are_not_known_are_ignored(
    submission_event: Event, context: LambdaContext
) -> None:
    """A client may send more than this API knows."""
    body = '{"subject": "A", "body": "B", "priority": {"high": true}, "": null}'
    generation = send(body, submission_event, context)
    assert request_of(generation) == ({"subject": "A", "body": "B"}, None)
    assert generation.external == {}


def test_a_body_may_come_as_base64(submission_event: Event, context: LambdaContext) -> None:
    """API Gateway may pass the body as base64, and it is the same mail."""
    mail = '{"subject": "Réclamation 😀", "body": "B"}'
    submission_event["isBase64Encoded"] = True
    body = base64.b64encode(mail.encode()).decode()
    generation = send(body, submission_event, context)
    assert request_of(generation) == ({"subject": "Réclamation 😀", "body": "B"}, None)


@pytest.mark.parametrize(
    "text", ["\x00", "\u2028", "\ufeff", "😀", "\uffff", "é" * 10, "</body>", "\r\n"]
)
def test_any_unicode_text_is_taken(
    submission_event: Event, context: LambdaContext, text: str
) -> None:
    """Any characters of a mail reach the worker unchanged."""
    mail = {"subject": f"a{text}b", "body": text + "c"}
    for ascii_only in (True, False):
        body = json.dumps(mail, ensure_ascii=ascii_only)
        assert request_of(send(body, submission_event, context)) == (mail, None)


def test_300_kb_are_taken(
    submission_event: Event, context: LambdaContext, stored: Callable[[], Stored]
) -> None:
    """A body of 300 KB is accepted; a text too big for an item goes to the bucket."""
    mail = {"subject": "A", "body": "é" * 150_000}
    body = json.dumps({**mail, "external_metadata": {"a": "x" * 20_000}}, ensure_ascii=False)
    generation = send(body, submission_event, context)
    assert stored() == Stored(items=1, messages=1, objects=2)
    assert request_of(generation) == (mail, None)
    assert generation.external == {"external_metadata": '{"a": "' + "x" * 20_000 + '"}'}


def test_the_largest_body_is_taken(
    submission_event: Event, context: LambdaContext, stored: Callable[[], Stored]
) -> None:
    """A body of exactly 6,000,000 bytes is accepted."""
    around = '{"subject": "A", "body": ""}'
    text = "x" * (http.MAX_BODY_BYTES - len(around))
    body = around.replace('""', f'"{text}"')
    assert len(body) == 6_000_000
    assert request_of(send(body, submission_event, context)) == (
        {"subject": "A", "body": text},
        None,
    )
    assert stored() == Stored(items=1, messages=1, objects=1)


def test_what_was_put_stands_though_its_message_was_not_sent(
    submission_event: Event,
    context: LambdaContext,
    cut_off: Callable[[str], None],
    stored: Callable[[], Stored],
    log_lines: Callable[[], list[dict[str, Any]]],
) -> None:
    """When sending fails after the put, the mail is accepted all the same, and will come due."""
    cut_off("sqs.SendMessage")
    process_cuid = accepted(invoke("submit_mail_generation", submission_event, context))
    assert stored() == Stored(items=1, messages=0, objects=0)
    (line,) = log_lines()
    assert (line["level"], line["generation_id"]) == ("WARNING", process_cuid)


@pytest.mark.parametrize("operation", ["dynamodb.PutItem", "dynamodb.GetItem", "s3.PutObject"])
def test_what_could_not_be_put_is_not_accepted(
    submission_event: Event,
    context: LambdaContext,
    cut_off: Callable[[str], None],
    stored: Callable[[], Stored],
    operation: str,
) -> None:
    """When storage is out of reach the answer is 503 in Dialonce's shape, and nothing is sent."""
    cut_off(operation)
    submission_event["body"] = json.dumps({"subject": "A", "body": "x" * 20_000})
    assert invoke("submit_mail_generation", submission_event, context) == TRY_AGAIN
    after = stored()
    assert (after.items, after.messages) == (0, 0)


def test_a_line_says_what_was_accepted(
    submission_event: Event,
    context: LambdaContext,
    log_lines: Callable[[], list[dict[str, Any]]],
) -> None:
    """An accepted mail is one log line, with the ids to follow it by."""
    process_cuid = accepted(invoke("submit_mail_generation", submission_event, context))
    (line,) = log_lines()
    assert (line["message"], line["generation_id"], line["request_id"], line["service"]) == (
        "accepted",
        process_cuid,
        context.aws_request_id,
        "afterword",
    )

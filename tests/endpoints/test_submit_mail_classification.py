"""Submitting a mail to be classified through Dialonce's API: the handler with its event."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from afterword.generations import Submission, is_id
from afterword.runtime.clients import clients
from afterword.services import services
from tests.conftest import FLOW, FLOW_DOCUMENT, SetClock, Stored, Tenant
from tests.endpoints.conftest import HEADERS, TRY_AGAIN, refusal
from tests.harness.api import Api, invoke
from tests.harness.classes import CLASSES, CLASSES_DOCUMENT
from tests.harness.deployment import REFERENCES

SUBMIT = "submit_mail_classification"
NOTHING = Stored(items=0, messages=0, objects=0)
EMPTY_MAIL = "mail.subject, mail.body: one of them must be a text that is not blank."
NO_CLASSES = "flow: must be one whose last step has classes."


@pytest.fixture
def api(tenant: Tenant, set_clock: SetClock) -> Api:
    """Return a client of a tenant with the flow of the sample event."""
    assert set_clock()
    services().registry.put_flow(tenant.id, CLASSES, CLASSES_DOCUMENT)
    return Api(tenant.key)


def mail(**fields: object) -> dict[str, Any]:
    """Return a good body, with these fields of the mail."""
    return {"mail": {"subject": "A claim", "body": "Hello", **fields}}


def accepted(result: dict[str, Any]) -> str:
    """Compare a whole result with an acceptance, and return its process id."""
    process: str = result["body"]["process_cuid"]
    assert is_id(process)
    assert result == {"statusCode": 200, "headers": HEADERS, "body": {"process_cuid": process}}
    return process


def submission_of(process: str) -> Submission:
    """Return the submission of a process, which is canceled."""
    services().outbox.cancel("demo", process)
    return services().store.get_submission("demo", process)[0]


def refused(api: Api, body: str) -> dict[str, Any]:
    """Return the whole result of a body."""
    return invoke(SUBMIT, api.event(SUBMIT, body))


def test_a_mail_is_accepted_stored_and_queued(api: Api, stored: Callable[[], Stored]) -> None:
    """The documented body is answered with a process id, and is queued to be classified."""
    process = accepted(api.call(SUBMIT))
    assert stored() == Stored(items=1, messages=1, objects=0)
    message = clients().sqs.receive_message(QueueUrl=REFERENCES["Queue"])["Messages"][0]
    assert json.loads(message["Body"]) == {"tenant": "demo", "id": process}
    generation = services().store.get("demo", process)
    assert (generation.flow, generation.dialect, generation.classifies) == (
        CLASSES,
        "dialonce",
        True,
    )
    submission = submission_of(process)
    assert submission.inputs == {
        "subject": "Demande de remboursement suite à un accident de voiture",
        "body": "Bonjour, Je vous écris pour déclarer un sinistre...",
    }
    assert submission.template is None
    assert submission.external == {
        "external_ref": '"case-457"',
        "external_metadata": '{"user_id": "abc-789"}',
    }


def test_external_data_are_optional_and_unknown_fields_ignored(api: Api) -> None:
    """A mail alone is enough, and a client may send more than this API knows."""
    body = {**mail(html="<p>"), "template": "Dear [name],", "metadata": {"a": 1}}
    submission = submission_of(accepted(api.call(SUBMIT, body)))
    assert submission.inputs == {"subject": "A claim", "body": "Hello"}
    assert (submission.template, submission.external) == (None, {})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "The body is not JSON: Expecting value at line 1, column 1."),
        ("[]", "The body must be a JSON object."),
        ("{}", "mail: must be present."),
        ('{"mail": null}', "mail: must be a JSON object."),
        ('{"mail": "Hi"}', "mail: must be a JSON object."),
        ('{"mail": []}', "mail: must be a JSON object."),
        ('{"mail": {}}', "mail.subject: must be present. mail.body: must be present."),
        ('{"subject": "A", "body": "B"}', "mail: must be present."),
        (json.dumps(mail(subject=None)), "mail.subject: must be a string."),
        (json.dumps(mail(body=7)), "mail.body: must be a string."),
        (json.dumps(mail(subject="", body=" \n")), EMPTY_MAIL),
        (json.dumps({**mail(), "external_ref": 7}), "external_ref: must be a string."),
        (
            json.dumps({**mail(), "external_metadata": []}),
            "external_metadata: must be a JSON object.",
        ),
        (
            json.dumps({**mail(), "external_ref": "x" * 999_999}),
            "external_ref: must be at most 1000000 bytes.",
        ),
    ],
)
def test_a_bad_body_is_refused_and_nothing_is_stored(
    api: Api, stored: Callable[[], Stored], body: str, message: str
) -> None:
    """A body that is no mail to classify gets 400 with the field, and leaves no trace."""
    assert refused(api, body) == refusal(400, message)
    assert stored() == NOTHING


def test_a_flow_without_classes_is_refused(api: Api, stored: Callable[[], Stored]) -> None:
    """An orchestrator that has no classes says so at once, and nothing is stored."""
    client = api.naming(orchestratorCuid=FLOW)
    assert refused(client, json.dumps(mail())) == refusal(422, NO_CLASSES)
    assert stored() == NOTHING


def test_classes_of_an_earlier_step_are_no_result(api: Api, stored: Callable[[], Stored]) -> None:
    """A flow whose last step writes a text is refused, whatever its first step chooses."""
    document = json.loads(CLASSES_DOCUMENT)
    document["steps"].append({"name": "reply", "prompt": "Answer about {{topic}}."})
    services().registry.put_flow("demo", CLASSES, json.dumps(document))
    assert refused(api, json.dumps(mail())) == refusal(422, NO_CLASSES)
    assert stored() == NOTHING


def test_an_absent_orchestrator_is_not_found(api: Api) -> None:
    """No flow of that id, of this tenant or another, is 404."""
    client = api.naming(orchestratorCuid="absent")
    assert refused(client, json.dumps(mail())) == refusal(404, "There is no flow absent.")
    client = api.naming(companyCuid="other")
    assert refused(client, json.dumps(mail())) == refusal(404, "There is no such company.")


def test_one_key_is_one_process(api: Api, stored: Callable[[], Stored]) -> None:
    """The same body with the same Idempotency-Key is the same process; another body is 422."""
    headers = {"idempotency-key": "case-457"}
    first = accepted(api.call(SUBMIT, mail(), headers=headers))
    assert accepted(api.call(SUBMIT, mail(), headers=headers)) == first
    assert api.call(SUBMIT, mail(body="Bye"), headers=headers)["statusCode"] == 422
    assert stored().items == 1


def test_a_reply_and_a_class_are_two_requests(api: Api) -> None:
    """A key of a classification is used up for the reply to the same mail."""
    headers = {"idempotency-key": "case-457"}
    accepted(api.call(SUBMIT, mail(), headers=headers))
    reply = api.call(
        "submit_mail_generation", mail()["mail"], headers=headers, orchestratorCuid=CLASSES
    )
    assert reply["statusCode"] == 422


def test_a_deadline_may_be_sent(api: Api, set_clock: SetClock) -> None:
    """`Afterword-Deadline` bounds a classification, and one that is no number is 400."""
    process = accepted(api.call(SUBMIT, mail(), headers={"afterword-deadline": "60"}))
    generation = services().store.get("demo", process)
    assert (generation.deadline_at - set_clock()).total_seconds() == 60
    late = api.call(SUBMIT, mail(), headers={"afterword-deadline": "soon"})
    assert late["statusCode"] == 400


def test_a_retry_asks_for_a_class_again(api: Api, stored: Callable[[], Stored]) -> None:
    """A canceled classification is submitted again as one, while its flow has classes."""
    process, other = (accepted(api.call(SUBMIT, mail(subject=each))) for each in "ab")
    for each in (process, other):
        services().outbox.cancel("demo", each)
    retry = services().submitter.retry("demo", process)
    assert services().store.get("demo", retry.id).classifies
    services().registry.put_flow("demo", CLASSES, FLOW_DOCUMENT)
    key = services().registry.create_key("demo", ["submit", "read"])[1]  # type: ignore[list-item]
    refused_retry = Api(key).call("retry_generation", id=other)
    assert (refused_retry["statusCode"], refused_retry["body"]["detail"]) == (422, NO_CLASSES)
    assert stored().items == 3


@pytest.mark.parametrize("operation", ["dynamodb.PutItem", "dynamodb.GetItem"])
def test_what_could_not_be_put_is_not_accepted(
    api: Api, cut_off: Callable[[str], None], stored: Callable[[], Stored], operation: str
) -> None:
    """When storage is out of reach the answer is 503, and nothing is sent."""
    cut_off(operation)
    assert refused(api, json.dumps(mail())) == TRY_AGAIN
    assert stored() == NOTHING

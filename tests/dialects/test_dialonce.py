"""The Dialonce dialect: requests into submissions, generations into responses."""

import json
from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus

import pytest
from pydantic import ValidationError

from afterword.dialects import dialonce
from afterword.dialects.dialonce import parameters
from afterword.errors import (
    AfterwordError,
    ConflictError,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
)
from afterword.generations import Generation, Reason, Status, Submission
from afterword.handlers.http import Request
from afterword.tenants.keys import ApiKey
from openapi.dialonce import MailClassificationAsyncParameters, MailGenerationAsyncParameters
from tests.conftest import START
from tests.harness.fake_model import completion


def make_request(headers: Mapping[str, str] | None = None) -> Request:
    """Return a request for the orchestrator `mail-reply` of the company `demo`."""
    return Request(
        path={"companyCuid": "demo", "orchestratorCuid": "mail-reply"},
        query={},
        headers=headers or {},
        body=b"",
    )


def make_generation(status: Status, external: Mapping[str, str] | None = None) -> Generation:
    """Return a generation as the store gives it."""
    failed = status is Status.FAILED
    return Generation(
        tenant="demo",
        id="019a6f3e-7c00-7000-8000-000000000001",
        dialect="dialonce",
        flow="mail-reply",
        flow_version=1,
        status=status,
        attempt=1,
        created_at=START,
        deadline_at=START + timedelta(hours=1),
        finished_at=START if status.terminal else None,
        external=external or {},
        completion=completion("Dear Ada,\n“é”") if status is Status.SUCCEEDED else None,
        reason=Reason.TIMED_OUT if failed else None,
        message="The model did not answer in time." if failed else None,
        retry_of=None,
    )


def why_refused(body: bytes) -> str:
    """Return why a body is refused."""
    with pytest.raises(InvalidRequestError) as refused:
        parameters.parse_submission(body, "mail-reply")
    return str(refused.value)


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({}, None),
        ({"authorization": "Bearer aw_1"}, "aw_1"),
        ({"authorization": "bearer  aw_1 "}, "aw_1"),
        ({"authorization": "BEARER aw_1"}, "aw_1"),
        ({"x-api-key": "aw_2"}, "aw_2"),
        ({"authorization": "Bearer aw_1", "x-api-key": "aw_1"}, "aw_1"),
        ({"authorization": "Basic YTpi", "x-api-key": "aw_2"}, "aw_2"),
        ({"authorization": "Bearer", "x-api-key": "aw_2"}, "aw_2"),
        ({"authorization": "aw_1"}, None),
        ({"authorization": ""}, None),
    ],
)
def test_the_key_is_where_a_client_may_put_it(headers: Mapping[str, str], key: str | None) -> None:
    """The key is a bearer token, else the value of `x-api-key`."""
    assert (dialonce.read_api_key(make_request(headers)) or None) == key


def key_of(tenant: str, flow: str | None = None) -> ApiKey:
    """Return a key of a tenant, bound to a flow if one is given."""
    return ApiKey(
        id="id",
        tenant=tenant,
        hash="",
        scopes=frozenset(),
        label="",
        created_at=START,
        revoked_at=None,
        flow=flow,
    )


def test_a_company_is_the_tenant() -> None:
    """A path's orchestrator is given to the company of the key; any other company is absent."""
    assert dialonce.read_flow_id(make_request(), key_of("demo")) == "mail-reply"
    with pytest.raises(NotFoundError) as refused:
        dialonce.read_flow_id(make_request(), key_of("other"))
    assert str(refused.value) == "There is no such company."


def test_a_key_of_one_flow_opens_no_other() -> None:
    """With a key that is bound to a flow, other orchestrators are absent."""
    assert dialonce.read_flow_id(make_request(), key_of("demo", "mail-reply")) == "mail-reply"
    with pytest.raises(NotFoundError, match=r"There is no such flow\."):
        dialonce.read_flow_id(make_request(), key_of("demo", "answers"))


def test_a_mail_becomes_a_submission() -> None:
    """Subject, body and metadata are inputs; the template and what is external stand apart."""
    body = (
        '{"subject": "Réclamation", "body": "Bonjour", "metadata": {"n" : 1.10},'
        ' "template": "Cher [nom],", "external_ref": "case\\u002d457",'
        ' "external_metadata": { "user_id":"abc" }, "unknown": [1]}'
    )
    assert parameters.parse_submission(body.encode(), "mail-reply") == Submission(
        dialect="dialonce",
        flow="mail-reply",
        inputs={"subject": "Réclamation", "body": "Bonjour", "metadata": '{"n" : 1.10}'},
        template="Cher [nom],",
        external={
            "external_ref": '"case\\u002d457"',
            "external_metadata": '{ "user_id":"abc" }',
        },
    )


@pytest.mark.parametrize(
    ("sent", "inputs", "external"),
    [
        ({}, {}, {}),
        ({"metadata": None, "template": None}, {}, {}),
        ({"metadata": {}}, {"metadata": "{}"}, {}),
        ({"template": ""}, {}, {}),
        ({"template": " \n"}, {}, {}),
        ({"external_ref": None}, {}, {"external_ref": "null"}),
        ({"external_ref": ""}, {}, {"external_ref": '""'}),
        ({"external_metadata": {}}, {}, {"external_metadata": "{}"}),
    ],
)
def test_what_is_optional_may_be_left_out_or_null(
    sent: Mapping[str, object], inputs: Mapping[str, str], external: Mapping[str, str]
) -> None:
    """Only subject and body are needed; null is as good as nothing, and external data stay."""
    body = json.dumps({"subject": "A", "body": "B", **sent}).encode()
    assert parameters.parse_submission(body, "mail-reply") == Submission(
        dialect="dialonce",
        flow="mail-reply",
        inputs={"subject": "A", "body": "B", **inputs},
        template=None,
        external=external,
    )


@pytest.mark.parametrize(("subject", "body"), [("A", ""), ("", "B"), ("A", " "), ("\n", "B")])
def test_one_of_subject_and_body_is_enough(subject: str, body: str) -> None:
    """A mail with only a subject, or only a body, is a mail."""
    mail = json.dumps({"subject": subject, "body": body}).encode()
    assert parameters.parse_submission(mail, "f").inputs == {"subject": subject, "body": body}


def test_external_data_have_a_limit_of_their_own() -> None:
    """External data have at most a million bytes, so that the answer always fits."""
    text = "é" * 499_999
    most = f'{{"subject": "A", "body": "B", "external_ref": "{text}"}}'.encode()
    assert parameters.parse_submission(most, "f").external == {"external_ref": f'"{text}"'}
    for name, value in (("external_ref", f'"{text}x"'), ("external_metadata", f'{{"a":"{text}"}}')):
        body = f'{{"subject": "A", "body": "B", "{name}": {value}}}'.encode()
        assert why_refused(body) == f"{name}: must be at most 1000000 bytes."


def test_a_template_with_too_many_placeholders_is_refused() -> None:
    """More than a hundred placeholders are refused before anything is stored."""
    mail = {"subject": "A", "body": "B", "template": "".join(f"[{n}]" for n in range(101))}
    assert why_refused(json.dumps(mail).encode()) == (
        "template: must have at most 100 different placeholders."
    )


def test_a_submission_is_answered_with_its_process_id() -> None:
    """The answer to a submission is a TextProcessOutput."""
    response = dialonce.render_accepted("019a6f3e-7c00-7000-8000-000000000001")
    assert (response.status, response.body) == (
        HTTPStatus.OK,
        '{"process_cuid": "019a6f3e-7c00-7000-8000-000000000001"}',
    )


@pytest.mark.parametrize(
    ("status", "shown", "text"),
    [
        (Status.QUEUED, "started", "null"),
        (Status.RUNNING, "started", "null"),
        (Status.SUCCEEDED, "completed", '"Dear Ada,\\n“é”"'),
        (Status.FAILED, "failed", "null"),
        (Status.CANCELED, "failed", "null"),
    ],
)
def test_a_generation_is_shown_in_dialonces_words(status: Status, shown: str, text: str) -> None:
    """Each status has its word, and only a completed generation has a response."""
    response = dialonce.render_generation(make_generation(status))
    assert response.status == HTTPStatus.OK
    assert response.body == (
        f'{{"status": "{shown}", "response": {text},'
        ' "external_ref": null, "external_metadata": null}'
    )


def test_external_data_are_shown_as_they_were_sent() -> None:
    """External data stand in the answer to the letter."""
    external = {"external_ref": '"\\u0041"', "external_metadata": '{"n" :1.10,\n"e":1e400}'}
    response = dialonce.render_generation(make_generation(Status.QUEUED, external))
    assert response.body == (
        '{"status": "started", "response": null, "external_ref": "\\u0041",'
        ' "external_metadata": {"n" :1.10,\n"e":1e400}}'
    )


def test_a_generation_belongs_to_its_orchestrator() -> None:
    """Another orchestrator of the same company does not have it."""
    with pytest.raises(NotFoundError) as refused:
        dialonce.require_access(make_generation(Status.QUEUED), "other-flow")
    assert str(refused.value) == "There is no such generation."


@pytest.mark.parametrize(
    ("error", "status", "phrase"),
    [
        (InvalidRequestError, 400, "Bad Request"),
        (UnauthenticatedError, 401, "Unauthorized"),
        (ForbiddenError, 403, "Forbidden"),
        (NotFoundError, 404, "Not Found"),
        (ConflictError, 409, "Conflict"),
        (TooLargeError, 413, "Content Too Large"),
        (UnavailableError, 503, "Service Unavailable"),
    ],
)
def test_an_error_has_dialonces_shape(
    error: type[AfterwordError], status: int, phrase: str
) -> None:
    """Every error is its status, a sentence and the status's name."""
    response = dialonce.render_error(error('The fault is "like" this.'))
    assert response.status == status
    assert json.loads(response.body) == {
        "statusCode": status,
        "message": 'The fault is "like" this.',
        "error": phrase,
    }


MEMBERS = (
    "subject",
    "body",
    "metadata",
    "template",
    "external_ref",
    "external_metadata",
    "mail",
    "another",
)
VALUES: tuple[object, ...] = (
    None,
    True,
    7,
    1.5,
    "text",
    [],
    ["text"],
    {},
    {"subject": "A"},
    {"subject": 1, "body": 2},
)
MAIL = {"subject": "A", "body": "B"}
GOOD = {**MAIL, "mail": MAIL}


@pytest.mark.parametrize("member", MEMBERS)
def test_bodies_are_refused_where_their_description_refuses_them(member: str) -> None:
    """The parsers by hand find the members that the described models find, in their order."""
    bodies: list[dict[str, object]] = [{**GOOD, member: value} for value in VALUES]
    bodies.append({name: value for name, value in GOOD.items() if name != member})
    for body in bodies:
        content = json.dumps(body).encode()
        for parse, described in (
            (parameters.parse_submission, MailGenerationAsyncParameters),
            (parameters.parse_classification, MailClassificationAsyncParameters),
        ):
            try:
                parse(content, "mail-reply")
                found = []
            except InvalidRequestError as error:
                found = [part.rpartition(" ")[2] for part in str(error).split(": ")[:-1]]
            try:
                described.model_validate(body, strict=True)
                expected = []
            except ValidationError as error:
                expected = [".".join(map(str, each["loc"])) for each in error.errors()]
            assert found == expected, body

"""Access: keys, scopes, and other people's companies, orchestrators and processes."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from afterword.services import services
from afterword.tenants import authentication, keys
from tests.conftest import FLOW, FLOW_DOCUMENT, Event, LambdaContext, Stored, Tenant
from tests.endpoints.conftest import (
    NO_SUCH_COMPANY,
    NO_SUCH_GENERATION,
    refusal,
    unauthorized,
)
from tests.harness.api import invoke

NOTHING = Stored(items=0, messages=0, objects=0)
ABSENT = "019a6f3e-7c00-7000-8000-000000000009"


@dataclass
class Monotonic:
    """The process's clock, in seconds."""

    seconds: float = 0.0

    def __call__(self) -> float:
        """Return the seconds."""
        return self.seconds


@pytest.fixture
def both(
    submission_event: Event, reading_event: Callable[[str], Event], context: LambdaContext
) -> Callable[[Mapping[str, str]], list[dict[str, Any]]]:
    """Return a function that sends headers to both endpoints and returns both results."""

    def send(headers: Mapping[str, str]) -> list[dict[str, Any]]:
        submission, reading = submission_event, reading_event(ABSENT)
        for event in (submission, reading):
            del event["headers"]["authorization"]
            event["headers"].update(headers)
        return [
            invoke("submit_mail_generation", submission, context),
            invoke("get_mail_generation", reading, context),
        ]

    return send


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({}, "An API key is needed."),
        ({"authorization": ""}, "Authorization: must be 'Bearer' and the API key, not empty."),
        ({"authorization": "Bearer"}, "Authorization: must have the API key after 'Bearer'."),
        ({"authorization": "Bearer "}, "Authorization: must have the API key after 'Bearer'."),
        (
            {"authorization": "Basic YTpi"},
            "Authorization: must have the scheme 'Bearer', not another one.",
        ),
        ({"x-api-key": ""}, "The API key must not be empty in x-api-key."),
        ({"authorization": "Bearer secret"}, "The API key is malformed or mistyped."),
        ({"authorization": "Bearer é\x00\ud800"}, "The API key is malformed or mistyped."),
        ({"authorization": "Bearer " + "x" * 100_000}, "The API key is malformed or mistyped."),
        ({"x-api-key": "aw_x_y_z"}, "The API key is malformed or mistyped."),
        ({"x-api-key": "null"}, "The API key is malformed or mistyped."),
        ({"authorization": f"Bearer {keys.generate_key()[1]}"}, "The API key is not known."),
        ({"x-api-key": keys.generate_key()[1]}, "The API key is not known."),
    ],
    ids=range(13),
)
def test_without_a_good_key_nobody_gets_in(
    both: Callable[[Mapping[str, str]], list[dict[str, Any]]],
    stored: Callable[[], Stored],
    headers: Mapping[str, str],
    message: str,
) -> None:
    """No key, a malformed and an unknown one get 401 at every endpoint, and leave no trace."""
    assert both(headers) == [unauthorized(message)] * 2
    assert stored() == NOTHING


def test_one_wrong_character_is_told_from_an_unknown_key(
    tenant: Tenant, submission_event: Event, context: LambdaContext
) -> None:
    """A key with a typing mistake is told so."""
    mistyped = tenant.key[:20] + ("a" if tenant.key[20] != "a" else "b") + tenant.key[21:]
    submission_event["headers"]["authorization"] = f"Bearer {mistyped}"
    assert invoke("submit_mail_generation", submission_event, context) == unauthorized(
        "The API key is malformed or mistyped."
    )


@pytest.mark.parametrize(
    "header",
    [
        lambda key: {"authorization": f"Bearer {key}"},
        lambda key: {"Authorization": f"Bearer {key}"},
        lambda key: {"AUTHORIZATION": f"bearer {key}"},
        lambda key: {"x-api-key": key},
        lambda key: {"X-Api-Key": key},
        lambda key: {"X-API-KEY": key, "authorization": "Basic YTpi"},
    ],
)
def test_a_key_is_taken_where_clients_put_it(
    tenant: Tenant,
    both: Callable[[Mapping[str, str]], list[dict[str, Any]]],
    header: Callable[[str], Mapping[str, str]],
) -> None:
    """A key is good as a bearer token and in `x-api-key`, whatever the case of the header."""
    accepted, found = both(header(tenant.key))
    assert accepted["statusCode"] == 200
    assert found == NO_SUCH_GENERATION


def test_a_revoked_key_is_refused_after_a_minute(
    tenant: Tenant,
    submission_event: Event,
    context: LambdaContext,
    stored: Callable[[], Stored],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A key in use is refused a minute after its revocation at the latest."""
    monotonic = Monotonic()
    monkeypatch.setattr(authentication, "time", SimpleNamespace(monotonic=monotonic))
    assert invoke("submit_mail_generation", submission_event, context)["statusCode"] == 200
    credential = keys.parse_key(tenant.key)
    assert credential is not None
    services().registry.revoke_key(tenant.id, credential.key_id)
    monotonic.seconds = 60.0
    assert invoke("submit_mail_generation", submission_event, context) == unauthorized(
        "The API key is revoked."
    )
    assert stored().items == 1


@pytest.mark.usefixtures("other_tenant")
@pytest.mark.parametrize("company", ["other", "absent", "DEMO", "demo ", "", "\ud800", "demo#x"])
def test_a_foreign_company_is_an_absent_one(
    submission_event: Event,
    reading_event: Callable[[str], Event],
    context: LambdaContext,
    stored: Callable[[], Stored],
    company: str,
) -> None:
    """Another tenant's company and one that does not exist get the same 404, byte for byte."""
    reading = reading_event(ABSENT)
    for event in (submission_event, reading):
        event["pathParameters"]["companyCuid"] = company
    assert invoke("submit_mail_generation", submission_event, context) == NO_SUCH_COMPANY
    assert invoke("get_mail_generation", reading, context) == NO_SUCH_COMPANY
    assert stored() == NOTHING


@pytest.mark.parametrize(
    ("orchestrator", "message"),
    [
        ("theirs", "There is no flow theirs."),
        ("absent", "There is no flow absent."),
        ("Mail-Reply", "There is no flow Mail-Reply."),
        *(
            (no_id, "There is no such flow.")
            for no_id in ("mail-reply ", "flow#mail-reply", "", "é", "x" * 3_000)
        ),
    ],
)
def test_a_foreign_orchestrator_is_an_absent_one(
    other_tenant: Tenant,
    submission_event: Event,
    stored: Callable[[], Stored],
    orchestrator: str,
    message: str,
) -> None:
    """Another tenant's orchestrator and one that does not exist get the same 404."""
    services().registry.put_flow(other_tenant.id, "theirs", FLOW_DOCUMENT)
    submission_event["pathParameters"]["orchestratorCuid"] = orchestrator
    assert invoke("submit_mail_generation", submission_event) == refusal(404, message)
    assert stored() == NOTHING


@pytest.mark.parametrize(
    "cuid",
    [
        "FOREIGN",
        "OTHER ORCHESTRATOR",
        ABSENT,
        "OWN IN UPPER CASE",
        "OWN IN BRACES",
        "g78ml9fz3qwk",
        "",
        " ",
        "../x",
        "é",
        "\x00",
        "\ud800",
        "demo#",
        "0" * 5_000,
    ],
)
def test_a_foreign_process_is_an_absent_one(
    submission_event: Event,
    their_submission_event: Event,
    reading_event: Callable[[str], Event],
    context: LambdaContext,
    cuid: str,
) -> None:
    """A process id that is foreign, absent or malformed gets the same 404, byte for byte."""
    own = json.loads(invoke("submit_mail_generation", submission_event, context)["body"])[
        "process_cuid"
    ]
    foreign = json.loads(invoke("submit_mail_generation", their_submission_event, context)["body"])[
        "process_cuid"
    ]
    asked = {
        "FOREIGN": foreign,
        "OTHER ORCHESTRATOR": own,
        "OWN IN UPPER CASE": own.upper(),
        "OWN IN BRACES": f"{{{own}}}",
    }
    event = reading_event(asked.get(cuid, cuid))
    if cuid == "OTHER ORCHESTRATOR":
        services().registry.put_flow("demo", "second", FLOW_DOCUMENT)
        event["pathParameters"]["orchestratorCuid"] = "second"
    assert invoke("get_mail_generation", event, context) == NO_SUCH_GENERATION
    assert invoke("get_mail_generation", reading_event(own), context)["statusCode"] == 200


def test_two_tenants_do_not_see_each_other(
    tenant: Tenant,
    other_tenant: Tenant,
    submission_event: Event,
    reading_event: Callable[[str], Event],
    context: LambdaContext,
) -> None:
    """A tenant with the other one's address and its own key finds nothing there."""
    assert (tenant.id, other_tenant.id) == ("demo", "other")
    own = json.loads(invoke("submit_mail_generation", submission_event, context)["body"])[
        "process_cuid"
    ]
    event = reading_event(own)
    event["headers"]["authorization"] = f"Bearer {other_tenant.key}"
    assert invoke("get_mail_generation", event, context) == NO_SUCH_COMPANY
    event["pathParameters"]["companyCuid"] = other_tenant.id
    assert event["pathParameters"]["orchestratorCuid"] == FLOW
    assert invoke("get_mail_generation", event, context) == NO_SUCH_GENERATION

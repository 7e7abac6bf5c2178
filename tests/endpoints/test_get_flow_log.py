"""Promptitude's log of an invocation: the handler with its event, under moto."""

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from afterword import clock
from afterword.generations import Reason, Submission
from afterword.services import services
from tests.conftest import Event, LambdaContext, Tenant
from tests.harness.api import invoke
from tests.harness.fake_model import completion
from tests.harness.promptitude import TEXT, answer, put_flow, read

CONTEXT = LambdaContext()
SUBMISSION = Submission(
    dialect="promptitude",
    flow="joke",
    inputs={"name": "Andres"},
    template=None,
    external={"userId": '"user-1"'},
)

type Ask = Callable[..., Mapping[str, Any]]


@pytest.fixture
def submitted(tenant: Tenant) -> str:
    """Return the id of an invocation that is queued."""
    put_flow(tenant)
    return services().submitter.submit(tenant.id, SUBMISSION)


@pytest.fixture
def ask(tenant: Tenant, load_event: Callable[[str], Event]) -> Ask:
    """Return a function that asks for an invocation's log, with the tenant's key by default."""

    def get(log_id: str, key: str = tenant.key) -> Mapping[str, Any]:
        event = load_event("get_flow_log")
        event["pathParameters"]["logId"] = log_id
        event["headers"]["authorization"] = f"Bearer {key}"
        return read(invoke("get_flow_log", event, CONTEXT))

    return get


def finish(generation_id: str) -> None:
    """Let a worker succeed."""
    claim = services().store.claim("demo", generation_id, clock.now() + timedelta(seconds=70))
    assert claim is not None
    services().outbox.succeed(claim, completion(TEXT))


def test_a_result_is_there_later(ask: Ask, submitted: str) -> None:
    """A result too late for its caller is in its log, with the caller's user."""
    shown = {"logId": submitted, "flowId": "joke", "userId": "user-1", "rating": 0}
    assert ask(submitted) == answer(202, "The run is not finished yet.", shown)
    finish(submitted)
    assert ask(submitted) == answer(200, "OK", {"result": TEXT, **shown})


@pytest.mark.parametrize(("reason", "code"), [(Reason.DEADLINE, 504), (Reason.DEAD_LETTER, 502)])
def test_a_failure_is_told(ask: Ask, submitted: str, reason: Reason, code: int) -> None:
    """A failed invocation has its reason as the message, and a code that fits it."""
    services().outbox.fail_unclaimed("demo", submitted, reason, "It is over.")
    result = ask(submitted)
    assert (result["statusCode"], result["body"]["message"]) == (code, f"{reason}: It is over.")
    assert result["body"]["results"]["logId"] == submitted


def test_what_another_api_submitted_can_be_read(ask: Ask, tenant: Tenant) -> None:
    """A generation of any dialect has a log."""
    put_flow(tenant)
    mail = Submission(
        dialect="dialonce", flow="mail-reply", inputs={"body": "x"}, template=None, external={}
    )
    generation_id = services().submitter.submit(tenant.id, mail)
    assert ask(generation_id)["body"]["results"]["userId"] is None


@pytest.mark.parametrize("sent", [1, 2, 3, 0])
def test_a_rating_is_shown(
    ask: Ask, submitted: str, tenant: Tenant, load_event: Callable[[str], Event], sent: int
) -> None:
    """A result's rating is in its log."""
    event = load_event("rate_flow_log")
    event["pathParameters"]["logId"] = submitted
    event["headers"]["authorization"] = f"Bearer {tenant.key}"
    event["body"] = json.dumps({"rating": {"rating": sent}})
    assert invoke("rate_flow_log", event, CONTEXT)["statusCode"] == 200
    assert ask(submitted)["body"]["results"]["rating"] == sent

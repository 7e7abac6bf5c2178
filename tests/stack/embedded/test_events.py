"""The consequences of a generation's end: its event, and the return of its slot."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from afterword.flows.drafts import Flow, Step
from afterword.limits import Limits
from tests.stack.embedded.driver import Dev, Json, Tenant, until

FLOW = Flow(
    id="replies",
    name="Replies",
    steps=(Step(name="reply", instructions="Answer this mail.", max_tokens=4),),
)
MAIL = {
    "subject": "Xenon",
    "body": "Ytterbium",
    "metadata": {"Zirconium": "Quokka"},
    "external_ref": "Wolfram",
}
WORDS = ("xenon", "ytterbium", "zirconium", "quokka", "wolfram", "zeppelin")
RECEIVED_SECONDS = 60.0


@contextmanager
def model_stopped(dev: Dev) -> Iterator[None]:
    """Keep the model from answering, so that what asks it stays open."""
    model = dev.facts()["pids"]["model"]
    os.kill(model, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(model, signal.SIGCONT)


def post(tenant: Tenant) -> httpx.Response:
    """Submit a mail that the model is asked about."""
    content = b'{"subject": "My policy", "body": "When does my policy end?"}'
    headers = {"Content-Type": "application/json"}
    return tenant.request("POST", tenant.mails, content=content, headers=headers)


@pytest.mark.parametrize(
    ("template", "api_status", "status", "reason", "response"),
    [
        pytest.param(
            "Zeppelin.", "completed", "succeeded", None, "Zeppelin.", id="without a model"
        ),
        pytest.param(
            "Zeppelin [the full address].",
            *("failed", "failed", "output_truncated", None),
            id="with too few tokens",
        ),
    ],
)
def test_an_end_is_an_event(  # noqa: PLR0913, PLR0917 - the compared values
    dev: Dev,
    template: str,
    api_status: str,
    status: str,
    reason: str | None,
    response: str | None,
) -> None:
    """A generation's end comes as an event on the bus, as the API tells it, without its texts."""
    account = dev.account()
    tenant = account.create_tenant(f"ends-{status}", FLOW)
    ends = account.subscribe(tenant)
    process = tenant.submit(**MAIL, template=template)
    output = tenant.finish(process)
    assert (output["status"], output["response"]) == (api_status, response)

    received: list[Json] = until(lambda: account.received(ends), RECEIVED_SECONDS)
    assert len(received) == 1
    event = received[0]
    assert (event["source"], event["detail-type"]) == ("afterword", "GenerationFinished")
    detail = event["detail"]
    assert detail.pop("created_at") < detail["finished_at"]
    assert detail.pop("finished_at").endswith("Z")
    assert 0 < detail.pop("seconds") < RECEIVED_SECONDS
    assert detail == {
        "tenant": tenant.id,
        "id": process,
        "dialect": "dialonce",
        "flow": FLOW.id,
        "flow_version": 1,
        "status": status,
        "reason": reason,
        "attempts": 1,
    }
    assert [word for word in WORDS if word in str(event).lower()] == []
    until(lambda: "due_at" not in account.generations(tenant)[0], RECEIVED_SECONDS)


def test_one_at_once(dev: Dev) -> None:
    """Over its limit a tenant is told to come back, and admitted when its slot is free again."""
    account = dev.account()
    tenant = account.create_tenant("one-at-once", FLOW)
    account.registry().set_limits(tenant.id, Limits(running_at_once=1))
    with model_stopped(dev):
        process = tenant.submit(subject="My policy", body="When does my policy end?")
        refused = post(tenant)
        stored = [generation["id"] for generation in account.generations(tenant)]
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "5"
    error = refused.json()
    assert "limit is 1" in error.pop("message")
    assert error == {"statusCode": 429, "error": "Too Many Requests"}
    assert stored == [process]

    assert tenant.finish(process)["status"] == "completed"
    accepted = until(lambda: _accepted(tenant), RECEIVED_SECONDS)
    assert tenant.finish(accepted)["status"] == "completed"
    assert len(account.generations(tenant)) == 2


def _accepted(tenant: Tenant) -> str:
    """Submit once more, and return the process id, "" while the slot is not given back."""
    answer = post(tenant)
    assert answer.status_code in {200, 429}, answer.text
    process: str = answer.json().get("process_cuid", "")
    return process

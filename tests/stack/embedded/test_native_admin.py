"""Flows, keys and usage as their owner has them: over HTTP and with the command line."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from afterword.flows.drafts import Flow
from afterword.tenants.keys import Scope
from local.aws import session
from tests.conftest import ROOT
from tests.stack.embedded.driver import Dev, Json, until

STEP = {
    "name": "answer",
    "prompt": "Answer in one short sentence: {{question}}",
    "max_tokens": 30,
    "temperature": 0,
}
ASK = {
    "name": "Ask",
    "inputs": [{"name": "question"}],
    "steps": [STEP],
}
CALLS = 3


@pytest.fixture
def tenant() -> str:
    """Return the id of a new tenant."""
    return f"t-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def owner(dev: Dev, tenant: str) -> Iterator[httpx.Client]:
    """Create the tenant, and return a client with a key for all scopes."""
    account = dev.account()
    account.create_tenant(tenant, Flow.model_validate({"id": "first", **ASK}))
    _, key = account.registry().create_key(tenant, Scope)
    with client(dev, key) as made:
        yield made


def client(dev: Dev, key: str) -> httpx.Client:
    """Return a client with a key."""
    return httpx.Client(
        base_url=dev.facts()["url"], headers={"Authorization": f"Bearer {key}"}, timeout=60
    )


def problem(response: httpx.Response, status: int) -> Json:
    """Return the problem document of a refusal."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found: Json = response.json()
    assert found["status"] == status
    return found


def test_a_flow_is_saved_changed_and_listed(owner: httpx.Client) -> None:
    """A flow is saved in versions, each of which can be read, and what is wrong in one is named."""
    first = owner.put("/v1/flows/ask", json=ASK)
    assert first.status_code == 200, first.text
    assert (first.json()["version"], first.json()["warnings"]) == (1, [])
    assert owner.put("/v1/flows/ask", json=ASK).json() == first.json()
    folders = {**STEP, "context": {"folders": ["Terms"]}}
    second = owner.put("/v1/flows/ask", json={**ASK, "steps": [folders]}).json()
    assert second["version"] == 2
    assert [each["field"] for each in second["warnings"]] == ["steps[0].context.folders"]
    assert owner.get("/v1/flows/ask", params={"version": 1}).json()["flow"] == {"id": "ask", **ASK}
    versions = owner.get("/v1/flows/ask/versions").json()["versions"]
    assert [each["version"] for each in versions] == [2, 1]
    assert [each["id"] for each in owner.get("/v1/flows").json()["flows"]] == ["ask", "first"]
    wrong = problem(owner.put("/v1/flows/ask", json={"name": "", "steps": [{}]}), 422)
    assert {each["field"] for each in wrong["errors"]} == {"name", "steps[0].name"}
    problem(owner.get("/v1/flows/absent"), 404)


def test_a_key_is_made_used_and_revoked(dev: Dev, owner: httpx.Client) -> None:
    """A key does what its scopes say, for its flow alone, until it is revoked."""
    made = owner.post("/v1/keys", json={"scopes": ["read"], "label": "board", "flow": "first"})
    assert made.status_code == 201, made.text
    with client(dev, made.json()["key"]) as board:
        assert [each["id"] for each in board.get("/v1/flows").json()["flows"]] == ["first"]
        problem(board.get("/v1/flows/other"), 403)
        problem(board.put("/v1/flows/first", json=ASK), 403)
        problem(board.get("/v1/keys"), 403)
    key_id = made.json()["id"]
    assert owner.delete(f"/v1/keys/{key_id}").status_code == 204
    listed = {each["id"]: each for each in owner.get("/v1/keys").json()["keys"]}
    assert listed[key_id]["revoked_at"]
    assert made.json()["key"] not in json.dumps(listed)
    problem(owner.delete("/v1/keys/AbCdEfGhIjKl"), 404)


def test_usage_is_what_was_generated(dev: Dev, owner: httpx.Client, tenant: str) -> None:
    """A real model's answer is counted once, before and after the count, on both sides."""
    owner.put("/v1/flows/ask", json=ASK)
    for number in range(CALLS):
        body = {"flow": {"inputs": {"question": f"What is {number} plus one?"}}}
        answered = owner.post("/v1/flows/ask/generate", json=body)
        assert answered.status_code == 200, answered.text
    today = datetime.now(UTC).date().isoformat()
    shown = until(lambda: counted(owner), 30)
    assert shown is not None
    (group,) = shown["groups"]
    assert (group["day"] <= today, group["flow"]) == (True, "ask")
    assert (group["generations"], group["succeeded"], group["answers"]) == (CALLS, CALLS, CALLS)
    assert group["tokens_in"] > CALLS
    assert group["tokens_out"] > 0
    assert group["cost"] is None
    assert shown["prices"]["unpriced_models"] == [group["model"]]
    assert on_the_command_line(dev, tenant)["total"] == shown["total"]


def on_the_command_line(dev: Dev, tenant: str) -> Json:
    """Return the output of `afterword usage`."""
    account = dev.account()
    credentials = session().get_credentials()
    assert credentials is not None
    told = subprocess.run(  # noqa: S603 - our own command
        [
            Path(sys.executable).parent / "afterword",
            *("--stack", account.stack, "usage", tenant, "--json"),
        ],
        cwd=ROOT,
        env={
            **os.environ,
            "AWS_ENDPOINT_URL": account.endpoint,
            "AWS_ACCESS_KEY_ID": credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
            "AWS_DEFAULT_REGION": session().region_name,
        },
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    found: Json = json.loads(told.stdout)
    return found


def counted(owner: httpx.Client) -> Json | None:
    """Return the usage when all that was generated is in it."""
    response = owner.get("/v1/usage", params={"by": "day,flow,model"})
    assert response.status_code == 200, response.text
    shown: Json = response.json()
    return shown if shown["total"]["generations"] >= CALLS else None

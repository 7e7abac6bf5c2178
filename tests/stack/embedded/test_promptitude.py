"""Promptitude's API as its client sees it: flows of steps, logs and ratings over HTTP."""

import uuid
from collections.abc import Callable, Iterator

import httpx
import pytest

from afterword.flows.drafts import Flow
from tests.stack.embedded.driver import Dev, Json

ABSENT = "019aab7a-7d4f-7c07-9c0e-0f2a5a1d3c11"


@pytest.fixture
def connect(dev: Dev) -> Iterator[Callable[..., httpx.Client]]:
    """Return a function that makes a flow of these steps for a new tenant, and its client."""
    clients: list[httpx.Client] = []

    def make(*steps: Json) -> httpx.Client:
        flow = Flow.model_validate(
            {"id": "flow", "name": "Flow", "inputs": [{"name": "name"}], "steps": steps}
        )
        tenant = dev.account().create_tenant(f"t-{uuid.uuid4().hex[:12]}", flow)
        headers = {"Authorization": f"Bearer {tenant.key}"}
        url = dev.facts()["url"]
        clients.append(httpx.Client(base_url=url, headers=headers, timeout=60))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def generate(client: httpx.Client, name: str = "Andres", **headers: str) -> httpx.Response:
    """Run the flow."""
    body = {"userId": "user-1", "flow": {"inputs": {"name": name}}}
    return client.post("/v1/flows/flow/generate", json=body, headers=headers)


def test_the_seeds_flow_is_answered(dev: Dev) -> None:
    """The flow that dev.json names answers the documentation's request with a text."""
    tenant = dev.facts()["tenants"][0]
    flow, inputs = tenant["promptitude"]["flow"], tenant["promptitude"]["inputs"]
    answer = httpx.post(
        f"{dev.facts()['url']}/v1/flows/{flow}/generate",
        json={"userId": "9hhsOa6pGHes5BCDpCDeLD2i0kw2", "flow": {"inputs": inputs}},
        headers={"Authorization": f"Bearer {tenant['api_key']}"},
        timeout=60,
    )
    body = answer.json()
    assert answer.status_code == body["code"] == 200
    assert (body["message"], body["error"]) == ("OK", False)
    assert body["results"].keys() == {"result", "logId"}
    assert body["results"]["result"].strip()


def test_the_seeds_context_is_chosen_or_refused_by_name(dev: Dev) -> None:
    """A request may choose all folders and tags, and is refused one that is not there by name."""
    tenant = dev.facts()["tenants"][0]
    known = tenant["promptitude"]
    with httpx.Client(
        base_url=dev.facts()["url"],
        headers={"Authorization": f"Bearer {tenant['api_key']}"},
        timeout=60,
    ) as client:

        def choose(**context: object) -> Json:
            body = {
                "flow": {"inputs": known["inputs"]},
                "steps": {known["step"]: {"context": context}},
            }
            answer: Json = client.post(f"/v1/flows/{known['flow']}/generate", json=body).json()
            return answer

        every = choose(folders={"ids": [], "names": []}, tags={"ids": []})
        assert (every["code"], every["message"]) == (200, "OK")
        nowhere = choose(folders={"names": ["my folder"]})
        assert (nowhere["code"], nowhere["message"]) == (
            422,
            (
                f"steps.{known['step']}.context.folders: must exist,"
                ' and there is no folder "my folder".'
            ),
        )


def test_steps_use_the_results_before_them(connect: Callable[..., httpx.Client]) -> None:
    """A second step gets the first one's text, and an array comes as an array."""
    client = connect(
        {"name": "towns", "prompt": "Name two towns for {{name}}.", "max_tokens": 60},
        {
            "name": "list",
            "prompt": "List the towns in this text: {{towns}}",
            "output": "array",
            "max_tokens": 120,
        },
    )
    body = generate(client).json()
    assert body["code"] in {200, 502}, body  # a small model may run on and on
    if body["code"] == 200:
        assert all(isinstance(each, str) for each in body["results"]["result"])
    else:
        assert body["message"].startswith("output_truncated: ")
    log = client.get(f"/v1/logs/{body['results']['logId']}").json()
    assert log["results"]["userId"] == "user-1"


def test_a_failed_flow_is_a_502_with_its_reason(connect: Callable[..., httpx.Client]) -> None:
    """A result that cannot be had is told as such, by the generation and by its log."""
    client = connect(
        {"name": "list", "prompt": "Towns for {{name}}", "output": "array", "max_tokens": 1}
    )
    answer = generate(client)
    assert (answer.status_code, answer.json()["code"]) == (502, 502)
    assert answer.json()["message"].startswith("output_truncated: ")
    log = client.get(f"/v1/logs/{answer.json()['results']['logId']}")
    assert (log.status_code, log.json()["message"]) == (502, answer.json()["message"])


def test_a_log_is_read_rated_and_asked_for_again(connect: Callable[..., httpx.Client]) -> None:
    """The result is in the log, can be rated, and comes again with the same key."""
    client = connect({"name": "hello", "prompt": "Say hello to {{name}}.", "max_tokens": 20})
    first = generate(client, **{"idempotency-key": "once"})
    assert first.status_code == 200, first.text
    assert generate(client, **{"idempotency-key": "once"}).content == first.content
    log_id = first.json()["results"]["logId"]
    rated = client.post(f"/v1/logs/{log_id}/rate", json={"rating": {"rating": 3}})
    assert rated.json()["results"] == {
        "promptsLogs": {"id": log_id, "rating": 3},
        "logId": log_id,
        "rating": 3,
    }
    log = client.get(f"/v1/logs/{log_id}")
    assert log.json()["results"] == {
        **first.json()["results"],
        "flowId": "flow",
        "userId": "user-1",
        "rating": 3,
    }


def test_a_prompt_is_run_with_its_key_in_the_body(dev: Dev) -> None:
    """A flow is run as a prompt, for a client that sends no header, and its user is in the log."""
    tenant = dev.facts()["tenants"][0]
    known = tenant["promptitude"]
    body = {
        "apiKey": tenant["api_key"],
        "prompt": {"promptId": known["flow"], "inputs": known["inputs"]},
        "endUserId": "user-1",
    }
    answer = httpx.post(f"{dev.facts()['url']}/v1/generate", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    assert results["result"].strip()
    log = httpx.get(
        f"{dev.facts()['url']}/v1/logs/{results['logId']}",
        headers={"Authorization": f"Bearer {tenant['api_key']}"},
    )
    assert log.json()["results"]["userId"] == "user-1"


def test_errors_have_the_code_of_their_status(connect: Callable[..., httpx.Client]) -> None:
    """A fault is named in Promptitude's shape, and a foreign flow is absent."""
    mine, theirs = (connect({"name": "hello", "prompt": "Hello {{name}}."}) for _ in range(2))
    log_id = generate(theirs).json()["results"]["logId"]
    answers = [
        (mine.post("/v1/flows/flow/generate", content=b"\xff"), 400),
        (httpx.get(f"{mine.base_url}/v1/logs/{ABSENT}"), 401),
        (mine.post("/v1/flows/none/generate", json={}), 404),
        (mine.post("/v1/generate", json={"prompt": {"promptId": "none"}}), 404),
        (mine.get(f"/v1/logs/{log_id}"), 404),
        (mine.get(f"/v1/logs/{ABSENT}"), 404),
        (mine.post("/v1/flows/flow/generate", json={"flow": {"inputs": {}}}), 422),
        (mine.post(f"/v1/logs/{ABSENT}/rate", json={"rating": {"rating": 9}}), 422),
    ]
    for answer, code in answers:
        assert (answer.status_code, answer.json()["code"], answer.json()["error"]) == (
            code,
            code,
            True,
        )
    assert answers[4][0].content == answers[5][0].content

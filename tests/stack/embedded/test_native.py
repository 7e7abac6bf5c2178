"""The native API's generations as a client sees them: over HTTP, against the embedded stack."""

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from afterword.flows.drafts import Flow
from afterword.limits import Limits
from tests.stack.embedded.driver import Dev, Json, Tenant, until

PATH = "/v1/generations"
ABSENT = f"{PATH}/019aab7a-7d4f-7c07-9c0e-0f2a5a1d3c11"
SECONDS = 90.0
HELLO = {"name": "hello", "prompt": "Say hello to {{text}}.", "max_tokens": 20}
LONG = {"name": "long", "prompt": "Tell a long story about {{text}}.", "max_tokens": 600}


@pytest.fixture
def new_tenant(dev: Dev) -> Callable[..., Tenant]:
    """Return a function that makes a tenant with a flow of this step."""

    def make(step: Json = HELLO) -> Tenant:
        flow = Flow.model_validate({"id": "flow", "name": "Flow", "steps": [step]})
        return dev.account().create_tenant(f"t-{uuid.uuid4().hex[:12]}", flow)

    return make


@pytest.fixture
def connect() -> Iterator[Callable[[Tenant], httpx.Client]]:
    """Return a function that makes a tenant's client."""
    clients: list[httpx.Client] = []

    def make(tenant: Tenant) -> httpx.Client:
        headers = {"Authorization": f"Bearer {tenant.key}"}
        clients.append(httpx.Client(base_url=tenant.url, headers=headers, timeout=60))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def submit(client: httpx.Client, text: str = "Ada", **members: object) -> Json:
    """Submit, and return what was accepted."""
    answer = client.post(PATH, json={"flow": "flow", "inputs": {"text": text}, **members})
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == answer.json()["links"]["self"]
    accepted: Json = answer.json()
    return accepted


def finish(client: httpx.Client, generation: Json) -> Json:
    """Wait until a generation has ended."""

    def ended() -> Json | None:
        now: Json = client.get(generation["links"]["self"]).json()
        return None if now["finished_at"] is None else now

    found = until(ended, SECONDS, every=0.3)
    assert found is not None
    return found


def is_problem(answer: httpx.Response, status: int) -> bool:
    """Whether an answer is a problem document of this status."""
    return (
        answer.status_code == answer.json()["status"] == status
        and answer.headers["content-type"] == "application/problem+json"
    )


def test_a_generation_lives_from_submission_to_deletion(
    new_tenant: Callable[..., Tenant], connect: Callable[[Tenant], httpx.Client]
) -> None:
    """A generation is accepted, found by its reference, shown when done, deleted, then absent."""
    client = connect(new_tenant())
    accepted = submit(client, external_ref="case-457", metadata={"n": 1})
    done = finish(client, accepted)
    assert (done["status"], done["external_ref"], done["metadata"]) == (
        "succeeded",
        "case-457",
        {"n": 1},
    )
    assert done["output"].strip()
    assert done["usage"]["tokens_out"] > 0

    def found() -> list[Json]:
        page = client.get(PATH, params={"external_ref": "case-457", "status": "succeeded"})
        items: list[Json] = page.json()["items"]
        return items

    until(lambda: found() == [done], SECONDS)
    assert client.delete(done["links"]["self"]).status_code == 204
    gone = client.get(done["links"]["self"])
    assert is_problem(gone, 404)
    assert gone.content == client.get(ABSENT).content
    assert client.delete(done["links"]["self"]).content == gone.content
    assert found() == []


def test_an_end_is_waited_for(
    new_tenant: Callable[..., Tenant], connect: Callable[[Tenant], httpx.Client]
) -> None:
    """With a preference the text comes at once, and comes again with the same key."""
    client = connect(new_tenant())
    headers = {"Prefer": "wait=27", "Idempotency-Key": "once"}
    body = {"flow": "flow", "inputs": {"text": "Ada"}}
    first = client.post(PATH, json=body, headers=headers)
    assert (first.status_code, first.json()["status"]) == (200, "succeeded"), first.text
    assert first.headers["preference-applied"] == "wait=27"
    assert client.post(PATH, json=body, headers=headers).content == first.content
    body["inputs"] = {"text": "Bob"}
    assert is_problem(client.post(PATH, json=body, headers=headers), 422)


def test_an_open_generation_is_canceled_and_submitted_again(
    new_tenant: Callable[..., Tenant], connect: Callable[[Tenant], httpx.Client]
) -> None:
    """A cancel ends it at once; a retry is a new one, however often it is asked for."""
    client = connect(new_tenant(LONG))
    accepted = submit(client)
    assert is_problem(client.delete(accepted["links"]["self"]), 409)
    canceled = client.post(accepted["links"]["cancel"])
    assert (canceled.status_code, canceled.json()["status"]) == (200, "canceled")
    retries = [client.post(canceled.json()["links"]["retry"]) for _ in range(2)]
    assert {answer.status_code for answer in retries} == {202}
    (location,) = {answer.headers["location"] for answer in retries}
    retry = client.get(location).json()
    assert retry["retry_of"] == accepted["id"]
    client.post(f"{location}/cancel")
    assert client.get(accepted["links"]["self"]).json() == canceled.json()


def test_a_list_goes_over_pages(
    new_tenant: Callable[..., Tenant], connect: Callable[[Tenant], httpx.Client]
) -> None:
    """Following the links gives each generation once, newest first, and no other tenant's."""
    mine, theirs = connect(new_tenant()), connect(new_tenant())
    submit(theirs)
    ids = [submit(mine)["id"] for _ in range(5)][::-1]

    def walk() -> list[str]:
        found: list[str] = []
        url: str | None = f"{PATH}?limit=2"
        while url is not None:
            page = mine.get(url)
            assert page.status_code == 200, page.text
            found += [item["id"] for item in page.json()["items"]]
            url = page.links.get("next", {}).get("url")
        return found

    until(lambda: walk() == ids, SECONDS)
    assert is_problem(mine.get(f"{PATH}?limit=0"), 400)


def test_any_dialects_generation_is_read(
    dev: Dev, connect: Callable[[Tenant], httpx.Client]
) -> None:
    """Generations of Dialonce and Promptitude are shown here, and those made here there."""
    tenant = dev.tenants()[0]
    facts = dev.facts()["tenants"][0]["promptitude"]
    client = connect(tenant)
    process = tenant.submit(
        subject="A", body="When does my policy end?", external_ref="m-1", template="Thank you."
    )
    mail = tenant.finish(process)
    shown = client.get(f"{PATH}/{process}").json()
    assert (shown["dialect"], shown["output"], shown["external_ref"]) == (
        "dialonce",
        mail["response"],
        "m-1",
    )
    flow = facts["flow"]
    ran = client.post(f"/v1/flows/{flow}/generate", json={"flow": {"inputs": facts["inputs"]}})
    results = ran.json()["results"]
    shown = finish(client, {"links": {"self": f"{PATH}/{results['logId']}"}})
    assert (shown["dialect"], shown["flow"]) == ("promptitude", flow)
    if ran.status_code == 200:
        assert shown["output"] == results["result"]
    own = client.post(
        PATH, json={"flow": flow, "inputs": facts["inputs"]}, headers={"Prefer": "wait=27"}
    )
    done = finish(client, own.json())
    assert done["status"] == "succeeded", done
    log = client.get(f"/v1/logs/{done['id']}")
    assert (log.status_code, log.json()["results"]["result"]) == (200, done["output"])


def test_limits_are_told(
    dev: Dev, new_tenant: Callable[..., Tenant], connect: Callable[[Tenant], httpx.Client]
) -> None:
    """Each submission says what is left, and the one too many which limit it is."""
    tenant = new_tenant()
    dev.account().registry().set_limits(tenant.id, Limits(requests_per_minute=100))
    client = connect(tenant)
    body = {"flow": "flow", "inputs": {"text": "Ada"}}
    left = client.post(PATH, json=body).headers
    assert left["ratelimit-policy"] == '"requests-per-minute";q=100;w=60'
    assert left["ratelimit"].startswith('"requests-per-minute";r=99;t=')
    narrow = new_tenant()
    dev.account().registry().set_limits(narrow.id, Limits(tokens_per_month=1))
    client = connect(narrow)
    finish(client, client.post(PATH, json=body).json())

    def refused() -> httpx.Response | None:
        answer = client.post(PATH, json=body)
        return answer if answer.status_code == 429 else None

    answer = until(refused, SECONDS)
    assert answer is not None
    assert is_problem(answer, 429)
    assert answer.json()["violated-policies"] == ["tokens-per-month"]
    assert int(answer.headers["retry-after"]) > 0


def test_errors_are_problems(
    new_tenant: Callable[..., Tenant], connect: Callable[[Tenant], httpx.Client]
) -> None:
    """All faults are named, and a foreign generation is absent, byte for byte."""
    mine, theirs = connect(new_tenant()), connect(new_tenant())
    foreign = submit(theirs)["links"]["self"]
    assert is_problem(mine.post(PATH, content=b"\xff"), 400)
    assert is_problem(httpx.get(f"{mine.base_url}{ABSENT}"), 401)
    unfit = mine.post(PATH, json={"flow": "flow", "inputs": {"color": "red"}})
    assert is_problem(unfit, 422)
    assert unfit.json()["errors"] == [
        {"field": "inputs.color", "message": "must be one of: text."},
        {"field": "inputs.text", "message": "must be sent."},
    ]
    for method, action in (("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("POST", "/retry")):
        answer, absent = (mine.request(method, f"{path}{action}") for path in (foreign, ABSENT))
        assert is_problem(answer, 404)
        assert answer.content == absent.content


def test_many_wait_at_once(
    new_tenant: Callable[..., Tenant], connect: Callable[[Tenant], httpx.Client]
) -> None:
    """Clients who wait get each its own text."""
    client = connect(new_tenant())
    headers = {"Prefer": "wait=27"}

    def one(number: int) -> httpx.Response:
        body = {"flow": "flow", "inputs": {"text": "Ada"}, "external_ref": f"case-{number}"}
        return client.post(PATH, json=body, headers=headers)

    with ThreadPoolExecutor(max_workers=5) as threads:
        answers = list(threads.map(one, range(5)))
    for number, answer in enumerate(answers):
        done = answer.json() if answer.status_code == 200 else finish(client, answer.json())
        assert (done["status"], done["external_ref"]) == ("succeeded", f"case-{number}")

"""The API as its clients see it."""

import gzip
import json
import zlib
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from local.aws import session
from tests.stack.embedded.driver import Dev, Tenant

QUESTION = {"subject": "My policy", "body": "Hello, when does my policy end? Jane Miller"}
ABSENT = "019aab7a-7d4f-7c07-9c0e-0f2a5a1d3c11"


def stored(dev: Dev, tenant: Tenant) -> dict[str, dict[str, str]]:
    """Return the tenant's items of the generations table by id, attributes as texts."""
    outputs = (
        session()
        .client("cloudformation", endpoint_url=dev.facts()["endpoint"])
        .describe_stacks(StackName=dev.facts()["stack"])["Stacks"][0]["Outputs"]
    )
    table = next(o["OutputValue"] for o in outputs if o["OutputKey"] == "GenerationsTable")
    dynamodb = session().client("dynamodb", endpoint_url=dev.facts()["endpoint"])
    items = [
        {name: str(next(iter(value.values()))) for name, value in item.items()}
        for page in dynamodb.get_paginator("scan").paginate(TableName=table)
        for item in page["Items"]
    ]
    return {item["id"]: item for item in items if item.get("tenant") == tenant.id}


def test_health_answers(dev: Dev) -> None:
    """Plain paths work at the announced URL, as at the real API's."""
    answer = httpx.get(f"{dev.facts()['url']}/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    head = httpx.head(f"{dev.facts()['url']}/health")
    assert (head.status_code, head.content) == (200, b"")


def test_a_mail_is_answered(tenant: Tenant) -> None:
    """A mail ends as a text of the model, with what the client wanted back."""
    external = {"external_ref": "case-457", "external_metadata": {"user_id": "abc-789", "n": 1.0}}
    output = tenant.finish(tenant.submit(**QUESTION, **external))
    response = output.pop("response")
    assert output == {"status": "completed", **external}
    assert len(response) > 20


def test_a_template_keeps_its_words(tenant: Tenant) -> None:
    """The fixed words of a template come back as they are, its placeholders filled."""
    template = "Dear [the customer's name], thank you for your message. Your agent"
    output = tenant.finish(tenant.submit(**QUESTION, template=template))
    assert output["status"] == "completed"
    assert output["response"].startswith("Dear ")
    assert output["response"].endswith(", thank you for your message. Your agent")
    assert output["response"] != template


def test_a_body_of_300_kb_is_taken(dev: Dev, tenant: Tenant) -> None:
    """A body too big for an item is kept beside it, and read when the generation runs."""
    process = tenant.submit(subject="Big", body="x" * 300_000, template="Thank you.")
    assert tenant.finish(process)["response"] == "Thank you."
    assert "request_key" in stored(dev, tenant)[process]


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        pytest.param(b'{"subject": "\xff", "body": "b"}', "application/json", 400, id="not UTF-8"),
        pytest.param(b'{"subject": "\xff", "body": "b"}', None, 400, id="not UTF-8, no type"),
        pytest.param(b"\x00\x01\xfe", "application/octet-stream", 400, id="binary"),
        pytest.param(b"[" * 10_000, "application/json", 400, id="nested"),
        pytest.param(b'{"body": "' + b"x" * 7_000_000 + b'"}', "application/json", 413, id="7 MB"),
        pytest.param(b"x" * 11_000_000, "application/json", 413, id="11 MB"),
    ],
)
def test_a_bad_body_is_refused(
    dev: Dev, tenant: Tenant, body: bytes, content_type: str | None, status: int
) -> None:
    """A body that cannot be a mail is a clear error, and nothing is stored."""
    before = stored(dev, tenant).keys()
    headers = {"content-type": content_type} if content_type else {}
    answer = tenant.request("POST", tenant.mails, content=body, headers=headers)
    assert answer.status_code == status
    assert answer.json()["message"]
    assert stored(dev, tenant).keys() == before


@pytest.mark.parametrize("content_type", ["application/json", "application/octet-stream", None])
def test_a_body_with_gzip_is_read(tenant: Tenant, content_type: str | None) -> None:
    """A mail that is packed with gzip is answered like any other, whatever its type is called."""
    mail = {**QUESTION, "template": "Thank you."}
    headers = {"content-encoding": "gzip"}
    if content_type:
        headers["content-type"] = content_type
    content = gzip.compress(json.dumps(mail).encode())
    answer = tenant.request("POST", tenant.mails, content=content, headers=headers)
    assert answer.status_code == 200, answer.text
    assert tenant.finish(answer.json()["process_cuid"])["response"] == "Thank you."


@pytest.mark.parametrize(
    ("coding", "content", "status"),
    [
        pytest.param("gzip", gzip.compress(b"x" * 7_000_000), 413, id="bomb"),
        pytest.param("gzip", b"{}", 415, id="not packed"),
        pytest.param("deflate", zlib.compress(b"{}"), 415, id="deflate"),
        pytest.param("br", b"\x0b\x02\x80{}\x03", 415, id="br"),
    ],
)
def test_other_codings_are_refused(
    tenant: Tenant, coding: str, content: bytes, status: int
) -> None:
    """A coding that is not taken is 415 with those that are, and a bomb is 413."""
    headers = {"content-type": "application/json", "content-encoding": coding}
    answer = tenant.request("POST", tenant.mails, content=content, headers=headers)
    assert (answer.status_code, answer.json()["statusCode"]) == (status, status)
    if status == 415:
        assert answer.headers["accept-encoding"] == "gzip, identity"
        assert answer.json()["message"].startswith("Content-Encoding: must be ")


def test_a_byte_order_mark_is_left_out(tenant: Tenant) -> None:
    """JSON that a Windows program has saved is read, in UTF-8 and in UTF-16."""
    mail = json.dumps({**QUESTION, "template": "Thank you."})
    for content in (mail.encode("utf-8-sig"), mail.encode("utf-16")):
        headers = {"content-type": "application/json"}
        answer = tenant.request("POST", tenant.mails, content=content, headers=headers)
        assert answer.status_code == 200, answer.text


def test_a_body_without_a_type_is_read(tenant: Tenant) -> None:
    """JSON that nobody calls JSON reaches the function, in base64 as from API Gateway."""
    answer = tenant.request("POST", tenant.mails, content=b'{"subject": "s", "body": "b"}')
    assert answer.status_code == 200


def test_a_key_is_needed(dev: Dev, tenant: Tenant) -> None:
    """Without a key the answer is 401."""
    assert httpx.post(dev.facts()["url"] + tenant.mails, json=QUESTION).status_code == 401


def test_absent_foreign_and_malformed_ids_are_alike(tenant: Tenant, other_tenant: Tenant) -> None:
    """Another tenant's process, one that never was and what is no id: 404 with the same bytes."""
    foreign = other_tenant.submit(**QUESTION, template="Thank you.")
    answers = [
        tenant.request("GET", f"{tenant.mails}/{process}")
        for process in (foreign, ABSENT, "g78ml9fz3qwk", "%00", "%ff", "x" * 2000)
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1


def test_another_tenants_company_is_404(tenant: Tenant, other_tenant: Tenant) -> None:
    """With one's own key, another's company does not exist."""
    assert tenant.request("POST", other_tenant.mails).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/", 405),
        ("GET", "/nowhere", 404),
        ("POST", "/docs", 405),
        ("GET", "/_ministack/health", 404),
        ("GET", "/_aws/execute-api/afterword/$default/health", 404),
    ],
)
def test_other_routes_are_refused(tenant: Tenant, method: str, path: str, status: int) -> None:
    """A route outside the template is the default route's, the emulator's paths included."""
    answer = tenant.request(method, path)
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert answer.headers.get("allow") == ("GET" if status == 405 else None)


def test_an_unknown_route_is_its_dialects_error(tenant: Tenant) -> None:
    """An unknown path has the error of the API that it belongs to."""
    message = "There is no such path: /docs shows all of them."
    assert tenant.request("GET", "/api/v1/ai/nowhere").json() == {"error": message}
    assert tenant.request("GET", "/api/v1/nowhere").json() == {"detail": message}


def test_the_root_leads_to_the_documentation(tenant: Tenant) -> None:
    """The root names paths that answer."""
    for path in tenant.request("GET", "/").json().values():
        assert tenant.request("GET", path).status_code == 200


def test_an_allowed_origins_page_may_call_the_api(tenant: Tenant) -> None:
    """A preflight names what an allowed page may send; another page is told nothing."""
    asked = {"access-control-request-method": "POST", "origin": "https://app.example.com"}
    preflight = tenant.request("OPTIONS", "/v1/generations", headers=asked)
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "https://app.example.com"
    assert "POST" in preflight.headers["access-control-allow-methods"].split(",")
    allowed = preflight.headers["access-control-allow-headers"].split(",")
    assert {"authorization", "idempotency-key"} <= set(allowed)
    answer = tenant.request("GET", "/v1/flows", headers={"origin": "https://app.example.com"})
    assert answer.headers["access-control-allow-origin"] == "https://app.example.com"
    for method in ("OPTIONS", "GET"):
        other = tenant.request(method, "/v1/flows", headers={"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers


def test_fifty_at_once(dev: Dev, tenant: Tenant) -> None:
    """50 submissions in parallel all reach completed, and each is in the store once."""
    before = stored(dev, tenant).keys()
    with ThreadPoolExecutor(50) as threads:
        processes = list(threads.map(lambda _: tenant.submit(**QUESTION), range(50)))
    assert [tenant.finish(process)["status"] for process in processes] == ["completed"] * 50
    new = {key: item for key, item in stored(dev, tenant).items() if key not in before}
    assert new.keys() == set(processes)
    assert {item["status"] for item in new.values()} == {"succeeded"}

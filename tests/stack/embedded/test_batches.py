"""Batches and events on the embedded stack, whose S3, EventBridge and queues bring them in."""

import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import httpx
import pytest

from afterword.flows.drafts import Flow, Step
from local.aws import session
from tests.stack.embedded.driver import ROOT, Account, Dev, Json, Tenant, running, until
from tests.stack.embedded.test_chaos import workers_of

LINES = 400
BAD = frozenset(range(50, LINES, 100))  # four of them
INTAKE_SECONDS = (
    "15"  # 300 in the template, with which a lost reader's lease would outlast the test
)
END_SECONDS = 480.0
DOCUMENTED = ROOT / "docs" / "events.md"
FLOW = Flow(
    id="echo",
    name="Echo",
    steps=(Step(name="reply", prompt="Repeat the number {{text}}.", max_tokens=20),),
)


class Echo(BaseHTTPRequestHandler):
    """A STAND-IN for a model, with its API: each answer repeats the number of its question."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer with the one model that there is."""
        self._answer({"data": [{"id": "stand-in"}]})

    def do_POST(self) -> None:
        """Answer with the number in the last message."""
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        asked = json.dumps(request["messages"][-1]["content"])
        numbers = re.findall(r"number (\d+)", asked)
        message = {"role": "assistant", "content": f"Number {numbers[-1]}."}
        usage = {"prompt_tokens": 5, "completion_tokens": 3}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        self._answer({"model": "stand-in", "choices": [choice], "usage": usage})

    def _answer(self, body: Json) -> None:
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_args: object) -> None:
        """Keep the tests' output clean."""


@pytest.fixture(scope="module")
def echo_url() -> Iterator[str]:
    """Serve the stand-in for a model on loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory, echo_url: str) -> Iterator[Dev]:
    """Start a stack with the stand-in for a model."""
    folder = tmp_path_factory.mktemp("echo")
    with running(
        folder,
        AFTERWORD_MODEL_PROVIDER="openai",
        AFTERWORD_MODEL_URL=echo_url,
        AFTERWORD_MODEL="stand-in",
        AFTERWORD_WORKER_SECONDS=INTAKE_SECONDS,
    ) as dev:
        yield dev


def line(number: int) -> str:
    """Return the line of a number, which is bad for some."""
    if number in BAD:
        return '{"flow": "echo", "inputs": {"text": '
    return json.dumps(
        {"flow": FLOW.id, "inputs": {"text": str(number)}, "external_ref": f"ref-{number}"}
    )


def file(lines: int) -> bytes:
    """Return a file of so many lines."""
    return "".join(f"{line(number)}\n" for number in range(1, lines + 1)).encode()


def batches_of(account: Account, tenant: Tenant) -> list[Json]:
    """Return a tenant's batches as their items say."""
    dynamodb = session().client("dynamodb", endpoint_url=account.endpoint)
    items = dynamodb.query(
        TableName=account.outputs()["BatchesTable"],
        KeyConditionExpression="tenant = :tenant",
        ExpressionAttributeValues={":tenant": {"S": tenant.id}},
        ConsistentRead=True,
    )["Items"]
    return [item for item in items if "state" in item]


def read(tenant: Tenant, batch_id: str) -> Json:
    """Return the API's answer about a batch."""
    answer = tenant.request("GET", f"/v1/batches/{batch_id}")
    assert answer.status_code == 200, answer.text
    body: Json = answer.json()
    return body


def finished(tenant: Tenant, batch_id: str) -> Json:
    """Wait until a batch is finished; return the API's answer."""

    def ended() -> Json:
        body = read(tenant, batch_id)
        return body if body["status"] in {"finished", "failed"} else {}

    return until(ended, END_SECONDS, every=1)


def check_results(batch: Json, lines: int) -> None:
    """Check that each line has its own result, once and in order."""
    answer = httpx.get(batch["results_url"], timeout=60)
    assert answer.status_code == 200, answer.text
    results: list[dict[str, Any]] = [json.loads(row) for row in answer.text.splitlines()]
    assert [result["line"] for result in results] == list(range(1, lines + 1))
    for number, result in enumerate(results, start=1):
        if number in BAD:
            assert result.keys() == {"line", "error"}
            assert result["error"]["message"].startswith("The body is not JSON")
        else:
            assert (result["status"], result["output"], result["external_ref"]) == (
                "succeeded",
                f"Number {number}.",
                f"ref-{number}",
            )
    ids = [result["id"] for result in results if "id" in result]
    assert len(ids) == len(set(ids)) == lines - len([bad for bad in BAD if bad <= lines])


def test_a_file_of_s3_whose_reader_is_killed(echo: Dev, capsys: pytest.CaptureFixture[str]) -> None:
    """Of 400 lines each has its result once, in order, though the intake dies half-way."""
    account = echo.account()
    tenant = account.create_tenant("files", FLOW)
    bucket = account.outputs()["BatchBucket"]
    s3 = session().client("s3", endpoint_url=account.endpoint)
    started = time.monotonic()
    s3.put_object(Bucket=bucket, Key=f"intake/{tenant.id}/numbers.jsonl", Body=file(LINES))

    def half_read() -> list[Json]:
        found = batches_of(account, tenant)
        return found if found and int(found[0]["read"]["N"]) >= LINES // 2 else []

    (item,) = until(half_read, END_SECONDS, every=0.02)
    killed = 0
    for process in workers_of(echo, "IntakeFunction"):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
            killed += 1
    (item,) = batches_of(account, tenant)
    read_before = int(item["read"]["N"])
    assert killed
    assert item["state"]["S"] == "reading", item
    assert LINES // 2 <= read_before < LINES

    batch = finished(tenant, item["id"]["S"])
    with capsys.disabled():
        print(  # noqa: T201 - for the log of whoever runs it
            f"\n{LINES} lines, killed after {read_before}:"
            f" finished in {time.monotonic() - started:.0f} s"
        )
    assert (batch["status"], batch["lines"], batch["read"]) == ("finished", LINES, LINES)
    assert batch["counts"] == {
        "accepted": LINES - len(BAD),
        "bad": len(BAD),
        "succeeded": LINES - len(BAD),
        "failed": 0,
        "canceled": 0,
        "missing": 0,
        "unsubmitted": 0,
    }
    check_results(batch, LINES)
    assert len(account.generations(tenant)) == LINES - len(BAD)
    assert len(batches_of(account, tenant)) == 1


@pytest.mark.parametrize("upload", [False, True], ids=["in the request", "put to the URL"])
def test_a_file_over_http(echo: Dev, *, upload: bool) -> None:
    """A file comes in the request or to the URL, and its results from the URL of the batch."""
    tenant = echo.account().create_tenant(f"http-{upload}".lower(), FLOW)
    content = file(120)
    if upload:
        headers = {"content-type": "application/json"}
        answer = tenant.request("POST", "/v1/batches", content=b"{}", headers=headers)
        assert answer.status_code == 201, answer.text
        put = httpx.put(answer.json()["upload_url"], content=content)
        assert put.status_code == 200, put.text
    else:
        headers = {"content-type": "application/jsonl"}
        answer = tenant.request("POST", "/v1/batches", content=content, headers=headers)
        assert answer.status_code == 202, answer.text
    batch = finished(tenant, answer.json()["id"])
    assert (batch["counts"]["succeeded"], batch["counts"]["bad"]) == (119, 1)
    check_results(batch, 120)


def examples(text: str) -> list[Json]:
    """Return the JSON examples of docs/events.md that have a text in them."""
    blocks = re.findall(r"```json\n(.*?)```", DOCUMENTED.read_text(), re.DOTALL)
    return [json.loads(block) for block in blocks if text in block]


def for_tenant(example: Json, tenant: Tenant) -> str:
    """Return an example as the tenant and its flow have it."""
    text = json.dumps(example).replace('"demo"', json.dumps(tenant.id))
    return text.replace('"mail-reply"', json.dumps(FLOW.id))


def test_a_caller_with_sqs(echo: Dev) -> None:
    """The documented message to the intake's queue becomes one generation, once for its id."""
    account = echo.account()
    tenant = account.create_tenant("sqs", FLOW)
    (example,) = examples("order-4711")
    example["detail"]["inputs"]["text"] = "4711"
    sqs = session().client("sqs", endpoint_url=account.endpoint)
    url = account.outputs()["IntakeQueueUrl"]
    for _ in range(2):
        sqs.send_message(QueueUrl=url, MessageBody=for_tenant(example, tenant))

    def ended() -> list[dict[str, str]]:
        return [each for each in account.generations(tenant) if each["status"] == "succeeded"]

    (generation,) = until(ended, END_SECONDS)
    assert generation["text"] == "Number 4711."
    assert len(account.generations(tenant)) == 1


def test_a_caller_with_step_functions(echo: Dev) -> None:
    """The documented state machine submits with an event, and the end is one too."""
    account = echo.account()
    tenant = account.create_tenant("states", FLOW)
    ends = account.subscribe(tenant)
    (example,) = examples("states:::events:putEvents")
    iam, states = (
        cast("Any", session()).client(service, endpoint_url=account.endpoint)
        for service in ("iam", "stepfunctions")
    )
    may = {"Effect": "Allow", "Action": "events:PutEvents", "Resource": "*"}
    trusts = {"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}}
    trust = {"Version": "2012-10-17", "Statement": [{**trusts, "Action": "sts:AssumeRole"}]}
    role = iam.create_role(RoleName="states", AssumeRolePolicyDocument=json.dumps(trust))["Role"]
    iam.put_role_policy(
        RoleName="states",
        PolicyName="submit",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [may]}),
    )
    machine = states.create_state_machine(
        name="request",
        definition=for_tenant(example, tenant),
        roleArn=role["Arn"],
    )["stateMachineArn"]
    states.start_execution(
        stateMachineArn=machine, input=json.dumps({"question": "number 23", "case": "case-23"})
    )
    (end,) = until(lambda: account.received(ends), END_SECONDS)
    answer = tenant.request("GET", f"/v1/generations/{end['detail']['id']}")
    assert (answer.json()["output"], answer.json()["external_ref"]) == ("Number 23.", "case-23")


def test_an_event_on_the_bus(echo: Dev) -> None:
    """An event GenerationRequested on the bus becomes one generation, and its end an event."""
    account = echo.account()
    tenant = account.create_tenant("events", FLOW)
    ends = account.subscribe(tenant)
    detail = {"tenant": tenant.id, "flow": FLOW.id, "inputs": {"text": "17"}}
    events = session().client("events", endpoint_url=account.endpoint)
    events.put_events(
        Entries=[
            {
                "Source": "com.example.orders",
                "DetailType": "GenerationRequested",
                "Detail": json.dumps(each),
            }
            for each in ({**detail, "flow": "unknown"}, detail)
        ]
    )
    (end,) = until(lambda: account.received(ends), END_SECONDS)
    answer = tenant.request("GET", f"/v1/generations/{end['detail']['id']}")
    assert (answer.status_code, answer.json()["output"]) == (200, "Number 17.")
    sqs = session().client("sqs", endpoint_url=account.endpoint)
    url = account.outputs()["IntakeDeadLetterQueueUrl"]
    (letter,) = until(lambda: sqs.receive_message(QueueUrl=url).get("Messages", []), END_SECONDS)
    assert json.loads(letter["Body"])["detail"]["flow"] == "unknown"

"""The text that `make invoke-all` takes for a reply, and for a good one."""

import base64
import gzip
import json
from typing import Any

import pytest

from local.invoke_all import reply
from local.samples import EVENTS, UnexpectedError, answered
from openapi.document import JSON_FILE

HEALTH: dict[str, Any] = {
    "statusCode": 200,
    "headers": {"content-type": "application/json"},
    "body": '{"status": "ok"}',
}


@pytest.fixture(scope="module")
def openapi() -> dict[str, Any]:
    described: dict[str, Any] = json.loads(JSON_FILE.read_text())
    return described


def test_the_reply_is_the_last_json() -> None:
    """A reply is found among the lines that the runtime prints around it."""
    printed = f"{json.dumps(HEALTH)}\n[ERROR] [1795404042883] LAMBDA_RUNTIME Failed\n"
    assert reply(printed, "") == HEALTH


def test_no_reply_is_told_with_sams_last_line() -> None:
    """A function that timed out has printed nothing: sam's own words are the problem."""
    with pytest.raises(UnexpectedError, match="no reply: Function 'Health' timed out"):
        reply("", "Function 'Health' timed out after 3 seconds")


def test_a_success_as_described_is_good(openapi: dict[str, Any]) -> None:
    """Status, content type and body are what openapi.yaml has, compressed or not."""
    packed = base64.b64encode(gzip.compress(HEALTH["body"].encode())).decode()
    headers = {**HEALTH["headers"], "content-encoding": "gzip"}
    compressed = {**HEALTH, "headers": headers, "body": packed, "isBase64Encoded": True}
    for good in (HEALTH, compressed):
        assert answered(openapi, "health", "GET /health", good) == "200"


@pytest.mark.parametrize(
    "bad",
    [
        {"errorMessage": "no such table", "errorType": "ClientError"},
        {**HEALTH, "statusCode": 401},
        {**HEALTH, "statusCode": 204},
        {**HEALTH, "headers": {"content-type": "text/html"}},
        {**HEALTH, "body": "{}"},
        {**HEALTH, "body": '{"status": 1}'},
        None,
        [],
    ],
)
def test_anything_else_is_not(openapi: dict[str, Any], bad: object) -> None:
    """An exception, another status, another type or another body is a problem."""
    with pytest.raises(UnexpectedError):
        answered(openapi, "health", "GET /health", bad)


def test_the_default_route_refuses(openapi: dict[str, Any]) -> None:
    """A reply of the default route is a problem of 404, and nothing else."""
    good = {"statusCode": 404, "headers": {}, "body": '{"status": 404}'}
    assert answered(openapi, "refuse_route", "$default", good) == "404"
    for bad in (HEALTH, {**good, "statusCode": 405}, {**good, "body": "{}"}, None):
        with pytest.raises(UnexpectedError):
            answered(openapi, "refuse_route", "$default", bad)


def test_a_success_without_a_body_has_none(openapi: dict[str, Any]) -> None:
    """Nothing comes with what is described as nothing."""
    route = "DELETE /v1/generations/{id}"
    good = {"statusCode": 204, "headers": {}}
    assert answered(openapi, "delete_generation", route, good) == "204"
    with pytest.raises(UnexpectedError):
        answered(openapi, "delete_generation", route, {**good, "body": "{}"})


def test_the_intake_has_a_sample_of_each_kind() -> None:
    """An event of EventBridge and one of S3: both reach the intake through its queue."""
    bodies = [
        json.loads(json.loads((EVENTS / name).read_text())["Records"][0]["body"])
        for name in ("intake.json", "intake_s3.json")
    ]
    assert bodies[0]["detail-type"] == "GenerationRequested"
    assert bodies[1]["Records"][0]["eventSource"] == "aws:s3"

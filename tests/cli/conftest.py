"""Stacks that CloudFormation describes, an embedded AWS, and a way to call the command line."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partialmethod
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

import pytest
from botocore.awsrequest import AWSPreparedRequest
from moto.core.botocore_stubber import BotocoreStubber
from typer.testing import CliRunner, Result

import cli.stack
from afterword.services import Services
from cli.main import app
from tests.harness.deployment import REFERENCES, REGION

EMBEDDED = "http://127.0.0.1:4566"

type Afterword = Callable[..., Result]
type Answer = tuple[int, dict[str, str], str]


@dataclass
class CloudFormation:
    """The answers of DescribeStacks: outputs by the stack's name, and all else the same for all."""

    outputs: dict[str, Mapping[str, str]] = field(default_factory=dict)
    parameters: dict[str, str] = field(
        default_factory=lambda: {"RetentionDays": "7", "EventBusName": ""}
    )
    status: str = "CREATE_COMPLETE"
    updated: str = "2026-11-10T09:00:00Z"

    def answer(self, body: str) -> Answer:
        """Answer a request as CloudFormation's query API does."""
        parameters = parse_qs(body)
        assert parameters["Action"] == ["DescribeStacks"]
        name = parameters["StackName"][0]
        if name not in self.outputs:
            error = f"<Code>ValidationError</Code><Message>Stack with id {escape(name)} does not"
            xml = f"<ErrorResponse><Error>{error} exist</Message></Error></ErrorResponse>"
            return HTTPStatus.BAD_REQUEST, {}, xml
        outputs = "".join(
            f"<member><OutputKey>{key}</OutputKey><OutputValue>{escape(value)}</OutputValue></member>"
            for key, value in self.outputs[name].items()
        )
        values = "".join(
            f"<member><ParameterKey>{key}</ParameterKey>"
            f"<ParameterValue>{escape(value)}</ParameterValue></member>"
            for key, value in self.parameters.items()
        )
        stack = (
            f"<StackName>{name}</StackName><StackStatus>{self.status}</StackStatus>"
            f"<CreationTime>{self.updated}</CreationTime>"
            f"<Outputs>{outputs}</Outputs><Parameters>{values}</Parameters>"
        )
        result = f"<Stacks><member>{stack}</member></Stacks>"
        return (
            HTTPStatus.OK,
            {},
            (
                f"<DescribeStacksResponse><DescribeStacksResult>{result}</DescribeStacksResult>"
                "</DescribeStacksResponse>"
            ),
        )


@pytest.fixture
def cloudformation(
    aws: None,  # noqa: ARG001 - asked for its effect
    monkeypatch: pytest.MonkeyPatch,
) -> CloudFormation:
    """Answer for CloudFormation, which moto does not do without more packages.

    At EMBEDDED the same AWS answers, for all its services.
    """
    fake = CloudFormation()
    process = BotocoreStubber.process_request

    def answer(self: BotocoreStubber, request: AWSPreparedRequest) -> object:
        scope = re.search(r"/([a-z0-9-]+)/([a-z0-9]+)/aws4_request", _authorization(request))
        assert scope is not None
        region, service = scope.groups()
        request.url = request.url.replace(EMBEDDED, f"https://{service}.{region}.amazonaws.com")
        if service == "cloudformation" and region == REGION:
            assert isinstance(request.body, str)
            return fake.answer(request.body)
        return process(self, request)

    monkeypatch.setattr(BotocoreStubber, "process_request", answer)
    return fake


def _authorization(request: AWSPreparedRequest) -> str:
    """Return the Authorization header, which botocore has as text or as bytes."""
    value = request.headers["Authorization"]
    return value.decode() if isinstance(value, bytes) else str(value)


@pytest.fixture
def stack(cloudformation: CloudFormation, template: Mapping[str, Any]) -> None:
    """Describe the stack `afterword`, with those of the template's outputs that moto has."""
    cloudformation.outputs["afterword"] = {
        name: REFERENCES[output["Value"]["Ref"]]
        for name, output in template["Outputs"].items()
        if output["Value"].get("Ref") in REFERENCES
    }


@pytest.fixture(autouse=True)
def only_the_commands_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the metrics of what the tests end out of the commands' output."""
    without_metrics = partialmethod(Services.__init__, has_metrics=False)
    monkeypatch.setattr(Services, "__init__", without_metrics)


@pytest.fixture
def announced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of dev.json, where nothing is announced yet."""
    path = tmp_path / "dev.json"
    monkeypatch.setattr(cli.stack, "ANNOUNCED", path)
    return path


def announce(path: Path, endpoint: str = EMBEDDED) -> None:
    """Write a dev.json as `make dev` does, of a stack `afterword`."""
    facts = {"url": "http://127.0.0.1:8080", "endpoint": endpoint, "region": REGION}
    path.write_text(json.dumps({**facts, "stack": "afterword", "port": 8080, "tenants": []}))


@pytest.fixture
def afterword() -> Afterword:
    """Return a function that runs the command line with these arguments, not on a terminal.

    `typed` is what is typed at its questions.
    """

    def run(*arguments: object, typed: str | None = None) -> Result:
        texts = [str(argument) for argument in arguments]
        return CliRunner().invoke(app, texts, input=typed, catch_exceptions=False)

    return run


def usage_error(result: Result) -> str:
    """Return a usage error as one line, without the box that is drawn around it."""
    assert (result.exit_code, result.stdout) == (2, "")
    return " ".join(result.stderr.replace("│", " ").split())

"""What each function is asked to do, and with which AWS clients."""

import json
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3
from afterword.flows import Flow
from afterword.keys import Scope
from afterword.registry import Registry

TENANT, FLOW = "acme", "replies"
COMPANY = f"/api/companies/{TENANT}/orchestrators/{FLOW}"
MAIL = {
    "subject": "Claim after a car accident",
    "body": "Hello, I am writing to report an accident on the ring road this morning. " * 8,
    "metadata": {"date": "2024-09-11", "policy_number": "123456789"},
    "external_ref": "case-457",
    "external_metadata": {"user_id": "abc-789"},
}


@dataclass
class World:
    """What there is at the stub for the functions to find."""

    key: str
    generation_id: str = str(uuid.UUID(int=0))


@dataclass(frozen=True)
class Case:
    """A function of template.yaml with one event for it. `clients` are those that it needs."""

    name: str
    clients: tuple[str, ...]
    event: Callable[[World], dict[str, Any]]

    @property
    def built(self) -> str:
        """Return the function's folder in SAM's build."""
        return "".join(word.title() for word in self.name.split("_")) + "Function"


def environment(url: str) -> dict[str, str]:
    """Return a function's environment with the stub at `url` for AWS and for the model."""
    return {
        "PATH": os.defpath,
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_SESSION_TOKEN": "bench",
        "AWS_ENDPOINT_URL": url,
        "AWS_LAMBDA_FUNCTION_NAME": "bench",
        "AFTERWORD_GENERATIONS_TABLE": "generations",
        "AFTERWORD_REGISTRY_TABLE": "registry",
        "AFTERWORD_QUEUE_URL": f"{url}/000000000000/work",
        "AFTERWORD_BUCKET": "bench",
        "AFTERWORD_RETENTION_DAYS": "30",
        "AFTERWORD_MODEL_PROVIDER": "openai",
        "AFTERWORD_MODEL_ID": "instant",
        "AFTERWORD_MODEL_URL": f"{url}/v1",
        "POWERTOOLS_SERVICE_NAME": "bench",
        "POWERTOOLS_LOG_LEVEL": "INFO",
        "PYDANTIC_DISABLE_PLUGINS": "true",
    }


def populate(url: str) -> World:
    """Create a tenant, a key and a flow at the stub, the way the command line does."""
    dynamodb = boto3.client(
        "dynamodb",
        endpoint_url=url,
        region_name="eu-west-1",
        aws_access_key_id="bench",
        aws_secret_access_key="bench",  # noqa: S106 - the stub takes any
    )
    registry = Registry(dynamodb, "registry")
    registry.create_tenant(TENANT, "Acme")
    step = {"name": "reply", "instructions": "Answer the mail politely.", "max_tokens": 300}
    flow = Flow.model_validate({"id": FLOW, "name": "Replies", "steps": [step]})
    registry.put_flow(TENANT, FLOW, flow.model_dump_json())
    _, key = registry.create_key(TENANT, [Scope.SUBMIT, Scope.READ], "bench")
    return World(key)


def _http(
    world: World, method: str, path: str, process: str = "", body: str = ""
) -> dict[str, Any]:
    parameters = {"companyCuid": TENANT, "orchestratorCuid": FLOW}
    return {
        "version": "2.0",
        "routeKey": f"{method} {path}",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"authorization": f"Bearer {world.key}", "content-type": "application/json"},
        "requestContext": {"http": {"method": method, "path": path}, "requestId": "bench"},
        "pathParameters": parameters | ({"processCuid": process} if process else {}),
        "body": body,
        "isBase64Encoded": False,
    }


def _message(world: World) -> dict[str, Any]:
    record = {
        "messageId": str(uuid.UUID(int=1)),
        "receiptHandle": "handle",
        "body": json.dumps({"tenant": TENANT, "id": world.generation_id}),
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1700000000000"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-west-1:000000000000:work",
        "awsRegion": "eu-west-1",
    }
    return {"Records": [record]}


CASES = (
    Case("health", (), lambda world: _http(world, "GET", "/health")),
    Case(
        "submit_mail_generation",
        ("dynamodb", "sqs"),
        lambda world: _http(world, "POST", f"{COMPANY}/generation-async", body=json.dumps(MAIL)),
    ),
    Case(
        "get_mail_generation",
        ("dynamodb",),
        lambda world: _http(
            world, "GET", f"{COMPANY}/generation-async/{world.generation_id}", world.generation_id
        ),
    ),
    Case("generate", ("dynamodb", "sqs"), _message),
    Case("dead_letter", ("dynamodb",), _message),
)

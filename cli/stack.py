"""Finding the stack that a command is about, and its services."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError

from afterword.errors import AfterwordError
from afterword.runtime.clients import Clients
from afterword.runtime.settings import Settings
from afterword.services import Services

if TYPE_CHECKING:
    import typer

ANNOUNCED = Path(__file__).parents[1] / ".local" / "dev.json"
"""Where `make dev` says which embedded stack runs."""

_NO_PROFILE = {"profile": (None, None, None, None)}  # nor AWS_PROFILE: the embedded AWS has none
_OUTPUTS = {
    "RegistryTable": "AFTERWORD_REGISTRY_TABLE",
    "GenerationsTable": "AFTERWORD_GENERATIONS_TABLE",
    "QuotasTable": "AFTERWORD_QUOTAS_TABLE",
    "StatisticsTable": "AFTERWORD_STATISTICS_TABLE",
    "QueueUrl": "AFTERWORD_QUEUE_URL",
    "NotifyQueueUrl": "AFTERWORD_NOTIFY_QUEUE_URL",
    "Bucket": "AFTERWORD_BUCKET",
    "ContentsTable": "AFTERWORD_CONTENTS_TABLE",
    "ContentsBucket": "AFTERWORD_CONTENTS_BUCKET",
    "WebhooksTable": "AFTERWORD_WEBHOOKS_TABLE",
    "WebhookQueueUrl": "AFTERWORD_WEBHOOK_QUEUE_URL",
}
"""The stack's outputs that commands need, each by the functions' setting that has its value."""
_OPTIONAL_OUTPUTS = {
    "ModelId": "AFTERWORD_MODEL_ID",
    "EmbedQueueUrl": "AFTERWORD_EMBED_QUEUE_URL",
}
_PARAMETERS = {
    "RetentionDays": "AFTERWORD_RETENTION_DAYS",
    "EventBusName": "AFTERWORD_EVENT_BUS",
    "FetchAllowed": "AFTERWORD_FETCH_ALLOWED",
    "KnowledgeBaseId": "AFTERWORD_KNOWLEDGE_BASE_ID",
    "EmbeddingProvider": "AFTERWORD_EMBEDDING_PROVIDER",
    "EmbeddingModel": "AFTERWORD_EMBEDDING_MODEL",
    "EmbeddingBaseUrl": "AFTERWORD_EMBEDDING_URL",
}
_CONFIG = Config(
    connect_timeout=5,
    read_timeout=20,
    retries={"mode": "standard", "total_max_attempts": 3},
    s3={"addressing_style": "path"},
)


class StackError(AfterwordError):
    """There is no such stack, or it is none of afterword's; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Target:
    """Which stack the owner means; region and profile are boto3's own when None."""

    name: str
    region: str | None
    profile: str | None
    local: bool


def of(context: "typer.Context") -> Services:
    """Return the services of the stack that the options before the command name."""
    return find(context.find_root().obj)


def find(target: Target) -> Services:
    """Return a stack's services; raise StackError, or botocore's error if AWS is out of reach."""
    if target.local:
        return _embedded()
    session = boto3.Session(region_name=target.region, profile_name=target.profile)
    return _described(session, None, target.name)


def _embedded() -> Services:
    try:
        facts = json.loads(ANNOUNCED.read_text())
    except (FileNotFoundError, ValueError):
        facts = None
    match facts:
        case {"endpoint": str(endpoint), "region": str(region), "stack": str(name)}:
            session = boto3.Session(
                botocore_session=botocore.session.Session(_NO_PROFILE),
                aws_access_key_id="test",
                aws_secret_access_key="test",  # noqa: S106 - the emulator's, no secret # nosec B106
                region_name=region,
            )
            return _described(session, endpoint, name)
    raise StackError("No embedded stack is running: start one with `make dev`.")


def _described(session: boto3.Session, endpoint: str | None, name: str) -> Services:
    cloudformation = session.client(
        "cloudformation", endpoint_url=endpoint, config=_config(endpoint)
    )
    try:
        described = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationError":
            raise
        raise StackError(
            f"There is no stack {name} in {session.region_name}:"
            " deploy it with `make deploy`, or name another with --stack or --region."
        ) from error
    outputs = {
        output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])
    }
    if missing := [output for output in _OUTPUTS if output not in outputs]:
        raise StackError(
            f"Stack {name} ({described['StackStatus']}) has no output {missing[0]}:"
            " the stack is not afterword's, or this version is not deployed yet."
        )
    parameters = {
        parameter["ParameterKey"]: parameter["ParameterValue"]
        for parameter in described.get("Parameters", [])
    }
    environ = {
        variable: values[name]
        for values, variables in (
            (outputs, _OUTPUTS | _OPTIONAL_OUTPUTS),
            (parameters, _PARAMETERS),
        )
        for name, variable in variables.items()
        if name in values
    }

    def create(service: str, config: Config) -> Any:  # noqa: ANN401 - one of boto3's many clients
        config = config.merge(_config(endpoint))
        return session.client(service, endpoint_url=endpoint, config=config)  # type: ignore[call-overload] # the name of any service

    return Services(Clients(create), Settings(environ), has_metrics=False)


def _config(endpoint: str | None) -> Config:
    """Return how AWS is called: the embedded one is on this machine, behind no proxy."""
    return _CONFIG if endpoint is None else _CONFIG.merge(Config(proxies={}))

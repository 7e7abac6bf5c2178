"""Finding the stack that a command is about, and its services."""

import json
from collections.abc import Callable, Mapping
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
    "ModelProvider": "AFTERWORD_MODEL_PROVIDER",
    "ModelBaseUrl": "AFTERWORD_MODEL_URL",
    "ModelApiKeySecretArn": "AFTERWORD_MODEL_API_KEY_SECRET_ARN",
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
_MODELS = "bedrock-runtime"


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
    return _described(_session(target), _Place(), target.name)


def without_stack(target: Target, settings: Mapping[str, str]) -> Services:
    """Return services with these settings alone, in the target's region and with its profile."""
    return Services(
        Clients(_creator(_session(target), _Place())), Settings(settings), has_metrics=False
    )


def embedded(endpoint: str, region: str, name: str, bedrock: str | None) -> Services:
    """Return the services of an embedded stack: its AWS, and where Amazon Bedrock is behind it.

    `bedrock` is None where the stack's model is not there.
    """
    session = boto3.Session(
        botocore_session=botocore.session.Session(_NO_PROFILE),
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - the emulator's, no secret # nosec B106
        region_name=region,
    )
    return _described(session, _Place(endpoint, bedrock), name)


@dataclass(frozen=True, slots=True)
class _Place:
    """The addresses of AWS and of its models, None for AWS's own.

    The embedded AWS has no models: their address leads to Amazon Bedrock.
    """

    endpoint: str | None = None
    bedrock: str | None = None

    def of(self, service: str) -> str | None:
        """Return the address of a service."""
        return self.bedrock if service == _MODELS else self.endpoint


def _session(target: Target) -> boto3.Session:
    return boto3.Session(region_name=target.region, profile_name=target.profile)


def _embedded() -> Services:
    try:
        facts = json.loads(ANNOUNCED.read_text())
    except (FileNotFoundError, ValueError):
        facts = None
    match facts:
        case {"endpoint": str(endpoint), "region": str(region), "stack": str(name), **more}:
            bedrock = more.get("bedrock")
            return embedded(endpoint, region, name, bedrock if isinstance(bedrock, str) else None)
    raise StackError("No embedded stack is running: start one with `make dev`.")


def _described(session: boto3.Session, place: _Place, name: str) -> Services:
    cloudformation = session.client(
        "cloudformation", endpoint_url=place.endpoint, config=_direct(_CONFIG, place.endpoint)
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

    return Services(Clients(_creator(session, place)), Settings(environ), has_metrics=False)


def _creator(session: boto3.Session, place: _Place) -> Callable[[str, Config], Any]:
    """Return the builder of clients; that of models keeps the worker's own timeouts."""

    def create(service: str, config: Config) -> Any:  # noqa: ANN401 - one of boto3's many clients
        endpoint = place.of(service)
        if service != _MODELS:
            config = config.merge(_CONFIG)
        return session.client(  # type: ignore[call-overload] # the name of any service
            service, endpoint_url=endpoint, config=_direct(config, endpoint)
        )

    return create


def _direct(config: Config, endpoint: str | None) -> Config:
    """Return how an endpoint is called: the embedded one is on this machine, behind no proxy."""
    return config if endpoint is None else config.merge(Config(proxies={}))

"""Finding the stack that a command is about, and the core's objects over its tables and queue."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError

from afterword.admission import Limiter
from afterword.content_store import ContentStore
from afterword.endings import Endings
from afterword.errors import AfterwordError
from afterword.fetching import Fetcher
from afterword.listings import Listings
from afterword.payloads import Payloads
from afterword.queue import Queue
from afterword.registry import Registry
from afterword.statistics import Statistics
from afterword.store import GenerationStore
from afterword.submission import Submitter
from afterword.usage import Usage
from afterword.webhook_deliveries import WebhookDeliveries
from afterword.webhook_endpoints import WebhookEndpoints
from afterword.webhook_secrets import WebhookSecrets
from afterword.webhook_store import WebhookStore

if TYPE_CHECKING:
    import typer
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient

ANNOUNCED = Path(__file__).parents[1] / ".local" / "dev.json"
"""Where `make dev` says which embedded stack runs."""

_NO_PROFILE = {"profile": (None, None, None, None)}  # nor AWS_PROFILE: the embedded AWS has none
_OUTPUTS = (
    "RegistryTable",
    "GenerationsTable",
    "QuotasTable",
    "StatisticsTable",
    "QueueUrl",
    "NotifyQueueUrl",
    "Bucket",
    "ContentsTable",
    "ContentsBucket",
    "WebhooksTable",
    "WebhookQueueUrl",
)
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


@dataclass(frozen=True)
class Stack:
    """A stack's parts. `endpoint` is the embedded AWS; None is the real one."""

    session: boto3.Session
    endpoint: str | None
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]

    @cached_property
    def registry(self) -> Registry:
        """Tenants, their limits, keys and flows."""
        return Registry(self._dynamodb, self.outputs["RegistryTable"])

    @cached_property
    def store(self) -> GenerationStore:
        """Generations."""
        payloads = Payloads(lambda: self._s3, self.outputs["Bucket"])
        return GenerationStore(self._dynamodb, self.outputs["GenerationsTable"], payloads)

    @cached_property
    def listings(self) -> Listings:
        """Lists of generations."""
        payloads = Payloads(lambda: self._s3, self.outputs["Bucket"])
        return Listings(self._dynamodb, self.outputs["GenerationsTable"], payloads)

    @cached_property
    def contents(self) -> ContentStore:
        """The knowledge base."""
        payloads = Payloads(lambda: self._s3, self.outputs["ContentsBucket"])
        return ContentStore(self._dynamodb, self.outputs["ContentsTable"], payloads)

    @cached_property
    def usage(self) -> Usage:
        """What tenants with limits use."""
        return Usage(self._dynamodb, self.outputs["QuotasTable"])

    @cached_property
    def statistics(self) -> Statistics:
        """What tenants have used, by day."""
        return Statistics(self._dynamodb, self.outputs["StatisticsTable"], self.listings)

    @cached_property
    def webhooks(self) -> WebhookStore:
        """Webhook endpoints and their deliveries."""
        return WebhookStore(self._dynamodb, self.outputs["WebhooksTable"])

    @cached_property
    def webhook_endpoints(self) -> WebhookEndpoints:
        """What an owner does with webhook endpoints."""
        secrets = WebhookSecrets(lambda: self._ssm, self.outputs["WebhooksTable"])
        allowed = self.parameters.get("FetchAllowed", "").lower().split(",")
        return WebhookEndpoints(self.registry, self.webhooks, secrets, lambda: Fetcher(allowed))

    @cached_property
    def webhook_deliveries(self) -> WebhookDeliveries:
        """What begins deliveries of webhooks."""
        queue = Queue(self._sqs, self.outputs["WebhookQueueUrl"])
        return WebhookDeliveries(self.registry, self.webhooks, queue)

    @cached_property
    def endings(self) -> Endings:
        """What ends generations."""
        notices = Queue(self._sqs, self.outputs["NotifyQueueUrl"])
        return Endings(self.store, self.usage, notices)

    @cached_property
    def submitter(self) -> Submitter:
        """What the API's handlers submit with, the tenants' limits included."""
        return Submitter(
            self.registry,
            self.store,
            Queue(self._sqs, self.outputs["QueueUrl"]),
            Limiter(self.registry, self.usage, self.store, self.endings),
            retention_days=int(self.parameters["RetentionDays"]),
            notify=self.parameters["EventBusName"] != "",
        )

    @cached_property
    def _dynamodb(self) -> "DynamoDBClient":
        return self.session.client("dynamodb", endpoint_url=self.endpoint, config=self._config)

    @cached_property
    def _s3(self) -> "S3Client":
        return self.session.client("s3", endpoint_url=self.endpoint, config=self._config)

    @cached_property
    def _sqs(self) -> "SQSClient":
        return self.session.client("sqs", endpoint_url=self.endpoint, config=self._config)

    @cached_property
    def _ssm(self) -> "SSMClient":
        return self.session.client("ssm", endpoint_url=self.endpoint, config=self._config)

    @property
    def _config(self) -> Config:
        return _config(self.endpoint)


def of(context: "typer.Context") -> Stack:
    """Return the stack that the options before the command name."""
    return find(context.find_root().obj)


def find(target: Target) -> Stack:
    """Return the stack; raise StackError, or what botocore raises when AWS is out of reach."""
    if target.local:
        return _embedded()
    session = boto3.Session(region_name=target.region, profile_name=target.profile)
    return _described(session, None, target.name)


def _embedded() -> Stack:
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


def _described(session: boto3.Session, endpoint: str | None, name: str) -> Stack:
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
            " it is not afterword's, or this version of it is not deployed yet."
        )
    parameters = {
        parameter["ParameterKey"]: parameter["ParameterValue"]
        for parameter in described.get("Parameters", [])
    }
    return Stack(session, endpoint, outputs, parameters)


def _config(endpoint: str | None) -> Config:
    """Return how AWS is called: the embedded one is on this machine, behind no proxy."""
    return _CONFIG if endpoint is None else _CONFIG.merge(Config(proxies={}))

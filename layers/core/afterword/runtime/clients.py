"""The AWS clients of a process, each built once, for its first use."""

from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import botocore.session
from botocore.awsrequest import AWSRequest
from botocore.config import Config

from afterword.runtime.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_bedrock_agent_runtime import AgentsforBedrockRuntimeClient
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3vectors import S3VectorsClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient

AMAZON_ROOTS = Path(__file__).with_name("amazon_roots.pem")
"""The roots of AWS's certificates, which the build writes (layers/core/slim_layer.py)."""
POOL_SIZE = 50
"""Connections per client: the worker runs up to this many generations at once."""

# botocore builds its user agent twice a call, and checks parameters that mypy has checked.
_LEAN = Config(
    user_agent="afterword/0.1.0", parameter_validation=False, max_pool_connections=POOL_SIZE
)
# A call takes 18 s at most: 3 tries of 5 s, and standard mode's waits of up to 1 and 2 s.
_STORAGE = _LEAN.merge(
    Config(
        connect_timeout=2,
        read_timeout=3,
        retries={"mode": "standard", "total_max_attempts": 3},
        s3={"addressing_style": "path"},  # understood by every S3-compatible server
    )
)


class Clients:
    """AWS clients; `create` builds one from the name of its service and its configuration."""

    def __init__(self, create: "Callable[[str, Config], Any]") -> None:
        self._create = create

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        """DynamoDB."""
        return cast("DynamoDBClient", self._create("dynamodb", _STORAGE))

    @cached_property
    def sqs(self) -> "SQSClient":
        """SQS."""
        return cast("SQSClient", self._create("sqs", _STORAGE))

    @cached_property
    def s3(self) -> "S3Client":
        """S3."""
        config = _STORAGE.merge(Config(signature_version="s3v4"))  # botocore signs URLs otherwise
        return cast("S3Client", self._create("s3", config))

    @cached_property
    def events(self) -> "EventBridgeClient":
        """EventBridge."""
        return cast("EventBridgeClient", self._create("events", _STORAGE))

    @cached_property
    def ssm(self) -> "SSMClient":
        """Systems Manager's Parameter Store."""
        return cast("SSMClient", self._create("ssm", _STORAGE))

    @cached_property
    def secrets_manager(self) -> "SecretsManagerClient":
        """Secrets Manager."""
        return cast("SecretsManagerClient", self._create("secretsmanager", _STORAGE))

    @cached_property
    def bedrock_agent_runtime(self) -> "AgentsforBedrockRuntimeClient":
        """Bedrock's knowledge bases."""
        config = _LEAN.merge(
            Config(
                connect_timeout=5,
                read_timeout=20,  # a vector store that was idle takes its time
                retries={"mode": "standard", "total_max_attempts": 2},
            )
        )
        client = self._create("bedrock-agent-runtime", config)
        return cast("AgentsforBedrockRuntimeClient", client)

    @cached_property
    def s3vectors(self) -> "S3VectorsClient":
        """Amazon S3 Vectors."""
        config = _STORAGE.merge(Config(read_timeout=5))
        return cast("S3VectorsClient", self._create("s3vectors", config))

    @cached_property
    def bedrock_runtimes(self) -> "dict[int, BedrockRuntimeClient]":
        """Clients of Bedrock's models, by their read timeout in seconds."""
        return {}

    def bedrock_runtime(self, read_timeout: int) -> "BedrockRuntimeClient":
        """Return a Bedrock client that waits `read_timeout` seconds for an answer, with no retry.

        botocore sets the timeout per client, so each timeout has its own. The creation of a client
        is not safe in two threads at once.
        """
        if read_timeout not in self.bedrock_runtimes:
            config = _LEAN.merge(
                Config(
                    connect_timeout=5,
                    read_timeout=read_timeout,
                    retries={"mode": "standard", "total_max_attempts": 1},
                )
            )
            client = self._create("bedrock-runtime", config)
            self.bedrock_runtimes[read_timeout] = cast("BedrockRuntimeClient", client)
        return self.bedrock_runtimes[read_timeout]


def connect(client: Any) -> None:  # noqa: ANN401 - any client; types have no private members
    """Open a connection that the client's next call finds in its pool.

    The request is not signed, and any answer will do: AWS answers 200 where it knows /ping.
    """
    request = AWSRequest("GET", f"{client.meta.endpoint_url}/ping").prepare()
    client._endpoint.http_session.send(request)  # noqa: SLF001 - the pool of its connections


@cache
def clients() -> Clients:
    """Return the clients of this process, with the credentials of its environment."""
    session = botocore.session.get_session()
    roots = find_roots(session, Settings.from_environment())
    return Clients(
        lambda service, config: session.create_client(service, config=config, verify=roots)
    )


def find_roots(session: botocore.session.Session, settings: Settings) -> str | None:
    """Return the file of trusted roots for AWS's own endpoints; None for botocore's choice.

    botocore reads its file again for each connection, and 5 roots take a tenth of the time of 127.
    Only the regions of AWS's largest partition are known to have certificates of these roots.
    """
    region = session.get_config_variable("region")
    if not (settings.trusts_amazon_alone and region and AMAZON_ROOTS.exists()):
        return None
    return str(AMAZON_ROOTS) if session.get_partition_for_region(region) == "aws" else None

"""The AWS clients, built once in a process and only when something uses them."""

from functools import cache
from typing import TYPE_CHECKING, cast

import botocore.session
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_bedrock_agent_runtime import AgentsforBedrockRuntimeClient
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient

POOL_SIZE = 10
"""Connections per client: the worker runs up to this many generations at once."""

# botocore would build its user agent twice a call, and check parameters that mypy has checked.
_LEAN = Config(
    user_agent="afterword/0.1.0", parameter_validation=False, max_pool_connections=POOL_SIZE
)
# At worst a call takes 18 s: 3 tries of 5 s, and standard mode's waits of up to 1 and 2 s.
_STORAGE = _LEAN.merge(
    Config(
        connect_timeout=2,
        read_timeout=3,
        retries={"mode": "standard", "total_max_attempts": 3},
        s3={"addressing_style": "path"},  # understood by every S3-compatible server
    )
)


@cache
def _session() -> botocore.session.Session:
    return botocore.session.get_session()


@cache
def dynamodb() -> "DynamoDBClient":
    """Return the DynamoDB client."""
    return cast("DynamoDBClient", _session().create_client("dynamodb", config=_STORAGE))


@cache
def sqs() -> "SQSClient":
    """Return the SQS client."""
    return cast("SQSClient", _session().create_client("sqs", config=_STORAGE))


@cache
def s3() -> "S3Client":
    """Return the S3 client."""
    config = _STORAGE.merge(Config(signature_version="s3v4"))  # botocore signs URLs otherwise
    return cast("S3Client", _session().create_client("s3", config=config))


@cache
def events() -> "EventBridgeClient":
    """Return the EventBridge client."""
    return cast("EventBridgeClient", _session().create_client("events", config=_STORAGE))


@cache
def ssm() -> "SSMClient":
    """Return the client of Systems Manager's Parameter Store."""
    return cast("SSMClient", _session().create_client("ssm", config=_STORAGE))


@cache
def secrets_manager() -> "SecretsManagerClient":
    """Return the Secrets Manager client."""
    return cast("SecretsManagerClient", _session().create_client("secretsmanager", config=_STORAGE))


@cache
def bedrock_agent_runtime() -> "AgentsforBedrockRuntimeClient":
    """Return the client of Bedrock's knowledge bases."""
    config = _LEAN.merge(
        Config(
            connect_timeout=5,
            read_timeout=20,  # a vector store that has gone to sleep takes its time
            retries={"mode": "standard", "total_max_attempts": 2},
        )
    )
    client = _session().create_client("bedrock-agent-runtime", config=config)
    return cast("AgentsforBedrockRuntimeClient", client)


@cache
def bedrock_runtime(read_timeout: int) -> "BedrockRuntimeClient":
    """Return a Bedrock client that waits `read_timeout` seconds for an answer and never retries.

    botocore sets the timeout per client, so there is one for each timeout asked for. Creating a
    client is not safe in two threads at once.
    """
    config = _LEAN.merge(
        Config(
            connect_timeout=5,
            read_timeout=read_timeout,
            retries={"mode": "standard", "total_max_attempts": 1},
        )
    )
    return cast("BedrockRuntimeClient", _session().create_client("bedrock-runtime", config=config))

"""How the embedded AWS is reached."""

import boto3
import botocore.session
from botocore.config import Config

REGION = "us-east-1"
STACK = "afterword"


def session() -> boto3.Session:
    """Return a session with the credentials that ministack takes for the account's root."""
    core = botocore.session.Session()
    core.set_default_client_config(Config(retries={"mode": "standard", "total_max_attempts": 2}))
    return boto3.Session(
        botocore_session=core,
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - the emulator's, no secret # nosec B106
        region_name=REGION,
    )

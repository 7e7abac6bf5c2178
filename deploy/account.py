"""Whose AWS account is deployed to: the credentials and the region, checked before all else."""

from dataclasses import dataclass

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    LoginError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
from botocore.exceptions import ConnectionError as AwsConnectionError

from deploy.problems import DeployError

CONFIG = Config(
    connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 3}
)
_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired")
_WRONG = ("InvalidClientTokenId", "SignatureDoesNotMatch", "UnrecognizedClientException")


@dataclass(frozen=True)
class Account:
    """An account, who we are in it, and the region."""

    id: str
    identity: str
    region: str


def open_session(profile: str | None, region: str | None) -> boto3.Session:
    """Return a session of this profile and region, boto3's own when None; raise DeployError."""
    try:
        session = boto3.Session(profile_name=profile, region_name=region)
    except ProfileNotFound as error:
        raise DeployError(
            f"{error}: `aws configure list-profiles` shows those that there are."
        ) from error
    if session.region_name is None:
        raise DeployError("There is no AWS region: set AWS_DEFAULT_REGION, or run `aws configure`.")
    return session


def check(session: boto3.Session) -> Account:
    """Return the account that the credentials are for; raise DeployError when they are no good."""
    try:
        caller = session.client("sts", config=CONFIG).get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        raise DeployError(explain(error)) from error
    return Account(caller["Account"], caller["Arn"], session.region_name)


def explain(error: BotoCoreError | ClientError) -> str:
    """Return the problem and its remedy, as one line."""
    match error:
        case NoCredentialsError():
            text = (
                "There are no AWS credentials: run `aws configure` or `aws sso login`, or set"
                " AWS_PROFILE, and start again."
            )
        case PartialCredentialsError():
            text = f"The AWS credentials are not complete: run `aws configure`. ({error})"
        case SSOError() | TokenRetrievalError() | LoginError():
            text = f"The AWS session has ended: run `aws sso login`, or `aws login`. ({error})"
        case CredentialRetrievalError():
            text = f"The AWS credentials cannot be had: {error}"
        case HTTPClientError() | AwsConnectionError():
            text = f"AWS does not answer: check the region and your connection. ({error})"
        case ClientError() if error.response["Error"]["Code"] in _EXPIRED:
            text = "The AWS credentials have expired: get new ones, and start again."
        case ClientError() if error.response["Error"]["Code"] in _WRONG:
            text = "AWS does not know these credentials: check `aws configure list`."
        case ClientError():
            code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
            text = f"AWS refused {error.operation_name}: {code}: {message}"
        case _:
            text = str(error)
    return " ".join(text.split())

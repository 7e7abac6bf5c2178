"""The stack as CloudFormation knows it, and the states in which it cannot be deployed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from deploy.account import CONFIG, explain
from deploy.problems import DeployError

_GONE = ("REVIEW_IN_PROGRESS", "DELETE_COMPLETE")  # only a change set, or nothing any more


@dataclass(frozen=True)
class Deployed:
    """A stack that is there."""

    status: str
    changed_at: datetime
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]


def find(session: boto3.Session, name: str) -> Deployed | None:
    """Return the stack, None when there is none yet; raise DeployError when AWS does not say."""
    cloudformation = session.client("cloudformation", config=CONFIG)
    try:
        stack = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError":  # no such stack
            return None
        raise DeployError(explain(error)) from error
    except BotoCoreError as error:
        raise DeployError(explain(error)) from error
    if stack["StackStatus"] in _GONE:
        return None
    return Deployed(
        stack["StackStatus"],
        stack.get("LastUpdatedTime", stack["CreationTime"]),
        {one["ParameterKey"]: one["ParameterValue"] for one in stack.get("Parameters", [])},
        {one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", [])},
    )


def obstacle(name: str, region: str, status: str) -> str | None:
    """Return why a stack with this status cannot be deployed and what to do, None if it can."""
    command = f"aws cloudformation {{}} --stack-name {name} --region {region}"
    delete, wait = command.format("delete-stack"), command.format("wait stack-delete-complete")
    tables = command.format("describe-stack-resources") + (
        " --output text --query \"StackResources[?ResourceType=='AWS::DynamoDB::Table' &&"
        " ResourceStatus!='DELETE_COMPLETE'].PhysicalResourceId\""
    )
    match status:
        case "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "CREATE_FAILED" | "DELETE_FAILED":
            return (
                f"Stack {name} is {status}: its first deployment failed, or its deletion did, and"
                " it can only be deleted. See why with\n\n"
                f"    {command.format('describe-stack-events')}\n\n"
                "then remove what is left of it, and start again. Its empty tables are protected"
                " from deletion, so the loop comes first:\n\n"
                f"    for table in $({tables}); do\n"
                "      aws dynamodb update-table --no-deletion-protection-enabled"
                f" --table-name $table --region {region}\n"
                "    done\n"
                f"    {delete}\n    {wait}"
            )
        case "UPDATE_ROLLBACK_FAILED":
            return (
                f"Stack {name} is {status}: neither the last deployment nor the way back worked."
                " See why in the console, then go on back, and start again:\n\n"
                f"    {command.format('continue-update-rollback')}"
            )
        case _ if status.endswith("_IN_PROGRESS"):
            return f"Stack {name} is {status}: wait until that has ended, and start again."
    return None

"""Deploys the built template to ministack, through its S3 and CloudFormation."""

import json
import time
from collections.abc import Mapping
from pathlib import Path

from local.aws import STACK, session
from local.template import expand
from local.terminal import LocalError

PACKAGES_BUCKET = "afterword-packages"
DEPLOY_SECONDS = 120.0


def deploy(
    endpoint: str, built: Path, parameters: Mapping[str, str], *, layers: Path, worker: int | None
) -> dict[str, str]:
    """Deploy the template to the AWS at `endpoint` and return the stack's outputs.

    `layers` is the new folder from which all functions import; `worker` is the worker's timeout in
    seconds, None for the template's own. Raises LocalError with CloudFormation's reason when the
    deployment fails.
    """
    s3 = session().client("s3", endpoint_url=endpoint)
    s3.create_bucket(Bucket=PACKAGES_BUCKET)

    def upload(name: str, content: bytes) -> str:
        s3.put_object(Bucket=PACKAGES_BUCKET, Key=name, Body=content)
        return f"s3://{PACKAGES_BUCKET}/{name}"

    template = expand(built, parameters, session(), upload, layers=layers, worker=worker)
    upload("template.json", json.dumps(template).encode())
    cloudformation = session().client("cloudformation", endpoint_url=endpoint)
    cloudformation.create_stack(
        StackName=STACK,
        TemplateURL=f"{endpoint}/{PACKAGES_BUCKET}/template.json",
        Parameters=[
            {"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()
        ],
        Capabilities=["CAPABILITY_IAM"],
    )
    deadline = time.monotonic() + DEPLOY_SECONDS
    while time.monotonic() < deadline:
        stack = cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]
        if stack["StackStatus"] == "CREATE_COMPLETE":
            return {
                output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])
            }
        if stack["StackStatus"] != "CREATE_IN_PROGRESS":
            break
        time.sleep(0.05)
    events = cloudformation.describe_stack_events(StackName=STACK)["StackEvents"]
    reasons = [
        f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'no reason given')}"
        for event in reversed(events)
        if event.get("ResourceStatus") == "CREATE_FAILED"
    ]
    raise LocalError(f"the template cannot be deployed: {(reasons or ['it takes too long'])[0]}")


def store_secret(endpoint: str, value: str | None) -> str:
    """Store the key of the model's API as deployments do; return the secret's ARN, "" for none."""
    if not value:
        return ""
    secrets = session().client("secretsmanager", endpoint_url=endpoint)
    return secrets.create_secret(Name="afterword/model-api-key", SecretString=value)["ARN"]

"""The built template as sam runs it against an embedded stack.

`sam local` deploys nothing: a table's or a queue's `!Ref` is only its name in the template. So each
function gets the environment of the stack's function of that name, with addresses that containers
reach. The function acts as that one's role, whose rights the stack enforces.
"""

import asyncio
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from local.aws import REGION, STACK, session
from local.build import HOST_ARCH, TEMPLATE, only_builder
from local.containers import MARK
from local.forwarding import Forwarding
from local.places import LOCAL, ROOT, Place, replace
from local.processes import LOOPBACK
from local.stack import Stack
from local.template import IMPORT_PATH

SESSION_SECONDS = 12 * 60 * 60  # the most that AWS has for a role
ON_LOOPBACK = re.compile(rf"(?<=//){re.escape(LOOPBACK)}:(\d+)|(?<=//)localhost:(\d+)")
FUNCTION = "AWS::Serverless::Function"

type Json = dict[str, Any]
type Environment = dict[str, str]


@dataclass(frozen=True)
class Templates:
    """Files for `sam local -t`, beside the code that they name."""

    whole: Path
    api: Path  # only the functions that the HTTP API calls
    folders: dict[str, str]  # of the functions' code, by the functions' names


async def write_templates(
    stack: Stack, run: str, forwarding: Forwarding, changed: Mapping[str, str] | None = None
) -> Templates:
    """Write the templates of a run of sam into the stack's place.

    `run` is the name of its containers. `changed` are settings with other values than in the
    stack, in all functions that have them.
    """
    folder = stack.place.tmp / "sam"  # a build of another stack does not change it
    async with only_builder():
        await asyncio.to_thread(shutil.copytree, TEMPLATE.parent, folder)
    template: Json = yaml_parse((folder / "template.yaml").read_text())
    template["Parameters"]["Architecture"]["Default"] = HOST_ARCH
    origins = os.environ.get("AFTERWORD_ALLOWED_ORIGINS", "")
    template["Parameters"]["AllowedOrigins"]["Default"] = origins
    environments = await asyncio.to_thread(deployed, stack)
    if stack.bedrock:
        for environment in environments.values():
            environment["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"] = stack.bedrock
    all_functions = {
        name: resource
        for name, resource in template["Resources"].items()
        if resource["Type"] == FUNCTION
    }
    # A function on condition of a parameter may not be in the stack.
    functions = {name: each for name, each in all_functions.items() if name in environments}
    for name, function in functions.items():
        environment = environments[name]
        environment |= {key: value for key, value in (changed or {}).items() if key in environment}
        variables = {key: await reachable(value, forwarding) for key, value in environment.items()}
        function["Properties"]["Environment"] = {"Variables": {**variables, MARK: run}}
    others = {
        name: each for name, each in template["Resources"].items() if name not in all_functions
    }
    of_api = {name: each for name, each in functions.items() if is_http(each)}
    templates = Templates(folder / "template.yaml", folder / "api.yaml", folders(functions))
    replace(templates.whole, json.dumps({**template, "Resources": {**others, **functions}}))
    replace(templates.api, json.dumps({**template, "Resources": {**others, **of_api}}))
    return templates


def folders(functions: Json) -> dict[str, str]:
    """Return the names of the folders in functions/ by the functions' names."""
    source: Json = yaml_parse((ROOT / "template.yaml").read_text())["Resources"]
    return {name: PurePosixPath(source[name]["Properties"]["CodeUri"]).name for name in functions}


def is_http(function: Json) -> bool:
    """Whether the HTTP API calls this function."""
    return any(event["Type"] == "HttpApi" for event in function["Properties"]["Events"].values())


def deployed(stack: Stack) -> dict[str, Environment]:
    """Return the environments of the stack's functions by their names in the template.

    The credentials are the role's, as Lambda gives them. AWS lets nobody but Lambda assume such a
    role, so each is made to trust the account before.
    """
    here = session()
    cloudformation = here.client("cloudformation", endpoint_url=stack.endpoint)
    functions = here.client("lambda", endpoint_url=stack.endpoint)
    iam = here.client("iam", endpoint_url=stack.endpoint)
    sts = here.client("sts", endpoint_url=stack.endpoint)
    account = sts.get_caller_identity()["Account"]
    principal = {"Service": "lambda.amazonaws.com", "AWS": f"arn:aws:iam::{account}:root"}
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    environments = {}
    pages = cloudformation.get_paginator("list_stack_resources")
    for resource in pages.paginate(StackName=STACK).search("StackResourceSummaries[]"):
        if resource["ResourceType"] != "AWS::Lambda::Function":
            continue
        name = resource["LogicalResourceId"]
        function = functions.get_function_configuration(FunctionName=resource["PhysicalResourceId"])
        variables = function["Environment"]["Variables"]
        del variables[IMPORT_PATH]  # Lambda's containers have the layers
        role = function["Role"].rpartition("/")[2]
        iam.update_assume_role_policy(RoleName=role, PolicyDocument=trust)
        iam.update_role(RoleName=role, MaxSessionDuration=SESSION_SECONDS)
        credentials = sts.assume_role(
            RoleArn=function["Role"], RoleSessionName=name, DurationSeconds=SESSION_SECONDS
        )["Credentials"]
        environments[name] = {
            **variables,
            "AWS_ENDPOINT_URL": stack.endpoint,
            "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
            "AWS_SESSION_TOKEN": credentials["SessionToken"],
        }
    return environments


async def reachable(value: str, forwarding: Forwarding) -> str:
    """Return a value with each address of loopback in its URLs as containers reach it."""
    for found in set(ON_LOOPBACK.finditer(value)):
        port = int(found[1] or found[2])
        value = value.replace(found[0], await forwarding.to(port))
    return value


def sam_environment(place: Place, engine: str) -> Environment:
    """Return the environment of `sam local`.

    The user's other variables stay out: sam would take them for the functions', and look for
    credentials where there are none for this AWS.
    """
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": os.environ.get("HOME", str(place.folder)),
        "TMPDIR": str(place.tmp),
        "DOCKER_HOST": engine,
        "SAM_CLI_TELEMETRY": "0",
        "__SAM_CLI_APP_DIR": str(LOCAL / "sam"),
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }

"""Turns the built SAM template into plain CloudFormation that ministack can deploy."""

import io
import os
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import boto3
from samtranslator.parser.parser import Parser  # type: ignore[import-untyped]
from samtranslator.translator.translator import Translator  # type: ignore[import-untyped]
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from local.terminal import LocalError

type Json = dict[str, Any]

API_ID = "afterword"
FUNCTION, LAYER = "AWS::Serverless::Function", "AWS::Serverless::LayerVersion"
IMPORT_PATH = "PYTHONPATH"
"""The variable by which functions of the embedded stack find their layers."""
COMPUTING = ("DeadLetterFunction", "DeliverFunction", "IntakeFunction")
"""The consumers that wait for nobody. Others get ministack's five processes for each queue."""
PROCESSES = max(2, os.cpu_count() or 1)
"""Of each function that computes: as many as cores, and no fewer than AWS has for a queue."""
VISIBILITY_TIMEOUTS = 6  # worker timeouts: Lambda's minimum for a queue's visibility
BATCHED = {
    "sqs:SendMessage": "sqs:SendMessageBatch",
    "sqs:DeleteMessage": "sqs:DeleteMessageBatch",
}
"""Actions that ministack has names of its own for, where a call has many messages."""
LEAST_WORKER_SECONDS, MOST_WORKER_SECONDS = 10, 900  # below, too little is left for the model


def worker_seconds(environ: Mapping[str, str]) -> int | None:
    """Return the worker's timeout that the environment asks for, None for the template's own.

    A worker that dies holds its generations until the timeout of its invocation: a short one lets a
    test see the take-over. The intake, which holds batches in the same way, gets the same timeout.
    Raises LocalError for any other text.
    """
    text = environ.get("AFTERWORD_WORKER_SECONDS", "")
    if not text:
        return None
    if not text.isdecimal() or not LEAST_WORKER_SECONDS <= int(text) <= MOST_WORKER_SECONDS:
        raise LocalError(
            f"AFTERWORD_WORKER_SECONDS is {text}: give a whole number of seconds from"
            f" {LEAST_WORKER_SECONDS} to {MOST_WORKER_SECONDS}"
        )
    return int(text)


def expand(  # noqa: PLR0913 - what a template is expanded with
    built: Path,
    parameters: Mapping[str, str],
    session: boto3.Session,
    upload: Callable[[str, bytes], str],
    *,
    layers: Path,
    worker: int | None,
) -> Json:
    """Return the template with its packages uploaded, SAM's resources expanded and routes explicit.

    `upload` takes a package's name and content and returns its s3:// address. `layers` is the new
    folder from which all functions import; `worker` is the worker's timeout in seconds, None for
    the template's own.
    """
    template: Json = yaml_parse(built.read_text())
    share_layers(template, built.parent, layers)
    if worker is not None:
        resources = template["Resources"]
        resources["GenerateFunction"]["Properties"]["Timeout"] = worker
        resources["Queue"]["Properties"]["VisibilityTimeout"] = VISIBILITY_TIMEOUTS * worker
        resources["IntakeFunction"]["Properties"]["Timeout"] = worker
        resources["IntakeQueue"]["Properties"]["VisibilityTimeout"] = VISIBILITY_TIMEOUTS * worker
    for name, resource in template["Resources"].items():
        if resource["Type"] == FUNCTION:
            properties = resource["Properties"]
            code = pack(built.parent / properties["CodeUri"])
            properties["CodeUri"] = upload(f"{name}.zip", code)
        for event in resource["Properties"].get("Events", {}).values():
            if event["Properties"].pop("ScalingConfig", None) and name in COMPUTING:
                event["Properties"]["ScalingConfig"] = {"MaximumConcurrency": PROCESSES}
    _allow_batches(template)
    translator = Translator({}, Parser(), boto_session=session)
    expanded: Json = translator.translate(template, dict(parameters))
    resources = expanded["Resources"]
    for name, resource in list(resources.items()):
        if resource["Type"] == "AWS::ApiGatewayV2::Api":
            body = resource["Properties"]["Body"]
            resources |= routes(name, body)
            resource["Properties"] = {
                "Name": name,
                "ProtocolType": "HTTP",
                "CorsConfiguration": body["x-amazon-apigateway-cors"],
                "Tags": {"ms-custom-id": API_ID},  # ministack's way to choose the API's id
            }
    return expanded


def share_layers(template: Json, built: Path, shared: Path) -> None:
    """Copy the layers to `shared`, from where all functions import, and take them out.

    ministack would unpack the layers once more for each process of a function.
    """
    paths = {}
    for name, resource in list(template["Resources"].items()):
        if resource["Type"] == LAYER:
            shutil.copytree(built / resource["Properties"]["ContentUri"], shared / name)
            paths[name] = str(shared / name / "python")
            del template["Resources"][name]
    of_all = template["Globals"]["Function"].pop("Layers")
    for resource in template["Resources"].values():
        if resource["Type"] == FUNCTION:
            properties = resource["Properties"]
            layers = [*of_all, *properties.pop("Layers", [])]
            variables = properties.setdefault("Environment", {}).setdefault("Variables", {})
            variables[IMPORT_PATH] = os.pathsep.join(paths[layer["Ref"]] for layer in layers)


def _allow_batches(part: Any) -> None:  # noqa: ANN401 - a part of the template
    """Add the batches' actions to those of single messages, which AWS checks for both."""
    if isinstance(part, list):
        for each in part:
            _allow_batches(each)
    elif isinstance(part, dict):
        if "Effect" in part and "Action" in part:
            actions = part["Action"] if isinstance(part["Action"], list) else [part["Action"]]
            part["Action"] = [*actions, *(BATCHED[each] for each in actions if each in BATCHED)]
        for each in part.values():
            _allow_batches(each)


def routes(api: str, body: Json) -> Json:
    """Return the routes and integrations that API Gateway would make of an OpenAPI body.

    ministack ignores the body: without them every path is 404.
    """
    resources: Json = {}
    for path, methods in body["paths"].items():
        for method, operation in methods.items():
            integration = operation["x-amazon-apigateway-integration"]
            name = f"{api}Route{len(resources) // 2}"
            verb = "ANY" if method == "x-amazon-apigateway-any-method" else method.upper()
            resources[f"{name}Integration"] = {
                "Type": "AWS::ApiGatewayV2::Integration",
                "Properties": {
                    "ApiId": {"Ref": api},
                    "IntegrationType": "AWS_PROXY",
                    "IntegrationUri": integration["uri"],
                    "PayloadFormatVersion": integration["payloadFormatVersion"],
                },
            }
            resources[name] = {
                "Type": "AWS::ApiGatewayV2::Route",
                "Properties": {
                    "ApiId": {"Ref": api},
                    "RouteKey": path if path == "$default" else f"{verb} {path}",
                    "Target": {"Fn::Join": ["/", ["integrations", {"Ref": f"{name}Integration"}]]},
                },
            }
    return resources


def pack(folder: Path) -> bytes:
    """Return the folder as a zip, not compressed, which only travels to the next process."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as package:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                package.write(file, file.relative_to(folder))
    return content.getvalue()

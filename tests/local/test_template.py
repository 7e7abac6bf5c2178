"""The template that ministack deploys, with its routes as resources."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest

from local.template import expand
from tests.conftest import ROOT
from tests.harness.deployment import REGION, Deployment


@pytest.fixture(scope="module")
def layers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the layers of all functions."""
    return tmp_path_factory.mktemp("stack") / "layers"


@pytest.fixture(scope="module")
def resources(layers: Path) -> Mapping[str, Mapping[str, Any]]:
    """Return the resources of the expanded template."""
    session = boto3.Session("key", "secret", region_name=REGION)
    template = expand(
        ROOT / "template.yaml",
        {},
        session,
        lambda name, _content: f"s3://bucket/{name}",
        layers=layers,
        worker=None,
    )
    expanded: Mapping[str, Mapping[str, Any]] = template["Resources"]
    return expanded


def test_each_route_is_explicit(
    resources: Mapping[str, Mapping[str, Any]], deployment: Deployment
) -> None:
    """The expanded template has each route of the source, the default route included."""
    keys = [
        resource["Properties"]["RouteKey"]
        for resource in resources.values()
        if resource["Type"] == "AWS::ApiGatewayV2::Route"
    ]
    assert sorted(keys) == sorted(
        route for function in deployment.functions.values() for route in function.routes
    )
    assert "$default" in keys


def test_all_functions_import_from_one_copy_of_their_layers(
    resources: Mapping[str, Mapping[str, Any]], layers: Path, deployment: Deployment
) -> None:
    """Each function's PYTHONPATH has its layers in one folder, and no layer is deployed."""
    assert "AWS::Lambda::LayerVersion" not in {each["Type"] for each in resources.values()}
    for function in deployment.functions.values():
        properties = resources[function.name]["Properties"]
        assert "Layers" not in properties
        assert properties["Environment"]["Variables"]["PYTHONPATH"] == ":".join(
            str(layers / layer / "python") for layer in function.properties["Layers"]
        )
    assert (layers / "CoreLayer" / "core" / "afterword" / "services.py").is_file()


def test_who_may_send_one_message_may_send_many(
    resources: Mapping[str, Mapping[str, Any]],
) -> None:
    """For a call with many messages ministack wants an action of its own, which AWS does not."""
    statements = [
        statement
        for resource in resources.values()
        if resource["Type"] in {"AWS::IAM::Role", "AWS::IAM::ManagedPolicy"}
        for policy in (*resource["Properties"].get("Policies", ()), resource["Properties"])
        if "PolicyDocument" in policy
        for statement in policy["PolicyDocument"]["Statement"]
    ]
    sends = [
        actions for each in statements if "sqs:SendMessage" in (actions := each.get("Action", ()))
    ]
    assert sends
    assert all("sqs:SendMessageBatch" in some for some in sends)

"""The template that ministack deploys, with its routes as resources."""

from collections.abc import Mapping
from typing import Any

import boto3
import pytest

from local.template import expand
from tests.conftest import ROOT
from tests.harness.deployment import REGION, Deployment


@pytest.fixture(scope="module")
def resources() -> Mapping[str, Mapping[str, Any]]:
    """Return the resources of the expanded template."""
    session = boto3.Session("key", "secret", region_name=REGION)
    template = expand(
        ROOT / "template.yaml", {}, session, lambda name, _content: f"s3://bucket/{name}", None
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

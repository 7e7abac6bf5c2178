"""openapi.yaml: that it is what the models say, and says what there is."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
import yaml

from openapi.document import (
    JSON_FILE,
    ROUTES_FILE,
    YAML_FILE,
    as_json,
    as_routes,
    as_yaml,
    document,
)
from tests.conftest import ROOT
from tests.harness.deployment import Deployment

DOCUMENT = document()
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
}
DOMAINS = {
    "MailGenerationAsyncParameters",
    "TextProcessOutput",
    "MailGenerationAsyncOutput",
    "MailClassificationAsyncParameters",
    "MailClassificationAsyncOutput",
    "TextGenerationRead",
    "AsyncQuery",
    "FlowRequest",
    "Problem",
}


def texts(node: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON
    """Yield all descriptions and summaries."""
    if isinstance(node, list):
        for each in node:
            yield from texts(each)
    if isinstance(node, dict):
        for name, each in node.items():
            if name in {"description", "summary"} and isinstance(each, str):
                yield each
            yield from texts(each)


def test_the_committed_files_are_what_the_models_say() -> None:
    """openapi.yaml, the served openapi.json and routes.json say the same as the models."""
    assert YAML_FILE.read_text() == as_yaml(DOCUMENT)
    assert JSON_FILE.read_text() == as_json(DOCUMENT)
    assert ROUTES_FILE.read_text() == as_routes(DOCUMENT)


def test_both_files_are_one_document() -> None:
    """openapi.yaml and openapi.json say the same."""
    assert yaml.safe_load(YAML_FILE.read_text()) == json.loads(JSON_FILE.read_text()) == DOCUMENT


def test_it_is_openapi() -> None:
    """The document is valid after OpenAPI's own schema for 3.1, and any tool reads it."""
    assert DOCUMENT["openapi"].startswith("3.1")
    assert schemathesis.openapi.from_dict(DOCUMENT).validate() is None


def test_an_operation_is_called_as_its_function(deployment: Deployment) -> None:
    """Each route of the template is described under its function's name, and no other is.

    A function's second route, for HEAD, has an operationId of its own.
    """
    routes = {
        route: folder
        for folder, function in deployment.functions.items()
        for route in function.operations
    }
    named = {route: each["operationId"] for route, each in OPERATIONS.items()}
    assert named == routes | {"HEAD /health": "check_health"}
    assert len({*named.values()}) == len(named)


@pytest.mark.parametrize("route", OPERATIONS)
def test_an_operation_is_described(route: str) -> None:
    """Each operation has a summary of a few words, a tag that is explained, and its errors."""
    operation = OPERATIONS[route]
    assert 2 <= len(operation["summary"].split()) <= 12
    assert operation["summary"][-1] != "."
    assert set(operation["tags"]) <= {tag["name"] for tag in DOCUMENT["tags"]}
    assert all(response["description"] for response in operation["responses"].values())
    keyed = {"401", "403"} <= operation["responses"].keys()
    assert bool(operation["security"]) == keyed


def test_nothing_said_is_empty() -> None:
    """Descriptions are sentences, on both sides of an object."""
    found = list(texts(DOCUMENT))
    assert len(found) > 100
    assert [text for text in found if not text.strip() or text != text.strip(" ")] == []


def test_models_have_the_names_that_the_services_gave_them() -> None:
    """A model has one name, the one that its service's documentation has for it."""
    names = DOCUMENT["components"]["schemas"].keys()
    assert names >= DOMAINS
    assert [name for name in names if not name.isidentifier() or "__" in name or "-" in name] == []


@pytest.mark.parametrize(
    ("name", "base", "field"),
    [
        ("SecretWebhook", "Webhook", "url"),
        ("UsageGroup", "UsageCounts", "cost"),
        ("RunError", "PromptitudeError", "code"),
        ("FlowSaved", "FlowShown", "created_at"),
    ],
)
def test_a_field_is_described_wherever_it_is_inherited(name: str, base: str, field: str) -> None:
    """A response has the descriptions of the responses that it extends."""
    schemas = DOCUMENT["components"]["schemas"]
    described = schemas[base]["properties"][field]["description"]
    assert schemas[name]["properties"][field]["description"] == described


@pytest.mark.parametrize(
    "route", [route for route, operation in OPERATIONS.items() if "requestBody" in operation]
)
def test_examples_are_what_the_tests_send(route: str) -> None:
    """An example of a body is the one that the tests send, and is as its schema says."""
    operation = OPERATIONS[route]
    event = json.loads((ROOT / "events" / f"{operation['operationId']}.json").read_text())
    content: Mapping[str, Any] = operation["requestBody"]["content"].get("application/json", {})
    if event["headers"].get("content-type") != "application/json":
        assert "example" not in content
        return
    assert content["example"] == json.loads(event["body"])
    schema = {**content["schema"], "components": DOCUMENT["components"]}
    jsonschema_rs.validator_for(schema).validate(content["example"])


def test_no_secret_is_an_example() -> None:
    """Nothing that looks like a key stands in the document."""
    assert "aw_" not in as_json(DOCUMENT).replace("aw_…", "")

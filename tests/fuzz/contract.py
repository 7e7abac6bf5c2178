"""What each endpoint may answer: openapi.yaml, and that responses are as it says.

To add an endpoint: write its path into openapi.yaml, with each status that it answers and strict
response schemas; its sample event is events/<folder>.json, as for every function. If its path has a
parameter of a new name, or its key is somewhere else than in `Authorization: Bearer`, the fixture
`world` of conftest.py says what stands there. test_contract.py fails until openapi.yaml has each
route of the template, and test_generated.py and test_hostile.py go over all that it has.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml

from tests.fuzz.gateway import HttpResponse

DOCUMENT: Mapping[str, Any] = yaml.safe_load((Path(__file__).parent / "openapi.yaml").read_text())
METHODS = frozenset({"get", "put", "post", "delete", "patch"})


@dataclass(frozen=True)
class Operation:
    """An operation of openapi.yaml."""

    path: str
    method: str

    @property
    def route(self) -> str:
        """Its route, as API Gateway writes a route key."""
        return f"{self.method.upper()} {self.path}"

    @property
    def schemas(self) -> Mapping[int, Mapping[str, Any]]:
        """Schemas of its JSON responses by status."""
        responses = DOCUMENT["paths"][self.path][self.method]["responses"]
        return {
            int(status): _resolved(response)["content"]["application/json"]["schema"]
            for status, response in responses.items()
        }

    @property
    def takes_something(self) -> bool:
        """Whether it has parameters or a body, in which there can be anything wrong."""
        item = DOCUMENT["paths"][self.path]
        return "parameters" in item or bool(
            item[self.method].keys() & {"parameters", "requestBody"}
        )

    def check(self, response: HttpResponse) -> None:
        """Assert that it may answer so, and that nothing went wrong inside."""
        assert response.route == self.route
        assert response.status < HTTPStatus.INTERNAL_SERVER_ERROR
        assert response.status in self.schemas, f"{response.status} is not documented"
        assert response.headers["content-type"] == "application/json"
        assert response.headers["cache-control"] == "no-store"
        schema = {**self.schemas[response.status], "components": DOCUMENT["components"]}
        body = jsonschema_rs.validator_for(schema)
        body.validate(_json(response))


OPERATIONS = [
    Operation(path, method)
    for path, methods in DOCUMENT["paths"].items()
    for method in methods
    if method in METHODS
]

SUBMISSION = next(
    operation for operation in OPERATIONS if operation.route.endswith("/generation-async")
)
"""The one that makes what the others read."""


def _json(response: HttpResponse) -> object:
    """Return the body, which says its own status if it is an error and says one at all."""
    document = json.loads(response.body)
    if response.status >= HTTPStatus.BAD_REQUEST and "statusCode" in document:
        phrase = HTTPStatus(response.status).phrase
        assert (document["statusCode"], document["error"]) == (response.status, phrase)
    return document


def _resolved(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a `$ref` to a component."""
    if "$ref" not in node:
        return node
    found: Mapping[str, Any] = DOCUMENT
    for name in node["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return found

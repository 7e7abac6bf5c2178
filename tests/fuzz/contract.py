"""The contract of each endpoint, openapi.json, and the check of responses against it.

openapi.json of the viewer's layer says what openapi.yaml does, and both are made of the models in
openapi/ (`make openapi`). To add an endpoint: describe it there; its sample event is
events/<folder>.json, as for every function. A path parameter of a new name, or a key
elsewhere than in `Authorization: Bearer`, stands in conftest.py's `world`. The needs of a good
request that openapi.json cannot say, such as a flow's inputs, stand in narrowing.yaml.
test_contract.py fails until openapi.json has each route of the template. test_generated.py and
test_hostile.py go over all of them.
"""

import gzip
import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml

from openapi.document import JSON_FILE
from tests.fuzz.gateway import HttpResponse
from tests.harness.response_headers import SECURITY

METHODS = frozenset({"get", "put", "post", "delete", "patch"})
SUCCESSES = frozenset({200, 201, 202, 204})

ANY_TEXT = {"type": "string"}
OF_ALL = frozenset(
    {"cache-control", "content-encoding", "content-security-policy", "content-type"}
    | {"referrer-policy", "vary"}
    | SECURITY.keys()
)
"""Headers that are no operation's own."""


def narrowed(document: Mapping[str, Any], narrowing: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document for the tests' tenant.

    Its requests are narrowed, and it says nothing of keys: the tests send them.
    """
    narrow: dict[str, Any] = deepcopy(dict(document))
    narrow["components"].pop("securitySchemes", None)
    for operation in _operations(narrow):
        operation.pop("security", None)
        for parameter in operation.get("parameters", ()):
            named = narrowing["parameters"].get(parameter["name"])
            parameter["schema"] = named or parameter["schema"]
        body = narrowing["bodies"].get(operation["operationId"])
        for content in operation.get("requestBody", {}).get("content", {}).values():
            content["schema"] = body or content["schema"]
    return narrow


def closed(node: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return a schema in which objects have the described members and no other.

    openapi.json leaves them open, so that members can be added; here one that is not described is
    an error. So is another word of an open choice (handlers.json_schema.Open).
    """
    if isinstance(node, list):
        return [closed(each) for each in node]
    if not isinstance(node, dict):
        return node
    found = {name: closed(each) for name, each in node.items()}
    if ANY_TEXT in found.get("anyOf", ()) and any(map(_is_choice, found["anyOf"])):
        found["anyOf"].remove(ANY_TEXT)
    if "properties" in found and found.get("type") == "object":
        found.setdefault("additionalProperties", False)
    return found


def _is_choice(schema: Mapping[str, Any]) -> bool:
    """Return whether a schema lists its values."""
    if "$ref" in schema:
        return "enum" in DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return bool(schema.keys() & {"enum", "const"})


def _operations(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for item in document["paths"].values():
        yield from (each for method, each in item.items() if method in METHODS)


NARROWING: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "narrowing.yaml").read_text())
DOCUMENT = narrowed(json.loads(JSON_FILE.read_text()), NARROWING)
ANSWERED = closed(DOCUMENT["components"])
"""The components, as answers may have them."""


@dataclass(frozen=True)
class Operation:
    """An operation of openapi.json."""

    path: str
    method: str

    @property
    def route(self) -> str:
        """Its route, as API Gateway writes a route key."""
        return f"{self.method.upper()} {self.path}"

    @property
    def name(self) -> str:
        """Its operationId."""
        name: str = DOCUMENT["paths"][self.path][self.method]["operationId"]
        return name

    @property
    def contents(self) -> Mapping[int, Mapping[str, Any]]:
        """The operation's responses by status: schemas by media type, none for no body."""
        responses = DOCUMENT["paths"][self.path][self.method]["responses"]
        return {int(status): response.get("content", {}) for status, response in responses.items()}

    def headers(self, status: int) -> set[str]:
        """Return the names of the headers of a response, in lower case."""
        described = DOCUMENT["paths"][self.path][self.method]["responses"][str(status)]
        return {name.lower() for name in described.get("headers", ())}

    @property
    def reads(self) -> set[str]:
        """Names of the request headers that it heeds, in lower case."""
        item = DOCUMENT["paths"][self.path]
        described = [*item.get("parameters", ()), *item[self.method].get("parameters", ())]
        names = {each["name"].lower() for each in described if each["in"] == "header"}
        if "requestBody" in item[self.method]:
            names |= {"content-type", "content-encoding"}
        if HTTPStatus.NOT_MODIFIED in self.contents:
            names |= {"accept-encoding", "if-none-match"}
        return names | {"authorization", "x-api-key"}

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
        assert response.status in self.contents, f"{response.status} is not documented"
        cached = HTTPStatus.NOT_MODIFIED in self.contents
        public = cached and response.status < HTTPStatus.BAD_REQUEST
        caching = "public, max-age=300" if public else "no-store"
        assert response.headers["cache-control"] == caching
        assert response.headers.items() >= SECURITY.items()
        assert response.headers.keys() <= OF_ALL | self.headers(response.status)
        content = self.contents[response.status]
        if not content:
            assert response.body == b""
            return
        media_type = response.headers["content-type"]
        assert media_type in content, f"{media_type} is not documented"
        if media_type.partition(";")[0].endswith("json"):
            schema = {**closed(content[media_type]["schema"]), "components": ANSWERED}
            body = jsonschema_rs.validator_for(schema, validate_formats=True)
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
    body = response.body
    if response.headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    document = json.loads(body)
    if response.status >= HTTPStatus.BAD_REQUEST and "statusCode" in document:
        phrase = HTTPStatus(response.status).phrase
        assert (document["statusCode"], document["error"]) == (response.status, phrase)
    return document

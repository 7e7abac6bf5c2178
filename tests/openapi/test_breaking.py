"""Changes of the API that break its clients: each kind is found, and nothing else is."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import yaml

from openapi import breaking
from openapi.document import RELEASED_FILE, document

type Json = dict[str, Any]

SEEN: Json = {
    "type": "object",
    "required": ["id", "status"],
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "status": {"type": "string", "enum": ["open", "done"]},
        "text": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Seen"}},
        "more": {"type": "object", "additionalProperties": {"type": "string"}},
        "size": {"type": "integer", "minimum": 0, "maximum": 9},
        "kind": {"anyOf": [{"$ref": "#/components/schemas/Kind"}, {"type": "null"}]},
        "mood": {"anyOf": [{"type": "string", "enum": ["good"]}, {"type": "string"}]},
    },
}
KIND: Json = {"type": "string", "enum": ["a", "b"]}
SENT: Json = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "maxLength": 10, "pattern": "^[a-z]+$"},
        "kind": {"type": "string", "enum": ["a", "b"]},
        "size": {"type": "number", "minimum": 1},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 5},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
}
DOCUMENT: Json = {
    "paths": {
        "/things": {
            "post": {
                "operationId": "create_thing",
                "security": [{"bearer": []}, {"apiKey": []}],
                "parameters": [
                    {"name": "limit", "in": "query", "schema": {"type": "integer", "maximum": 9}}
                ],
                "requestBody": {
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/Sent"}},
                        "text/plain": {"schema": {"type": "string"}},
                    }
                },
                "responses": {
                    "200": {
                        "headers": {"Location": {"schema": {"type": "string"}}},
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Seen"}}
                        },
                    },
                    "204": {"description": "Nothing"},
                    "404": {"description": "Absent"},
                },
            },
        },
        "/things/{id}": {
            "get": {"operationId": "get_thing", "security": [], "responses": {"200": {}}}
        },
    },
    "components": {"schemas": {"Seen": SEEN, "Sent": SENT, "Kind": KIND}},
}


def post(document: Json) -> Json:
    """Return the operation that is changed."""
    operation: Json = document["paths"]["/things"]["post"]
    return operation


def sent(document: Json) -> Json:
    """Return the members of a request."""
    members: Json = document["components"]["schemas"]["Sent"]["properties"]
    return members


def seen(document: Json) -> Json:
    """Return the members of a response."""
    members: Json = document["components"]["schemas"]["Seen"]["properties"]
    return members


def schema(document: Json, name: str) -> Json:
    """Return a component."""
    found: Json = document["components"]["schemas"][name]
    return found


def opened(*words: str) -> Json:
    """Return the schema of an open choice."""
    return {"anyOf": [{"type": "string", "enum": list(words)}, {"type": "string"}]}


type Change = Callable[[Json], object]

BREAKING: dict[str, tuple[Change, str]] = {
    "a path goes": (lambda new: new["paths"].pop("/things"), "POST /things: is gone"),
    "an operation goes": (
        lambda new: new["paths"]["/things/{id}"].pop("get"),
        "GET /things/{id}: is gone",
    ),
    "an operation has another id": (
        lambda new: post(new).update(operationId="make_thing"),
        "POST /things: the operationId was create_thing",
    ),
    "an operation takes a key": (
        lambda new: new["paths"]["/things/{id}"]["get"].update(security=[{"bearer": []}]),
        "GET /things/{id}: takes a key now",
    ),
    "a key is not taken there": (
        lambda new: post(new)["security"].pop(),
        "POST /things: the key is not taken as apiKey any more",
    ),
    "a parameter goes": (
        lambda new: post(new)["parameters"].clear(),
        "POST /things: the query parameter limit is gone",
    ),
    "a parameter is needed": (
        lambda new: post(new)["parameters"][0].update(required=True),
        "POST /things: the query parameter limit is needed now",
    ),
    "a needed parameter comes": (
        lambda new: post(new)["parameters"].append(
            {"name": "x-id", "in": "header", "required": True, "schema": {}}
        ),
        "POST /things: the header parameter x-id is needed now",
    ),
    "a parameter takes less": (
        lambda new: post(new)["parameters"][0]["schema"].update(maximum=8),
        "POST /things: the query parameter limit: maximum 9 does not fit 8",
    ),
    "the body is needed": (
        lambda new: post(new)["requestBody"].update(required=True),
        "POST /things: the body is needed now",
    ),
    "the body goes": (
        lambda new: post(new).pop("requestBody"),
        "POST /things: the body is gone",
    ),
    "a form goes": (
        lambda new: post(new)["requestBody"]["content"].pop("text/plain"),
        "POST /things: the body is not taken as text/plain any more",
    ),
    "a member is needed": (
        lambda new: schema(new, "Sent")["required"].append("kind"),
        "POST /things: body.kind: is needed now",
    ),
    "a needed member comes": (
        lambda new: (
            sent(new).update(new={"type": "string"}),
            schema(new, "Sent")["required"].append("new"),
        ),
        "POST /things: body.new: is needed now",
    ),
    "a member is not taken": (
        lambda new: sent(new).pop("size"),
        "POST /things: body.size: is gone",
    ),
    "a choice goes": (
        lambda new: sent(new)["kind"]["enum"].remove("b"),
        'POST /things: body.kind: may not be "b" any more',
    ),
    "a text becomes a choice": (
        lambda new: sent(new).update(name={"type": "string", "enum": ["a"]}),
        "POST /things: body.name: may not be anything else any more",
    ),
    "a member has another type": (
        lambda new: sent(new).update(name={"type": "integer"}),
        "POST /things: body.name: may not be string any more",
    ),
    "a number becomes a whole one": (
        lambda new: sent(new)["size"].update(type="integer"),
        "POST /things: body.size: may not be number any more",
    ),
    "null is not taken": (
        lambda new: sent(new).update(note={"type": "string"}),
        "POST /things: body.note: may not be null any more",
    ),
    "a text is shorter": (
        lambda new: sent(new)["name"].update(maxLength=9),
        "POST /things: body.name: maxLength 10 does not fit 9",
    ),
    "a number has a limit": (
        lambda new: sent(new)["size"].update(maximum=5),
        "POST /things: body.size: maximum none does not fit 5",
    ),
    "a number begins higher": (
        lambda new: sent(new)["size"].update(minimum=2),
        "POST /things: body.size: minimum 1 does not fit 2",
    ),
    "a text has another pattern": (
        lambda new: sent(new)["name"].update(pattern="^[A-Z]+$"),
        "POST /things: body.name: pattern ^[a-z]+$ does not fit ^[A-Z]+$",
    ),
    "an item has another type": (
        lambda new: sent(new)["tags"].update(items={"type": "integer"}),
        "POST /things: body.tags[]: may not be string any more",
    ),
    "a response goes": (
        lambda new: post(new)["responses"].pop("404"),
        "POST /things: the response 404 is gone",
    ),
    "a good response comes": (
        lambda new: post(new)["responses"].update({"202": {}}),
        "POST /things: may answer 202 now",
    ),
    "a header goes": (
        lambda new: post(new)["responses"]["200"].pop("headers"),
        "POST /things: the header Location of the response 200 is gone",
    ),
    "a response has another form": (
        lambda new: post(new)["responses"]["200"].update(content={"text/plain": {"schema": {}}}),
        "POST /things: the response 200 is not application/json any more",
    ),
    "a response has a body": (
        lambda new: post(new)["responses"]["204"].update(content={"text/plain": {"schema": {}}}),
        "POST /things: the response 204 has a body now",
    ),
    "a member is not given": (
        lambda new: seen(new).pop("text"),
        "POST /things: response 200.text: is gone",
    ),
    "a member may be missing": (
        lambda new: schema(new, "Seen")["required"].remove("id"),
        "POST /things: response 200.id: may be missing",
    ),
    "a value is given that was not": (
        lambda new: seen(new)["status"]["enum"].append("lost"),
        'POST /things: response 200.status: may be "lost" now',
    ),
    "a choice becomes a text": (
        lambda new: seen(new).update(status={"type": "string"}),
        "POST /things: response 200.status: may be anything else now",
    ),
    "a choice opens with a new word": (
        lambda new: seen(new).update(status=opened("open", "done", "lost")),
        'POST /things: response 200.status: may be "lost" now',
    ),
    "a choice or null opens with a new word": (
        lambda new: (
            seen(new)["kind"]["anyOf"].append({"type": "string"}),
            schema(new, "Kind")["enum"].append("c"),
        ),
        'POST /things: response 200.kind: may be "c" now',
    ),
    "an open choice may be null": (
        lambda new: seen(new)["mood"]["anyOf"].append({"type": "null"}),
        "POST /things: response 200.mood: may be null now",
    ),
    "another type is given": (
        lambda new: seen(new).update(id={"type": "integer"}),
        "POST /things: response 200.id: may be integer now",
    ),
    "any type is given": (
        lambda new: seen(new).update(id={}),
        "POST /things: response 200.id: may be anything now",
    ),
    "null is given": (
        lambda new: seen(new).update(id={"anyOf": [seen(new)["id"], {"type": "null"}]}),
        "POST /things: response 200.id: may be null now",
    ),
    "another format is given": (
        lambda new: seen(new)["id"].pop("format"),
        "POST /things: response 200.id: format none does not fit uuid",
    ),
    "a larger number is given": (
        lambda new: seen(new)["size"].update(maximum=10),
        "POST /things: response 200.size: maximum 10 does not fit 9",
    ),
    "another rest is given": (
        lambda new: seen(new)["more"].update(additionalProperties={"type": "integer"}),
        "POST /things: response 200.more.*: may be integer now",
    ),
    "other items are given": (
        lambda new: seen(new)["parts"].update(items={"type": "string"}),
        "POST /things: response 200.parts[]: may be string now",
    ),
}
HARMLESS: dict[str, Change] = {
    "nothing": lambda _: None,
    "an operation comes": lambda new: new["paths"].update({"/new": {"get": {"responses": {}}}}),
    "a parameter comes": lambda new: post(new)["parameters"].append(
        {"name": "after", "in": "query", "schema": {"type": "string"}}
    ),
    "a parameter takes more": lambda new: post(new)["parameters"][0]["schema"].update(maximum=10),
    "a key is taken elsewhere too": lambda new: post(new)["security"].append({"token": []}),
    "no key is needed": lambda new: post(new).update(security=[]),
    "a form comes": lambda new: post(new)["requestBody"]["content"].update({"a/b": {}}),
    "a member comes": lambda new: sent(new).update(new={"type": "string"}),
    "a member need not be there": lambda new: schema(new, "Sent")["required"].clear(),
    "a choice comes": lambda new: sent(new)["kind"]["enum"].append("c"),
    "a choice becomes a text": lambda new: sent(new)["kind"].pop("enum"),
    "a text is longer": lambda new: sent(new)["name"].update(maxLength=11),
    "a limit goes": lambda new: sent(new)["size"].pop("minimum"),
    "null is taken": lambda new: sent(new).update(
        size={"anyOf": [sent(new)["size"], {"type": "null"}]}
    ),
    "other members are ignored": lambda new: schema(new, "Sent").pop("additionalProperties"),
    "an error comes": lambda new: post(new)["responses"].update({"429": {}}),
    "a header comes": lambda new: post(new)["responses"]["200"]["headers"].update(Link={}),
    "a member is given": lambda new: seen(new).update(new={"type": "string"}),
    "a member is always given": lambda new: schema(new, "Seen")["required"].append("text"),
    "null is not given": lambda new: seen(new).update(text={"type": "string"}),
    "a value is not given": lambda new: seen(new)["status"]["enum"].remove("open"),
    "a choice opens": lambda new: seen(new).update(status=opened("open", "done")),
    "a choice or null opens": lambda new: seen(new)["kind"]["anyOf"].append({"type": "string"}),
    "an open choice has a new word": lambda new: seen(new).update(mood=opened("good", "bad")),
    "an open choice loses a word": lambda new: seen(new).update(mood=opened("fair")),
    "an open choice closes": lambda new: seen(new).update(mood=opened("good")["anyOf"][0]),
    "a number is whole": lambda new: sent(new)["size"].update(type=["number", "string"]),
    "a component is renamed": lambda new: (
        new["components"]["schemas"].update(Given=schema(new, "Seen")),
        post(new)["responses"]["200"]["content"]["application/json"]["schema"].update(
            {"$ref": "#/components/schemas/Given"}
        ),
    ),
    "it is said otherwise": lambda new: seen(new)["id"].update(description="The id."),
}


def test_no_client_of_the_released_api_breaks() -> None:
    """Requests of clients of the released API are taken, and its clients know the answers."""
    assert breaking.unplanned(RELEASED, document()) == []


def test_what_breaks_on_purpose_is_there() -> None:
    """Each change that breaks a client on purpose is one, and has a reason."""
    assert breaking.ON_PURPOSE.keys() <= {*breaking.changes(RELEASED, document())}
    assert all(breaking.ON_PURPOSE.values())


@pytest.mark.parametrize("name", BREAKING)
def test_what_breaks_a_client_is_found(name: str) -> None:
    """Each kind of change that breaks clients is found, once, and said in a sentence."""
    change, said = BREAKING[name]
    new = deepcopy(DOCUMENT)
    change(new)
    assert said in breaking.changes(DOCUMENT, new)


@pytest.mark.parametrize("name", HARMLESS)
def test_what_breaks_no_client_is_let_through(name: str) -> None:
    """A change that no client has a reason to notice is none."""
    new = deepcopy(DOCUMENT)
    HARMLESS[name](new)
    assert breaking.changes(DOCUMENT, new) == []


RELEASED: Json = yaml.load(RELEASED_FILE.read_text(), yaml.CSafeLoader)
COMPONENTS: Json = RELEASED["components"]["schemas"]


def answering(name: str, components: Json) -> Json:
    """Return the document of one operation, which answers a component."""
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
    operation = {"operationId": "get", "responses": {"200": {"content": content}}}
    return {"paths": {"/": {"get": operation}}, "components": {"schemas": components}}


@pytest.mark.parametrize(
    ("name", "member"),
    [(name, member) for name in COMPONENTS for member in COMPONENTS[name].get("properties", {})],
)
def test_a_member_that_is_answered_stays(name: str, member: str) -> None:
    """No member of the released API can be taken out of an answer, or become anything, unseen."""
    released = answering(name, COMPONENTS)
    others: tuple[Json, ...] = ({}, {member: {}})
    for instead in others:
        component = deepcopy(COMPONENTS[name])
        del component["properties"][member]
        component["properties"] |= instead
        changed = answering(name, {**COMPONENTS, name: component})
        said = breaking.changes(released, changed)
        assert [each for each in said if f".{member}" in each], (instead, said)

"""The OpenAPI document: the sections in the form of OpenAPI 3.1."""

import base64
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import get_original_bases
from typing import Any, is_typeddict

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, with_config
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode
from pydantic_core import core_schema

from openapi import dialonce, genai_stack, native, promptitude, service, unless
from openapi.operations import JSON, Answer, Body, Operation, Parameter, Section

type Json = dict[str, Any]

ROOT = Path(__file__).parent.parent
YAML_FILE = ROOT / "openapi.yaml"
RELEASED_FILE = Path(__file__).parent / "released.yaml"
JSON_FILE = ROOT / "layers" / "viewer" / "afterword_viewer" / "openapi.json"
ROUTES_FILE = ROOT / "layers" / "core" / "afterword" / "handlers" / "routes.json"
SECTIONS: Sequence[Section] = (
    *native.SECTIONS,
    dialonce.SECTION,
    genai_stack.SECTION,
    promptitude.SECTION,
    unless.SECTION,
    service.SECTION,
)
INTRODUCTION = """\
Submit a request, get an id, come back for the text. One engine speaks five APIs: its own, and those
of four services, so that their clients work unchanged. A tenant can read a generation through each
of them, whichever API took the submission.

*An accepted generation always reaches one terminal state with one stored result; the model may be
called more than once.*

A key looks like `aw_…`. Each key belongs to one tenant, has one or more of the scopes `submit`,
`read` and `admin`, and can be bound to one of the tenant's flows. A change of an existing
generation takes `submit` and `read`. Another tenant's resources look the same as absent ones.

A body may have `Content-Encoding: gzip`; other codings are 415. A byte order mark before JSON is
left out.

An unknown path is 404, and a method that a path does not take is 405 with `Allow`. Both have the
shape of the API that the path belongs to.
"""
SECURITY: Mapping[str, Mapping[str, str]] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "`Authorization: Bearer aw_…`, in all of the APIs.",
    },
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "The same key, in the native API and as clients of Unless and Dialonce"
        " send it.",
    },
    "token": {
        "type": "apiKey",
        "in": "query",
        "name": "token",
        "description": "The same key, as clients of GenAI Stack may send it.",
    },
}
_DOCSTRINGS = ConfigDict(use_attribute_docstrings=True)
HEADER = "# Made by `make openapi` from the models in openapi/. Change those.\n"


class _Untitled(GenerateJsonSchema):
    """JSON Schemas without titles, which repeat the names."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002 - of none
        return False

    def model_schema(self, schema: core_schema.ModelSchema) -> Json:
        described = super().model_schema(schema)
        described.pop("title", None)
        return described

    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> Json:
        described = super().typed_dict_schema(schema)
        described.pop("title", None)
        for base in filter(is_typeddict, get_original_bases(schema["cls"])):
            inherited = _adapter(base).json_schema(schema_generator=_Untitled)
            for name, field in inherited["properties"].items():
                if "description" in field:
                    described["properties"][name].setdefault("description", field["description"])
        return described

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> Json:
        described = super().default_schema(schema)
        if "default" in described and described["default"] is None:
            del described["default"]  # null counts as not sent
        return described

    def enum_schema(self, schema: core_schema.EnumSchema) -> Json:
        described = super().enum_schema(schema)
        described.pop("title", None)
        return described


def operations() -> list[Operation]:
    """Return all operations, in the order of the page."""
    return [operation for section in SECTIONS for operation in section.operations]


def document() -> Json:
    """Return the OpenAPI document."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    schemas, definitions = _schemas(operations())
    paths: Json = {}
    for operation in operations():
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": project["name"],
            "version": project["version"],
            "summary": project["description"],
            "description": INTRODUCTION,
            "license": {"name": project["license"], "identifier": project["license"]},
        },
        "servers": [{"url": "/", "description": "The deployment that serves this document"}],
        "tags": [{"name": section.tag, "description": section.description} for section in SECTIONS],
        "paths": paths,
        "components": {"securitySchemes": dict(SECURITY), "schemas": definitions},
    }


def as_yaml(described: Json) -> str:
    """Return the document in the form of openapi.yaml."""
    return HEADER + yaml.dump(
        described, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100
    )


def as_json(described: Json) -> str:
    """Return the document in the form that clients get."""
    return json.dumps(described, ensure_ascii=False, separators=(",", ":"))


def as_routes(described: Json) -> str:
    """Return the methods of each path, in the form that the default route reads."""
    methods = {path: sorted(map(str.upper, item)) for path, item in described["paths"].items()}
    lines = (f"  {json.dumps(path)}: {json.dumps(methods[path])}" for path in sorted(methods))
    return "{\n" + ",\n".join(lines) + "\n}\n"


class _Dumper(yaml.SafeDumper):
    """YAML without anchors, and with texts of several lines as blocks."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the interface is PyYAML's
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _models(operation: Operation) -> Iterator[Any]:
    for parameter in operation.parameters:
        yield parameter.model
    if operation.body:
        yield from operation.body.models.values()
    for answer in operation.answers.values():
        if answer.model is not None:
            yield answer.model


def _schemas(described: Sequence[Operation]) -> tuple[Mapping[int, Json], Json]:
    """Return each model's schema by the model's identity, and the components of all."""
    models = {id(model): model for operation in described for model in _models(operation)}
    mode: JsonSchemaMode = "validation"
    by_key, rest = TypeAdapter.json_schemas(
        [(key, mode, _adapter(model)) for key, model in models.items()],
        ref_template="#/components/schemas/{model}",
        schema_generator=_Untitled,
    )
    schemas = {key: schema for (key, _), schema in by_key.items()}
    return schemas, dict(sorted(rest.get("$defs", {}).items()))


def _adapter(model: Any) -> TypeAdapter[Any]:  # noqa: ANN401 - any type that pydantic describes
    """Return the adapter of a model, with the docstrings below a TypedDict's fields."""
    if is_typeddict(model):
        return TypeAdapter(with_config(_DOCSTRINGS)(model))
    if isinstance(model, type) and issubclass(model, BaseModel):
        return TypeAdapter(model)
    return TypeAdapter(model, config=_DOCSTRINGS)


def _operation(operation: Operation, schemas: Mapping[int, Json]) -> Json:
    event = _event(operation.name)
    described: Json = {
        "operationId": operation.id or operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
    }
    if operation.description:
        described["description"] = operation.description
    described["security"] = [{key: []} for key in operation.keys]
    if operation.parameters:
        described["parameters"] = [
            _parameter(each, schemas, event) for each in operation.parameters
        ]
    if operation.body:
        described["requestBody"] = _body(operation.body, schemas, event)
    described["responses"] = {
        str(status): _answer(answer, schemas)
        for status, answer in sorted(operation.answers.items())
    }
    return described


def _parameter(parameter: Parameter, schemas: Mapping[int, Json], event: Json) -> Json:
    places = {"path": "pathParameters", "query": "queryStringParameters", "header": "headers"}
    sent = event.get(places[parameter.place]) or {}
    name = parameter.name.lower() if parameter.place == "header" else parameter.name
    described: Json = {"name": parameter.name, "in": parameter.place}
    if parameter.required:
        described["required"] = True
    described["description"] = parameter.description
    described["schema"] = schemas[id(parameter.model)]
    if parameter.required and name in sent:
        described["example"] = sent[name]
    return described


def _body(body: Body, schemas: Mapping[int, Json], event: Json) -> Json:
    content: Json = {}
    for media_type, model in body.models.items():
        content[media_type] = {"schema": schemas[id(model)]}
        if media_type == event["headers"].get("content-type") == JSON:
            content[media_type]["example"] = json.loads(event["body"])
    return {"required": body.required, "content": content}


def _answer(answer: Answer, schemas: Mapping[int, Json]) -> Json:
    described: Json = {"description": answer.description}
    if answer.headers:
        described["headers"] = {
            name: {"description": said, "schema": {"type": "string"}}
            for name, said in answer.headers.items()
        }
    if answer.model is not None:
        schema = schemas[id(answer.model)]
        described["content"] = {each: {"schema": schema} for each in answer.media_types}
    return described


def _event(name: str) -> Json:
    """Return the sample event of an operation's function, as the tests send it."""
    event: Json = json.loads((ROOT / "events" / f"{name}.json").read_text())
    if event.get("isBase64Encoded"):
        event["body"] = base64.b64decode(event["body"]).decode(errors="replace")
    return event

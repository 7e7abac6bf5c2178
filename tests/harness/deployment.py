"""template.yaml as it would deploy: globals merged, parameters and intrinsic functions resolved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Final

from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

REGION: Final = "eu-west-1"
QUEUE_NAME, NOTIFY_QUEUE_NAME = "generate", "notify"
WEBHOOK_QUEUE_NAME = "webhooks"
EMBED_QUEUE_NAME = "embed"
INTAKE_QUEUE_NAME, INTAKE_DEAD_LETTERS_NAME = "intake", "intake-dead-letters"
DEFAULT_ROUTE: Final = "$default"
"""The key of the route of all requests that no other route takes."""
REFERENCES = {
    "AWS::StackName": "afterword",
    "GenerationsTable": "generations",
    "RegistryTable": "registry",
    "QuotasTable": "quotas",
    "StatisticsTable": "statistics",
    "Bucket": "afterword-texts",
    "ContentsTable": "contents",
    "ContentsBucket": "afterword-contents",
    "BatchesTable": "batches",
    "BatchBucket": "afterword-batches",
    "IntakeQueue": f"https://sqs.{REGION}.amazonaws.com/123456789012/{INTAKE_QUEUE_NAME}",
    "IntakeDeadLetterQueue": (
        f"https://sqs.{REGION}.amazonaws.com/123456789012/{INTAKE_DEAD_LETTERS_NAME}"
    ),
    "EmbedQueue": f"https://sqs.{REGION}.amazonaws.com/123456789012/{EMBED_QUEUE_NAME}",
    "Queue": f"https://sqs.{REGION}.amazonaws.com/123456789012/{QUEUE_NAME}",
    "WebhooksTable": "webhooks",
    "WebhookQueue": f"https://sqs.{REGION}.amazonaws.com/123456789012/{WEBHOOK_QUEUE_NAME}",
    "NotifyQueue": f"https://sqs.{REGION}.amazonaws.com/123456789012/{NOTIFY_QUEUE_NAME}",
}
"""The values of `!Ref` for the resources under moto."""


@cache
def parsed_template() -> Mapping[str, Any]:
    """Return template.yaml, parsed."""
    template: Mapping[str, Any] = yaml_parse(
        (Path(__file__).parent.parent.parent / "template.yaml").read_text()
    )
    return template


@dataclass(frozen=True)
class Function:
    """A function of the template; `properties` has the globals merged in and is resolved.

    `role` are the properties of its role, `managed` the documents of the policies attached to it.
    """

    name: str
    properties: Mapping[str, Any]
    role: Mapping[str, Any]
    managed: Sequence[Mapping[str, Any]]

    @property
    def folder(self) -> str:
        """Name of its folder in functions/, of its file in events/ and of its tests."""
        return PurePosixPath(self.properties["CodeUri"]).name

    @property
    def environment(self) -> dict[str, str]:
        """Its environment variables, as strings."""
        variables = self.properties["Environment"]["Variables"]
        return {name: str(value) for name, value in variables.items()}

    @property
    def statements(self) -> list[Mapping[str, Any]]:
        """IAM statements of the role and of the policies attached to it."""
        own = [policy["PolicyDocument"] for policy in self.role.get("Policies", ())]
        return [
            statement for document in [*own, *self.managed] for statement in document["Statement"]
        ]

    @property
    def permissions(self) -> dict[str, set[str]]:
        """Its allowed actions by resource."""
        found: dict[str, set[str]] = {}
        for statement in self.statements:
            for resource in as_list(statement["Resource"]):
                found.setdefault(resource, set()).update(as_list(statement["Action"]))
        return found

    @property
    def events(self) -> list[Mapping[str, Any]]:
        """Its event sources."""
        return list(self.properties["Events"].values())

    @property
    def routes(self) -> list[str]:
        """Its HTTP routes, as API Gateway writes a route key."""
        return [
            f"{route['Method']} {route['Path']}" if "Path" in route else DEFAULT_ROUTE
            for event in self.events
            if event["Type"] == "HttpApi"
            for route in [event["Properties"]]
        ]

    @property
    def operations(self) -> list[str]:
        """Its HTTP routes without the default route, which OpenAPI cannot describe."""
        return [route for route in self.routes if route != DEFAULT_ROUTE]

    @property
    def schedules(self) -> list[str]:
        """When it runs by the clock."""
        return [
            event["Properties"]["Schedule"] for event in self.events if event["Type"] == "Schedule"
        ]

    @property
    def queues(self) -> list[Mapping[str, Any]]:
        """Its SQS event source mappings."""
        return [event["Properties"] for event in self.events if event["Type"] == "SQS"]


class Deployment:
    """The template with values for its parameters."""

    def __init__(self, template: Mapping[str, Any], parameters: Mapping[str, str]) -> None:
        self._template = template
        self._values = {
            name: definition.get("Default") for name, definition in template["Parameters"].items()
        } | dict(parameters)

    def resources(self, kind: str) -> dict[str, Mapping[str, Any]]:
        """Return the resources of one type by name, resolved."""
        return {
            name: self._resolve(resource)
            for name, resource in self._template["Resources"].items()
            if resource["Type"] == kind
        }

    @cached_property
    def functions(self) -> Mapping[str, Function]:
        """The functions by folder."""
        shared = self._resolve(self._template["Globals"]["Function"])
        roles = self.resources("AWS::IAM::Role")
        policies = self.resources("AWS::IAM::ManagedPolicy")
        functions = {}
        for name, resource in self.resources("AWS::Serverless::Function").items():
            role = roles[resource["Properties"]["Role"].removesuffix(".Arn")]["Properties"]
            managed = [
                policies[each]["Properties"]["PolicyDocument"] for each in role["ManagedPolicyArns"]
            ]
            properties = _merged(shared, resource["Properties"])
            function = Function(name, properties, role, managed)
            functions[function.folder] = function
        return functions

    def holds(self, condition: str) -> bool:
        """Whether a condition of the template holds with these parameters."""
        return bool(self._resolve(self._template["Conditions"][condition]))

    def _resolve(self, value: Any) -> Any:  # noqa: ANN401, C901, PLR0911, PLR0912 - any node of a YAML document
        match value:
            case {"Ref": "AWS::NoValue"}:
                return None
            case {"Ref": str(name)}:
                return self._values.get(name, REFERENCES.get(name, name))
            case {"Fn::GetAtt": [name, attribute]}:
                return f"{name}.{attribute}"
            case {"Fn::Sub": str(text)}:
                return text
            case {"Fn::Split": [str(separator), joined]}:
                return self._resolve(joined).split(separator)
            case {"Fn::Equals": [left, right]}:
                return str(self._resolve(left)) == str(self._resolve(right))
            case {"Fn::Not": [condition]}:
                return not self._resolve(condition)
            case {"Fn::And": conditions}:
                return all(self._resolve(condition) for condition in conditions)
            case {"Condition": str(condition), **rest} if not rest:
                return self._resolve(self._template["Conditions"][condition])
            case {"Fn::FindInMap": [mapping, key, attribute]}:
                return self._template["Mappings"][mapping][self._resolve(key)][attribute]
            case {"Fn::If": [condition, yes, no]}:
                chosen = self._resolve(self._template["Conditions"][condition])
                return self._resolve(yes if chosen else no)
            case dict():
                resolved = {key: self._resolve(item) for key, item in value.items()}
                return {key: item for key, item in resolved.items() if item is not None}
            case list():
                items = [self._resolve(item) for item in value]
                return [item for item in items if item is not None]
            case _:
                return value


def as_list(value: str | list[str]) -> list[str]:
    """Return IAM's `Action` or `Resource`, which may be one or several, as a list."""
    return [value] if isinstance(value, str) else value


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Merge as SAM merges globals: maps by key, lists added, anything else replaced.

    https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification-template-anatomy-globals.html
    """
    merged = dict(base)
    for key, value in over.items():
        match merged.get(key), value:
            case dict() as old, dict():
                merged[key] = _merged(old, value)
            case list() as old, list():
                merged[key] = [*old, *value]
            case _:
                merged[key] = value
    return merged

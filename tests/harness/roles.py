"""The roles of template.yaml, enforced under moto on what the functions' handlers ask of AWS.

Each handler of functions/ acts in its function's role, in all of its threads. A call of a
test itself, or of its stand-in, is not checked, wherever it runs. The checks and their reasons:
docs/decisions/0031-least-privilege.md.
"""

import os
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from functools import cache, wraps
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path, PurePosixPath
from types import FrameType, ModuleType
from typing import Any, Final

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from tests.harness.deployment import REFERENCES, REGION, Deployment, as_list, parsed_template

ACCOUNT: Final = "123456789012"
DENIALS: Mapping[str, tuple[str, int]] = {
    "s3": ("AccessDenied", 403),
    "sqs": ("AccessDenied", 403),
    "bedrock-runtime": ("AccessDeniedException", 403),
    "bedrock-agent-runtime": ("AccessDeniedException", 403),
    "s3vectors": ("AccessDeniedException", 403),
}
"""The code and the status of a denial; the others' JSON protocols have the code with a 400."""
DENIAL = ("AccessDeniedException", 400)
_WRITES = "https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html"
_POLLS = "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html"
_TRACES = "https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html"
USED_BY_LAMBDA: Mapping[str, str] = {
    "logs:CreateLogStream": _WRITES,
    "logs:PutLogEvents": _WRITES,
    "sqs:ReceiveMessage": _POLLS,
    "sqs:DeleteMessage": _POLLS,
    "sqs:GetQueueAttributes": _POLLS,
    "xray:PutTraceSegments": _TRACES,
    "xray:PutTelemetryRecords": _TRACES,
}
"""Actions of Lambda itself in the name of a function, and the pages of AWS that say so.

Only AWS shows the need for them (`is_lambdas_own`).
"""
MISSING_OBJECT: Mapping[str, str] = {
    "NoSuchKey": "s3:ListBucket",
    "404": "s3:ListBucket",
    "NoSuchVersion": "s3:ListBucketVersions",
}
"""Without this action on the bucket, S3 denies what is not there.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
"""

_TESTS = str(Path(__file__).parent.parent)
_performing: ContextVar[str | None] = ContextVar("performing", default=None)


@dataclass(frozen=True, order=True)
class Grant:
    """One action that a function's role allows on one resource, which is named as in `Fn::Sub`.

    `condition` is the template's condition that it depends on, "" for none. `keys` are the keys of
    the request that the statement's own conditions want, each with its pattern as in `Fn::Sub`.
    """

    function: str
    action: str
    resource: str
    condition: str = ""
    keys: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """Return it as a sentence."""
        return f"{self.function} may {self.action} on {self.resource}"


@dataclass(frozen=True)
class Need:
    """One action on one resource that a call needs, and the condition keys of its request."""

    action: str
    arn: str
    keys: Mapping[str, Sequence[str]] = field(default_factory=dict, compare=False)


class Roles:
    """The roles of a template, and what the handlers make of them."""

    def __init__(self, template: Mapping[str, Any]) -> None:
        self._template = template
        self._variables = dict(_variables_of_parameters(template))
        self.grants = tuple(_grants(template))
        self._of = defaultdict[tuple[str, str], list[Grant]](list)
        for grant in self.grants:
            self._of[grant.function, grant.action].append(grant)
        self.withheld: Grant | None = None
        """A grant that does not count at present."""
        self.denied = False
        """Whether something was denied for that."""
        self.used: set[Grant] = set()
        """The grants that calls have needed in this test."""
        self.parameters: Mapping[str, str] = {}
        """The template's parameters that no function has as a variable, where not the defaults."""

    def check(self, client: BaseClient, operation: str, params: Mapping[str, Any]) -> None:
        """Raise what AWS raises, if the function that is running may not make this call."""
        function = performing()
        if function is None:
            return
        service = client.meta.service_model.service_name
        for need in needs(f"{service}.{operation}", params):
            if not self.allows(function, need):
                raise _denial(client, operation, function, need)

    def check_signature(self, operation: str, params: Mapping[str, Any]) -> None:
        """Fail the test, if the running function signs a URL that it may not use itself."""
        function = performing()
        if function is None:
            return
        for need in needs(f"s3.{operation}", params):
            if not self.allows(function, need):
                pytest.fail(f"{function} signs a URL for {need.action} on {need.arn}: denied.")

    def allows(self, function: str, need: Need) -> bool:
        """Whether a role allows it with the parameters that the environment is from."""
        parameters = self._current_parameters()
        fitting = [
            grant
            for grant in self._of[function, need.action]
            if any(
                _matches(named, need.arn)
                for named in self._filled(grant.resource, parameters).split(",")
            )
            and self._holds(grant.condition, parameters)
            and all(
                values and all(_matches(self._filled(pattern, parameters), each) for each in values)
                for key, pattern in grant.keys
                for values in (need.keys.get(key, ()),)
            )
        ]
        effective = [grant for grant in fitting if grant != self.withheld]
        self.used.update(effective)
        self.denied |= bool(fitting) and not effective
        return bool(effective)

    def in_force(self, function: str) -> set[Grant]:
        """Return a role's grants, without what is withheld and what depends on other parameters."""
        parameters = self._current_parameters()
        return {
            grant
            for grant in self.grants
            if grant.function == function
            and grant != self.withheld
            and self._holds(grant.condition, parameters)
        }

    @contextmanager
    def without(self, grant: Grant) -> Iterator[None]:
        """Withhold a grant for a while."""
        self.withheld, self.denied = grant, False
        try:
            yield
        finally:
            self.withheld = None

    def _current_parameters(self) -> dict[str, str]:
        """Return the template's parameters that give the functions their current variables."""
        current = {
            parameter: os.environ[variable]
            for variable, parameter in self._variables.items()
            if variable in os.environ
        }
        defaults = {
            name: str(definition.get("Default", ""))
            for name, definition in self._template["Parameters"].items()
        }
        return {**defaults, **current, **self.parameters}

    def _filled(self, resource: str, parameters: Mapping[str, str]) -> str:
        def fill(placeholder: re.Match[str]) -> str:
            name = placeholder[1]
            return _PSEUDO.get(name) or parameters.get(name) or self._named(name)

        return re.sub(r"\$\{([^}]+)\}", fill, resource)

    def _named(self, name: str) -> str:
        """Return the value of a resource's `Ref` or `.Arn` under moto, "" for an empty one."""
        resource, _, attribute = name.partition(".")
        if resource in self._template["Parameters"]:
            return ""
        reference = REFERENCES.get(resource, resource).rpartition("/")[2]
        if not attribute:
            return reference
        match self._template["Resources"][resource]["Type"]:
            case "AWS::DynamoDB::Table":
                return f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{reference}"
            case "AWS::SQS::Queue":
                return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{reference}"
            case "AWS::S3::Bucket":
                return f"arn:aws:s3:::{reference}"
            case "AWS::Logs::LogGroup":
                return f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{reference}:*"
        pytest.fail(f"tests/harness/roles.py knows no ARN of {name}.")

    def _holds(self, condition: str, parameters: Mapping[str, str]) -> bool:
        return not condition or Deployment(self._template, parameters).holds(condition)


@cache
def deployed() -> Roles:
    """Return the roles of template.yaml, the same ones for all of a test run."""
    return Roles(parsed_template())


_PSEUDO = {"AWS::Partition": "aws", "AWS::Region": REGION, "AWS::AccountId": ACCOUNT}


def is_lambdas_own(grant: Grant) -> bool:
    """Return whether Lambda itself uses a grant, beside any code of ours or without it."""
    if grant.action == "sqs:GetQueueAttributes":  # of a queue that is polled for the function
        return any(
            (other.function, other.resource) == (grant.function, grant.resource)
            for other in deployed().grants
            if other.action == "sqs:ReceiveMessage"
        )
    return grant.action in USED_BY_LAMBDA


def performing() -> str | None:
    """Return the function whose handler makes the current call, None if a test makes it itself."""
    function = _performing.get()
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the way to one's callers
    while function is not None and frame is not None:
        code = frame.f_code
        if code is _PERFORM:
            break
        if code.co_filename.startswith(_TESTS) and code.co_filename != __file__:
            return None
        frame = frame.f_back
    return function


def perform(function: str, handler: Callable[..., Any]) -> Callable[..., Any]:
    """Return the handler so that it acts in its function's role."""

    @wraps(handler)
    def performed(event: object, context: object) -> object:
        before = _performing.set(function)
        try:
            return handler(event, context)
        finally:
            _performing.reset(before)

    return performed


_PERFORM = next(
    code for code in perform.__code__.co_consts if getattr(code, "co_name", "") == "performed"
)


class _Handlers(MetaPathFinder):
    """Finds functions/*/app.py and lets each handler act in its function's role."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Return the spec of such a module, None for any other."""
        app = re.fullmatch(r"functions\.(\w+)\.app", fullname)
        spec = PathFinder.find_spec(fullname, path, target) if app else None
        if app and spec and spec.origin:
            spec.loader = _App(fullname, spec.origin, app[1])
        return spec


class _App(SourceFileLoader):
    def __init__(self, name: str, path: str, function: str) -> None:
        super().__init__(name, path)
        self._function = function

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        module.__dict__["handler"] = perform(self._function, module.handler)


def let_handlers_act_in_their_roles() -> None:
    """Take effect for all handlers that are imported from now on."""
    sys.meta_path.insert(0, _Handlers())


def enforce(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deny handlers from now on, over all AWS clients and in all threads, what they may not do."""
    roles = deployed()
    roles.used.clear()
    call, emit, submit = (
        BaseClient._make_api_call,  # type: ignore[attr-defined]  # noqa: SLF001 - where all calls go through
        BaseClient._emit_api_params,  # type: ignore[attr-defined]  # noqa: SLF001 - signatures, too
        ThreadPoolExecutor.submit,
    )

    def checked_call(self: BaseClient, operation: str, params: Mapping[str, Any]) -> object:
        try:
            roles.check(self, operation, params)
        except ClientError as error:
            if operation != "DeleteObjects":
                raise
            return _undeleted(params, error)
        try:
            return call(self, operation, params)
        except ClientError as error:
            function, hiding = performing(), MISSING_OBJECT.get(error.response["Error"]["Code"])
            if function is None or hiding is None or "Bucket" not in params:
                raise
            need = Need(hiding, f"arn:aws:s3:::{params['Bucket']}")
            if roles.allows(function, need):
                raise
            raise _denial(self, operation, function, need) from error

    def checked_params(self: BaseClient, **kwargs: Any) -> object:  # noqa: ANN401 - botocore's
        if kwargs["context"].get("is_presign_request"):
            roles.check_signature(kwargs["operation_model"].name, kwargs["api_params"])
        return emit(self, **kwargs)

    def submit_in_context(
        self: ThreadPoolExecutor, work: Callable[..., Any], /, *args: object, **kwargs: object
    ) -> Future[Any]:
        context = copy_context()
        return submit(self, lambda: context.run(work, *args, **kwargs))

    monkeypatch.setattr(BaseClient, "_make_api_call", checked_call)
    monkeypatch.setattr(BaseClient, "_emit_api_params", checked_params)
    monkeypatch.setattr(ThreadPoolExecutor, "submit", submit_in_context)


def needs(operation: str, params: Mapping[str, Any]) -> list[Need]:  # noqa: C901 - a case a service
    """Return the actions that a call needs, by AWS's Service Authorization Reference.

    Fails the test on an operation that is not known here.
    https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
    """
    service, _, name = operation.partition(".")
    match service:
        case "dynamodb":
            found = _dynamodb(name, params)
        case "s3":
            found = _s3(name, params)
        case "sqs":
            found = _sqs(name, params)
        case "ssm" if name in {"GetParameter", "PutParameter", "DeleteParameter"}:
            parameter = params["Name"].removeprefix("/")
            found = [Need(f"ssm:{name}", _arn("ssm", f"parameter/{parameter}"))]
        case "secretsmanager" if name == "GetSecretValue":
            found = [Need("secretsmanager:GetSecretValue", params["SecretId"])]
        case "events" if name == "PutEvents":
            buses = {entry["EventBusName"] for entry in params["Entries"]}
            found = [Need("events:PutEvents", _arn("events", f"event-bus/{bus}")) for bus in buses]
        case "bedrock-runtime" if name in {"Converse", "InvokeModel"}:
            arns = _models(params["modelId"])
            through = {"bedrock:InferenceProfileArn": arns[:1]} if len(arns) > 1 else {}
            found = [Need("bedrock:InvokeModel", arn, through) for arn in arns]
        case "s3vectors":
            actions = {name, "GetVectors"} if name == "QueryVectors" else {name}
            found = [Need(f"s3vectors:{action}", params["indexArn"]) for action in sorted(actions)]
        case "bedrock-agent-runtime" if name == "Retrieve":
            base = f"knowledge-base/{params['knowledgeBaseId']}"
            found = [Need("bedrock:Retrieve", _arn("bedrock", base))]
        case _:
            found = []
    if not found:
        pytest.fail(f"tests/harness/roles.py does not know what {operation} needs.")
    return found


def _dynamodb(name: str, params: Mapping[str, Any]) -> list[Need]:
    match params:
        case {"RequestItems": tables} if name in {"BatchGetItem", "BatchWriteItem"}:
            return [Need(f"dynamodb:{name}", _table(table)) for table in tables]
        case {"TransactItems": items}:
            # One action a part, and none for the transaction itself:
            # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
            return [
                Need(f"dynamodb:{kind.removesuffix('Item')}Item", _table(part["TableName"]))
                for item in items
                for kind, part in item.items()
            ]
        case {"TableName": table, "IndexName": index} if name in {"Query", "Scan"}:
            return [Need(f"dynamodb:{name}", f"{_table(table)}/index/{index}")]
        case {"TableName": table, "Key": {"pk": {"S": leading}}}:
            return [Need(f"dynamodb:{name}", _table(table), {"dynamodb:LeadingKeys": [leading]})]
        case {"TableName": table}:
            return [Need(f"dynamodb:{name}", _table(table))]
    return []


def _s3(name: str, params: Mapping[str, Any]) -> list[Need]:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html."""
    of_version = "Version" if "VersionId" in params else ""
    actions = {
        "GetObject": f"GetObject{of_version}",
        "HeadObject": f"GetObject{of_version}",
        "DeleteObject": f"DeleteObject{of_version}",
        "DeleteObjects": "DeleteObject",
        "PutObject": "PutObject",
        "CreateMultipartUpload": "PutObject",
        "UploadPart": "PutObject",
        "CompleteMultipartUpload": "PutObject",
        "AbortMultipartUpload": "AbortMultipartUpload",
    }
    if name == "ListObjectsV2":
        prefix = {"s3:prefix": [params.get("Prefix", "")]}
        return [Need("s3:ListBucket", f"arn:aws:s3:::{params['Bucket']}", prefix)]
    if name not in actions:
        return []
    objects = params["Delete"]["Objects"] if name == "DeleteObjects" else [params]
    bucket = f"arn:aws:s3:::{params['Bucket']}"
    return [Need(f"s3:{actions[name]}", f"{bucket}/{each['Key']}") for each in objects]


def _sqs(name: str, params: Mapping[str, Any]) -> list[Need]:
    queue = _arn("sqs", "") + params["QueueUrl"].rpartition("/")[2]
    match name.removesuffix("Batch"):
        case (
            "SendMessage"
            | "ReceiveMessage"
            | "DeleteMessage"
            | "ChangeMessageVisibility"
            | "GetQueueAttributes"
        ) as one:
            return [Need(f"sqs:{one}", queue)]
    return []


def _models(model: str) -> list[str]:
    """Return the ARNs of a model, or of a profile and what it may choose.

    https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-prereq.html
    """
    foundation = f"arn:aws:bedrock:{REGION}::foundation-model"
    if ":application-inference-profile/" in model:
        return [model, f"{foundation}/of-the-profile"]
    name = model.rpartition("/")[2]
    geography, _, rest = name.partition(".")
    if geography in {"us", "eu", "apac", "global"}:
        return [_arn("bedrock", f"inference-profile/{name}"), f"{foundation}/{rest}"]
    return [f"{foundation}/{name}"]


def _arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


def _table(name: str) -> str:
    return _arn("dynamodb", f"table/{name}")


def _matches(pattern: str, arn: str) -> bool:
    """Whether an ARN is one of those that a statement names with `*` and `?`."""
    escaped = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(escaped, arn, re.DOTALL) is not None


def _denial(client: BaseClient, operation: str, function: str, need: Need) -> ClientError:
    """Return the error that AWS answers with: its code differs from service to service."""
    code, status = DENIALS.get(client.meta.service_model.service_name, DENIAL)
    message = f"{function} is not authorized to perform: {need.action} on resource: {need.arn}"
    response = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    error: type[ClientError] = client.exceptions.from_code(code)  # type: ignore[assignment]
    return error(response, operation)  # type: ignore[arg-type]


def _undeleted(params: Mapping[str, Any], denial: ClientError) -> dict[str, Any]:
    """Return the answer of S3 when objects may not be deleted: a good one, with an error for each.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
    """
    return {
        "Errors": [
            {"Key": each["Key"], **denial.response["Error"]} for each in params["Delete"]["Objects"]
        ],
        "ResponseMetadata": {"HTTPStatusCode": 200},
    }


def _grants(template: Mapping[str, Any]) -> Iterator[Grant]:
    """Read what each function's role allows, with each condition's statements, too."""
    for resource in template["Resources"].values():
        if resource["Type"] != "AWS::Serverless::Function":
            continue
        function = PurePosixPath(resource["Properties"]["CodeUri"]).name
        role, _ = resource["Properties"]["Role"]["Fn::GetAtt"]
        properties = template["Resources"][role]["Properties"]
        documents = [each["PolicyDocument"] for each in properties.get("Policies", ())]
        for managed, condition in _conditional(properties.get("ManagedPolicyArns", ())):
            policy = template["Resources"][managed["Ref"]]["Properties"]["PolicyDocument"]
            documents.append(policy)
            assert not condition, f"{role}: a managed policy that depends on {condition}"
        for document in documents:
            for statement, condition in _conditional(document["Statement"]):
                keys = tuple(_keys(statement.get("Condition", {})))
                for action in as_list(statement["Action"]):
                    for named in _as_nodes(statement["Resource"]):
                        yield Grant(function, action, _as_sub(named), condition, keys)


def _keys(conditions: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the keys of a statement's conditions, each with its pattern."""
    for operator, wanted in conditions.items():
        assert operator in {"StringLike", "ForAllValues:StringLike"}, operator
        for key, pattern in wanted.items():
            yield key, _as_sub(pattern)


def _conditional(nodes: Sequence[Any]) -> Iterator[tuple[Any, str]]:
    """Yield the items of a list, each with the condition that it depends on."""
    for node in nodes:
        match node:
            case {"Fn::If": [condition, item, {"Ref": "AWS::NoValue"}]}:
                yield item, condition
            case {"Fn::If": _}:
                pytest.fail(f"tests/harness/roles.py does not know what to make of {node}.")
            case _:
                yield node, ""


def _as_nodes(resource: Any) -> list[Any]:  # noqa: ANN401 - any node of a YAML document
    return resource if isinstance(resource, list) else [resource]


def _as_sub(resource: Any) -> str:  # noqa: ANN401 - any node of a YAML document
    """Return a statement's resource in the language of `Fn::Sub`."""
    match resource:
        case str(text) | {"Fn::Sub": str(text)}:
            return text
        case {"Ref": name} | {"Fn::Split": [_, {"Ref": name}]}:
            return f"${{{name}}}"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"${{{name}.{attribute}}}"
    pytest.fail(f"tests/harness/roles.py does not know what to make of {resource}.")


def _variables_of_parameters(template: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the functions' variables that are parameters of the template."""
    functions = [template["Globals"]["Function"]] + [
        resource["Properties"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
    ]
    for function in functions:
        for variable, value in function.get("Environment", {}).get("Variables", {}).items():
            if isinstance(value, dict) and value.get("Ref") in template["Parameters"]:
                yield variable, value["Ref"]
